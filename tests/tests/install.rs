//! `make install` and `make uninstall`, through the script that both call, and the use of the installed files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rootling_tests::{Cmd, Output, Test, both, root, skip, source, user};
use serde_json::json;

both!(
    every_file_is_there_and_uninstall_leaves_none,
    bad_places_are_one_line,
    default_seccomp_profile_holds_in_a_container,
    profile_of_another_program_stays,
);
user!(ordinary_user_installs_below_the_home, manual_pages_are_without_faults);
root!(apparmor_reads_its_profile);

fn script(t: &Test, action: &str, prefix: &str) -> Cmd {
    t.command(source("hack/install.sh")).arg(action).env("BINARY", t.binary()).env("PREFIX", prefix)
}

/// Installs below the test's directory; `None` if the test has only the sources of the scripts.
fn staged(t: &Test) -> Option<PathBuf> {
    if !source("README.md").is_file() {
        skip("there are no sources to install from");
        return None;
    }
    let stage = t.path("stage");
    script(t, "install", "/usr").env("DESTDIR", &stage).output().ok();
    Some(stage)
}

/// All files below, with their relative paths.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push(path.strip_prefix(dir).expect("below").display().to_string());
            }
        }
    }
    found.sort_unstable();
    found
}

fn every_file_is_there_and_uninstall_leaves_none(t: &Test) {
    let Some(stage) = staged(t) else { return };
    let there = files(&stage);
    for name in [
        "etc/apparmor.d/rootling",
        "usr/bin/rootling",
        "usr/bin/rootling-image",
        "usr/share/bash-completion/completions/rootling",
        "usr/share/bash-completion/completions/rootling-image",
        "usr/share/doc/rootling/CONTRIBUTING.md",
        "usr/share/doc/rootling/README.md",
        "usr/share/doc/rootling/docs/cli/run.md",
        "usr/share/doc/rootling/docs/pictures/doctor.svg",
        "usr/share/doc/rootling/docs/rootless.md",
        "usr/share/fish/vendor_completions.d/rootling.fish",
        "usr/share/man/man8/rootling-image-unpack.8",
        "usr/share/man/man8/rootling-run.8",
        "usr/share/man/man8/rootling.8",
        "usr/share/rootling/seccomp.json",
        "usr/share/zsh/site-functions/_rootling",
    ] {
        assert!(there.iter().any(|file| file == name), "{name} is not in {there:?}");
    }
    for name in &there {
        let mode = fs::metadata(stage.join(name)).expect("its mode").permissions().mode() & 0o7777;
        let expected = if name.starts_with("usr/bin/rootling") { 0o755 } else { 0o644 };
        assert_eq!(mode, expected, "{name}");
        assert!(fs::metadata(stage.join(name)).expect("its size").len() > 0, "{name} is empty");
    }
    let version = t.command(stage.join("usr/bin/rootling")).arg("--version").output().ok();
    assert!(version.stdout.starts_with("rootling version "), "{version}");
    // What others have put next to ours is kept.
    let other = "usr/share/man/man8/rootlingx.8";
    t.command("touch").arg(stage.join(other)).output().ok();
    script(t, "uninstall", "/usr").env("DESTDIR", &stage).output().ok();
    assert_eq!(files(&stage), [other]);
}

fn ordinary_user_installs_below_the_home(t: &Test) {
    if staged(t).is_none() {
        return;
    }
    let prefix = t.path("home/.local");
    let prefix = prefix.to_str().expect("a path");
    let output = script(t, "install", prefix).output().ok();
    assert_eq!(output.text(), "", "{output}");
    let installed = Path::new(prefix);
    // The user cannot configure the machine's AppArmor.
    assert!(
        files(installed).iter().all(|file| file.starts_with("bin/rootling") || file.starts_with("share/"))
    );
    t.command(installed.join("bin/rootling")).arg("features").output().ok();
    script(t, "uninstall", prefix).output().ok();
    assert_eq!(files(installed), [""; 0]);
}

