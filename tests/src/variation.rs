//! A host that differs from this one, as one command sees it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::geteuid;

use crate::{Cmd, Test, cgroups, skip};

/// Changes to the host that are made in a mount namespace of the command's own, by root, before the
/// command becomes the account. The machine itself stays as it is.
#[derive(Debug)]
pub struct Variation<'a> {
    test: &'a Test,
    script: String,
    groups: String,
}

impl<'a> Variation<'a> {
    /// The host as it is. Skips the test, with its reason, where root did not start the tests.
    pub fn of(test: &'a Test) -> Option<Self> {
        if !geteuid().is_root() {
            skip("needs root, to mount over files of the host, and root did not start the tests");
            return None;
        }
        Some(Self { test, script: "set -e\n".into(), groups: "--clear-groups".into() })
    }

    /// A line of a shell script that root runs in the mount namespace.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        let _ = writeln!(self.script, "{line}");
        self
    }

    /// Only cgroup v2 is there, also where the machine has v1.
    #[must_use]
    pub fn cgroup_v2(self) -> Self {
        if cgroups::is_unified() {
            return self;
        }
        self.line("umount -l /sys/fs/cgroup").line("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    }

    /// Only cgroup v2 is there, and the account owns a cgroup, as systemd would delegate one: the command in one
    /// leaf, room for its containers beside it. The cgroup carries the test's marker; what makes it has to
    /// remove it by [`crate::leaks::remove_cgroups`].
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

    /// `path` has this text. The file has to exist.
    #[must_use]
    pub fn file(self, path: &str, text: &str) -> Self {
        let stand_in = self.test.path(&format!("variation{}", self.test.next_serial()));
        fs::write(&stand_in, text).expect("write a stand-in");
        fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o644)).expect("chmod of a stand-in");
        self.line(&format!("mount --bind {} {path}", stand_in.display()))
    }

    /// `program` is not there to be executed.
    #[must_use]
    pub fn hide(self, program: &Path) -> Self {
        self.line(&format!("mount --bind /dev/null {}", program.display()))
    }

    /// `program` is a copy with this mode.
    #[must_use]
    pub fn copy(self, program: &Path, mode: &str) -> Self {
        let copy = self.test.path(&format!("variation{}", self.test.next_serial()));
        let (program, copy) = (program.display(), copy.display());
        self.line(&format!("install -m {mode} {program} {copy} && mount --bind {copy} {program}"))
    }

    /// The caller has no subordinate ids but these, for users and groups: lines of subuid(5).
    #[must_use]
    pub fn sub_ids(self, lines: &str) -> Self {
        self.file("/etc/subuid", lines).file("/etc/subgid", lines)
    }

    /// The caller is in this group too.
    #[must_use]
    pub fn group(mut self, gid: u32) -> Self {
        self.groups = format!("--groups {gid}");
        self
    }

    /// `command`, on this host.
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
