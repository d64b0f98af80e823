//! What the tests on real cgroups share: unique names, processes, and cleanup.
#![allow(dead_code)] // Each test program uses only a part.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;
use oci_spec::runtime::LinuxDeviceCgroup;
use rootling_cgroup::{Cgroup, Request};
use rootling_config::CgroupManager;
use rootling_config::limits::Limits;

pub(crate) const MOUNT: &str = "/sys/fs/cgroup";

/// A name that no other test, run or container has.
pub(crate) fn name(test: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("rltest-{}-{}-{test}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn limits(json: &str) -> Limits {
    Limits::parse(&serde_json::from_str(json).unwrap()).unwrap()
}

pub(crate) fn devices(json: &str) -> Vec<LinuxDeviceCgroup> {
    serde_json::from_str(json).unwrap()
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub(crate) fn request<'a>(id: &'a str, limits: &'a Limits) -> Request<'a> {
    Request { id, path: None, manager: CgroupManager::Cgroupfs, limits: Some(limits), rootless: false }
}

/// A cgroup that is removed at the end of the test, however the test ends.
pub(crate) struct Guard(pub(crate) Cgroup);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.thaw();
        let _ = self.0.kill_all(Signal::SIGKILL as i32);
        if let Err(e) = self.0.remove()
            && !std::thread::panicking()
        {
            panic!("{e}");
        }
    }
}

/// A shell that runs its script when it is told to.
pub(crate) struct Shell {
    pub(crate) child: Child,
    stdin: ChildStdin,
}

impl Shell {
    pub(crate) fn new(script: &str) -> Self {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { stdin: child.stdin.take().unwrap(), child }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Runs the script; returns whether it succeeded.
    pub(crate) fn go(mut self) -> bool {
        writeln!(self.stdin).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn read(dir: impl AsRef<Path>, file: &str) -> String {
    let path = dir.as_ref().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim().to_owned()
}
