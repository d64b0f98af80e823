//! The devices of the spec, and those of a `/dev` that libcontainer does not fill.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, makedev, mknodat, umask};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rootling_sys as sys;
use rootling_sys::mount::{attach, open_in_root};
use rootling_sys::path::identity;

use super::image::Image;
use super::resolve::directory;
use crate::blueprint::Dev;
use crate::error::{Context, Error, Result};

/// A device to make, and what is bind-mounted if the kernel refuses that: the host's device, or a node made for it.
pub(crate) struct DeviceSource {
    pub(crate) device: LinuxDevice,
    pub(crate) host: Result<OwnedFd>,
}

/// The character devices of runtime-spec, config-linux.md "Default Devices".
pub(crate) const DEFAULTS: [(&str, i64, i64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Makes the links of a `/dev` that libcontainer does not fill; existing ones stay.
fn make_links(root: &Image) -> Result<()> {
    let dev = root.open(Path::new("/dev"), OFlag::O_PATH | OFlag::O_DIRECTORY).context(|| "/dev")?;
    let has_kcore = root.open(Path::new("/proc/kcore"), OFlag::O_PATH).is_ok();
    for (name, to) in LINKS.into_iter().chain(has_kcore.then_some(("kcore", "/proc/kcore"))) {
        match symlinkat(to, Some(dev.as_raw_fd()), name) {
            Ok(()) | Err(Errno::EEXIST) => {}
            // A read-only image keeps what it has.
            Err(Errno::EROFS) => return Ok(()),
            Err(errno) => return Err(errno).context(|| format!("symlink({to:?}, \"/dev/{name}\")")),
        }
    }
    Ok(())
}

/// Makes the devices, or bind-mounts the host's, and the links that belong to them.
pub(crate) fn make(root: &Image, dev: Dev, devices: &[DeviceSource]) -> Result<()> {
    if matches!(dev, Dev::Plain { .. }) {
        if let Err(errno) = root.open(Path::new("/dev"), OFlag::O_PATH | OFlag::O_DIRECTORY)
            && errno == Errno::ENOENT
        {
            directory(root, Path::new("/dev"))?;
        }
        make_links(root)?;
    }
    for source in devices {
        make_one(root, source).map_err(|e| e.wrap(format!("linux.devices: {:?}", source.device.path())))?;
    }
    Ok(())
}

/// Moves the default devices that are bind mounts, as they are in a user namespace, from one mount of the /dev that libcontainer
/// has filled to another.
pub(super) fn move_bound(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    for (path, ..) in DEFAULTS {
        let what = || format!("move the bind mount of {path:?}");
        let name = Path::new(path.trim_start_matches("/dev/"));
        let [device, place] = [from, to].map(|dev| open_in_root(dev.as_fd(), name, flags));
        let (device, place) = (device.context(what)?, place.context(what)?);
        let file = |of: &OwnedFd| identity(of.as_fd()).context(what);
        // The same file of both mounts is a node that libcontainer has made.
        if !file(&device)?.is_file(&file(&place)?) {
            attach(device.as_fd(), place.as_fd()).context(what)?;
        }
    }
    Ok(())
}

fn make_one(root: &Image, source: &DeviceSource) -> Result<()> {
    let device = &source.device;
    let path = sys::path::clean(device.path());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::invalid("names no file"));
    };
    let parent = directory(root, parent)?;
    let mode = device.file_mode().unwrap_or(0o666) & 0o7777;
    match make_node(&parent, name, device, mode) {
        Ok(()) if device.uid().is_none() && device.gid().is_none() => Ok(()),
        Ok(()) => {
            let node = open_node(&parent, name)?;
            if !is_of(&fstat(node.as_raw_fd()).context(|| "stat")?, device) {
                return Err(Error::invalid(
                    "something else has its name by now: something changes the image meanwhile",
                ));
            }
            own(&node, device)
        }
        Err(Errno::EEXIST) => {
            let node = open_node(&parent, name)?;
            let stat = fstat(node.as_raw_fd()).context(|| "stat")?;
            let same = is_of(&stat, device);
            match (&source.host, same) {
                // Made by libcontainer or by the image: it gets the mode and the owner of the spec if it is ours.
                (_, true) => {
                    if stat.st_mode & 0o7777 != mode {
                        change_mode(root, &node, mode)?;
                    }
                    as_far_as_ours(change_owner(&node, device)).context(|| "chown")
                }
                (Ok(host), false) => bind(&parent, name, host),
                (Err(error), false) => Err(error.clone()),
            }
        }
        Err(Errno::EPERM) => match &source.host {
            Ok(host) => bind(&parent, name, host),
            Err(error) => Err(error.clone()),
        },
        Err(errno) => Err(errno).context(|| "mknod"),
    }
}

/// Makes the node with its final mode: changing the mode later would go by name.
fn make_node(parent: &OwnedFd, name: &OsStr, device: &LinuxDevice, mode: u32) -> Result<(), Errno> {
    let before = umask(Mode::empty());
    let mode = Mode::from_bits_truncate(mode);
    let result = mknodat(Some(parent.as_raw_fd()), name, kind(device), mode, number(device));
    umask(before);
    result
}

