//! `linux.devices` and the device rules of `linux.resources`.

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, Spec};

use super::nul::no_nul;
use super::process::is_no_id;
use crate::error::{ValidateError, invalid, quoted};

pub(super) fn check(spec: &Spec) -> Result<(), ValidateError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (index, entry) in linux.devices().iter().flatten().enumerate() {
        device(index, entry)?;
    }
    let rules = linux.resources().as_ref().and_then(|resources| resources.devices().as_ref());
    for (index, entry) in rules.into_iter().flatten().enumerate() {
        rule(index, entry)?;
    }
    Ok(())
}

fn device(index: usize, device: &LinuxDevice) -> Result<(), ValidateError> {
    let field = |name: &str| format!("linux.devices[{index}].{name}");
    if !device.path().is_absolute() {
        let problem = format!("{} is not an absolute path", quoted(device.path()));
        return Err(invalid(field("path"), problem, "write it from the container's / on, such as /dev/fuse"));
    }
    no_nul(&field("path"), device.path())?;
    for (name, id) in [("uid", device.uid()), ("gid", device.gid())] {
        id.map_or(Ok(()), |id| is_no_id(&field(name), id))?;
    }
    match device.typ() {
        LinuxDeviceType::A => {
            return Err(invalid(field("type"), "invalid device type \"a\"", "use c, b, u or p"));
        }
        // A FIFO has no device number.
        LinuxDeviceType::P => {}
        LinuxDeviceType::B | LinuxDeviceType::C | LinuxDeviceType::U => {
            number(&field("major"), device.major(), MAJOR)?;
            number(&field("minor"), device.minor(), MINOR)?;
        }
    }
    Ok(())
}

/// The kernel's device numbers have 12 and 20 bits (linux/kdev_t.h). Of greater ones, mknod(2) is given the lower bits, which are
/// another device.
const MAJOR: u32 = 0xfff;
const MINOR: u32 = 0xf_ffff;

fn number(field: &str, value: i64, last: u32) -> Result<(), ValidateError> {
    if u32::try_from(value).is_ok_and(|value| value <= last) {
        return Ok(());
    }
    let problem = format!("{value} is not a device number (0 to {last})");
    Err(invalid(field, problem, "use what `stat -c '%Hr %Lr'` prints"))
}

fn rule(index: usize, rule: &LinuxDeviceCgroup) -> Result<(), ValidateError> {
    let field = |name: &str| format!("linux.resources.devices[{index}].{name}");
    let access = rule.access().as_deref().unwrap_or_default();
    if access.is_empty() {
        let problem = format!("device access at {index} field cannot be empty");
        return Err(invalid(field("access"), problem, "use some of r, w and m"));
    }
    if let Some(other) = access.chars().find(|c| !"rwma".contains(*c)) {
        let problem = format!("{access:?} contains {other:?}");
        return Err(invalid(field("access"), problem, "use only r, w and m"));
    }
    match rule.typ() {
        None | Some(LinuxDeviceType::A | LinuxDeviceType::B | LinuxDeviceType::C) => {}
        Some(other @ (LinuxDeviceType::U | LinuxDeviceType::P)) => {
            let problem = format!("invalid cgroup device type {:?}", other.as_str());
            return Err(invalid(field("type"), problem, "use a, b or c"));
        }
    }
    for (name, value) in [("major", rule.major()), ("minor", rule.minor())] {
        // -1 is how "all of them" is written as a number.
        if let Some(value) = value.filter(|value| *value != -1) {
            number(&field(name), value, u32::MAX)?;
        }
    }
    Ok(())
}
