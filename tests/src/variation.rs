//! A host that differs from this one, as seen by one command.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::geteuid;

use crate::{Cmd, Test, cgroups, skip};

/// Changes to the host that root makes in a separate mount namespace for the command, before the command becomes
/// the account. The machine itself is not changed.
#[derive(Debug)]
pub struct Variation<'a> {
    test: &'a Test,
    script: String,
    groups: String,
}

impl<'a> Variation<'a> {
    /// The host without changes. Skips the test, with the reason, if root did not start the tests.
    pub fn of(test: &'a Test) -> Option<Self> {
        if !geteuid().is_root() {
            skip("needs root, to mount over files of the host, and root did not start the tests");
            return None;
        }
        Some(Self { test, script: "set -e\n".into(), groups: "--clear-groups".into() })
    }

    /// Adds a line of a shell script that root runs in the mount namespace.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        let _ = writeln!(self.script, "{line}");
        self
    }

    /// Provides only cgroup v2, even if the machine has v1.
    #[must_use]
    pub fn cgroup_v2(self) -> Self {
        if cgroups::is_unified() {
            return self;
        }
        self.line("umount -l /sys/fs/cgroup").line("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    }

    /// Provides only cgroup v2, with a cgroup that the account owns, as if systemd had delegated it: the command is
    /// in one leaf, with room for its containers next to it. The cgroup carries the test's marker, and whoever uses
    /// this must remove it with [`crate::leaks::remove_cgroups`].
    #[must_use]
    pub fn delegated_cgroup(self) -> Self {
        let (account, cgroup) = (self.test.account(), format!("{}/{}", cgroups::MOUNT, self.test.marker()));
        let (uid, gid) = (account.uid, account.gid);
        self.cgroup_v2()
            .line(&format!("mkdir -p {cgroup}/session"))
            .line(&format!(
                "chown {uid}:{gid} {cgroup} {cgroup}/session {cgroup}/*.procs {cgroup}/session/*.procs"
            ))
            .line(&format!("echo $$ >{cgroup}/session/cgroup.procs"))
    }

    /// Gives the file at `path` this text. The file must exist.
    #[must_use]
    pub fn file(self, path: &str, text: &str) -> Self {
        let stand_in = self.test.path(&format!("variation{}", self.test.next_serial()));
        fs::write(&stand_in, text).expect("write a stand-in");
        fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o644)).expect("chmod of a stand-in");
        self.line(&format!("mount --bind {} {path}", stand_in.display()))
    }

    /// Makes `program` impossible to execute.
    #[must_use]
    pub fn hide(self, program: &Path) -> Self {
        self.line(&format!("mount --bind /dev/null {}", program.display()))
    }

    /// Replaces `program` with a copy that has this mode.
    #[must_use]
    pub fn copy(self, program: &Path, mode: &str) -> Self {
        let copy = self.test.path(&format!("variation{}", self.test.next_serial()));
        let (program, copy) = (program.display(), copy.display());
        self.line(&format!("install -m {mode} {program} {copy} && mount --bind {copy} {program}"))
    }

    /// Gives the caller only these subordinate ids for users and groups: lines of subuid(5).
    #[must_use]
    pub fn sub_ids(self, lines: &str) -> Self {
        self.file("/etc/subuid", lines).file("/etc/subgid", lines)
    }

    /// Makes the caller a member of this group as well.
    #[must_use]
    pub fn group(mut self, gid: u32) -> Self {
        self.groups = format!("--groups {gid}");
        self
    }

    /// The command `command` on this host.
    pub fn run(self, command: Cmd) -> Cmd {
        let account = self.test.account();
        let script = format!(
            "{}exec setpriv --reuid {} --regid {} {} -- \"$@\"",
            self.script, account.uid, account.gid, self.groups
        );
        command.started_by_root().under(&[
            "unshare",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            &script,
            "sh",
        ])
    }
}
