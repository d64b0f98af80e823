//! `--device SOURCE[:DESTINATION[:PERMISSIONS]]` and `--device-cgroup-rule TYPE MAJOR:MINOR PERMISSIONS`.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxNamespaceType, LinuxResources, Mount, Spec,
};

use super::error::{GenerateError, wrong};
use super::namespaces::has;
use super::{Files, Node, NodeKind, Request};

/// Names below /dev that every container has its own version of.
const OWN: [&str; 12] =
    ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd"];

/// A limit on the depth of a directory of devices: anything deeper is a mistake.
const DEEPEST: usize = 8;

/// A device, and its path in the container.
struct Device {
    source: PathBuf,
    destination: PathBuf,
    access: String,
    node: Node,
}

pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    rootless: bool,
    files: &dyn Files,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let mut devices = Vec::new();
    for text in &request.device {
        parse(text, files, &mut devices)?;
    }
    let namespace = has(spec, LinuxNamespaceType::User);
    for device in devices {
        if namespace {
            // Nobody in a user namespace can make a device node. Runtimes may bind-mount the device with the same
            // path instead, if they support that at all. An explicit mount works with each of them, at any path.
            spec.mounts_mut().get_or_insert_default().push(bound(&device));
        } else if let Some(linux) = spec.linux_mut() {
            let list = linux.devices_mut().get_or_insert_default();
            list.retain(|known| *known.path() != device.destination);
            list.push(listed(&device));
            let (typ, major, minor) = numbers(device.node.kind);
            allow(linux, typ, Some(major), Some(minor), device.access);
        }
    }
    set_rules(spec, &request.device_cgroup_rule, rootless, warnings)
}

/// Allows access to devices without making nodes for them. Only root can set such rules.
fn set_rules(
    spec: &mut Spec,
    given: &[String],
    rootless: bool,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    const FLAG: &str = "device-cgroup-rule";
    let rules = given.iter().map(|text| {
        let rule = rule(text);
        rule.ok_or_else(|| {
            wrong(
                FLAG,
                text,
                "is not of the form TYPE MAJOR:MINOR ACCESS, such as \"c 10:229 rwm\" or \"a *:* rwm\"",
            )
        })
    });
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    if rootless && !given.is_empty() {
        warnings.push(format!(
            "--{FLAG}: left out: only root can set it; without it the permissions of the host's devices decide"
        ));
        return Ok(());
    }
    for (text, (typ, major, minor, access)) in given.iter().zip(rules) {
        if typ == LinuxDeviceType::A && (major, minor, access.len()) != (None, None, 3) {
            warnings.push(format!(
                "--{FLAG} {text:?}: type a allows every access to every device, whatever follows; use b or c for some"
            ));
        }
        if let Some(linux) = spec.linux_mut() {
            allow(linux, typ, major, minor, access);
        }
    }
    Ok(())
}

/// Docker's `^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$`.
fn rule(text: &str) -> Option<(LinuxDeviceType, Option<i64>, Option<i64>, String)> {
    let mut words = text.split(' ');
    let (typ, numbers, access) = (words.next()?, words.next()?, words.next()?);
    let typ = match typ {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return None,
    };
    let number = |text: &str| match text {
        "*" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse::<u32>().ok().map(|number| Some(number.into()))
        }
        _ => None,
    };
    let (major, minor) = numbers.split_once(':')?;
    let valid = (1..=3).contains(&access.len()) && access.chars().all(|c| "rwm".contains(c));
    (valid && words.next().is_none()).then_some((typ, number(major)?, number(minor)?, access.to_owned()))
}

