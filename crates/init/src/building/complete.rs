//! From the private root to the container's own root.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use rootling_sys as sys;
use rootling_sys::mount::{attach, clone_tree};

use super::{console, libcontainer, paths};
use crate::blueprint::{Blueprint, Dev};
use crate::channel::{Addresses, Channel};
use crate::container::Container;
use crate::doors::{self, Held};
use crate::error::{Context, Result};
use crate::mounting::devices::{self, DeviceSource};
use crate::mounting::image::Image;
use crate::mounting::mounts::{self, attach_one};
use crate::mounting::prepared::{MapBy, Prepared};
use crate::mounting::resolve;
use crate::roots::{self, IMAGE, Place, ROOT};

/// What the container is built from.
pub(crate) struct Building<'b, 'c> {
    pub(crate) blueprint: &'b Blueprint,
    /// The channel to the runtime.
    pub(crate) channel: &'c Channel,
    /// The socket on which a created container waits for its start.
    pub(crate) accept: Option<OwnedFd>,
    /// The socket that gets the terminal.
    pub(crate) console: Option<OwnedFd>,
    /// The image's tree; if there are hooks, the whole root.
    pub(crate) image: OwnedFd,
    /// The mounts, in their order; none if they are already in the tree.
    pub(crate) content: Vec<Prepared>,
    /// The devices to make, with the host devices that can be bind-mounted instead.
    pub(crate) devices: Vec<DeviceSource>,
    /// Addresses of network devices, which must be set again.
    pub(crate) addresses: Addresses,
    /// How the container's root is entered.
    pub(crate) place: Place,
}

impl Held for Building<'_, '_> {
    fn held(&self) -> Vec<RawFd> {
        let mut all = vec![self.channel.as_raw_fd(), self.image.as_raw_fd()];
        all.extend(doors::numbers(&self.accept));
        all.extend(doors::numbers(&self.console));
        for prepared in &self.content {
            match prepared {
                Prepared::Tree(fd) | Prepared::FreshDev(fd, _) => all.push(fd.as_raw_fd()),
                Prepared::Hierarchies(tmpfs, fds, _) => {
                    all.push(tmpfs.as_raw_fd());
                    all.extend(doors::numbers(fds));
                }
                Prepared::InImage(_, Some(MapBy::Namespace(namespace, _))) => all.push(namespace.as_raw_fd()),
                _ => {}
            }
        }
        all.extend(doors::numbers(self.devices.iter().filter_map(|d| d.host.as_ref().ok())));
        match &self.place {
            Place::Mounted { root } => all.push(root.as_raw_fd()),
            Place::Shared { root, rootfs } => all.extend([root.as_raw_fd(), rootfs.as_raw_fd()]),
        }
        all
    }
}

impl<'b, 'c> Building<'b, 'c> {
    /// Makes the container's root and enters it. This is the door to Container: what was needed only to build is
    /// closed.
    pub(crate) fn complete(self) -> Result<Container<'b, 'c>> {
        let Self { blueprint, channel, accept, console, image, content, devices, addresses, place } = self;
        lay_dev(&content)?;
        libcontainer::init(blueprint, addresses)?;
        if blueprint.loopback {
            sys::namespace::loopback_up().context(|| "bring the loopback interface up")?;
        }
        let content = attach_image(&place, &image, content)?;
        let mut root = Image::new(image)?;
        if !blueprint.hooked {
            for (mount, prepared) in blueprint.mounts.iter().zip(content) {
                attach_one(&mut root, blueprint, channel, mount, prepared)?;
            }
            devices::make(&root, blueprint.dev, &devices)?;
            if matches!(place, Place::Mounted { .. }) {
                root = root.in_order()?;
            }
        }
        if blueprint.hooked {
            mounts::find_kernels_own(&mut root, &blueprint.mounts)?;
        }
        resolve::working_directory(&root, &blueprint.process.cwd)?;
        enter(&place, &root)?;
        // Even if libcontainer has done so, since it opens the device read-only.
        devices::reopen_null(&root)?;
        if let Some(socket) = &console {
            console::set_up(socket, root.directory(), &blueprint.process, console::DevConsole::Cover)?;
        }
        seal(blueprint, &root)?;
        let container = Container { blueprint, channel, accept };
        // Dropped before the numbers are closed: later, the numbers might belong to other descriptors.
        drop((root, devices, place, console));
        doors::close_others(&container, blueprint.process.preserve_fds)?;
        Ok(container)
    }
}

/// Mounts the container's own /dev where libcontainer fills it. libcontainer bind-mounts its root onto itself together with
/// everything that is mounted on it, and so works on a copy of this mount.
fn lay_dev(content: &[Prepared]) -> Result<()> {
    let dev = content.iter().find_map(|prepared| match prepared {
        Prepared::FreshDev(fd, _) => Some(fd),
        _ => None,
    });
    let Some(dev) = dev else { return Ok(()) };
    let place = directory(&Path::new(ROOT).join("dev"))?;
    attach(dev.as_fd(), place.as_fd()).context(|| "mount tmpfs on /dev")
}

/// Attaches the image's tree in the root that libcontainer has entered; returns the mounts, with the /dev that it has
/// filled.
fn attach_image(place: &Place, image: &OwnedFd, mut content: Vec<Prepared>) -> Result<Vec<Prepared>> {
    let what = || "attach the root file system";
    for prepared in &mut content {
        if let Prepared::FreshDev(tree, filled) = prepared {
            let dev = directory(Path::new("/dev"))?;
            match place {
                Place::Mounted { .. } => *filled = Some(dev),
                // The private root is detached before /dev is attached to its place.
                Place::Shared { .. } => *tree = clone_tree(dev.as_fd(), true).context(what)?,
            }
        }
    }
    match place {
        Place::Mounted { .. } => {
            let place = directory(&Path::new("/").join(IMAGE))?;
            attach(image.as_fd(), place.as_fd()).context(what)?;
        }
        Place::Shared { root, rootfs } => {
            roots::detach(root).context(what)?;
            attach(image.as_fd(), rootfs.as_fd()).context(what)?;
        }
    }
    Ok(content)
}

fn enter(place: &Place, root: &Image) -> Result<()> {
    match place {
        Place::Mounted { root: private } => {
            // libcontainer has entered a directory of the private root, whose place is the one to be taken.
            roots::change_root(private)?;
            roots::swap_roots(root.directory(), false).context(|| "pivot_root into the root file system")
        }
        Place::Shared { .. } => roots::change_root(root.directory()),
    }
}

/// Makes the root file system read-only once everything that had to write to it is done.
fn seal(blueprint: &Blueprint, root: &Image) -> Result<()> {
    if matches!(blueprint.dev, Dev::Fresh { readonly: true } | Dev::Plain { readonly: true }) {
        paths::close(root, Path::new("/dev"))?;
    }
    mounts::set_propagation(root, &blueprint.mounts)?;
    if blueprint.readonly_root {
        paths::readonly_root(root)?;
    }
    // After the root: if a path is a mount of its own, the root must not undo its read-only flag.
    paths::make_readonly(root, &blueprint.readonly_paths)?;
    paths::mask(root, &blueprint.masked_paths, blueprint.mount_label.as_deref())?;
    match blueprint.root_propagation {
        Some(wanted) => paths::set_root_propagation(root, wanted),
        None => Ok(()),
    }
}

/// Opens a directory of the private root.
fn directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty())
        .map(sys::fds::adopt)
        .context(|| format!("open({path:?}) in the private root"))
}
