//! A seccomp filter around rootling, as outer containers have: what it refuses is done in another way, or results
//! in one clear error that names the call. Old profiles do not know new calls, and old kernels do not have them.

use nix::errno::Errno;
use rootling_tests::{Test, both};

both!(refused_call_is_done_without_or_named, processes_are_signalled_without_pidfds);

/// Calls of a launch that are newer than Linux 3.17, or that a profile has reason to refuse, with the errors after
/// which containers start nevertheless.
const CALLS: &[(&str, &[Errno])] = &[
    ("clone3", &[]),
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
    let bundle = t.bundle(&["echo", "started"]);
    bundle.write();
    let mut wrong = Vec::new();
    let calls = CALLS.iter().flat_map(|(call, without)| BOTH.iter().map(move |errno| (call, without, errno)));
    for (number, (call, without, errno)) in calls.enumerate() {
        let deny = [probe.display().to_string(), "deny".into(), (*errno as i32).to_string(), (*call).into()];
        // Without the name of the call, which the error must contain by itself.
        let id = t.id(&number.to_string());
        let output = t.rootling(&["run", "-b"]).arg(bundle.dir()).arg(id).under(&deny).output();
        let (started, lines) = (output.stdout == "started\n", output.stderr.lines().count());
        let is_well = started && output.exit() == 0 && lines == 0;
        let is_named = !started && output.exit() != 0 && lines == 1 && names(&output.stderr, call);
        if !is_well && (without.contains(errno) || !is_named) {
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
        let deny = [probe.display().to_string(), "deny".into(), (*errno as i32).to_string()];
        let deny = [&deny[..], &["pidfd_send_signal".to_owned()]].concat();
        t.rootling(&["kill"]).arg(t.id("c")).arg("0").under(&deny).output().ok();
        t.rootling(&["delete", "--force"]).arg(t.id("c")).under(&deny).output().ok();
        t.rootling(&["state"]).arg(t.id("c")).output().fails_with(&["does not exist"]);
    }
}

/// Whether an error says which call was refused, or that a filter may be the cause.
fn names(text: &str, call: &str) -> bool {
    // signalfd4 has the name that the manual page uses.
    text.contains(call.trim_end_matches('4')) || text.contains("seccomp filter of the outer container")
}
