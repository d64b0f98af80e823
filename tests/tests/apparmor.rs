//! `process.apparmorProfile` and `exec --apparmor`, with a profile that is loaded into the kernel.

use rootling_tests::apparmor::Profile;
use rootling_tests::{Test, both};

both!(program_is_confined, program_that_joins_is_confined);

/// Prints its profile, and which files it may write to.
const SCRIPT: &str =
    "cat /proc/self/attr/current; echo x >/tmp/free && echo free; echo x >/tmp/kept && echo kept; true";

fn program_is_confined(t: &Test) {
    let Some(profile) = Profile::load(t) else { return };
    let mut bundle = t.shell(SCRIPT);
    for no_new_privileges in [false, true] {
        bundle.set("/process/noNewPrivileges", no_new_privileges.into());
        bundle.set("/process/apparmorProfile", profile.name.as_str().into());
        let output = t.run(bundle.write()).ok();
        assert_eq!(output.stdout, format!("{} (enforce)\nfree\n", profile.name), "{output}");
    }
    bundle.set("/process/apparmorProfile", "rootling-has-no-such".into());
    t.run(bundle.write()).fails_with(&["process.apparmorProfile", "rootling-has-no-such"]);
}

fn program_that_joins_is_confined(t: &Test) {
    let Some(profile) = Profile::load(t) else { return };
    let mut bundle = t.bundle(&["sleep", "1000"]);
    let confined = format!("{} (enforce)\nfree\n", profile.name);
    // Set by the flag, or inherited from the container.
    for (own, flags) in [("", &["--apparmor", &profile.name][..]), (&profile.name, &[])] {
        bundle.set("/process/apparmorProfile", own.into());
        t.run_detached(bundle.write(), "c").ok();
        let output = t.exec(flags, "c", &["sh", "-c", SCRIPT]).output().ok();
        assert_eq!(output.stdout, confined, "{own:?} {output}");
        t.delete_force("c").ok();
    }
    bundle.set("/process/apparmorProfile", "".into());
    t.run_detached(bundle.write(), "c").ok();
    let flags = ["--apparmor", "rootling-has-no-such"];
    t.exec(&flags, "c", &["true"]).output().fails_with(&["process.apparmorProfile", "rootling-has-no-such"]);
    t.delete_force("c").ok();
}
