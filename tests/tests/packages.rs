//! The recipes of other distributions as their tools read them, and the packages of a release: docs/releasing.md.

use std::fs;
use std::path::PathBuf;

use rootling_tests::{Test, skip, source, user};

user!(
    recipe_of_arch_is_of_this_version,
    expression_of_nix_is_evaluated,
    debian_packages_have_all_files,
    rpm_packages_have_all_files,
);

/// Some of the files that each package has, of each kind one.
const FILES: [&str; 8] = [
    "/usr/bin/rootling",
    "/usr/bin/rootling-image",
    "/usr/share/man/man8/rootling.8",
    "/usr/share/man/man8/rootling-image-unpack.8",
    "/usr/share/bash-completion/completions/rootling",
    "/usr/share/rootling/seccomp.json",
    "/usr/share/doc/rootling/docs/security.md",
    "/etc/apparmor.d/rootling",
];

fn has(t: &Test, program: &str) -> bool {
    let there = t.command("sh").args(&["-c", &format!("command -v {program}")]).output().exit() == 0;
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there
}

/// The version of the workspace.
fn version() -> String {
    let manifest = fs::read_to_string(source("Cargo.toml")).expect("read Cargo.toml");
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \"")).expect("a version");
    line.trim_end_matches('"').to_owned()
}

fn recipe_of_arch_is_of_this_version(t: &Test) {
    // As makepkg does: the file is a script, which sets variables and makes functions.
    let script = r#"set -eu; . "$1"; declare -F build package >&2; echo "$pkgname $pkgver ${arch[*]} ${license[*]}"
        echo "${source[0]}"; echo "${#source[@]} ${#sha256sums[@]}""#;
    let recipe = source("hack/packages/PKGBUILD");
    let output = t.command("bash").args(&["-c", script, "bash"]).arg(recipe).output().ok();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines[0], format!("rootling {} x86_64 aarch64 Apache-2.0", version()));
    assert!(lines[1].starts_with("https://") && lines[1].ends_with(".tar.gz"), "{output}");
    let counts: Vec<&str> = lines[2].split(' ').collect();
    assert_eq!(counts[0], counts[1], "each source has a checksum or says that it has a signature");
}

fn expression_of_nix_is_evaluated(t: &Test) {
    if !has(t, "nix-instantiate") {
        return;
    }
    // nixpkgs is not there: its functions give back what they are given.
    let expression = format!(
        "let lib = {{ importTOML = path: builtins.fromTOML (builtins.readFile path); cleanSource = path: path;
               getLib = it: it; licenses = {{ asl20 = \"Apache-2.0\"; }}; }};
             made = import {} {{ inherit lib; rustPlatform.buildRustPackage = it: it; glibc.static = \"glibc\";
               libseccomp.overrideAttrs = change: (change {{ configureFlags = [ ]; }}).configureFlags;
               gperf = \"gperf\"; pkg-config = \"pkg-config\"; }};
         in [ made.pname made.version made.meta.license made.buildPhase made.installPhase (builtins.pathExists made.cargoLock.lockFile) ]",
        source("hack/packages/rootling.nix").display()
    );
    let nix = t.command("nix-instantiate").args(&["--eval", "--strict", "--json", "-E", &expression]);
    let output =
        nix.env("NIX_STORE_DIR", t.path("store")).env("NIX_STATE_DIR", t.path("state")).output().ok();
    let made: Vec<serde_json::Value> = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(made[..3], ["rootling".into(), version().into(), serde_json::json!("Apache-2.0")]);
    for script in [made[3].as_str().expect("text"), made[4].as_str().expect("text")] {
        let path =
            script.split(' ').find_map(|word| word.find("hack/").map(|at| &word[at..])).expect("a script");
        assert!(source(path.trim_end_matches(')')).is_file(), "{script}");
    }
    assert_eq!(made[5], true);
}

/// The packages of a release with this extension.
fn packages(extension: &str) -> Vec<PathBuf> {
    let Some(dir) = std::env::var_os("ROOTLING_TEST_PACKAGES") else {
        skip("ROOTLING_TEST_PACKAGES names no directory with the packages of a release");
        return Vec::new();
    };
    let entries = fs::read_dir(dir).expect("read ROOTLING_TEST_PACKAGES");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.extension().is_some_and(|of| of == extension));
    assert!(!found.is_empty(), "there is no package with the extension {extension}");
    found
}

fn have_all(package: &str, listed: &str) {
    for file in FILES {
        assert!(
            listed.lines().any(|line| line.trim_start_matches('.') == file
                || line.trim_start_matches('.') == format!("{file}.gz")),
            "{package} has no {file}:\n{listed}"
        );
    }
}

fn debian_packages_have_all_files(t: &Test) {
    for package in packages("deb") {
        let name = package.display().to_string();
        let field = |field: &str| {
            t.command("dpkg-deb")
                .arg("--field")
                .arg(&package)
                .arg(field)
                .output()
                .ok()
                .stdout
                .trim()
                .to_owned()
        };
        assert!(name.ends_with(&format!("_{}.deb", field("Architecture"))), "{name}");
        assert_eq!(field("Version"), format!("{}-1", version()));
        assert_eq!(field("Depends"), "", "{name} depends on nothing: the programs are static");
        let list = "dpkg-deb --fsys-tarfile \"$1\" | tar -t";
        have_all(&name, &t.command("sh").args(&["-c", list, "sh"]).arg(&package).output().ok().stdout);
    }
}

fn rpm_packages_have_all_files(t: &Test) {
    let all = packages("rpm");
    if all.is_empty() || !has(t, "rpm") {
        return;
    }
    for package in all {
        let name = package.display().to_string();
        // A database of its own, since an ordinary user has none.
        let query = |option: &str| {
            let rpm = t.command("rpm").arg("--dbpath").arg(t.path("rpm"));
            rpm.args(&["-qp", option]).arg(&package).output().ok().stdout
        };
        have_all(&name, &query("--list"));
        assert!(query("--configfiles").lines().eq(["/etc/apparmor.d/rootling"]), "{name}");
        assert!(query("--scripts").contains("apparmor_parser -r"), "{name}");
        let needed = query("--requires");
        // The shell of the scripts, its own file of configuration, and what rpm itself can do.
        let is_usual = |line: &str| {
            line.is_empty()
                || line == "/bin/sh"
                || ["rpmlib(", "config(rootling)"].iter().any(|own| line.starts_with(own))
        };
        let foreign = needed.lines().find(|line| !is_usual(line));
        assert_eq!(foreign, None, "{name} needs nothing: the programs are static");
        assert!(query("--recommends").contains("/usr/bin/newuidmap"), "{name}");
    }
}
