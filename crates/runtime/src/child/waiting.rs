//! Bind mounts that wait for the end of libcontainer's init.
//!
//! libcontainer reads all of mountinfo, and binds the root file system onto itself with whatever is
//! mounted on it: each mount that is there by then is printed, parsed and made once more. Those that
//! nothing in between has to see are made detached as always, in their order, but attached in the
//! container's root only. With 100 bind mounts that is a fifth of the time of `run`.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};

use super::mounts;
use super::paths::open_root;
use crate::error::Result;
use crate::lower::{MountKind, MountPlan};
use crate::plan::Plan;

/// One descriptor each; beyond that mounts are made at once.
const MOST: usize = 256;

/// Where libcontainer makes devices, links and sysctls, and the parts of the kernel that it looks at.
const NEEDED: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Mounts that are complete but for their place.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<(usize, OwnedFd)>);

impl Waiting {
    pub(super) fn push(&mut self, index: usize, tree: OwnedFd) {
        self.0.push((index, tree));
    }

    /// Attaches all, inside the container's root.
    pub(super) fn attach(&self, mounts: &[MountPlan]) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let root = open_root()?;
        for (index, tree) in &self.0 {
            let plan = &mounts[*index];
            mounts::attach_bind(&root, plan, tree).map_err(|e| e.wrap(mounts::describe(plan)))?;
        }
        Ok(())
    }
}

/// The first of the mounts that can wait. They are the last in the list: a mount never overtakes one
/// that it may lie on.
pub(super) fn first(plan: &Plan) -> usize {
    let mounts = &plan.lowered.mounts;
    // Hooks look at the mounts before pivot_root(2); a shared root would pass them on before it, and
    // not after; without pivot_root, what is bare is looked for before.
    let seen = plan.hooks.is_some()
        || plan.no_pivot
        || !plan.namespaces.mount.is_new()
        || plan.lowered.base_propagation == libc::MS_SHARED;
    if seen {
        return mounts.len();
    }
    let waiting = mounts.iter().rev().take(descriptors()).take_while(|mount| can_wait(mount, &plan.rootfs));
    mounts.len() - waiting.count()
}

fn can_wait(mount: &MountPlan, rootfs: &Path) -> bool {
    let path = &mount.destination;
    let needed = path == Path::new("/") || NEEDED.iter().any(|dir| path.starts_with(dir));
    let MountKind::Bind(source) = &mount.kind else { return false };
    // Such a source is as the mounts before it have left it.
    let sees_the_root = source.starts_with(rootfs) || rootfs.starts_with(source);
    !needed && !sees_the_root && !mount.options.copy_symlink
}

/// How many there may be: most of what the process may open is left to others.
fn descriptors() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE)
        .map_or(0, |(soft, _)| usize::try_from(soft / 4).unwrap_or(MOST).min(MOST))
}
