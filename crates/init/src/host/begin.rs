//! The way of a launch through the rooms, and what the child has when it begins.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use rootling_config::mounts::Propagation;
use rootling_config::remedies::{OTHER_PLACE, let_pass};
use rootling_rootless::host::Host as Machine;
use rootling_sys as sys;
use rootling_sys::mount::{MS_PRIVATE, MS_SHARED, MS_SLAVE, MountAttr, clone_tree, set_attr};

use super::prepare::prepare;
use super::private_root::{self, PrivateRoot};
use super::sources::Sources;
use super::{devices, hooked, namespaces};
use crate::blueprint::{Blueprint, Hierarchies};
use crate::building::Building;
use crate::channel::{Addresses, Channel, FromChild, ToChild};
use crate::container::Ready;
use crate::doors;
use crate::error::{Context, Error, Result};
use crate::log;
use crate::ordinary::{become_root, begin, die_with_runtime};
use crate::sealed;

/// What the child takes with it in addition to the blueprint.
pub struct ChildEnd<'h> {
    /// What is known about the host.
    pub machine: &'h Machine,
    /// The channel to the runtime.
    pub channel: Channel,
    /// The socket on which a created container waits for its start; `None` if it is started at once.
    pub accept: Option<OwnedFd>,
    /// The socket that gets the terminal, if there is one.
    pub console: Option<OwnedFd>,
    /// The container's cgroups, for a cgroup v1 mount.
    pub hierarchies: Hierarchies,
}

/// What the child of a launch has.
struct Host<'c> {
    machine: &'c Machine,
    channel: &'c Channel,
    accept: Option<OwnedFd>,
    console: Option<OwnedFd>,
    hierarchies: &'c Hierarchies,
}

/// Becomes the container, or reports why not and exits. This is only for the child of a clone: it never returns, and
/// closes all other descriptors. `parent_fds` are descriptors of the runtime that the child must not hold at all.
pub fn run(end: ChildEnd<'_>, parent_fds: &[RawFd], blueprint: &Blueprint) -> ! {
    let ChildEnd { machine, channel, accept, console, hierarchies } = end;
    // The runtime's lock would outlive it, and the end of its channels would never be seen. What the caller has left
    // open stays open for now: sources of mounts may refer to it.
    for fd in parent_fds {
        let _ = nix::unistd::close(*fd);
    }
    log::without(channel.as_raw_fd(), || {
        let host = Host { machine, channel: &channel, accept, console, hierarchies: &hierarchies };
        match become_container(host, blueprint) {
            Ok(Some(ready)) => sealed::run(ready, channel),
            // The runtime has ended, or already knows the reason.
            Ok(None) => {}
            Err(error) => channel.send_failure(error),
        }
    });
    sys::exec::exit_now(1)
}

fn become_container<'b>(host: Host<'_>, blueprint: &'b Blueprint) -> Result<Option<Ready<'b>>> {
    begin()?;
    let channel = host.channel;
    channel.send_debug("child process in init()");
    namespaces::make(&blueprint.namespaces)?;
    let sources = Sources::new(blueprint, channel, host.hierarchies);
    let Some(ToChild::Begin(pid)) = channel.receive()? else { return Ok(None) };
    // By now the runtime has raised those limits that the program needs raised.
    let descriptors = raise_descriptors();
    if blueprint.namespaces.user.is_set() {
        become_root().map_err(|e| {
            e.remedy("uid and gid 0 have to be among linux.uidMappings and linux.gidMappings")
        })?;
        die_with_runtime()?;
    }
    namespaces::finish(&blueprint.namespaces)?;
    namespaces::set_names(blueprint, channel, host.machine)?;
    let Some(building) = host.leave(blueprint, sources, pid)? else { return Ok(None) };
    building.complete()?.prepare(pid, descriptors)
}

/// Raises the limit of open descriptors, since each mount is a descriptor until it is attached. Returns the former
/// limit, for the program.
fn raise_descriptors() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok()?;
    Some(soft)
}

