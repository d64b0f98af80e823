//! AppArmor profiles that are loaded into the kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

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
        let name = format!("{}-kept", t.marker());
        let text = format!(
            "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n  file,\n  capability,\n  network,\n  \
             signal,\n  ptrace,\n  deny /tmp/kept w,\n}}\n"
        );
        is_possible().then(|| Self::of(name, text))
    }

    /// Loads a profile that allows everything except user namespaces, as a host may have for its users' shells. A program
    /// with a profile of its own gets that. `None`, with the reason printed, if the kernel or the parser cannot do it.
    pub fn without_user_namespaces(t: &Test) -> Option<Self> {
        if !fs::exists("/sys/kernel/security/apparmor/features/namespaces/userns_create").unwrap_or_default()
            && !fs::read_to_string("/sys/kernel/security/apparmor/features/namespaces/mask")
                .is_ok_and(|mask| mask.contains("userns_create"))
        {
            skip("this kernel's AppArmor has no rule for user namespaces");
            return None;
        }
        if !fs::exists("/etc/apparmor.d/abi/4.0").unwrap_or_default() {
            skip("there is no AppArmor of 4.0 or newer");
            return None;
        }
        let name = format!("{}-shell", t.marker());
        let text = format!(
            "abi <abi/4.0>,\nprofile {name} flags=(attach_disconnected,mediate_deleted) {{\n  / rwlkm,\n  /** rwlkm,\n  \
             /** pix,\n  capability,\n  network,\n  unix,\n  dbus,\n  signal,\n  ptrace,\n  mount,\n  umount,\n  \
             pivot_root,\n  change_profile,\n}}\n"
        );
        is_possible().then(|| Self::of(name, text))
    }

    /// Loads what `rootling profile apparmor` prints for this copy of the program. Only its name is another one, as the
    /// machine may have the package's.
    pub fn of_rootling(t: &Test, program: &Path) -> Self {
        let text = t.command(program).args(&["profile", "apparmor"]).output().ok().stdout;
        let name = format!("{}-own", t.marker());
        let renamed = text.replace("\nprofile rootling ", &format!("\nprofile {name} "));
        assert!(text != renamed && text.contains(&*program.to_string_lossy()), "{text}");
        Self::of(name, renamed)
    }

    fn of(name: String, text: String) -> Self {
        let profile = Self { name, text };
        profile.parse("--replace");
        profile
    }

    fn parse(&self, flag: &str) {
        let mut words = as_root();
        words.extend(["apparmor_parser", flag, "--skip-cache"]);
        let mut parser = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .spawn()
            .expect("apparmor_parser, of the package apparmor");
        std::io::Write::write_all(&mut parser.stdin.take().expect("its input"), self.text.as_bytes())
            .expect("a profile to parse");
        assert!(parser.wait().expect("the end of apparmor_parser").success(), "{flag} {}", self.text);
    }
}

/// A copy of the program under test in a directory of root, as if it were installed there. It is removed when this is
/// dropped.
#[derive(Debug)]
pub struct Installed {
    dir: PathBuf,
    /// The path of the program.
    pub program: PathBuf,
}

impl Installed {
    /// Only for those who could load a profile.
    pub fn copy(t: &Test) -> Self {
        let dir = t.path("installed");
        let installed = Self { program: dir.join("rootling"), dir };
        let (binary, program) = (t.binary().display().to_string(), installed.program.display().to_string());
        run_as_root(&["install", "-D", "-m", "0755", "-o", "root", &binary, &program]);
        installed
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        run_as_root(&["rm", "-r", &self.dir.display().to_string()]);
    }
}

fn run_as_root(command: &[&str]) {
    let words: Vec<&str> = as_root().into_iter().chain(command.iter().copied()).collect();
    let status = Command::new(words[0]).args(&words[1..]).status().expect("start a command of root");
    assert!(status.success(), "{words:?}: {status}");
}

/// Whether a profile can be loaded; prints why not.
fn is_possible() -> bool {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if !enabled.is_ok_and(|on| on.starts_with('Y')) {
        skip("AppArmor is not enabled here");
        return false;
    }
    if !geteuid().is_root() && as_root().is_empty() {
        skip("only root may load an AppArmor profile, and ROOTLING_TEST_SUDO is not set");
        return false;
    }
    // The kernel may have AppArmor where its package is not installed.
    if !["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"].iter().any(|parser| Path::new(parser).exists())
    {
        skip("apparmor_parser, of the package apparmor, is not installed");
        return false;
    }
    true
}

/// What comes before a command that only root may execute. Without being told so, no test becomes root.
fn as_root() -> Vec<&'static str> {
    let told = !geteuid().is_root() && std::env::var_os("ROOTLING_TEST_SUDO").is_some();
    if told { vec!["sudo", "--non-interactive"] } else { Vec::new() }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parse("--remove");
    }
}
