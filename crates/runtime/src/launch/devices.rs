//! `linux.netDevices`: the runtime moves them into the container, using libcontainer's code.

use std::collections::HashMap;
use std::os::fd::AsRawFd;

use libcontainer::network::cidr::CidrAddress;
use libcontainer::network::network_device::dev_change_net_namespace;

use crate::error::{Context, Error, Result, chain};
use crate::plan::Plan;

/// Moves the devices into the network namespace of a process; returns their addresses, which must be set again there.
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