impl<'c> Host<'c> {
    /// The door to Building: opens what is needed from the host, then leaves its file systems. Returns `None` if the
    /// runtime has ended.
    fn leave<'b>(
        self,
        blueprint: &'b Blueprint,
        sources: Sources<'_>,
        pid: i32,
    ) -> Result<Option<Building<'b, 'c>>> {
        private_root::set_propagation(blueprint)?;
        let image = open_image(blueprint, self.machine)?;
        let devices = devices::open_sources(blueprint, self.channel)?;
        let mut addresses = Addresses::new();
        if blueprint.net_devices {
            let Some(moved) = self.devices_moved()? else { return Ok(None) };
            addresses = moved;
        }
        let (image, content) = if blueprint.hooked {
            let Some(image) = hooked::build(blueprint, self.channel, &sources, image, &devices, pid)? else {
                return Ok(None);
            };
            (image, Vec::new())
        } else {
            let mounts = blueprint.mounts.iter().enumerate();
            let content: Result<Vec<_>> =
                mounts.map(|(index, mount)| prepare(blueprint, index, mount, &image, &sources)).collect();
            (image, content?)
        };
        // Sources that were opened as the caller and not used belong to the host.
        drop(sources);
        let root = PrivateRoot::make(blueprint)?;
        let label = blueprint.mount_label.as_deref();
        let content =
            content.into_iter().map(|mount| root.finish(mount, label)).collect::<Result<Vec<_>>>()?;
        let place = root.enter(blueprint)?;
        let building = Building {
            blueprint,
            accept: self.accept,
            console: self.console,
            image,
            content,
            devices,
            addresses,
            place,
            channel: self.channel,
        };
        // Closes everything else of the runtime or of its caller that was open, which belongs to the host.
        doors::close_others(&building, blueprint.process.preserve_fds)?;
        Ok(Some(building))
    }

    /// Has the runtime move the network devices; returns their addresses, or `None` if the runtime has ended.
    fn devices_moved(&self) -> Result<Option<Addresses>> {
        self.channel.send(&FromChild::NeedsDevices)?;
        match self.channel.receive()? {
            Some(ToChild::Devices(addresses)) => Ok(Some(addresses)),
            Some(other) => Err(Error::system(format!("not the addresses of network devices: {other:?}"))),
            None => Ok(None),
        }
    }
}

/// Opens the image's tree, detached: from here on it is reached only through this descriptor.
fn open_image(blueprint: &Blueprint, machine: &Machine) -> Result<OwnedFd> {
    let rootfs = &blueprint.rootfs;
    let what = || format!("root.path: {rootfs:?}");
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let closed = |errno: Errno| {
        // Opened as the container's root, whom the directories have to let pass.
        let closed = machine.closed_parent(&rootfs.join("dev")).unwrap_or_else(|| rootfs.clone());
        let error = Error::from(errno).wrap(what()).at(errno, Path::new("/"));
        // If ids are mapped here, the runtime adds who owns the directory and what to do.
        let problem = format!("{closed:?} does not let the container's root pass");
        error.remedy(match blueprint.maps {
            Some(_) => problem,
            None => format!("{problem}: {}", let_pass(true, OTHER_PLACE)),
        })
    };
    let there = match open(rootfs, flags, Mode::empty()) {
        Err(errno @ Errno::EACCES) => return Err(closed(errno)),
        other => sys::fds::adopt(other.context(what)?),
    };
    if let Err(errno @ Errno::EACCES) =
        sys::mount::open_in_root(there.as_fd(), Path::new("dev"), OFlag::O_PATH)
    {
        return Err(closed(errno));
    }
    let image =
        clone_tree(there.as_fd(), true).context(|| format!("bind the root file system {rootfs:?}"))?;
    let whole_tree_is_shared =
        blueprint.root_propagation == Some(Propagation { flag: MS_SHARED, recursive: true });
    // What is mounted on a shared mount would appear on the host; unless the spec says otherwise, the root is private.
    let apart = match blueprint.base_propagation {
        MS_SHARED => true,
        MS_SLAVE => blueprint.root_propagation.is_none(),
        _ => false,
    };
    if apart {
        let private = MountAttr { propagation: MS_PRIVATE, ..MountAttr::default() };
        set_attr(image.as_fd(), !whole_tree_is_shared, &private)
            .context(|| "make the mount of the root file system private")?;
    }
    Ok(image)
}
