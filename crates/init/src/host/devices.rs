//! Devices of the host, to be bind-mounted where the kernel does not let us make a node.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat, major, minor};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType};
use rootling_sys as sys;
use rootling_sys::mount::clone_tree;

use crate::blueprint::{Blueprint, Dev};
use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Error, Result};
use crate::mounting::devices::{DEFAULTS, DeviceSource, is_fifo, kind, number};

/// Opens what may have to be bind-mounted, in the order in which it is made.
pub(super) fn open_sources(blueprint: &Blueprint, channel: &Channel) -> Result<Vec<DeviceSource>> {
    let devices = &blueprint.devices;
    let mut all = Vec::new();
    if blueprint.dev == Dev::Bound {
        // The bind mount is somebody else's /dev, perhaps the host's: as in runc, nothing is made in it.
        return Ok(Vec::new());
    }
    if matches!(blueprint.dev, Dev::Plain { .. }) {
        for (path, major, minor) in
            DEFAULTS.iter().filter(|d| !devices.iter().any(|o| o.path() == Path::new(d.0)))
        {
            let device = LinuxDeviceBuilder::default()
                .path(*path)
                .typ(LinuxDeviceType::C)
                .major(*major)
                .minor(*minor)
                .file_mode(0o666u32)
                .build()?;
            all.push(device);
        }
    }
    let mut all: Vec<_> =
        all.into_iter().map(|device| DeviceSource { host: open_host(&device), device }).collect();
    for (index, device) in devices.iter().enumerate() {
        // /dev/ptmx is a link to that of the container's own devpts, whatever the list says.
        if sys::path::clean(device.path()) != Path::new("/dev/ptmx") {
            all.push(DeviceSource { host: open(blueprint, index, device, channel)?, device: device.clone() });
        }
    }
    Ok(all)
}

/// A new node if root of the host can make one, otherwise the host's.
fn open(
    blueprint: &Blueprint,
    index: usize,
    device: &LinuxDevice,
    channel: &Channel,
) -> Result<Result<OwnedFd>> {
    let privileged = !blueprint.rootless && blueprint.namespaces.user.is_set();
    if !privileged || is_fifo(device) {
        return Ok(open_host(device));
    }
    channel.send(&FromChild::NeedsNode(index))?;
    match channel.receive_with()? {
        Some((ToChild::Source, Some(fd))) => Ok(Ok(fd)),
        // Root may lack the privilege, for example in a container.
        Some((ToChild::NoSource(error), _)) => Ok(open_host(device).map_err(|_| error)),
        None => Err(Error::system("the runtime has ended")),
        Some((other, _)) => Err(Error::system(format!("not the node of a device: {other:?}"))),
    }
}

/// A detached mount of the host's device at that path, if it is the very device that the spec names.
fn open_host(device: &LinuxDevice) -> Result<OwnedFd> {
    let path = device.path();
    let what = || format!("linux.devices: {path:?} of the host");
    let fd = nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(sys::fds::adopt);
    let fd = fd
        .context(what)
        .map_err(|e| e.remedy("in a user namespace a device can only be bound from the host: remove it"))?;
    let stat = fstat(fd.as_raw_fd()).context(what)?;
    if sys::file::kind(stat.st_mode) == kind(device) && (is_fifo(device) || stat.st_rdev == number(device)) {
        return clone_tree(fd.as_fd(), false).context(|| format!("{}: open_tree", what()));
    }
    Err(Error::invalid(format!(
        "{} is {}:{} and not {}:{}: in a user namespace a device can only be bound as it is; correct type, major and minor",
        what(),
        major(stat.st_rdev),
        minor(stat.st_rdev),
        device.major(),
        device.minor()
    )))
}
