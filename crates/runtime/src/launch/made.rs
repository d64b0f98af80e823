//! Everything that has been made for a container so far. If it is dropped before it is kept, all of it is undone.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use rootling_cgroup::Cgroup;
use rootling_sys as sys;

use crate::error::{Context, Error, Result, chain};
use crate::late_hooks;
use crate::plan::Plan;
use crate::rdt::Groups;
use crate::state::Record;
use crate::store::Slot;

/// A container that is being made or restored.
pub(crate) struct Made {
    pub(crate) slot: Slot,
    pub(crate) record: Record,
    /// The pid and the pidfd of its first process.
    process: Option<(i32, OwnedFd)>,
    pid_file: Option<PathBuf>,
    kept: bool,
}

impl Made {
    /// Starts with a container that has a state directory and nothing else.
    pub(crate) fn new(slot: Slot, plan: &Plan) -> Self {
        Self { slot, record: new_record(plan), process: None, pid_file: None, kept: false }
    }

    /// Records the first process, which is killed if the container is undone.
    pub(crate) fn set_process(&mut self, pid: i32, pidfd: OwnedFd) {
        self.process = Some((pid, pidfd));
    }

    /// Writes the pid file if one was asked for.
    pub(crate) fn write_pid_file(&mut self, path: Option<&Path>, pid: i32) -> Result<()> {
        if let Some(path) = path {
            write_pid_file(path, pid)?;
            self.pid_file = Some(path.to_owned());
        }
        Ok(())
    }

    /// Marks the container as complete: nothing is undone any more.
    pub(crate) fn keep(mut self) -> Result<(Slot, Record)> {
        let slot = self.slot.try_clone()?;
        self.slot.unlock();
        self.kept = true;
        Ok((slot, self.record.clone()))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Some((pid, pidfd)) = self.process.take() {
            let _ = sys::process::pidfd_send_signal(pidfd.as_fd(), Signal::SIGKILL as i32);
            if let Err(error) = super::reactor::reap(&super::reactor::Process { pid, pidfd }) {
                tracing::warn!("{error}");
            }
        }
        let _ = self.record.cgroup.kill_all(Signal::SIGKILL as i32);
        if let Err(error) = self.record.cgroup.remove() {
            tracing::warn!("{}", chain(&error));
        }
        if let Err(error) = self.record.rdt.remove(&self.record.id) {
            tracing::warn!("{error}");
        }
        if let Some(path) = &self.pid_file {
            let _ = std::fs::remove_file(path);
        }
        if self.record.init.is_some() {
            // By runtime-spec, runtime.md "Lifecycle", they run when creation fails as well.
            late_hooks::run_poststop(&self.record);
        }
        if let Err(error) = self.slot.remove() {
            tracing::warn!("{error}");
        }
    }
}

/// The record of a container that has no process yet.
fn new_record(plan: &Plan) -> Record {
    let later = plan.hooks.clone().filter(|h| h.poststart().is_some() || h.poststop().is_some());
    let identity = &plan.blueprint.identity;
    Record {
        oci_version: identity.oci_version.clone(),
        id: identity.id.to_string(),
        bundle: identity.bundle.clone(),
        rootfs: plan.blueprint.rootfs.clone(),
        created: crate::state::now(),
        annotations: identity.annotations.clone(),
        init: None,
        cgroup: Cgroup::none(),
        rdt: Groups::default(),
        resources: plan.resources.clone(),
        own_pid_namespace: plan.blueprint.namespaces.pid.is_new(),
        own_mount_namespace: plan.blueprint.namespaces.mount.is_new(),
        no_process: plan.no_process,
        hooks: later,
        is_whole: false,
    }
}

/// Writes a pid file atomically, so that nobody ever reads half of it. In a directory that others can write to, nothing
/// that they have put there is followed or waited for, and the temporary name cannot be guessed.
pub(crate) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let what = || format!("--pid-file {path:?}");
    let name = path.file_name().ok_or_else(|| Error::invalid(format!("{}: names no file", what())))?;
    let random = RandomState::new().build_hasher().finish();
    let new = path.with_file_name(format!(".{}.{random:016x}", name.to_string_lossy()));
    let mut file = File::options().write(true).create_new(true).open(&new).context(what)?;
    file.write_all(pid.to_string().as_bytes())
        .and_then(|()| std::fs::rename(&new, path))
        .inspect_err(|_| drop(std::fs::remove_file(&new)))
        .context(what)
}
