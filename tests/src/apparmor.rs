//! AppArmor profiles that are loaded into the kernel.

use std::fs;
use std::process::{Command, Stdio};

use crate::{Test, skip};

/// A loaded profile, which is removed when this is dropped.
#[derive(Debug)]
pub struct Profile {
    /// The name of the profile.
    pub name: String,
    text: String,
}

impl Profile {
    /// Loads a profile that allows everything except writing to `/tmp/kept`; `None`, with the reason printed, if
    /// that is not possible.
    pub fn load(t: &Test) -> Option<Self> {
        let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        if !enabled.is_ok_and(|on| on.starts_with('Y')) {
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
