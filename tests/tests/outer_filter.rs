//! A seccomp filter around rootling, as outer containers have: what it refuses is done in another way, or results
//! in one clear error that names the call. Old profiles do not know new calls, and old kernels do not have them.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use rootling_tests::cgroups::{Cgroup, Way, is_unified};
use rootling_tests::{Test, both};
use serde_json::json;

both!(
    refused_call_is_done_without_or_named,
    processes_are_signalled_without_pidfds,
    first_process_is_in_its_cgroup_without_clone3,
    listed_device_gets_its_mode_without_fchmodat2
);

/// Calls of a launch that are newer than Linux 3.17, or that a profile has reason to refuse, with the errors after
/// which containers start nevertheless.
const CALLS: &[(&str, &[Errno])] = &[
    ("clone3", BOTH),
    ("close_range", &[]),
    ("execveat", BOTH),
    ("faccessat2", &[]),
    ("fchmodat2", BOTH),
    ("fsconfig", &[]),
    ("fsmount", &[]),
    ("fsopen", &[]),
    ("getrandom", BOTH),
    ("keyctl", BOTH),
    ("membarrier", BOTH),
    ("memfd_create", BOTH),
    ("mount_setattr", &[]),
    ("move_mount", &[]),
    ("open_tree", &[]),
    ("open_tree_attr", BOTH),
    ("openat2", &[]),
    ("pidfd_open", &[]),
    ("pidfd_send_signal", BOTH),
    ("renameat2", BOTH),
    ("rseq", BOTH),
    ("seccomp", BOTH),
    ("signalfd4", &[]),
    ("statx", &[Errno::ENOSYS]),
    ("unshare", &[]),
];

const BOTH: &[Errno] = &[Errno::ENOSYS, Errno::EPERM];

fn refused_call_is_done_without_or_named(t: &Test) {
    let probe = t.probe_on_host("probe");
    // The flag of the bind mount is set whichever calls set it.
    let mut bundle = t.shell("(: >> /bound) 2>/dev/null || echo started");
    fs::write(t.path("bound"), "").expect("write the source");
    let bound = json!({"destination": "/bound", "source": t.path("bound"), "options": ["bind", "ro"]});
    bundle.set("/mounts/-", bound);
    bundle.write();
    let mut wrong = Vec::new();
    let calls = CALLS.iter().flat_map(|(call, without)| BOTH.iter().map(move |errno| (call, without, errno)));
    for (number, (call, without, errno)) in calls.enumerate() {
        let deny = deny(&probe, *errno, call);
        // Without the name of the call, which the error must contain by itself.
        let id = t.id(&number.to_string());
        let output = t.rootling(&["run", "-b"]).arg(bundle.dir()).arg(id).under(&deny).output();
        let (started, lines) = (output.stdout == "started\n", output.stderr.lines().count());
        let is_well = started && output.exit() == 0 && lines == 0;
        let is_named = !started && output.exit() != 0 && lines == 1 && names(&output.stderr, call);
        // A program that its container could write to is executed from a copy in memory, or not at all.
        let needed = *call == "memfd_create" && t.binary_copies_itself();
        if !is_well && ((without.contains(errno) && !needed) || !is_named) {
            wrong.push(format!("{call}, {errno:?}: exit {}, {}", output.exit(), output.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn processes_are_signalled_without_pidfds(t: &Test) {
    let probe = t.probe_on_host("probe");
    let bundle = t.bundle(&["sleep", "1000000"]);
    for errno in BOTH {
        t.run_detached(bundle.write(), "c").ok();
        let deny = deny(&probe, *errno, "pidfd_send_signal");
        t.rootling(&["kill"]).arg(t.id("c")).arg("0").under(&deny).output().ok();
        t.rootling(&["delete", "--force"]).arg(t.id("c")).under(&deny).output().ok();
        t.rootling(&["state"]).arg(t.id("c")).output().fails_with(&["does not exist"]);
    }
}

/// clone(2) cannot put the process into its cgroup: it is moved there, and its cgroup namespace begins there.
fn first_process_is_in_its_cgroup_without_clone3(t: &Test) {
    let probe = t.probe_on_host("probe");
    let bundle = t.bundle(&["sleep", "1000000"]);
    for way in Way::all(t).into_iter().filter(|way| *way != Way::Systemd) {
        for errno in BOTH {
            let run = way.rootling(t, &["run", "-d", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
            run.under(&deny(&probe, *errno, "clone3")).output().ok();
            let cgroup = Cgroup::of(&t.state("c")["pid"].to_string());
            assert!(cgroup.dir("pids").ends_with(t.id("c")), "{way:?}, {errno:?}: {cgroup:?}");
            let inside = t.exec::<&str>(&[], "c", &["cat", "/proc/1/cgroup"]).output().ok().stdout;
            let mut lines = inside.lines().filter(|line| !is_unified() || line.starts_with("0::")).peekable();
            assert!(lines.peek().is_some() && lines.all(|line| line.ends_with(":/")), "{way:?}: {inside}");
            t.delete_force("c").ok();
        }
    }
}

/// The container's /proc is the only one where devices are made; without it, the error says what is missing.
fn listed_device_gets_its_mode_without_fchmodat2(t: &Test) {
    let probe = t.probe_on_host("probe");
    let mut bundle = t.shell("stat -c %a /dev/null");
    let device = json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o622});
    bundle.set("/linux/devices", json!([device]));
    // The host's own device belongs to somebody whom the user cannot act for.
    let mode = if t.account().uid == 0 { "622\n" } else { "666\n" };
    for with_proc in [true, false] {
        if !with_proc {
            bundle.without_mount("/proc");
        }
        for errno in BOTH {
            let run = t.rootling(&["run", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
            let output = run.under(&deny(&probe, *errno, "fchmodat2")).output();
            if with_proc {
                assert_eq!(output.ok().stdout, mode, "{errno:?}");
            } else {
                output.fails_with(&["linux.devices", "/dev/null", "chmod", "fchmodat2", "/proc"]);
            }
        }
    }
}

/// What is put before a command to have a call refused with the error.
fn deny(probe: &Path, errno: Errno, call: &str) -> [String; 4] {
    [probe.display().to_string(), "deny".into(), (errno as i32).to_string(), call.into()]
}

/// Whether an error says which call was refused, or that a filter may be the cause.
fn names(text: &str, call: &str) -> bool {
    // signalfd4 has the name that the manual page uses.
    text.contains(call.trim_end_matches('4')) || text.contains("seccomp filter of the outer container")
}