/// Whether a node is the requested device, by type and number. A FIFO has no number.
fn is_of(node: &FileStat, device: &LinuxDevice) -> bool {
    let same_kind = sys::file::kind(node.st_mode) == kind(device);
    same_kind && (is_fifo(device) || node.st_rdev == number(device))
}

/// Changes the mode by descriptor, as below. Where a kernel or a filter leaves only procfs for that, it is the container's, since
/// there is no other here.
fn change_mode(root: &Image, node: &OwnedFd, mode: u32) -> Result<()> {
    let mut changed = sys::path::change_mode(node.as_fd(), mode);
    if changed == Err(Errno::ENOSYS) {
        let proc = root.open(Path::new("/proc"), OFlag::O_PATH | OFlag::O_DIRECTORY);
        changed = proc.and_then(|proc| sys::path::change_mode_by(proc.as_fd(), node.as_fd(), mode));
        if let Err(errno @ (Errno::ENOSYS | Errno::ENOENT | Errno::ENOTDIR)) = changed {
            let missing = "chmod without fchmodat2(2), which is new in Linux 6.6, needs procfs on the container's /proc";
            return Err(Error::from(errno).wrap(missing));
        }
    }
    as_far_as_ours(changed).context(|| "chmod")
}

/// Changes the owner by descriptor: whoever can write to the directory may have replaced the file of that name, which
/// would change hands instead.
fn own(node: &OwnedFd, device: &LinuxDevice) -> Result<()> {
    change_owner(node, device).context(|| "chown")
}

fn change_owner(node: &OwnedFd, device: &LinuxDevice) -> Result<(), Errno> {
    let (uid, gid) = (device.uid().map(Uid::from_raw), device.gid().map(Gid::from_raw));
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchownat(Some(node.as_raw_fd()), "", uid, gid, AtFlags::AT_EMPTY_PATH)
}

/// A node that belongs to somebody else, or is on a read-only file system, stays as it is.
fn as_far_as_ours(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EPERM | Errno::EROFS | Errno::EINVAL) => Ok(()),
        other => other,
    }
}

fn open_node(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    open_in_root(parent.as_fd(), Path::new(name), OFlag::O_PATH | OFlag::O_NOFOLLOW).context(|| "open")
}

/// Replaces standard streams that are the host's null device with the container's: it has the same number, but its path
/// leads nowhere else.
pub(crate) fn reopen_null(root: &Image) -> Result<()> {
    let streams: Vec<i32> = (0..3)
        .filter(|fd| fstat(*fd).is_ok_and(|s| sys::file::is_char_device(&s, sys::file::NULL)))
        .collect();
    if streams.is_empty() {
        return Ok(());
    }
    // Without one in the image, the streams stay with the host's.
    let Ok(null) = open_null(root) else { return Ok(()) };
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let what = || "reopen the standard streams on the container's /dev/null";
    let found = fstat(null.as_raw_fd()).context(what)?;
    let path = root.open(Path::new("/dev/null"), flags | OFlag::O_NOFOLLOW).context(what)?;
    let opened = fstat(path.as_raw_fd()).context(what)?;
    if opened.st_rdev != found.st_rdev || sys::file::kind(opened.st_mode) != SFlag::S_IFCHR {
        return Err(Error::invalid("the container's /dev/null is not the null device (1:3)"));
    }
    for fd in streams {
        sys::fds::install(&path, fd).context(what)?;
    }
    Ok(())
}

fn bind(parent: &OwnedFd, name: &OsStr, host: &OwnedFd) -> Result<()> {
    let flags = OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    match openat(Some(parent.as_raw_fd()), name, flags, Mode::from_bits_truncate(0o644)) {
        Ok(fd) => drop(sys::fds::adopt(fd)),
        // An existing device that cannot be opened can be covered all the same.
        Err(Errno::EACCES | Errno::ENXIO | Errno::ENODEV) => {}
        Err(errno) => return Err(errno).context(|| "create the file to bind it on"),
    }
    let target = open_node(parent, name)?;
    attach(host.as_fd(), target.as_fd()).context(|| "bind the host's")
}

/// Whether the device is a FIFO, which has no number.
pub(crate) fn is_fifo(device: &LinuxDevice) -> bool {
    device.typ() == LinuxDeviceType::P
}

/// The file type of the device's node.
pub fn kind(device: &LinuxDevice) -> SFlag {
    match device.typ() {
        LinuxDeviceType::B => SFlag::S_IFBLK,
        LinuxDeviceType::P => SFlag::S_IFIFO,
        _ => SFlag::S_IFCHR,
    }
}

/// The device number of the device's node.
pub fn number(device: &LinuxDevice) -> u64 {
    makedev(device.major() as u64, device.minor() as u64)
}

/// Opens the container's /dev/null, verified to be the null device and not something that the image has put there.
pub(crate) fn open_null(root: &Image) -> Result<OwnedFd> {
    let what = || "the container's /dev/null".to_owned();
    let fd = open_in_root(root.directory().as_fd(), Path::new("dev/null"), OFlag::O_PATH | OFlag::O_NOFOLLOW)
        .context(what)?;
    let stat = fstat(fd.as_raw_fd()).context(what)?;
    if sys::file::is_char_device(&stat, sys::file::NULL) {
        Ok(fd)
    } else {
        Err(Error::invalid(format!("{} is not the null device (1:3)", what())))
    }
}
