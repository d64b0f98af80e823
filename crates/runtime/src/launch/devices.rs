//! `linux.netDevices`: moved into the container by the runtime, with libcontainer's own hands.

use std::collections::HashMap;
use std::os::fd::AsRawFd;

use libcontainer::network::cidr::CidrAddress;
use libcontainer::network::network_device::dev_change_net_namespace;

use crate::error::{Context, Error, Result, chain};
use crate::plan::Plan;

/// Moves them into the network namespace of a process; their addresses, to be set there again.
pub(super) fn move_into(plan: &Plan, pid: i32) -> Result<HashMap<String, Vec<CidrAddress>>> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = std::fs::File::open(&path).context(|| format!("open({path:?})"))?;
    let devices = plan.blueprint.spec.linux().as_ref().and_then(|l| l.net_devices().as_ref());
    let moved = devices.into_iter().flatten().map(|(name, device)| {
        let addresses = dev_change_net_namespace(name, namespace.as_raw_fd(), device).map_err(|e| {
            Error::system(chain(&e)).wrap(format!("linux.netDevices: {name:?}")).remedy(
                "moving a device takes CAP_NET_ADMIN in the user namespace that owns the device's network namespace",
            )
        })?;
        Ok((name.clone(), addresses))
    });
    moved.collect()
}
