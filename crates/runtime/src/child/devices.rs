//! Devices of the spec, and the ones of a `/dev` that libcontainer does not fill.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstat, fstatat, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType};

use super::paths::open_root;
use super::resolve::directory;
use crate::error::{Context, Error, Result, chain};
use crate::lower::Dev;
use crate::sys;
use crate::sys::mount::{attach, clone_tree, open_in_root};

/// A device to make, and the host's, to bind where the kernel does not let us make one.
pub(super) struct DeviceSource {
    device: LinuxDevice,
    host: Result<OwnedFd>,
}

/// The devices of runtime-spec, config-linux.md "Default Devices", that are character devices.
const DEFAULTS: [(&str, i64, i64); 6] = [
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

/// In the container's mount namespace, before its root is entered: opens what may have to be bound.
pub(super) fn open_sources(devices: &[LinuxDevice], dev: Dev) -> Result<Vec<DeviceSource>> {
    let mut all = Vec::new();
    if dev == Dev::Bound {
        // What is bound there is somebody's /dev, the host's perhaps: as in runc, nothing is made in it.
        return Ok(Vec::new());
    }
    if dev == Dev::Plain {
        for (path, major, minor) in
            DEFAULTS.iter().filter(|d| !devices.iter().any(|o| o.path() == Path::new(d.0)))
        {
            let device = LinuxDeviceBuilder::default()
                .path(*path)
                .typ(LinuxDeviceType::C)
                .major(*major)
                .minor(*minor)
                .file_mode(0o666u32)
                .build()
                .map_err(|e| Error::system(chain(&e)))?;
            all.push(device);
        }
    }
    // The multiplexer is a link to the one of the container's own devpts, whatever the list says.
    all.extend(devices.iter().filter(|d| crate::lower::clean(d.path()) != Path::new("/dev/ptmx")).cloned());
    Ok(all.into_iter().map(|device| DeviceSource { host: open_host(&device), device }).collect())
}

/// A detached mount of the host's device of that path, if it is the very device that the spec names.
fn open_host(device: &LinuxDevice) -> Result<OwnedFd> {
    let path = device.path();
    let what = || format!("linux.devices: {path:?} of the host");
    let fd = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(sys::fds::adopt);
    let fd = fd
        .context(what)
        .map_err(|e| e.remedy("without root a device can only be bound from the host: remove it"))?;
    let stat = fstat(fd.as_raw_fd()).context(what)?;
    if stat.st_mode & libc::S_IFMT == kind(device).bits()
        && (is_fifo(device) || stat.st_rdev == number(device))
    {
        // A copy of its mount, made while that is still in reach: attached inside, when the old root is gone.
        return clone_tree(fd.as_fd(), false).context(|| format!("{}: open_tree", what()));
    }
    Err(Error::invalid(format!(
        "{} is {}:{} and not {}:{}: without root a device can only be bound as it is; correct type, major and minor",
        what(),
        libc::major(stat.st_rdev),
        libc::minor(stat.st_rdev),
        device.major(),
        device.minor()
    )))
}

fn is_fifo(device: &LinuxDevice) -> bool {
    device.typ() == LinuxDeviceType::P
}

fn kind(device: &LinuxDevice) -> SFlag {
    match device.typ() {
        LinuxDeviceType::B => SFlag::S_IFBLK,
        LinuxDeviceType::P => SFlag::S_IFIFO,
        _ => SFlag::S_IFCHR,
    }
}

fn number(device: &LinuxDevice) -> u64 {
    libc::makedev(device.major() as u32, device.minor() as u32)
}

/// Inside: takes away the tmpfs that libcontainer got to make its devices in.
pub(super) fn drop_scratch() -> Result<()> {
    umount2("/dev", MntFlags::MNT_DETACH).context(|| "umount2(\"/dev\")")
}

/// Inside: the links of a `/dev` that is part of the image; those that it has stay.
pub(super) fn make_links() -> Result<()> {
    let root = open_root()?;
    let dev =
        open_in_root(root.as_fd(), Path::new("dev"), libc::O_PATH | libc::O_DIRECTORY).context(|| "/dev")?;
    let kcore = Path::new("/proc/kcore").exists().then_some(("kcore", "/proc/kcore"));
    for (name, to) in LINKS.into_iter().chain(kcore) {
        match symlinkat(to, Some(dev.as_raw_fd()), name) {
            Ok(()) | Err(Errno::EEXIST) => {}
            // A read-only image keeps what it has.
            Err(Errno::EROFS) => return Ok(()),
            Err(errno) => return Err(errno).context(|| format!("symlink({to:?}, \"/dev/{name}\")")),
        }
    }
    Ok(())
}

/// Inside: makes the devices, or binds the host's.
pub(super) fn make(devices: &[DeviceSource]) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let root = open_root()?;
    for source in devices {
        make_one(&root, source).map_err(|e| e.wrap(format!("linux.devices: {:?}", source.device.path())))?;
    }
    Ok(())
}

fn make_one(root: &OwnedFd, source: &DeviceSource) -> Result<()> {
    let device = &source.device;
    let path = crate::lower::clean(device.path());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::invalid("names no file"));
    };
    let parent = directory(root, parent)?;
    let at = Some(parent.as_raw_fd());
    let mode = Mode::from_bits_truncate(device.file_mode().unwrap_or(0o666) & 0o7777);
    match mknodat(at, name, kind(device), mode, number(device)) {
        Ok(()) => own(at, name, device, mode),
        Err(Errno::EEXIST) => {
            let stat = fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW).context(|| "stat")?;
            let same = stat.st_mode & libc::S_IFMT == kind(device).bits() && stat.st_rdev == number(device);
            match (&source.host, same) {
                // Made by libcontainer, or by the image: with the mode and owner of the spec, where it is ours.
                (_, true) => own(at, name, device, mode).or(Ok(())),
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

fn own(at: Option<i32>, name: &std::ffi::OsStr, device: &LinuxDevice, mode: Mode) -> Result<()> {
    // mknod's mode is subject to the umask.
    fchmodat(at, name, mode, FchmodatFlags::FollowSymlink).context(|| "chmod")?;
    let (uid, gid) = (device.uid().map(Uid::from_raw), device.gid().map(Gid::from_raw));
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchownat(at, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW).context(|| "chown")
}

fn bind(parent: &OwnedFd, name: &std::ffi::OsStr, host: &OwnedFd) -> Result<()> {
    let flags = OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    match openat(Some(parent.as_raw_fd()), name, flags, Mode::from_bits_truncate(0o644)) {
        Ok(fd) => drop(sys::fds::adopt(fd)),
        // A device that is there already and may not be opened can be covered all the same.
        Err(Errno::EACCES | Errno::ENXIO | Errno::ENODEV) => {}
        Err(errno) => return Err(errno).context(|| "create the file to bind it on"),
    }
    let target =
        open_in_root(parent.as_fd(), Path::new(name), libc::O_PATH | libc::O_NOFOLLOW).context(|| "open")?;
    attach(host.as_fd(), target.as_fd()).context(|| "bind the host's")
}
