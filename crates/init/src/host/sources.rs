//! Sources of bind mounts, as detached copies.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};
use rootling_config::mounts::Bind;

use rootling_sys as sys;
use rootling_sys::mount::{clone_tree, clone_tree_at, clone_with_attr};

use crate::blueprint::{Blueprint, Hierarchies, MountKind, MountPlan};

use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Error, Result};
use crate::idmap;
use crate::mounting::flags::recursive_attr;
use crate::mounting::prepared::MapBy;
use crate::mounting::{bind_flags, hints};

/// Where the sources of this container's bind mounts come from.
pub(crate) struct Sources<'a> {
    plan: &'a Blueprint,
    channel: &'a Channel,
    /// The hierarchies of a cgroup v1 mount.
    pub(super) hierarchies: &'a Hierarchies,
    /// Sources opened with the caller's permissions, by index of the mount.
    early: HashMap<usize, OwnedFd>,
    /// Whether the kernel is known to lack open_tree_attr(2).
    lacks_attr: Cell<bool>,
}

impl<'a> Sources<'a> {
    /// To be called as the caller, before it becomes root of the user namespace, and in the container's mount
    /// namespace.
    ///
    /// If the container's root is not the caller but an id from the subordinate ranges, directories that only the
    /// caller may search are closed to it later.
    pub(super) fn new(plan: &'a Blueprint, channel: &'a Channel, hierarchies: &'a Hierarchies) -> Self {
        let early = if plan.rootless && root_is_another(plan) { open_all(plan) } else { HashMap::new() };
        Self { plan, channel, hierarchies, early, lacks_attr: Cell::new(false) }
    }

    /// The detached copy with its attributes, if one call can make it, as for most bind mounts since Linux 6.15. Of a refusal,
    /// the longer way finds the reason.
    pub(super) fn complete(&self, mount: &MountPlan) -> Option<OwnedFd> {
        let options = &mount.options;
        let plain = options.bind == Some(Bind::Plain) && !options.src_nofollow && mount.idmap.is_none();
        if !plain || self.lacks_attr.get() || recursive_attr(options).is_some() {
            return None;
        }
        // What is mounted on /proc is looked at first.
        let source = source_of(mount).filter(|_| !mount.is_at("/proc"))?;
        let tree = clone_with_attr(source, &bind_flags::exact(options)?);
        self.lacks_attr.set(matches!(tree, Err(Errno::ENOSYS)));
        tree.ok()
    }

    /// The detached copy for this bind mount, with its ids mapped if the mount asks for that.
    pub(super) fn tree(&self, index: usize, mount: &MountPlan) -> Result<OwnedFd> {
        let privileged = !self.plan.rootless && self.plan.namespaces.user.is_set();
        if privileged && mount.idmap.is_some() {
            return self.ask(index);
        }
        let tree = if let Some(tree) = copy_at_once(mount) {
            tree
        } else {
            match open_reference(mount) {
                Ok(fd) => copy(&fd, mount)?,
                Err(Errno::EACCES) if self.early.contains_key(&index) => copy(&self.early[&index], mount)?,
                Err(Errno::EACCES) if privileged => return self.ask(index),
                Err(errno) => return Err(refused(errno, mount)),
            }
        };
        match self.map(index, mount)? {
            Some(MapBy::Namespace(namespace, recursive)) => {
                idmap::apply_namespace(tree.as_fd(), recursive, &namespace)?;
            }
            Some(MapBy::Runtime(_)) | None => {}
        }
        Ok(tree)
    }

    /// Who maps the ids of a bind mount, if they are to be mapped.
    pub(super) fn map(&self, index: usize, mount: &MountPlan) -> Result<Option<MapBy>> {
        let Some(map) = &mount.idmap else { return Ok(None) };
        if !self.plan.rootless && self.plan.namespaces.user.is_set() {
            return Ok(Some(MapBy::Runtime(index)));
        }
        let namespace = match (&map.maps, &self.plan.maps) {
            (Some(own), Some(container)) => idmap::user_namespace(&idmap::seen_inside(own, container)?)?,
            (Some(own), None) => idmap::user_namespace(own)?,
            (None, _) => File::open("/proc/self/ns/user").context(|| "open(\"/proc/self/ns/user\")")?,
        };
        Ok(Some(MapBy::Namespace(namespace, map.recursive)))
    }

