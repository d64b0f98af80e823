//! `--pid`, `--ipc`, `--uts`, `--network`, `--cgroupns` and `--userns`, and their consequences for the default
//! mounts.

use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, Mount, Spec};

use super::base::{bind_options, namespace};
use super::choices::{NamespaceChoice, UserNamespace};
use super::error::{GenerateError, wrong};
use super::{Facts, Files, Request};
use crate::remedies::FREE_PORTS;

pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    facts: &Facts,
    files: &dyn Files,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let wanted = &request.namespaces;
    set_user(spec, &wanted.user, facts)?;
    for (typ, choice) in [
        (LinuxNamespaceType::Pid, &wanted.pid),
        (LinuxNamespaceType::Network, &wanted.network),
        (LinuxNamespaceType::Ipc, &wanted.ipc),
        (LinuxNamespaceType::Uts, &wanted.uts),
        (LinuxNamespaceType::Cgroup, &wanted.cgroup),
    ] {
        set(spec, typ, choice);
    }
    set_hostname(spec, request)?;
    let user = has(spec, LinuxNamespaceType::User);
    if !has(spec, LinuxNamespaceType::Ipc) {
        share_ipc(spec, files);
    }
    if user && !has(spec, LinuxNamespaceType::Pid) {
        share_proc(spec);
    }
    if user {
        // The kernel lets only the owner of the network namespace mount sysfs.
        let own =
            matches!(find(spec, LinuxNamespaceType::Network), Some(network) if network.path().is_none());
        set_sysfs(spec, own);
        drop_unmapped(spec);
    }
    if user && wanted.network == NamespaceChoice::Host {
        warnings.extend(missing_in_the_hosts_network(facts));
    }
    Ok(())
}

/// What a capability of a user namespace does not permit in the host's network, which does not belong to that
/// namespace.
fn missing_in_the_hosts_network(facts: &Facts) -> Option<String> {
    let port = facts.first_free_port.filter(|port| *port > 0);
    let ports = port.map(|port| {
        let what = format!("bind ports below {port}");
        (what, FREE_PORTS.to_owned())
    });
    let ping = (!facts.may_ping)
        .then(|| ("use ping".to_owned(), "net.ipv4.ping_group_range='0 2147483647'".to_owned()));
    let (what, sysctls): (Vec<_>, Vec<_>) = ports.into_iter().chain(ping).unzip();
    (!what.is_empty()).then(|| {
        let (what, sysctls) = (what.join(", nor "), sysctls.join(" "));
        format!(
            "--network host: the container's programs cannot {what}; as root, `sysctl -w {sysctls}` lets them"
        )
    })
}

/// Whether the container has a namespace of this type, instead of the caller's.
pub(super) fn has(spec: &Spec, typ: LinuxNamespaceType) -> bool {
    find(spec, typ).is_some()
}

fn find(spec: &Spec, typ: LinuxNamespaceType) -> Option<&LinuxNamespace> {
    spec.linux().as_ref()?.namespaces().as_ref()?.iter().find(|namespace| namespace.typ() == typ)
}

fn set(spec: &mut Spec, typ: LinuxNamespaceType, choice: &NamespaceChoice) {
    let Some(namespaces) = spec.linux_mut().as_mut().and_then(|linux| linux.namespaces_mut().as_mut()) else {
        return;
    };
    let path = match choice {
        NamespaceChoice::Default => return,
        NamespaceChoice::Host => return namespaces.retain(|namespace| namespace.typ() != typ),
        NamespaceChoice::Private => None,
        NamespaceChoice::Joined(path) => Some(path.clone()),
    };
    let mut new = namespace(typ);
    new.set_path(path);
    match namespaces.iter_mut().find(|namespace| namespace.typ() == typ) {
        Some(old) => *old = new,
        None => namespaces.push(new),
    }
}

fn set_user(spec: &mut Spec, wanted: &UserNamespace, facts: &Facts) -> Result<(), GenerateError> {
    let (choice, maps) = match wanted {
        UserNamespace::Default => return Ok(()),
        UserNamespace::Host if facts.is_ordinary_user() => {
            let problem =
                "an ordinary user can run a container only in a user namespace; use auto, or leave it out";
            return Err(wrong("userns", "host", problem));
        }
        UserNamespace::Host => (NamespaceChoice::Host, None),
        UserNamespace::Maps { uid, gid } => (NamespaceChoice::Private, Some((uid.clone(), gid.clone()))),
        UserNamespace::Joined(path) => (NamespaceChoice::Joined(path.clone()), None),
    };
    set(spec, LinuxNamespaceType::User, &choice);
    if let Some(linux) = spec.linux_mut() {
        let (uid, gid) = maps.unzip();
        linux.set_uid_mappings(uid).set_gid_mappings(gid);
    }
    Ok(())
}

