//! `process.apparmorProfile` and `exec --apparmor`, with a profile that is loaded into the kernel.

use std::process::{Command, Stdio};

use rootling_tests::{Test, both, skip};

both!(program_is_confined, program_that_joins_is_confined);

/// A profile in the kernel, which goes with it.
struct Profile {
    name: String,
    text: String,
}

impl Profile {
    /// One that allows all but writing to `/tmp/kept`; none where that cannot be had.
    fn load(t: &Test) -> Option<Self> {
        if !std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|on| on.starts_with('Y'))
        {
            skip("AppArmor is not enabled here");
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            skip("only root may load an AppArmor profile");
            return None;
        }
        let name = format!("{}-kept", t.marker());
        let text = format!(
            "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n  file,\n  capability,\n  network,\n  \
             signal,\n  ptrace,\n  deny /tmp/kept w,\n}}\n"
        );
        let profile = Self { name, text };
        profile.parse("--replace");
        Some(profile)
    }

    fn parse(&self, flag: &str) {
        let mut parser = Command::new("apparmor_parser")
            .args([flag, "--skip-cache"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("apparmor_parser, of the package apparmor");
        std::io::Write::write_all(&mut parser.stdin.take().expect("its input"), self.text.as_bytes())
            .expect("a profile to parse");
        assert!(parser.wait().expect("the end of apparmor_parser").success(), "{flag} {}", self.text);
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parse("--remove");
    }
}

/// Says its profile, and what it may write.
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
    // By the flag, and as the container is.
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
