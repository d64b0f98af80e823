//! Leaves out cgroup mounts if the host has no cgroups.
//!
//! If the host has cgroups, a mount that is not possible is replaced by a bind mount of the host's, as in runc: for
//! version 2 if the container has no cgroup namespace of its own, for version 1 always. `cgroup_namespaces`(7)

use super::view::{destination, is_cgroup, mounts};
use crate::host::CgroupMode;
use crate::pass::{AdaptError, Pass};

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    if !mounts(pass.spec).iter().any(is_cgroup) {
        return Ok(());
    }
    if pass.host.cgroup_mode() != CgroupMode::None {
        return Ok(());
    }
    let mut gone = Vec::new();
    if let Some(all) = pass.spec.mounts_mut() {
        all.retain(|mount| {
            // Outside /sys the author may depend on the mount being there.
            let drop = is_cgroup(mount) && destination(mount).starts_with("/sys");
            if drop {
                gone.push(destination(mount).display().to_string());
            }
            !drop
        });
    }
    for at in gone {
        pass.note(
            format!("mounts: cgroup on {at}: dropped"),
            "this host has no cgroups mounted on /sys/fs/cgroup",
        );
    }
    Ok(())
}