fn parse(text: &str, files: &dyn Files, devices: &mut Vec<Device>) -> Result<(), GenerateError> {
    let parts: Vec<_> = text.split(':').collect();
    let is_access = |part: &str| !part.is_empty() && part.chars().all(|c| "rwm".contains(c));
    let (source, destination, access) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, access] if is_access(access) => (source, source, access),
        [source, destination] => (source, destination, "rwm"),
        [source, destination, access] if is_access(access) => (source, destination, access),
        _ => return Err(wrong("device", text, "is not of the form SOURCE[:DESTINATION][:r|w|m]")),
    };
    if !source.starts_with('/') || !destination.starts_with('/') || destination.split('/').any(|p| p == "..")
    {
        return Err(wrong("device", text, "paths of devices have to be absolute, without \"..\""));
    }
    let (source, destination) = (Path::new(source), Path::new(destination));
    let node = files.node(source).map_err(|error| {
        wrong("device", text, format!("{}: {error}; load its driver, or leave it out", source.display()))
    })?;
    match node.kind {
        NodeKind::Other => {
            return Err(wrong("device", text, "is neither a device nor a directory; use --volume for files"));
        }
        NodeKind::Directory => {
            let before = devices.len();
            below(source, destination, access, files, devices, DEEPEST);
            if devices.len() == before {
                return Err(wrong("device", text, "is a directory without a device below it"));
            }
        }
        NodeKind::Char(..) | NodeKind::Block(..) => devices.push(Device {
            source: source.to_owned(),
            destination: destination.to_owned(),
            access: access.to_owned(),
            node,
        }),
    }
    Ok(())
}

/// Lists every device below a directory. What cannot be examined is skipped, and so is what every container has its
/// own version of.
fn below(
    source: &Path,
    destination: &Path,
    access: &str,
    files: &dyn Files,
    devices: &mut Vec<Device>,
    deep: usize,
) {
    for path in files.list(source).unwrap_or_default() {
        let Some(name) = path.file_name().map(PathBuf::from) else { continue };
        let place = destination.join(&name);
        if OWN.iter().any(|own| place == Path::new("/dev").join(own)) {
            continue;
        }
        let Ok(node) = files.node(&path) else { continue };
        match node.kind {
            NodeKind::Directory if deep > 0 => below(&path, &place, access, files, devices, deep - 1),
            NodeKind::Directory | NodeKind::Other => {}
            NodeKind::Char(..) | NodeKind::Block(..) => {
                devices.push(Device { source: path, destination: place, access: access.to_owned(), node });
            }
        }
    }
}

fn numbers(kind: NodeKind) -> (LinuxDeviceType, i64, i64) {
    match kind {
        NodeKind::Block(major, minor) => (LinuxDeviceType::B, major.into(), minor.into()),
        NodeKind::Char(major, minor) => (LinuxDeviceType::C, major.into(), minor.into()),
        NodeKind::Directory | NodeKind::Other => (LinuxDeviceType::C, 0, 0),
    }
}

fn listed(device: &Device) -> LinuxDevice {
    let (typ, major, minor) = numbers(device.node.kind);
    let mut listed = LinuxDevice::default();
    listed
        .set_path(device.destination.clone())
        .set_typ(typ)
        .set_major(major)
        .set_minor(minor)
        .set_file_mode(Some(device.node.mode & 0o777))
        .set_uid(Some(device.node.uid))
        .set_gid(Some(device.node.gid));
    listed
}

/// A bind mount of the host's node, whose mode and owner stay as they are.
fn bound(device: &Device) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(device.destination.clone())
        .set_typ(Some("bind".to_owned()))
        .set_source(Some(device.source.clone()))
        .set_options(Some(["bind", "nosuid", "noexec"].map(str::to_owned).into()));
    mount
}

/// Adds a rule; a number that is `None` stands for all numbers.
fn allow(linux: &mut Linux, typ: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: String) {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true).set_typ(Some(typ)).set_major(major).set_minor(minor).set_access(Some(access));
    // The default of `LinuxResources` contains a device rule.
    let empty = || {
        let mut resources = LinuxResources::default();
        resources.set_devices(None);
        resources
    };
    linux.resources_mut().get_or_insert_with(empty).devices_mut().get_or_insert_default().push(rule);
}
