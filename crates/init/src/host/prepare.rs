//! Prepares what can be made of a mount while the host's file systems are visible.

use std::os::fd::OwnedFd;
use std::path::Path;

use rootling_sys::mount::attr;
use rootling_sys::path::{clean, relative};

use super::sources::{Sources, open_source};
use crate::blueprint::{Blueprint, Dev, MountKind, MountPlan};
use crate::error::Result;
use crate::mounting::filesystems;
use crate::mounting::flags::own_attr;
use crate::mounting::prepared::{Prepared, attributes, hierarchy};

/// Prepares a mount.
pub(crate) fn prepare(
    blueprint: &Blueprint,
    index: usize,
    plan: &MountPlan,
    image: &OwnedFd,
    sources: &Sources<'_>,
) -> Result<Prepared> {
    prepare_one(blueprint, index, plan, image, sources).map_err(|e| e.wrap(plan.describe()))
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
        MountKind::New { .. } if is_filled_by_libcontainer(blueprint, index) => {
            // Made read-only after it has been filled.
            let attr = own_attr(&plan.options).set & !attr::RDONLY;
            let data = filesystems::inherited_mode(image, plan)?;
            filesystems::tmpfs(plan, data, attr, blueprint.mount_label.as_deref())
                .map(|tree| Prepared::FreshDev(tree, None))
        }
        MountKind::New { kind, .. } if kind == "tmpfs" && filesystems::depends_on_place(plan) => {
            Ok(Prepared::Tmpfs)
        }
        MountKind::New { kind, source } => {
            let label = blueprint.mount_label.as_deref();
            filesystems::new(plan, kind, source, label)
        }
        MountKind::Remount => Ok(Prepared::Remount),
        MountKind::CgroupV1 => {
            let hierarchies = sources.hierarchies;
            // Before the hierarchies: mountinfo lists mounts in the order in which they were made.
            let tmpfs = filesystems::for_hierarchies(blueprint.mount_label.as_deref())?;
            let trees = hierarchies.directories.iter().map(|(name, source)| {
                let hierarchy = hierarchy(plan, name, source);
                let tree = open_source(&hierarchy).map_err(|e| e.wrap(name))?;
                attributes(&hierarchy, &tree).map_err(|e| e.wrap(name)).map(|()| tree)
            });
            Ok(Prepared::Hierarchies(tmpfs, trees.collect::<Result<_>>()?, hierarchies.clone()))
        }
    }
}

/// Whether this is the tmpfs that libcontainer fills: the last one on /dev, which covers those before it.
fn is_filled_by_libcontainer(blueprint: &Blueprint, index: usize) -> bool {
    let last = || blueprint.mounts.iter().rposition(|plan| plan.is_new("tmpfs", "/dev"));
    matches!(blueprint.dev, Dev::Fresh { .. }) && last() == Some(index)
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
    // The image determines what is on the way to the source, so it is looked up below the image's own descriptor.
    if let Ok(inside) = clean(source).strip_prefix(&blueprint.rootfs) {
        let map = sources.map(index, plan)?;
        return Ok(Prepared::InImage(relative(inside), map));
    }
    if let Some(tree) = sources.complete(plan) {
        return Ok(Prepared::Tree(tree));
    }
    let tree = sources.tree(index, plan)?;
    attributes(plan, &tree)?;
    Ok(Prepared::Tree(tree))
}