fn bad_places_are_one_line(t: &Test) {
    let line = |output: Output, part: &str| {
        assert_ne!(output.exit(), 0, "{output}");
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        assert!(output.stderr.contains(part), "{output}");
    };
    line(script(t, "install", "local").output(), "PREFIX=local is not an absolute path");
    line(script(t, "remove", "/usr").output(), "install.sh install|uninstall");
    let missing = script(t, "install", "/usr").env("BINARY", "/nonexistent").env("DESTDIR", t.path("stage"));
    line(missing.output(), "run make build");
    line(t.rootling(&["profile", "apparmor", "--program", "bin/rootling"]).output(), "absolute path");
    line(t.rootling(&["profile", "seccomp", "--program", "/bin/rootling"]).output(), "leave it out");
}

fn default_seccomp_profile_holds_in_a_container(t: &Test) {
    let file = t.path("seccomp.json");
    let text = t.rootling(&["profile", "seccomp"]).output().ok().stdout;
    fs::write(&file, &text).expect("write the profile");
    let mut bundle = t.shell("grep Seccomp: /proc/self/status; unshare -U true 2>/dev/null || echo refused");
    // The `linux.seccomp` of a bundle from the file, as `rootling spec` accepts it.
    let option = format!("seccomp={}", file.display());
    let spec = t.rootling(&["spec", "-o", "-", "--security-opt", &option, "--", "true"]).output().ok().json();
    let plain = t.rootling(&["spec", "-o", "-", "--security-opt", "seccomp=default", "--", "true"]);
    let plain = plain.output().ok().json();
    assert_eq!(spec["linux"]["seccomp"]["defaultAction"], json!("SCMP_ACT_ERRNO"));
    assert_eq!(spec["linux"]["seccomp"]["architectures"], plain["linux"]["seccomp"]["architectures"]);
    bundle.set("/linux/seccomp", spec["linux"]["seccomp"].clone());
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, "Seccomp:\t2\nrefused\n", "{output}");
}

fn profile_of_another_program_stays(t: &Test) {
    let Some(stage) = staged(t) else { return };
    let profile = stage.join("etc/apparmor.d/rootling");
    let before = fs::read_to_string(&profile).expect("the profile");
    assert!(before.contains("\nprofile rootling /usr/bin/rootling flags=(unconfined) {\n"), "{before}");
    let local = |action| script(t, action, "/usr/local").env("DESTDIR", &stage).output().ok();
    let output = local("install");
    assert!(output.stderr.contains("is for another program and stays"), "{output}");
    local("uninstall");
    assert_eq!(fs::read_to_string(&profile).expect("the profile"), before);
}

fn manual_pages_are_without_faults(t: &Test) {
    if !t.command("sh").args(&["-c", "command -v man"]).output().stdout.contains("man") {
        skip("man is not installed");
        return;
    }
    let dir = t.path("pages");
    t.rootling(&["man", "--dir", dir.to_str().expect("a path")]).output().ok();
    for page in files(&dir) {
        let output = t.command("man").arg("--warnings").arg("-l").arg(dir.join(&page)).output().ok();
        assert!(output.stdout.to_lowercase().contains("rootling"), "{page}: {output}");
        assert_eq!(output.stderr, "", "{page}");
    }
}

fn apparmor_reads_its_profile(t: &Test) {
    if !Path::new("/etc/apparmor.d/abi/4.0").exists() {
        skip("there is no AppArmor of 4.0 or newer");
        return;
    }
    let file = t.path("profile");
    for program in ["/usr/bin/rootling", "/opt/a b/{root}*/rootling"] {
        let text = t.rootling(&["profile", "apparmor", "--program", program]).output().ok().stdout;
        fs::write(&file, text).expect("write the profile");
        t.command("apparmor_parser").args(&["-Q", "-K"]).arg(&file).output().ok();
    }
}
