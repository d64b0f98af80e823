//! A cgroup file system can be mounted where there is one hierarchy, version 2, and the container
//! has a cgroup namespace of its own. `cgroup_namespaces`(7)
//!
//! Of version 1 the own cgroup in each hierarchy is bound, which is always possible.

use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use super::view::{Namespace, destination, is_bind, is_cgroup, mounts, namespace};
use crate::adapt::{AdaptError, Pass};
use crate::host::CgroupMode;

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    if !mounts(pass.spec).iter().any(is_cgroup) {
        return Ok(());
    }
    let own_namespace = namespace(pass.spec, LinuxNamespaceType::Cgroup) != Namespace::Shared;
    let why = match pass.host.cgroup_mode() {
        CgroupMode::V1 | CgroupMode::Hybrid => return Ok(()),
        // Below a bound /sys the mount is never missed: refused, it is replaced by a bind of the same.
        CgroupMode::V2 if own_namespace || has_bound_sys(pass.spec) => return Ok(()),
        CgroupMode::V2 => {
            "it takes a cgroup namespace of the container's own: add one to linux.namespaces to have it"
        }
        CgroupMode::None => "this host has no cgroups mounted on /sys/fs/cgroup",
    };
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
        pass.note(format!("mounts: cgroup on {at}: dropped"), why);
    }
    Ok(())
}

fn has_bound_sys(spec: &Spec) -> bool {
    let is_bound_sys = |mount: &Mount| is_bind(mount) && destination(mount) == Path::new("/sys");
    mounts(spec).iter().any(is_bound_sys)
}
