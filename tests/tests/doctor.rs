//! `doctor`: what it finds, what it recommends, and its exit code.

use std::path::Path;

use rootling_tests::{Cmd, Test, Variation, both, user};
use serde_json::Value;

both!(containers_can_run_here, nothing_is_left_of_the_trial);
user!(
    missing_helper_and_ranges_are_warnings_with_their_fix,
    fix_is_in_the_words_of_the_distribution,
    what_forbids_containers_ends_with_1,
    failed_trial_says_why,
    table_fits_a_pipe,
);

fn doctor(t: &Test) -> Cmd {
    t.command(t.binary()).args(&["doctor", "--json"])
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["checks"].as_array().expect("checks");
    all.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}: {report}"))
}

fn fix<'a>(report: &'a Value, name: &str) -> &'a str {
    check(report, name)["fix"].as_str().unwrap_or_else(|| panic!("no fix for {name}: {report}"))
}

fn containers_can_run_here(t: &Test) {
    let report = doctor(t).output().ok().json();
    assert_eq!(report["ok"], true);
    assert_eq!(check(&report, "trial container")["status"], "ok");
    assert_eq!(check(&report, "kernel")["status"], "ok");
    for check in report["checks"].as_array().expect("checks") {
        assert_eq!(check["fix"].is_null(), check["status"] == "ok", "{check}");
        for field in ["found", "needed", "why"] {
            assert!(check[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {check}");
        }
    }
}

fn nothing_is_left_of_the_trial(t: &Test) {
    let tmp = t.path("tmp");
    t.command("mkdir").arg(&tmp).output().ok();
    doctor(t).env("TMPDIR", &tmp).output().ok();
    assert_eq!(std::fs::read_dir(&tmp).expect("list it").count(), 0);
}

fn missing_helper_and_ranges_are_warnings_with_their_fix(t: &Test) {
    let Some(host) = Variation::of(t) else { return };
    let os_release = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
    let host = host.sub_ids("").hide(Path::new("/usr/bin/newuidmap")).file("/etc/os-release", os_release);
    let report = host.run(doctor(t)).output().ok().json();
    assert_eq!(report["distribution"], "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(fix(&report, "newuidmap"), "as root: apt-get install uidmap");
    let usermod = format!("as root: usermod --add-subuids 100000-165535 {}", t.account().name);
    assert_eq!(fix(&report, "/etc/subuid"), usermod);
    assert_eq!(check(&report, "newgidmap")["status"], "ok");
    // The caller's own id is sufficient for it.
    assert_eq!(check(&report, "trial container")["status"], "ok");
}

fn fix_is_in_the_words_of_the_distribution(t: &Test) {
    for (id, words) in
        [("fedora", "dnf"), ("arch", "pacman"), ("alpine", "apk add"), ("nixos", "/run/wrappers/bin")]
    {
        let Some(host) = Variation::of(t) else { return };
        let host = host.file("/etc/os-release", &format!("ID={id}\n")).hide(Path::new("/usr/bin/newuidmap"));
        let report = host.run(doctor(t)).output().ok().json();
        assert!(fix(&report, "newuidmap").contains(words), "{id}: {report}");
    }
}

fn what_forbids_containers_ends_with_1(t: &Test) {
    let Some(host) = Variation::of(t) else { return };
    let lines = format!("{}:{}:10\n", t.account().name, t.account().uid);
    let output = host.sub_ids(&lines).run(doctor(t)).output().code(1);
    let report = output.json();
    assert_eq!(report["ok"], false);
    assert_eq!(check(&report, "/etc/subuid")["status"], "failed");
    let found = check(&report, "trial container")["found"].as_str().expect("what was found");
    assert!(found.starts_with("create: /etc/subuid: the range"), "{report}");
    assert!(found.ends_with("with the caller's own id alone it works"), "{report}");
}

fn failed_trial_says_why(t: &Test) {
    // Root of a user namespace may set the limit of its own namespace; without CAP_SYS_ADMIN it needs another
    // namespace.
    let script =
        "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set -sys_admin -- \"$@\"";
    let output = doctor(t).under(&["unshare", "-Ur", "sh", "-c", script, "sh"]).output().code(1);
    let report = output.json();
    assert_eq!(check(&report, "user namespaces")["found"], "user.max_user_namespaces is 0");
    let trial = check(&report, "trial container");
    assert!(trial["found"].as_str().is_some_and(|found| found.contains("clone3: ENOSPC")), "{report}");
}

fn table_fits_a_pipe(t: &Test) {
    let output = t.command(t.binary()).arg("doctor").output().ok();
    let first = output.stdout.lines().next().unwrap_or_default();
    assert_eq!(first.split_whitespace().collect::<Vec<_>>(), ["CHECK", "STATUS", "FOUND", "NEEDED"]);
    let long = output.stdout.lines().find(|line| line.len() > 120 && !line.starts_with("  fix: "));
    assert_eq!(long, None);
    assert!(output.stdout.contains("\nContainers can run here"), "{output}");
}
