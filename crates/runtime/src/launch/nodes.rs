//! Device nodes for a container with a user namespace, inside of which nobody can make one: mknod(2) requires CAP_MKNOD
//! in the initial user namespace, which root of the host has.
//!
//! A thread of the runtime makes the node on a new file system in a private mount namespace, where nobody else sees it,
//! and the child gets a detached mount of the node.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mknodat};
use nix::unistd::{Gid, Uid, fchownat};
use oci_spec::runtime::LinuxDevice;
use rootling_config::idmap::{IdKind, to_host};
use rootling_init::blueprint::Blueprint;
use rootling_init::{device_kind, device_number};
use rootling_rootless::host::map_of;
use rootling_sys as sys;
use rootling_sys::mount::{attach, attr, clone_tree, new_filesystem};

use crate::error::{Context, Error, Result};

const NODE: &str = "node";

/// A detached mount of the device at this index of `linux.devices`, with the mode and the owner that the spec asks for.
pub(super) fn make(blueprint: &Blueprint, index: usize, pid: i32) -> Result<OwnedFd> {
    let device =
        blueprint.devices.get(index).ok_or_else(|| Error::system(format!("no device number {index}")))?;
    let owner = owner(device, pid)?;
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .spawn_scoped(scope, || node(device, owner))
            .context(|| "a thread for the node of a device")?;
        worker
            .join()
            .unwrap_or_else(|_| Err(Error::system("the thread for the node of a device ended early")))
    })
}

/// The owner of the device as the host sees it.
fn owner(device: &LinuxDevice, pid: i32) -> Result<(u32, u32)> {
    // By the child's maps and not those of the plan, which has none if a user namespace is joined.
    let mapped = |kind: IdKind, id: u32| {
        let maps = map_of(pid, kind).context(|| format!("read the {kind}_map of the container"))?;
        let why = || Error::invalid(format!("{kind}: {id} is not mapped in the container's user namespace"));
        to_host(&maps, id).ok_or_else(why)
    };
    Ok((mapped(IdKind::User, device.uid().unwrap_or(0))?, mapped(IdKind::Group, device.gid().unwrap_or(0))?))
}

fn node(device: &LinuxDevice, (uid, gid): (u32, u32)) -> Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNS).context(|| "unshare(CLONE_NEWNS)")?;
    let no_name = None::<&str>;
    mount(no_name, "/", no_name, MsFlags::MS_REC | MsFlags::MS_PRIVATE, no_name)
        .context(|| "make / private")?;
    let what = || "make a tmpfs for a device";
    let tmpfs = new_filesystem("tmpfs", "rootling", &["mode=755".to_owned()], attr::NOSUID | attr::NOEXEC)
        .context(what)?;
    // open_tree(2) can clone only what is attached in a mount namespace.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let below = open("/", flags, Mode::empty()).map(sys::fds::adopt).context(what)?;
    attach(tmpfs.as_fd(), below.as_fd()).context(what)?;
    let at = Some(tmpfs.as_raw_fd());
    mknodat(at, NODE, device_kind(device), Mode::empty(), device_number(device)).context(|| "mknod")?;
    fchownat(at, NODE, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::AT_SYMLINK_NOFOLLOW)
        .context(|| "chown")?;
    // Set after the owner, since chown(2) clears mode bits; chmod(2) also makes it independent of the umask.
    let mode = Mode::from_bits_truncate(device.file_mode().unwrap_or(0o666) & 0o7777);
    fchmodat(at, NODE, mode, FchmodatFlags::FollowSymlink).context(|| "chmod")?;
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let node = openat(at, Path::new(NODE), flags, Mode::empty()).map(sys::fds::adopt).context(what)?;
    clone_tree(node.as_fd(), false).context(|| "open_tree of a device")
}
