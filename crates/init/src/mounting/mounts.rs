//! The mounts of the container, made through descriptors: what was resolved is what is mounted on.
//!
//! Each mount is made detached, gets its flags in that state, and is attached when it is complete. Sources are opened
//! before that, as the caller's namespaces show them. Destinations are resolved only inside the root file system
//! (openat2(2), `RESOLVE_IN_ROOT`), whatever links the image has.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs};
use rootling_sys::mount::{
    MS_PRIVATE, MS_REC, MS_SLAVE, MountAttr, attach, attr, clone_tree, open_in_root, set_attr,
};
use rootling_sys::path::identity;

use super::copy::copy_tree;
use super::flags::own_attr;
use super::image::Image;
use super::prepared::{MapBy, Prepared, attributes, attributes_by_link, hierarchy, is_link};
use super::{devices, filesystems, hints, resolve};
use crate::blueprint::{Blueprint, Hierarchies, MountKind, MountPlan};
use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Error, Result};

/// Attaches a mount; called in the order of the plan.
pub(crate) fn attach_one(
    root: &mut Image,
    blueprint: &Blueprint,
    channel: &Channel,
    plan: &MountPlan,
    prepared: Prepared,
) -> Result<()> {
    attach_prepared(root, blueprint, channel, plan, prepared).map_err(|e| e.wrap(plan.describe()))
}

fn attach_prepared(
    root: &mut Image,
    blueprint: &Blueprint,
    channel: &Channel,
    plan: &MountPlan,
    prepared: Prepared,
) -> Result<()> {
    let mut filled = None;
    let tree = match prepared {
        Prepared::Tree(tree) => tree,
        Prepared::FreshDev(tree, from) => {
            filled = from;
            tree
        }
        Prepared::InImage(source, map) => source_in_image(root, channel, plan, &source, map)?,
        Prepared::Tmpfs => return attach_tmpfs(root, plan, blueprint.mount_label.as_deref()),
        Prepared::Link(link) => return make_link(root, plan, &link),
        Prepared::Hierarchies(tmpfs, trees, all) => return legacy_cgroup(root, plan, &tmpfs, trees, &all),
        Prepared::Remount => {
            let target = root.open(&plan.destination, OFlag::O_PATH).context(|| "open the destination")?;
            if !root.is_meant(&plan.destination, &target)? {
                return Err(Error::invalid(format!(
                    "a link of the image leads {:?} to another mount: name the path of the mount that is meant",
                    plan.destination
                )));
            }
            let attr = own_attr(&plan.options);
            return set_attr(target.as_fd(), false, &attr).map_err(|e| hints::attributes(e, attr));
        }
        Prepared::ByMount2(..) => return Err(Error::system("was not made in the host's view")),
    };
    let own = identity(tree.as_fd()).context(|| "statx of the source")?;
    set_apart(plan, &tree)?;
    let target = place(root, plan, own.is_directory())?;
    attach_at(plan, &tree, own.is_directory(), &target)?;
    if let Some(filled) = &filled {
        devices::move_bound(filled, &tree)?;
    }
    root.note(&plan.destination, tree, own);
    Ok(())
}

/// Propagation types that separate a mount from others.
const APART: u64 = MS_PRIVATE | MS_SLAVE;

/// Makes a mount that is to be private or a slave so before anything is mounted below it. A copy of a shared mount of
/// the host is its peer: what is mounted on one appears on the other, and stays there.
fn set_apart(plan: &MountPlan, tree: &OwnedFd) -> Result<()> {
    for flags in plan.options.propagation.iter().filter(|flags| *flags & APART != 0) {
        set_one_propagation(plan, tree, *flags)?;
    }
    Ok(())
}

fn set_one_propagation(plan: &MountPlan, mount: &OwnedFd, flags: u64) -> Result<()> {
    let attr = MountAttr { propagation: flags & !MS_REC, ..MountAttr::default() };
    set_attr(mount.as_fd(), flags & MS_REC != 0, &attr)
        .context(|| format!("change the propagation of the mount on {}", plan.destination.display()))
}

fn attach_at(plan: &MountPlan, tree: &OwnedFd, is_dir: bool, target: &OwnedFd) -> Result<()> {
    attach(tree.as_fd(), target.as_fd()).map_err(|errno| hints::attach(errno, is_dir, target))?;
    // What is attached to a shared mount becomes shared as well.
    set_apart(plan, tree)
}

/// The contents are copied from the directory that is mounted on, and not from what that path led to before
/// (CVE-2026-133553).
fn attach_tmpfs(root: &mut Image, plan: &MountPlan, label: Option<&str>) -> Result<()> {
    let mode = filesystems::inherited_mode(root.directory(), plan)?;
    let target = place(root, plan, true)?;
    let tree = tmpfs(plan, mode, label, &target)?;
    let own = identity(tree.as_fd()).context(|| "statx of the tmpfs")?;
    attach_at(plan, &tree, true, &target)?;
    root.note(&plan.destination, tree, own);
    Ok(())
}

