//! `process.apparmorProfile` and `exec --apparmor`, with a profile that is loaded into the kernel; and profiles of the host,
//! of which one forbids user namespaces, and rootling's own allows them.

use std::path::Path;

use rootling_tests::apparmor::{Installed, Profile};
use rootling_tests::{Bundle, Cmd, Test, both, user};

both!(
    program_is_confined,
    program_that_joins_is_confined,
    denied_user_namespace_is_an_error_with_its_remedy,
    rootlings_own_profile_allows_user_namespaces,
);

user!(doctor_finds_the_profile_that_denies_user_namespaces);

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

/// Somebody whose shell has a profile that forbids user namespaces, and whose rootling is installed at a path of its own, to
/// which no profile of another test or of the machine applies.
struct Confined<'t> {
    test: &'t Test,
    shell: Profile,
    installed: Installed,
}

impl<'t> Confined<'t> {
    fn of(test: &'t Test) -> Option<Self> {
        let shell = Profile::without_user_namespaces(test)?;
        Some(Self { test, shell, installed: Installed::copy(test) })
    }

    /// `rootling ARGS...` in that shell.
    fn rootling(&self, args: &[&str]) -> Cmd {
        self.program(&self.installed.program, args)
    }

    /// The same with another copy.
    fn program(&self, program: &Path, args: &[&str]) -> Cmd {
        let command = self.test.command(program).arg("--root").arg(self.test.state_root());
        let command = command.args(&self.test.flags()).args(args);
        let shell = ["--", "sh", "-c", r#"exec "$0" "$@""#];
        let under: Vec<&str> = ["aa-exec", "--profile", &self.shell.name].into_iter().chain(shell).collect();
        command.under(&under)
    }

    /// The line of `doctor` about a trial, and all that it says.
    fn trial(&self) -> (String, String) {
        let output = self.rootling(&["doctor"]).output();
        let line = output.stdout.lines().find(|line| line.starts_with("trial container"));
        (line.expect("the trial").to_owned(), output.stdout.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// A container that needs a user namespace, for root as well, and prints its profile.
fn in_user_namespace(t: &Test) -> Bundle {
    let mut bundle = t.bundle(&["cat", "/proc/self/attr/current"]);
    bundle.mapped();
    bundle
}

/// What to do about it on a host.
const REMEDY: &str =
    "profile apparmor > /etc/apparmor.d/rootling && apparmor_parser -r /etc/apparmor.d/rootling";

fn denied_user_namespace_is_an_error_with_its_remedy(t: &Test) {
    let Some(caller) = Confined::of(t) else { return };
    let bundle = in_user_namespace(t);
    let dir = bundle.write().dir().display().to_string();
    for command in ["run", "create"] {
        let output = caller.rootling(&[command, "-b", &dir, &t.id("c")]).output();
        output.fails_with(&["clone3", "EACCES", &caller.shell.name, REMEDY, "rootling doctor"]);
    }
    // One that belongs to its user is executed again from a copy without a path, which the profile may refuse before.
    let output = caller.program(&t.writable_binary(), &["run", "-b", &dir, &t.id("c")]).output();
    output.fails_with(&["EACCES", &caller.shell.name, REMEDY]);
    // Outside of that shell it works.
    t.run(&bundle).ok();
}

fn rootlings_own_profile_allows_user_namespaces(t: &Test) {
    let Some(caller) = Confined::of(t) else { return };
    let own = Profile::of_rootling(t, &caller.installed.program);
    let mut bundle = in_user_namespace(t);
    let dir = bundle.write().dir().display().to_string();
    let output = caller.rootling(&["run", "-b", &dir, &t.id("c")]).output().ok();
    // It confines nothing.
    assert_eq!(output.text(), format!("{} (unconfined)", own.name), "{output}");
    // The program of a container may still be confined, and what joins it as well.
    let Some(kept) = Profile::load(t) else { return };
    bundle.set("/process/apparmorProfile", kept.name.as_str().into());
    bundle.set("/process/args", ["sleep", "1000"].as_slice().into()).write();
    caller.rootling(&["run", "-d", "-b", &dir, &t.id("c")]).output().ok();
    let output = caller.rootling(&["exec", &t.id("c"), "sh", "-c", SCRIPT]).output().ok();
    assert_eq!(output.stdout, format!("{} (enforce)\nfree\n", kept.name), "{output}");
    t.delete_force("c").ok();
}

fn doctor_finds_the_profile_that_denies_user_namespaces(t: &Test) {
    let Some(caller) = Confined::of(t) else { return };
    let (trial, everything) = caller.trial();
    assert!(trial.contains("failed"), "{everything}");
    assert!(everything.contains(&caller.shell.name) && everything.contains(REMEDY), "{everything}");
    let _own = Profile::of_rootling(t, &caller.installed.program);
    let (trial, everything) = caller.trial();
    assert!(trial.contains(" ok ") && !everything.contains(&caller.shell.name), "{everything}");
}
