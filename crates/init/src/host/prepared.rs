//! Mounts that are complete but for their place.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::stat::fstat;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use rootling_config::mounts::{Bind, MountOptions};
use rootling_sys::mount::{attr, set_attr};

use super::filesystems;
use super::sources::{MapBy, Sources, open_source};
use crate::blueprint::{Blueprint, Dev, MountKind, MountPlan};
use crate::building::{bind_flags, hints, mounts};
use crate::error::{Context, Error, Result};

/// A mount of the plan, as far as it can be made in the host's view.
pub(crate) enum Prepared {
    /// Detached, with its attributes.
    Tree(OwnedFd),
    /// `/dev`, which libcontainer fills.
    FreshDev(OwnedFd),
    /// The hierarchies of cgroup v1, in their order.
    Hierarchies(Vec<OwnedFd>),
    /// A link that is made anew.
    Link(PathBuf),
    /// A tmpfs: its mode may be that of the directory which it covers.
    Tmpfs,
    /// A bind of something in the root file system itself, as the mounts before have left it.
    InImage(PathBuf, Option<MapBy>),
    /// Other flags for what is there.
    Remount,
    /// What mount(2) has to make in the host's view.
    ByMount2(MountPlan),
}

/// Prepares a mount.
pub(crate) fn prepare(
    blueprint: &Blueprint,
    index: usize,
    plan: &MountPlan,
    image: &OwnedFd,
    sources: &Sources<'_>,
) -> Result<Prepared> {
    prepare_one(blueprint, index, plan, image, sources).map_err(|e| e.wrap(mounts::describe(plan)))
}

fn prepare_one(
    blueprint: &Blueprint,
    index: usize,
    plan: &MountPlan,
    image: &OwnedFd,
    sources: &Sources<'_>,
) -> Result<Prepared> {
    match &plan.kind {
        MountKind::Bind(source) => bind(blueprint, index, plan, source, sources),
        MountKind::New { .. }
            if matches!(blueprint.dev, Dev::Fresh { .. }) && plan.is_new("tmpfs", "/dev") =>
        {
            // Read-only when it is filled.
            let attr = mounts::own_attr(&plan.options).set & !attr::RDONLY;
            let data = mounts::inherited_mode(image, plan)?;
            filesystems::tmpfs(plan, data, attr, blueprint.mount_label.as_deref()).map(Prepared::FreshDev)
        }
        MountKind::New { kind, .. } if kind == "tmpfs" => Ok(Prepared::Tmpfs),
        MountKind::New { kind, source } => {
            let label = blueprint.mount_label.as_deref();
            Ok(match filesystems::new(plan, kind, source, label)? {
                Some(tree) => Prepared::Tree(tree),
                None => Prepared::ByMount2(plan.clone()),
            })
        }
        MountKind::Remount => Ok(Prepared::Remount),
        MountKind::CgroupV1 { hierarchies, .. } => {
            let trees = hierarchies.iter().map(|(name, source)| {
                let hierarchy = hierarchy(plan, name, source);
                let tree = open_source(&hierarchy).map_err(|e| e.wrap(name))?;
                attributes(&hierarchy, &tree).map_err(|e| e.wrap(name)).map(|()| tree)
            });
            trees.collect::<Result<Vec<_>>>().map(Prepared::Hierarchies)
        }
        MountKind::Cgroup => Err(Error::system("the cgroup is not placed")),
    }
}

fn bind(
    blueprint: &Blueprint,
    index: usize,
    plan: &MountPlan,
    source: &Path,
    sources: &Sources<'_>,
) -> Result<Prepared> {
    if plan.options.copy_symlink
        && let Ok(link) = std::fs::read_link(source)
    {
        return Ok(Prepared::Link(link));
    }
    // The image decides what lies on the way there, so it is looked up below the image's own descriptor.
    if let Ok(inside) = rootling_sys::path::clean(source).strip_prefix(&blueprint.rootfs) {
        let map = sources.map(index, plan)?;
        return Ok(Prepared::InImage(rootling_sys::path::relative(inside), map));
    }
    let tree = sources.tree(index, plan)?;
    attributes(plan, &tree)?;
    Ok(Prepared::Tree(tree))
}

/// The bind mount of one hierarchy of cgroup v1.
pub(crate) fn hierarchy(plan: &MountPlan, name: &str, source: &Path) -> MountPlan {
    MountPlan {
        destination: plan.destination.join(name),
        kind: MountKind::Bind(source.to_owned()),
        options: MountOptions { bind: Some(Bind::Recursive), ..plan.options.clone() },
        idmap: None,
    }
}

/// Gives the copy of a bind's source the attributes of the mount.
pub(crate) fn attributes(plan: &MountPlan, tree: &OwnedFd) -> Result<()> {
    let stat = || "stat of the source";
    if plan.destination == Path::new("/proc")
        && fstatfs(tree).context(stat)?.filesystem_type() != PROC_SUPER_MAGIC
    {
        return Err(Error::invalid(
            "/proc has to be a proc file system; bind the host's, or mount a new one",
        ));
    }
    if is_link(tree)? {
        // Flags are of mounts, and a link that is bound is none to look through.
        return Ok(());
    }
    bind_flags::apply(tree, &plan.options)?;
    if let Some(attr) = mounts::recursive_attr(&plan.options) {
        set_attr(tree.as_fd(), true, &attr).map_err(|e| hints::attributes(e, attr))?;
    }
    Ok(())
}

fn is_link(tree: &OwnedFd) -> Result<bool> {
    use std::os::fd::AsRawFd;
    let mode = fstat(tree.as_raw_fd()).context(|| "stat of the source")?.st_mode;
    Ok(mode & libc::S_IFMT == libc::S_IFLNK)
}
