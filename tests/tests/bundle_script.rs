//! `hack/bundle.sh`, which makes a busybox bundle with `rootling image`.

use std::fs;
use std::os::unix::fs::symlink;

use rootling_tests::{Output, Test, both, source};

both!(rootling_in_path_makes_the_bundle, each_failure_has_a_message, config_that_is_there_is_left_alone,);

/// The script from a directory in which nothing was built, with these programs before those of the system in PATH.
fn script(t: &Test, programs: &[&str], arguments: &[&str]) -> Output {
    let bin = t.path("bin");
    let _ = fs::remove_dir_all(&bin);
    fs::create_dir_all(&bin).expect("make a directory");
    fs::create_dir_all(t.path("hack")).expect("make a directory");
    fs::copy(source("hack/bundle.sh"), t.path("hack/bundle.sh")).expect("copy the script");
    for name in programs {
        symlink(t.binary().with_file_name(name), bin.join(name)).expect("link to a program");
    }
    // A program that is installed on this machine must not be used.
    let system = t.path("system");
    if !system.exists() {
        fs::create_dir(&system).expect("make a directory");
        for name in ["bash", "busybox", "chmod", "dirname", "mkdir", "rm", "newuidmap", "newgidmap"] {
            if let Some(found) = ["/usr/bin", "/bin"]
                .map(|dir| format!("{dir}/{name}"))
                .iter()
                .find(|path| fs::exists(path).unwrap_or(false))
            {
                symlink(found, system.join(name)).expect("link to a program");
            }
        }
    }
    let command = t.command("bash").arg("hack/bundle.sh").args(arguments).dir(t.path(""));
    command
        .env("PATH", format!("{}:{}", bin.display(), system.display()))
        .without_env("ROOTLING_BIN")
        .output()
}

fn rootling_in_path_makes_the_bundle(t: &Test) {
    // Next to the program to which the link in PATH leads, or in PATH itself.
    for (name, programs) in [("a", &["rootling"][..]), ("b", &["rootling-image"])] {
        script(t, programs, &[name]).ok();
        assert!(t.path(name).join("rootfs/bin/busybox").exists(), "{programs:?}");
        assert!(!t.path(name).join("config.json").exists(), "{programs:?}");
    }
    script(t, &["rootling"], &["c", "--config", "echo", "made"]).ok();
    let ran = t.rootling(&["run", "-b"]).arg(t.path("c")).arg(t.id("c")).output().ok();
    assert_eq!(ran.stdout, "made\n");
}

fn each_failure_has_a_message(t: &Test) {
    for (programs, arguments, words) in [
        (&[][..], &["d"][..], "there is no rootling"),
        (&["rootling"], &[], "usage: bundle.sh DIR"),
        (&["rootling"], &["d", "--verbose"], "--verbose: only --config may follow"),
        (&["rootling"], &["/proc/no/such"], "/proc/no: cannot be made"),
        (&["rootling"], &["/proc/d"], "unpack busybox: /proc/d has failed"),
    ] {
        let output = script(t, programs, arguments).code(1);
        assert!(output.stderr.lines().last().is_some_and(|line| line.starts_with("bundle.sh: ")), "{output}");
        assert!(output.stderr.contains(words), "{words:?}: {output}");
    }
}

fn config_that_is_there_is_left_alone(t: &Test) {
    script(t, &["rootling"], &["d", "--config"]).ok();
    fs::write(t.path("d/config.json"), "mine").expect("write config.json");
    for arguments in [&["d"][..], &["d", "--config"]] {
        let output = script(t, &["rootling"], arguments).code(1);
        assert!(output.stderr.contains("d/config.json: there is one already"), "{output}");
        assert_eq!(fs::read_to_string(t.path("d/config.json")).expect("read it"), "mine");
    }
    fs::remove_file(t.path("d/config.json")).expect("remove it");
    let output = script(t, &["rootling"], &["d"]).ok();
    assert!(output.stderr.contains("d/rootfs: is there already"), "{output}");
    let output = script(t, &["rootling"], &["d", "--config"]).code(1);
    assert!(output.stderr.contains("`rootling spec -b d` adds a config.json"), "{output}");
}
