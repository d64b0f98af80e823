//! Moves a further process into a container's cgroup, for `exec`.

use std::path::PathBuf;

use crate::{Cgroup, CgroupError, file, procs};

impl Cgroup {
    /// Moves process `pid` into each of these directories: those of [`Cgroup::paths`], or cgroups below
    /// them.
    ///
    /// If the first process of the container, `init`, has moved on and the directory was removed, the process
    /// goes where `init` is now. If the caller is an ordinary user who may not move it, and no limits depend on
    /// it, the process stays where it is.
    ///
    /// # Errors
    /// A directory does not exist, or the kernel refuses.
    pub fn join(&self, pid: i32, dirs: &[PathBuf], init: Option<i32>) -> Result<(), CgroupError> {
        for dir in dirs {
            let joined = match (procs::attach(dir, pid), init) {
                (Err(CgroupError::Attach { source, .. }), Some(init)) if file::is_gone(&source) => {
                    let now = self.now_of(init, dir).unwrap_or_else(|| dir.clone());
                    procs::attach(&now, pid)
                }
                (other, _) => other,
            };
            match joined {
                // The scope is in another part of the tree than the caller, but systemd may move the process
                // there.
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
