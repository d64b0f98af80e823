//! Devices cannot be created in a user namespace, so the host's are bind-mounted: they must exist and be the same
//! device. One that the caller may not open is useless, and therefore an error; only for root of a user namespace
//! is it just a warning, since engines there pass all devices of the host to privileged containers. mknod(2)

use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use crate::host::{Access, Host, NodeFacts, NodeKind};
use crate::pass::{AdaptError, Pass};

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let lenient = !pass.options.strict && !pass.host.is_ordinary_user();
    let devices = pass.spec.linux().as_ref().and_then(|linux| linux.devices().as_deref());
    let mut closed = Vec::new();
    for (index, device) in devices.unwrap_or_default().iter().enumerate() {
        let path = device.path();
        match check(pass.host, device) {
            Ok(None) => {}
            Ok(Some(_)) if lenient => closed.push(path.display().to_string()),
            Ok(Some(why)) => {
                let remedy = "join the group that owns it, or remove the entry".into();
                return Err(AdaptError::Device { index, path: path.clone(), why, remedy });
            }
            Err((why, remedy)) => return Err(AdaptError::Device { index, path: path.clone(), why, remedy }),
        }
    }
    if !closed.is_empty() {
        let what = format!("linux.devices: the container cannot open {}", closed.join(", "));
        pass.warn(what, "on the host the caller may neither read nor write them (--strict fails instead)");
    }
    Ok(())
}

/// Returns an error if the device cannot be bind-mounted; otherwise why the caller cannot open it, if that is so.
fn check(host: &Host, device: &LinuxDevice) -> Result<Option<String>, (String, String)> {
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
        return Ok(None);
    }
    check_same(device, &node)?;
    Ok(closed(host, path, &node))
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
        NodeKind::File | NodeKind::Directory | NodeKind::Other => "not a device".into(),
    };
    Err((format!("is {found} on this host, not {asked}"), "correct type, major and minor".into()))
}

fn closed(host: &Host, path: &Path, node: &NodeFacts) -> Option<String> {
    if host.may(path, Access::Read) || host.may(path, Access::Write) {
        return None;
    }
    Some(format!("the caller may neither read nor write it (mode {:04o}, owner {})", node.mode, node.uid))
}
