//! Id-mapped mounts: mount_setattr(2), `MOUNT_ATTR_IDMAP`, Linux 5.12.
//!
//! The kernel takes the map from a user namespace. For a mount with a map of its own such a namespace is made, by a
//! process that lives only until the namespace has been opened.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use oci_spec::runtime::LinuxIdMapping;
use rootling_config::idmap::{IdKind, IdMaps, mapping, render};
use rootling_config::mounts::Idmap;
use rootling_rootless::host::own_map;
use rootling_rootless::idmap::cut;
use rootling_sys as sys;
use rootling_sys::clone::{CloneOptions, Cloned};
use rootling_sys::mount::{MountAttr, attr, set_attr};

use crate::error::{Context, Error, Result};

/// The map of a mount as a process in the container's user namespace has to write it: with the host ids translated to
/// ids of that namespace.
pub fn seen_inside(maps: &IdMaps, container: &IdMaps) -> Result<IdMaps> {
    let uid = translate(maps.uid(), container.uid(), IdKind::User)?;
    let gid = translate(maps.gid(), container.gid(), IdKind::Group)?;
    Ok(IdMaps::new(uid, gid)?)
}

fn translate(
    maps: &[LinuxIdMapping],
    container: &[LinuxIdMapping],
    kind: IdKind,
) -> Result<Vec<LinuxIdMapping>> {
    let one = |map: &LinuxIdMapping| {
        let within = container.iter().find_map(|known| {
            let offset = map.host_id().checked_sub(known.host_id())?;
            (u64::from(offset) + u64::from(map.size()) <= u64::from(known.size()))
                .then(|| known.container_id() + offset)
        });
        let host_id = within.ok_or_else(|| {
            Error::invalid(format!(
                "{}: the {} ids from {kind} {} on are not all in one range of the container's; an ordinary user can \
                 map only to those, see linux.{}",
                kind.field(),
                map.size(),
                map.host_id(),
                kind.field()
            ))
        })?;
        Ok(mapping(map.container_id(), host_id, map.size()))
    };
    maps.iter().map(one).collect()
}

/// Id-maps a detached mount, with the map of the user namespace `container` unless the mount has its own.
pub fn apply(mount: BorrowedFd<'_>, idmap: &Idmap, container: &File) -> Result<()> {
    let own = idmap.maps.as_ref().map(user_namespace).transpose()?;
    apply_namespace(mount, idmap.recursive, own.as_ref().unwrap_or(container))
}

/// Id-maps a detached mount with the map of a user namespace.
pub(crate) fn apply_namespace(mount: BorrowedFd<'_>, recursive: bool, namespace: &File) -> Result<()> {
    let attr =
        MountAttr { set: attr::IDMAP, userns_fd: namespace.as_raw_fd() as u64, ..MountAttr::default() };
    set_attr(mount, recursive, &attr).map_err(|errno| {
        let error = Error::from(errno).wrap("mount_setattr(MOUNT_ATTR_IDMAP)");
        match errno {
            Errno::EPERM => error.remedy(
                "only whoever has CAP_SYS_ADMIN where its file system was mounted may map the ids of a mount: for file \
                 systems of the host that is root; remove idmap, ridmap, uidMappings and gidMappings from the mount",
            ),
            Errno::EINVAL => error.remedy(
                "this file system has no id-mapped mounts in this kernel, or the mount has a map already; remove the \
                 mapping from the mount",
            ),
            _ => error,
        }
    })
}

/// Makes a user namespace with these maps, for [`apply_namespace`]. This requires /proc. The process that holds it
/// calls nothing except prctl(2) and pause(2), so the caller may have threads.
pub(crate) fn user_namespace(maps: &IdMaps) -> Result<File> {
    let options = CloneOptions { namespaces: CloneFlags::CLONE_NEWUSER, ..CloneOptions::default() };
    let (pid, pidfd) =
        match sys::clone::clone(options).context(|| "clone3(CLONE_NEWUSER) for the map of a mount")? {
            Cloned::Child => {
                let _ = prctl::set_pdeathsig(Signal::SIGKILL);
                loop {
                    nix::unistd::pause();
                }
            }
            Cloned::Parent { pid, pidfd } => (pid, pidfd),
        };
    let open = || {
        // The current /proc may belong to another pid namespace than ours.
        let pid = pid_in_proc(pidfd.as_fd()).context(|| "the pid in /proc")?;
        write_maps(pid, maps)?;
        let path = format!("/proc/{pid}/ns/user");
        File::open(&path).context(|| format!("open({path:?})"))
    };
    let namespace = open();
    let _ = sys::process::pidfd_send_signal(pidfd.as_fd(), Signal::SIGKILL as i32);
    let _ = waitpid(Pid::from_raw(pid), None);
    namespace
}

/// The pid of a process as the current /proc shows it, which may belong to another pid namespace than ours: `Pid` in
/// `/proc/self/fdinfo/N` of its pidfd, proc_pid_fdinfo(5).
fn pid_in_proc(pidfd: BorrowedFd<'_>) -> std::io::Result<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    // 0 or -1 means that it is not in that pid namespace, or has ended.
    pid.filter(|pid| *pid > 0).ok_or_else(|| Errno::ESRCH.into())
}

/// Writes the maps of a user namespace. The caller must be privileged in its parent namespace.
pub fn write_maps(pid: i32, maps: &IdMaps) -> Result<()> {
    write_map(pid, IdKind::User, maps.uid())?;
    write_map(pid, IdKind::Group, maps.gid())
}

/// If the kernel refuses, the error takes the caller's own map into account: the common `0 0 65536` of a configuration
/// for a host is then not taken for a mistake in a namespace whose ids are in several rows.
fn write_map(pid: i32, kind: IdKind, rows: &[LinuxIdMapping]) -> Result<()> {
    let path = format!("/proc/{pid}/{kind}_map");
    let refused = match write_rows(&path, rows) {
        Err(error) if sys::errno(&error) == Some(Errno::EPERM) => error,
        other => return other.context(|| said(&path, &render(rows))),
    };
    match cut(rows, &own_map(kind)) {
        Ok(parts) if parts.len() > rows.len() => {
            write_rows(&path, &parts).context(|| said(&path, &render(&parts)))
        }
        Ok(_) => Err(refused).context(|| said(&path, &render(rows))),
        Err(id) => Err(refused).context(|| said(&path, &render(rows))).map_err(|error| {
            error.remedy(format!(
                "the caller's user namespace has no id {id}: map ids of /proc/self/{kind}_map"
            ))
        }),
    }
}

fn write_rows(path: &str, rows: &[LinuxIdMapping]) -> std::io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(render(rows).as_bytes())
}

/// Describes a write to a file of /proc for error messages.
pub fn said(path: &str, text: &str) -> String {
    format!("write({path:?}, {:?})", text.trim_end().replace('\n', ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_host_are_found_in_the_containers_ranges() {
        let map = mapping;
        let container = [map(0, 1000, 1), map(1, 100_000, 65536)];
        let seen = |m| translate(&[m], &container, IdKind::User);
        assert_eq!(seen(map(7, 1000, 1)).unwrap(), [map(7, 0, 1)]);
        assert_eq!(seen(map(7, 100_009, 10)).unwrap(), [map(7, 10, 10)]);
        assert_eq!(seen(map(0, 100_000, 65536)).unwrap(), [map(0, 1, 65536)]);
        for outside in [map(0, 1000, 2), map(0, 999, 1), map(0, 100_000, 65537), map(0, 165_536, 1)] {
            let error = seen(outside).unwrap_err().to_string();
            assert!(error.starts_with("uidMappings: the "), "{error}");
        }
    }
}
