//! The namespaces of the child, and its identity in them.

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use oci_spec::runtime::LinuxNamespaceType as Kind;
use rootling_config::namespaces::{NamespaceSet, clone_flag};
use rootling_rootless::host::{Host as Machine, Restriction};
use rootling_sys as sys;

use crate::blueprint::Blueprint;
use crate::channel::{Channel, FromChild};
use crate::error::{Context, Error, Operation, Result};

/// Makes the namespaces that the mounts need, in one call; user, pid and joined namespaces exist already.
///
/// This runs while the runtime writes the id maps: making the namespaces needs no mapped id.
pub(super) fn make(namespaces: &NamespaceSet) -> Result<()> {
    let flags: CloneFlags = [Kind::Uts, Kind::Ipc, Kind::Network, Kind::Mount]
        .into_iter()
        .filter(|kind| namespaces.get(*kind).is_new())
        .map(clone_flag)
        .collect();
    unshare(flags)
        .context(|| format!("unshare({})", names(flags)))
        .map_err(|e| e.during(Operation::NewNamespaces))
}

fn names(flags: CloneFlags) -> String {
    flags.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join("|")
}

/// Makes or joins those that have to wait until the process is in its cgroup, and becomes root in what it joins.
pub(super) fn finish(namespaces: &NamespaceSet) -> Result<()> {
    if namespaces.cgroup.is_new() {
        // Its root is the cgroup that the process is in at the time of the call: cgroup_namespaces(7).
        unshare(CloneFlags::CLONE_NEWCGROUP).context(|| "unshare(CLONE_NEWCGROUP)")?;
    }
    if let Some(path) = namespaces.mount.path() {
        // Last, since the paths of all others refer to the previous mount namespace.
        let what = || format!("mount namespace {path:?}");
        let file = std::fs::File::open(path).context(what)?;
        setns(file, CloneFlags::CLONE_NEWNS).context(what)?;
    }
    Ok(())
}

/// Sets the host name and the domain name of the container. Seccomp profiles of outer containers forbid these calls
/// without CAP_SYS_ADMIN out there; the container can do without the names unless it is to be strict.
pub(super) fn set_names(blueprint: &Blueprint, channel: &Channel, machine: &Machine) -> Result<()> {
    if !blueprint.namespaces.uts.is_set() {
        return Ok(());
    }
    let (hostname, domainname) = &blueprint.names;
    let names = [
        ("hostname", hostname, (|name| nix::unistd::sethostname(name)) as fn(&str) -> nix::Result<()>),
        ("domainname", domainname, sys::process::set_domainname),
    ];
    for (field, name, set) in names {
        let Some(name) = name else { continue };
        match set(name) {
            Err(Errno::EPERM) if has_seccomp_filter(machine) => {
                let text =
                    format!("{field} {name:?}: set{field}: EPERM: {}", Restriction::SeccompFilter.advice());
                if blueprint.strict {
                    return Err(Error::system(text));
                }
                channel.send(&FromChild::Warning(format!("{text}; the outer name stays")))?;
            }
            other => other.context(|| format!("{field} {name:?}: set{field}"))?,
        }
    }
    Ok(())
}

fn has_seccomp_filter(machine: &Machine) -> bool {
    machine.user_namespace_restrictions().contains(&Restriction::SeccompFilter)
}