/// The file or directory to mount on, made if the image lacks it. It is looked up once: what is checked here is mounted
/// on.
fn place(root: &Image, plan: &MountPlan, is_dir: bool) -> Result<OwnedFd> {
    let path = &plan.destination;
    let target = if let MountKind::New { kind, .. } = &plan.kind
        && (kind == "proc" || kind == "sysfs")
    {
        resolve::ordinary_directory(root, path, kind)?
    } else if plan.options.dest_nofollow {
        resolve::itself(root, path, is_dir)?
    } else if is_dir {
        resolve::directory(root, path)?
    } else {
        resolve::file(root, path)?
    };
    // The kernel mounts a file on nothing but a file.
    if is_dir && identity(target.as_fd()).context(|| "statx of the destination")? == root.identity() {
        return Err(Error::invalid(format!(
            "{path:?} is the container's root, which nothing can be mounted on: name a directory below it"
        )));
    }
    let found = fstatfs(&target).context(|| "fstatfs of the destination")?.filesystem_type();
    for (magic, name) in [(PROC_SUPER_MAGIC, "/proc"), (SYSFS_MAGIC, "/sys")] {
        // Until the file system is mounted, its type cannot tell.
        let inside = || {
            if root.is_mounted(name) {
                return Ok(false);
            }
            resolve::lies_in(root, path, &target, is_dir, name)
        };
        if !path.starts_with(name) && (found == magic || inside()?) {
            return Err(Error::invalid(format!(
                "{path:?} cannot be mounted because a link of the image leads inside {name}: name the path that is meant"
            )));
        }
    }
    Ok(target)
}

/// A bind mount of something in the root file system itself, as earlier mounts have left it.
fn source_in_image(
    root: &Image,
    channel: &Channel,
    plan: &MountPlan,
    source: &Path,
    map: Option<MapBy>,
) -> Result<OwnedFd> {
    let nofollow = if plan.options.src_nofollow { OFlag::O_NOFOLLOW } else { OFlag::empty() };
    let found = open_in_root(root.directory().as_fd(), source, OFlag::O_PATH | nofollow)
        .map_err(|errno| hints::bind_source(errno, Path::new("/").join(source).as_path()))?;
    let recursive = plan.options.bind == Some(rootling_config::mounts::Bind::Recursive);
    shows_no_kernels_own(root, &found, source, recursive)?;
    let meant = root.is_meant(&Path::new("/").join(source), &found)?;
    let at = identity(found.as_fd()).context(|| "statx of the source")?;
    if !meant && !at.is_on_mount_of(&root.identity()) {
        return Err(Error::invalid(
            "the source, in the root file system itself, leads by a link of the image to another mount of the container, \
             whose flags and masks it would get around: name the source of that mount",
        ));
    }
    let tree = clone_tree(found.as_fd(), recursive).map_err(hints::clone_tree)?;
    match map {
        Some(MapBy::Namespace(namespace, recursive)) => {
            crate::idmap::apply_namespace(tree.as_fd(), recursive, &namespace)?;
        }
        Some(MapBy::Runtime(index)) => {
            channel.send_with(&FromChild::NeedsMap(index), tree.as_fd())?;
            match channel.receive()? {
                Some(ToChild::Mapped) => {}
                Some(ToChild::NoSource(error)) => return Err(error),
                _ => return Err(Error::system("the runtime has ended")),
            }
        }
        None => {}
    }
    if meant {
        attributes(plan, &tree)?;
    } else {
        attributes_by_link(plan, &tree)?;
    }
    Ok(tree)
}

/// Refuses a source that is the container's /proc or /sys, to which a link in the image may lead, or a tree that
/// contains them: a second mount of them would have neither masks nor read-only paths.
fn shows_no_kernels_own(root: &Image, found: &OwnedFd, source: &Path, recursive: bool) -> Result<()> {
    let kind = fstatfs(found).context(|| "fstatfs of the source")?.filesystem_type();
    let whole = identity(found.as_fd()).context(|| "statx of the source")? == root.identity();
    for (magic, name) in [(PROC_SUPER_MAGIC, "/proc"), (SYSFS_MAGIC, "/sys")] {
        let below = whole || Path::new(name).starts_with(Path::new("/").join(source));
        if kind == magic || (recursive && below && root.is_mounted(name)) {
            return Err(Error::invalid(format!(
                "the source, in the root file system itself, leads to the container's {name}, whose masks would not be \
                 on it: name another source, or put this mount before that of {name}"
            )));
        }
    }
    Ok(())
}

/// A tmpfs with its contents, which for `tmpcopyup` are those of `covered`; read-only once it is filled.
fn tmpfs(plan: &MountPlan, mode: Option<String>, label: Option<&str>, covered: &OwnedFd) -> Result<OwnedFd> {
    let mut attr = own_attr(&plan.options).set;
    let readonly = attr & attr::RDONLY;
    // /dev is made read-only after it is filled.
    let filled_later = plan.is_at("/dev");
    if plan.options.tmpcopyup || filled_later {
        attr &= !attr::RDONLY;
    }
    let mount = filesystems::tmpfs(plan, mode, attr, label)?;
    if plan.options.tmpcopyup {
        copy_tree(covered, &mount).map_err(|e| e.wrap("tmpcopyup"))?;
        if readonly != 0 && !filled_later {
            let attr = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
            set_attr(mount.as_fd(), false, &attr).map_err(|e| hints::attributes(e, attr))?;
        }
    }
    filesystems::finish(plan, &mount)?;
    Ok(mount)
}

