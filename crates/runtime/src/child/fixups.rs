//! What libcontainer does not do to mounts, done when all of them stand.

use std::os::fd::{AsFd, OwnedFd};

use super::begin::relative;
use super::paths::open_root;
use crate::copy::copy_tree;
use crate::error::{Context, Result};
use crate::lower::{Action, Fixup};
use crate::sys::mount::{MountAttr, open_in_root, set_attr};

/// Applies the fixups in their order; `copy_up` holds what was opened for those of that kind.
pub(super) fn apply(fixups: &[Fixup], copy_up: &[Option<OwnedFd>]) -> Result<()> {
    if fixups.is_empty() {
        return Ok(());
    }
    let root = open_root()?;
    let mut sources = copy_up.iter();
    for fixup in fixups {
        let what = || format!("mount on {:?}: {:?}", fixup.destination, fixup.action);
        let target = open_in_root(root.as_fd(), &relative(&fixup.destination), libc::O_PATH).context(what)?;
        match &fixup.action {
            Action::Attributes { set, clear } => {
                let attr = MountAttr { set: *set, clear: *clear, ..MountAttr::default() };
                set_attr(target.as_fd(), false, &attr).context(what)?;
            }
            Action::Propagation { flags, recursive } => {
                let attr = MountAttr { propagation: *flags, ..MountAttr::default() };
                set_attr(target.as_fd(), *recursive, &attr).context(what)?;
            }
            Action::CopyUp => {
                if let Some(Some(source)) = sources.next() {
                    copy_tree(source, &target).map_err(|e| e.wrap(what()))?;
                }
            }
            Action::ControllerLinks(links) => {
                for (name, to) in links {
                    use std::os::fd::AsRawFd;
                    nix::unistd::symlinkat(to.as_str(), Some(target.as_raw_fd()), name.as_str())
                        .context(what)?;
                }
            }
        }
    }
    Ok(())
}

/// The wanted propagation of the root, when nothing is mounted any more.
pub(super) fn set_root_propagation(flags: u64, recursive: bool) -> Result<()> {
    let root = open_root()?;
    let attr = MountAttr { propagation: flags, ..MountAttr::default() };
    set_attr(root.as_fd(), recursive, &attr).context(|| "linux.rootfsPropagation: mount_setattr(\"/\")")
}
