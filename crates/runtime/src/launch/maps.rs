//! Writes the id maps of a new user namespace; user_namespaces(7).

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oci_spec::runtime::LinuxIdMapping;
use rootling_config::idmap::IdMaps;
use rootling_config::idmap::render;
use rootling_config::remedies::CHECK_RANGES;
use rootling_init::idmap::{said, write_maps};
use rootling_rootless::idmap::MapWriter;
use rootling_sys as sys;

use super::reactor::Reactor;
use crate::error::{Context, Error, Result, no_process};
use crate::plan::{MapsWriter, Plan};

/// newuidmap may have to query name services over the network.
const HELPER_LIMIT: Duration = Duration::from_secs(30);

/// Writes both maps for the process that the reactor waits for, if a user namespace was made for it.
pub(super) fn write(plan: &Plan, reactor: &Reactor) -> Result<()> {
    let (Some(maps), Some(writer)) = (&plan.blueprint.maps, &plan.writer) else { return Ok(()) };
    write_of(reactor.process().pid, maps, writer, &|helper, limit| reactor.wait_for(helper, limit))
}

/// Waits for a process to end, at most for this long; returns whether it has ended.
type Wait<'a> = &'a dyn Fn(BorrowedFd<'_>, Duration) -> Result<bool>;

/// Writes both maps for a process that has a user namespace made for it.
pub(crate) fn write_of(pid: i32, maps: &IdMaps, writer: &MapsWriter, wait: Wait<'_>) -> Result<()> {
    match &writer.by {
        MapWriter::Direct => {
            if writer.deny_setgroups {
                // For an unprivileged writer the kernel requires this first: user_namespaces(7), Linux 3.19.
                deny_setgroups(pid)?;
            }
            write_maps(pid, maps)
        }
        MapWriter::Helper { newuidmap, newgidmap } => {
            // Each takes milliseconds, nearly all of them to start, so both run at the same time.
            let uid = Helper::start(newuidmap, pid, maps.uid())?;
            let gid = Helper::start(newgidmap, pid, maps.gid())?;
            uid.finish(wait)?;
            gid.finish(wait)
        }
    }
}

fn deny_setgroups(pid: i32) -> Result<()> {
    let path = format!("/proc/{pid}/setgroups");
    let write = || OpenOptions::new().write(true).open(&path)?.write_all(b"deny");
    write().context(|| said(&path, "deny"))
}

/// A running newuidmap or newgidmap.
struct Helper {
    child: Child,
    line: String,
}

impl Helper {
    fn start(program: &Path, pid: i32, maps: &[LinuxIdMapping]) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(pid.to_string());
        for map in maps {
            command.args([map.container_id(), map.host_id(), map.size()].map(|n| n.to_string()));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let line = format!("{} {}", program.display(), render(maps).trim_end().replace('\n', " "));
        let child = command.spawn().context(|| line.clone()).map_err(no_process)?;
        Ok(Self { child, line })
    }

    fn finish(mut self, wait: Wait<'_>) -> Result<()> {
        let pidfd = sys::process::pidfd_open(self.child.id() as i32).context(|| "pidfd_open")?;
        if !wait(pidfd.as_fd(), HELPER_LIMIT)? {
            return Err(Error::system(format!(
                "{} did not end within {} s",
                self.line,
                HELPER_LIMIT.as_secs()
            )));
        }
        let status = self.child.wait().context(|| self.line.clone())?;
        if status.success() {
            return Ok(());
        }
        let mut said = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            // Do not wait for output of processes that the helper itself may have started.
            std::io::Read::read_to_end(&mut std::io::Read::take(stderr, 4096), &mut said)
                .context(|| self.line.clone())?;
        }
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().next().unwrap_or("no message").trim();
        Err(Error::system(format!("{}: {said}", self.line))
            .remedy(format!("{CHECK_RANGES}; see `rootling doctor`")))
    }
}

impl Drop for Helper {
    /// Kills a helper that is no longer needed because the other one has failed.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