/// Changes the propagation of those mounts that ask for more than being separated, in the given order, once all of them
/// are in place: before, the whole tree is copied for hooks, and the copy would lack unbindable mounts.
pub(crate) fn set_propagation(root: &Image, mounts: &[MountPlan]) -> Result<()> {
    for (index, plan) in mounts.iter().enumerate().filter(|(_, m)| !is_set_apart(m)) {
        // A mount that a later mount covers cannot be seen any more.
        let covered = |later: &MountPlan| plan.destination.starts_with(&later.destination);
        if mounts[index + 1..].iter().any(covered) {
            continue;
        }
        let what = || format!("change the propagation of the mount on {}", plan.destination.display());
        let options = &plan.options;
        let last_link_itself = options.src_nofollow || options.dest_nofollow || options.copy_symlink;
        let flags = OFlag::O_PATH | if last_link_itself { OFlag::O_NOFOLLOW } else { OFlag::empty() };
        let mount = root.open(&plan.destination, flags).context(what)?;
        if options.copy_symlink && is_link(&mount)? {
            // A link that was recreated, which is not a mount.
            continue;
        }
        plan.options.propagation.iter().try_for_each(|flags| set_one_propagation(plan, &mount, *flags))?;
    }
    Ok(())
}

/// Whether the mount has had its final propagation since it was attached.
fn is_set_apart(plan: &MountPlan) -> bool {
    let propagation = &plan.options.propagation;
    let new = matches!(plan.kind, MountKind::Bind(_) | MountKind::New { .. });
    propagation.is_empty() || (new && propagation.iter().all(|flags| flags & APART != 0))
}

/// `copy-symlink`: recreates the link that is the source.
fn make_link(root: &Image, plan: &MountPlan, link: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (plan.destination.parent(), plan.destination.file_name()) else {
        return Err(Error::invalid("the destination names no file"));
    };
    let parent = resolve::directory(root, parent)?;
    let at = Some(parent.as_raw_fd());
    match nix::unistd::symlinkat(link, at, name) {
        Err(Errno::EEXIST) if nix::fcntl::readlinkat(at, name).is_ok_and(|there| *link == *there) => Ok(()),
        Err(errno) => {
            Err(hints::make(errno, &plan.destination, format!("make the link {:?}", plan.destination)))
        }
        Ok(()) => Ok(()),
    }
}

/// Mounts one directory for each hierarchy in a tmpfs, laid out as on the host.
fn legacy_cgroup(
    root: &Image,
    plan: &MountPlan,
    tmpfs: &OwnedFd,
    trees: Vec<OwnedFd>,
    hierarchies: &Hierarchies,
) -> Result<()> {
    let target = place(root, plan, true)?;
    let at = Some(tmpfs.as_raw_fd());
    for (name, to) in &hierarchies.links {
        nix::unistd::symlinkat(to.as_str(), at, name.as_str()).context(|| format!("symlink {name:?}"))?;
    }
    for (name, _) in &hierarchies.directories {
        mkdirat(at, name.as_str(), Mode::from_bits_truncate(0o755)).context(|| format!("mkdir {name:?}"))?;
    }
    attach(tmpfs.as_fd(), target.as_fd()).context(|| "move_mount")?;
    for ((name, source), tree) in hierarchies.directories.iter().zip(trees) {
        // Below the tmpfs itself, to which nobody else has a descriptor.
        let place = open_in_root(tmpfs.as_fd(), Path::new(name), OFlag::O_PATH | OFlag::O_DIRECTORY)
            .context(|| format!("open {name:?}"))?;
        attach(tree.as_fd(), place.as_fd()).map_err(|errno| {
            hints::attach(errno, true, &place).wrap(hierarchy(plan, name, source).describe())
        })?;
    }
    // The directories are read-only if the mount asks for that. The tmpfs is the container's own and stays writable, as
    // with runc: systemd in a Docker container makes its own directories there.
    Ok(())
}

/// Finds the mounts of the kernel's own file systems in a complete tree.
pub(crate) fn find_kernels_own(root: &mut Image, mounts: &[MountPlan]) -> Result<()> {
    for (destination, magic) in [("/proc", PROC_SUPER_MAGIC), ("/sys", SYSFS_MAGIC)] {
        let path = Path::new(destination);
        if !mounts.iter().any(|mount| mount.destination == path) {
            continue;
        }
        let found = resolve::ordinary_directory(root, path, "proc or sysfs")?;
        if fstatfs(&found).context(|| format!("fstatfs({destination:?})"))?.filesystem_type() == magic {
            let own = identity(found.as_fd()).context(|| format!("statx of {destination:?}"))?;
            root.note(path, found, own);
        } else if magic == PROC_SUPER_MAGIC {
            return Err(Error::invalid("/proc is not on a proc file system any more"));
        }
    }
    Ok(())
}