/// Sets the host name, which belongs to the UTS namespace; one that others use is not renamed.
fn set_hostname(spec: &mut Spec, request: &Request) -> Result<(), GenerateError> {
    let own = matches!(find(spec, LinuxNamespaceType::Uts), Some(uts) if uts.path().is_none());
    match &request.hostname {
        Some(name) if !own => {
            let problem = "needs a uts namespace of the container's own; leave out --uts, or this";
            return Err(wrong("hostname", name, problem));
        }
        Some(name) if name.is_empty() || name.len() > 64 => {
            return Err(wrong("hostname", name, "has to have 1 to 64 bytes, see sethostname(2)"));
        }
        Some(name) => spec.set_hostname(Some(name.clone())),
        None if !own => spec.set_hostname(None),
        None => spec,
    };
    Ok(())
}

fn mounts(spec: &mut Spec) -> &mut Vec<Mount> {
    spec.mounts_mut().get_or_insert_default()
}

fn bind(mount: &mut Mount, source: &str, options: Vec<String>) {
    mount.set_typ(Some("none".to_owned())).set_source(Some(source.into())).set_options(Some(options));
}

/// Shares shared memory and message queues, which are then looked up in the host's own file systems.
fn share_ipc(spec: &mut Spec, files: &dyn Files) {
    let mounts = mounts(spec);
    mounts.retain(|mount| mount.destination() != "/dev/mqueue" || files.node("/dev/mqueue".as_ref()).is_ok());
    for (place, source) in [("/dev/shm", "/dev/shm"), ("/dev/mqueue", "/dev/mqueue")] {
        if let Some(mount) = mounts.iter_mut().find(|mount| mount.destination() == place) {
            bind(mount, source, bind_options(&[]));
        }
    }
}

/// Bind-mounts the host's /proc. The kernel refuses a new procfs for somebody else's pid namespace, and what is
/// read-only in the host's own cannot be made so once more.
fn share_proc(spec: &mut Spec) {
    if let Some(mount) = mounts(spec).iter_mut().find(|mount| mount.destination() == "/proc") {
        bind(mount, "/proc", bind_options(&[]));
    }
    if let Some(paths) = spec.linux_mut().as_mut().and_then(|linux| linux.readonly_paths_mut().as_mut()) {
        paths.retain(|path| !Path::new(path).starts_with("/proc"));
    }
}

fn set_sysfs(spec: &mut Spec, own_network: bool) {
    let Some(mount) = mounts(spec).iter_mut().find(|mount| mount.destination() == "/sys") else { return };
    if own_network {
        let options = ["nosuid", "noexec", "nodev", "ro"].map(str::to_owned);
        mount
            .set_typ(Some("sysfs".to_owned()))
            .set_source(Some("sysfs".into()))
            .set_options(Some(options.into()));
    } else {
        bind(mount, "/sys", bind_options(&["ro"]));
    }
}

/// Removes mount options that name an unmapped id, which cannot own anything: mount(2) would fail with EINVAL.
fn drop_unmapped(spec: &mut Spec) {
    let linux = spec.linux().as_ref();
    let maps = |of: Option<&Vec<LinuxIdMapping>>| of.cloned().unwrap_or_default();
    let uids = maps(linux.and_then(|linux| linux.uid_mappings().as_ref()));
    let gids = maps(linux.and_then(|linux| linux.gid_mappings().as_ref()));
    let mapped = |maps: &[LinuxIdMapping], id: &str| {
        id.parse::<u32>().is_ok_and(|id| {
            maps.iter().any(|map| id >= map.container_id() && id - map.container_id() < map.size())
        })
    };
    for options in mounts(spec).iter_mut().filter_map(|mount| mount.options_mut().as_mut()) {
        options.retain(|option| match option.split_once('=') {
            Some(("uid", id)) => mapped(&uids, id),
            Some(("gid", id)) => mapped(&gids, id),
            _ => true,
        });
    }
}
