//! Cgroup mounts are left out where the host has no cgroups.
//!
//! Where it has them, one that cannot be mounted is replaced by a bind of what the host has, as in runc: of
//! version 2 without a cgroup namespace of the container's own, of version 1 always. `cgroup_namespaces`(7)

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
            // Elsewhere than below /sys the author may depend on the mount being there.
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
