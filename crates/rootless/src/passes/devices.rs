//! Devices cannot be created in a user namespace, so those of the host are bound: they have to be
//! there, be the same, and be open to the caller. mknod(2)

use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use crate::adapt::{AdaptError, Pass};
use crate::host::{Access, Host, NodeFacts, NodeKind};

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let devices = pass.spec.linux().as_ref().and_then(|linux| linux.devices().as_deref());
    for (index, device) in devices.unwrap_or_default().iter().enumerate() {
        if let Err((why, remedy)) = check(pass.host, device) {
            return Err(AdaptError::Device { index, path: device.path().clone(), why, remedy });
        }
    }
    Ok(())
}

fn check(host: &Host, device: &LinuxDevice) -> Result<(), (String, String)> {
    let path = device.path();
    let node = host.node(path).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "not on this host".into(),
            _ => format!("cannot be looked at: {error}"),
        };
        (why, "load its driver, or remove the entry".into())
    })?;
    // A directory stands for the devices in it.
    if node.kind == NodeKind::Directory {
        return Ok(());
    }
    check_same(device, &node)?;
    check_open(host, path, &node)
}

fn check_same(device: &LinuxDevice, node: &NodeFacts) -> Result<(), (String, String)> {
    let wanted = match device.typ() {
        LinuxDeviceType::B => NodeKind::Block,
        LinuxDeviceType::P => NodeKind::Fifo,
        LinuxDeviceType::C | LinuxDeviceType::U | LinuxDeviceType::A => NodeKind::Char,
    };
    let numbers = (i64::from(node.major), i64::from(node.minor));
    let same_numbers = wanted == NodeKind::Fifo || numbers == (device.major(), device.minor());
    if node.kind == wanted && same_numbers {
        return Ok(());
    }
    let asked = format!("{} {}:{}", device.typ().as_str(), device.major(), device.minor());
    let found = match node.kind {
        NodeKind::Char => format!("c {}:{}", node.major, node.minor),
        NodeKind::Block => format!("b {}:{}", node.major, node.minor),
        NodeKind::Fifo => "a named pipe".into(),
        NodeKind::File | NodeKind::Directory | NodeKind::Other => "no device".into(),
    };
    Err((format!("is {found} on this host, not {asked}"), "correct type, major and minor".into()))
}

fn check_open(host: &Host, path: &Path, node: &NodeFacts) -> Result<(), (String, String)> {
    if host.may(path, Access::Read) || host.may(path, Access::Write) {
        return Ok(());
    }
    let why =
        format!("the caller may neither read nor write it (mode {:04o}, owner {})", node.mode, node.uid);
    Err((why, "join the group that owns it, or remove the entry".into()))
}