    /// Has the runtime open the source.
    fn ask(&self, index: usize) -> Result<OwnedFd> {
        self.channel.send(&FromChild::NeedsSource(index))?;
        match self.channel.receive_with()? {
            Some((ToChild::Source, Some(fd))) => Ok(fd),
            Some((ToChild::NoSource(error), _)) => Err(error),
            None => Err(Error::system("the runtime has ended")),
            Some((other, _)) => Err(Error::system(format!("not the source of a mount: {other:?}"))),
        }
    }
}

/// Whether the container's root may be another id than the caller: for a joined user namespace this is not known.
fn root_is_another(plan: &Blueprint) -> bool {
    match &plan.maps {
        Some(maps) => !maps.uid().iter().any(|map| map.container_id() == 0 && map.host_id() == plan.caller),
        None => plan.namespaces.user.path().is_some(),
    }
}

/// Opens all sources with O_PATH. What cannot be opened is reported when its turn comes.
fn open_all(plan: &Blueprint) -> HashMap<usize, OwnedFd> {
    let mounts = plan.mounts.iter().enumerate();
    mounts.filter_map(|(index, mount)| Some((index, open_reference(mount).ok()?))).collect()
}

/// A detached copy of what a bind mount names, in the current mount namespace.
pub fn open_source(mount: &MountPlan) -> Result<OwnedFd> {
    copy(&open_reference(mount).map_err(|errno| refused(errno, mount))?, mount)
}

fn source_of(mount: &MountPlan) -> Option<&Path> {
    match &mount.kind {
        MountKind::Bind(source) => Some(source),
        _ => None,
    }
}

fn refused(errno: Errno, mount: &MountPlan) -> Error {
    hints::bind_source(errno, source_of(mount).unwrap_or(Path::new("")))
}

fn open_reference(mount: &MountPlan) -> Result<OwnedFd, Errno> {
    let source = source_of(mount).ok_or(Errno::EINVAL)?;
    let nofollow = if mount.options.src_nofollow { OFlag::O_NOFOLLOW } else { OFlag::empty() };
    open(source, OFlag::O_PATH | OFlag::O_CLOEXEC | nofollow, Mode::empty()).map(sys::fds::adopt)
}

/// Copies the source in one step, which nearly always succeeds. On failure the longer way is taken, which determines
/// the reason.
fn copy_at_once(mount: &MountPlan) -> Option<OwnedFd> {
    let recursive = mount.options.bind == Some(Bind::Recursive);
    clone_tree_at(source_of(mount)?, recursive, !mount.options.src_nofollow).ok()
}

fn copy(from: &OwnedFd, mount: &MountPlan) -> Result<OwnedFd> {
    let recursive = mount.options.bind == Some(Bind::Recursive);
    match clone_tree(from.as_fd(), recursive) {
        // A descriptor of the caller refers to a mount in the caller's mount namespace.
        Err(Errno::EINVAL) => match here(from) {
            Some(same) => clone_tree(same.as_fd(), recursive).map_err(hints::clone_tree),
            None => Err(hints::clone_tree(Errno::EINVAL)),
        },
        other => other.map_err(hints::clone_tree),
    }
}

/// The same file, by its path in the current mount namespace.
fn here(file: &OwnedFd) -> Option<OwnedFd> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let same = open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(sys::fds::adopt).ok()?;
    let id = |fd: &OwnedFd| fstat(fd.as_raw_fd()).ok().map(|stat| (stat.st_dev, stat.st_ino));
    (id(&same)? == id(file)?).then_some(same)
}
