//! Records the commit that the program is built from, and has it linked again if its linker changes.

use std::process::Command;

fn main() {
    // The linker of hack/build.sh, and the files that it reads.
    for file in ["cc.sh", "order.txt", "symbols.sed"] {
        println!("cargo:rerun-if-changed=../../hack/{file}");
    }
    println!("cargo:rerun-if-env-changed=ROOTLING_COMMIT");
    // HEAD changes on a checkout, and its log changes on a commit as well.
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", path]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    // Outside a checkout, the packager may set it.
    let said = std::env::var("ROOTLING_COMMIT").ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = said.or_else(|| git(&["describe", "--always", "--long", "--dirty", "--abbrev=12"]))
    {
        println!("cargo:rustc-env=ROOTLING_COMMIT={commit}");
    }
}

/// The output of git, if it is installed and this is a checkout.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
