//! Writing the id maps of a new user namespace; user_namespaces(7).

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use oci_spec::runtime::LinuxIdMapping;
use rootling_config::idmap::render;
use rootling_rootless::host::Host;
use rootling_rootless::idmap::{MapWriter, cut};

use super::outer;
use crate::error::{Context, Error, Result};
use crate::plan::Maps;
use crate::process::wait_readable;
use crate::sys;

/// Name services may have to be asked over the network by newuidmap.
const HELPER_LIMIT_MS: u16 = 30_000;

/// Writes both maps of the process.
pub(crate) fn write(pid: i32, maps: &Maps) -> Result<()> {
    match &maps.writer {
        MapWriter::Direct => write_directly(pid, maps),
        MapWriter::Helper { newuidmap, newgidmap } => {
            // Each takes milliseconds, nearly all of it its own start: at the same time, then.
            let uid = Helper::start(newuidmap, pid, &maps.uid)?;
            let gid = Helper::start(newgidmap, pid, &maps.gid)?;
            uid.finish()?;
            gid.finish()
        }
    }
}

fn write_directly(pid: i32, maps: &Maps) -> Result<()> {
    if maps.deny_setgroups {
        // Without privilege the kernel wants this first: user_namespaces(7), Linux 3.19.
        deny_setgroups(pid)?;
    }
    write_of(pid, &maps.uid, &maps.gid)
}

/// Writes maps of a user namespace of which the caller is privileged in the one around it.
pub(crate) fn write_of(pid: i32, uid: &[LinuxIdMapping], gid: &[LinuxIdMapping]) -> Result<()> {
    write_map(pid, "uid_map", uid, Host::uid_map)?;
    write_map(pid, "gid_map", gid, Host::gid_map)
}

/// Where the kernel refuses, with the caller's own map in mind: the common error of a configuration for a host,
/// `0 0 65536`, within a namespace whose ids are in several rows is none then.
fn write_map(
    pid: i32,
    name: &str,
    rows: &[LinuxIdMapping],
    own: fn(&Host) -> &[LinuxIdMapping],
) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    let refused = match write_rows(&path, rows) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => error,
        other => return other.context(|| said(&path, &render(rows))),
    };
    match cut(rows, own(&Host::probe())) {
        Ok(parts) if parts.len() > rows.len() => {
            write_rows(&path, &parts).context(|| said(&path, &render(&parts)))
        }
        Ok(_) => Err(refused).context(|| said(&path, &render(rows))),
        Err(id) => Err(refused).context(|| said(&path, &render(rows))).map_err(|error| {
            error.remedy(format!("the caller's user namespace has no id {id}: map ids of /proc/self/{name}"))
        }),
    }
}

fn write_rows(path: &str, rows: &[LinuxIdMapping]) -> std::io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(render(rows).as_bytes())
}

fn said(path: &str, text: &str) -> String {
    format!("write({path:?}, {:?})", text.trim_end().replace('\n', ", "))
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
        let child = command.spawn().context(|| line.clone())?;
        Ok(Self { child, line })
    }

    fn finish(mut self) -> Result<()> {
        let pidfd = sys::process::pidfd_open(self.child.id() as i32).context(|| "pidfd_open")?;
        if !wait_readable(pidfd.as_fd(), HELPER_LIMIT_MS)? {
            let _ = self.child.kill();
            let _ = self.child.wait();
            return Err(Error::system(format!(
                "{} did not end within {} s",
                self.line,
                HELPER_LIMIT_MS / 1000
            )));
        }
        let output = self.child.wait_with_output().context(|| self.line.clone())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("no message").trim();
        Err(Error::system(format!("{}: {said}", self.line))
            .remedy("check the caller's ranges in /etc/subuid and /etc/subgid; see `rootling doctor`"))
    }
}

/// What to say when the kernel refuses the namespace itself.
pub(crate) fn clone_error(errno: Errno, user: bool) -> Error {
    let error = Error::from(errno).wrap("clone3");
    match errno {
        Errno::EPERM | Errno::EACCES | Errno::ENOSPC | Errno::EUSERS | Errno::ENOSYS if user => {
            error.remedy(format!("{}; see `rootling doctor`", user_namespace_advice(errno)))
        }
        Errno::ENOSPC | Errno::EUSERS => error.remedy("raise user.max_user_namespaces with sysctl"),
        Errno::EPERM => {
            error.remedy("new namespaces need root or a user namespace: add one to linux.namespaces")
        }
        Errno::ENOSYS => {
            error.remedy("rootling needs Linux 5.12 or newer, and a seccomp profile that allows clone3")
        }
        _ => error,
    }
}

/// The reason that this host shows, else those that are possible.
fn user_namespace_advice(errno: Errno) -> String {
    let found = Host::probe().user_namespace_restrictions();
    if let Some(restriction) = found.iter().find(|r| r.is_certain()) {
        return restriction.advice();
    }
    if let Some(rules) = outer::advice(&found, errno) {
        return rules;
    }
    match errno {
        Errno::ENOSPC | Errno::EUSERS => "the limit of user namespaces is reached: as root raise \
                                          user.max_user_namespaces with sysctl"
            .into(),
        Errno::ENOSYS => "rootling needs Linux 5.12 or newer, and a seccomp profile that allows clone3".into(),
        _ => "the host does not let this caller make user namespaces: look at chroot, and at the security policy of \
              the host or of an outer container"
            .into(),
    }
}
