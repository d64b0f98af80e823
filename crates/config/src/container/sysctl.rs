//! `linux.sysctl`: accepts only what belongs to a namespace of the container, so that nothing changes the host.

use oci_spec::runtime::Spec;

use crate::error::{ValidateError, invalid};
use crate::namespaces::{Namespace, NamespaceSet};

/// The variables of the ipc namespace outside `fs.mqueue` (`ipc_namespaces(7)`).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(super) fn check(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    let Some(variables) = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref()) else {
        return Ok(());
    };
    // Sorted, so that of several errors the same one is always reported.
    let mut names: Vec<_> = variables.keys().collect();
    names.sort_unstable();
    names.into_iter().try_for_each(|name| variable(name, set))
}

fn variable(given: &str, set: &NamespaceSet) -> Result<(), ValidateError> {
    let field = || format!("linux.sysctl.{given}");
    let add = |kind: &str| format!("add {{\"type\": \"{kind}\"}} to linux.namespaces, or remove it");
    let name = dotted(given);
    // The name becomes a path below /proc/sys.
    if name.split('.').any(|part| part.is_empty() || part == "/" || part.contains('\0'))
        || given.split('/').any(|part| part == "..")
    {
        return Err(invalid(field(), "not the name of a variable", "write it like net.ipv4.ip_forward"));
    }
    if IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
        let problem = format!("sysctl {name:?} is not allowed in the hosts ipc namespace");
        return if set.ipc.is_set() { Ok(()) } else { Err(invalid(field(), problem, add("ipc"))) };
    }
    if name.starts_with("net.") {
        let problem = format!("sysctl {name:?} not allowed in host network namespace");
        return if own_network(&set.network) {
            Ok(())
        } else {
            Err(invalid(field(), problem, add("network")))
        };
    }
    if name.starts_with("user.") {
        let problem = format!("setting ucounts without a user namespace not allowed: {name}");
        return if set.user.is_set() { Ok(()) } else { Err(invalid(field(), problem, add("user"))) };
    }
    if set.uts.is_set() && name == "kernel.domainname" {
        return Ok(());
    }
    if set.uts.is_set() && name == "kernel.hostname" {
        let problem =
            format!("sysctl {name:?} is not allowed as it conflicts with the OCI \"hostname\" field");
        return Err(invalid(field(), problem, "set hostname instead"));
    }
    let problem = format!("sysctl {name:?} is not in a separate kernel namespace");
    Err(invalid(field(), problem, "remove it; it would change the host"))
}

/// Whether the network is the container's own. Whether a path leads back to the caller's namespace is checked by the
/// runtime.
fn own_network(network: &Namespace) -> bool {
    match network {
        Namespace::None => false,
        Namespace::New => true,
        Namespace::Path(path) => {
            !["/proc/self/ns/net", "/proc/thread-self/ns/net"].iter().any(|own| path.as_os_str() == *own)
        }
    }
}

/// Converts the name to dots. sysctl(8) accepts `/` for `.`: if the first separator of a name is a slash, the two are
/// swapped, and `net/ipv4/conf/eno2.100/rp_filter` is the variable of the interface `eno2.100`.
fn dotted(name: &str) -> String {
    if name.find(['.', '/']).is_none_or(|first| name[first..].starts_with('.')) {
        return name.to_owned();
    }
    name.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_as_first_separator_swaps_the_two() {
        for (given, expected) in [
            ("kernel.shmmax", "kernel.shmmax"),
            ("kernel/shmmax", "kernel.shmmax"),
            ("net/ipv4/conf/eno2.100/rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
            ("net.ipv4.conf.eno2/100.rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(dotted(given), expected);
        }
    }
}
