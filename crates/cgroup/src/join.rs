//! A further process of a container: `exec`.

use std::path::PathBuf;

use crate::{Cgroup, CgroupError, file, procs};

impl Cgroup {
    /// Moves process `pid` into each of these directories: those of [`Cgroup::paths`], or cgroups below
    /// them.
    ///
    /// An ordinary user who may not, and has no limits that depend on it, leaves it where it is.
    ///
    /// # Errors
    /// A directory does not exist, or the kernel refuses.
    pub fn join(&self, pid: i32, dirs: &[PathBuf]) -> Result<(), CgroupError> {
        for dir in dirs {
            match procs::attach(dir, pid) {
                // The scope is in another part of the tree than the caller: systemd may move it there.
                Err(CgroupError::Attach { source, .. }) if file::is_denied(&source) && self.is_scope() => {
                    self.attach_through_systemd(pid, dir)?;
                }
                Err(CgroupError::Attach { source, .. })
                    if self.may_be_left_out() && file::is_denied(&source) =>
                {
                    tracing::debug!("process {pid} stays outside of {}: {source}", dir.display());
                }
                other => other?,
            }
        }
        Ok(())
    }
}
