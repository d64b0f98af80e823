//! A sysfs shows the network namespace of the process that mounts it, and mounting it requires privilege over that
//! namespace. Without that privilege the host's /sys is bind-mounted, recursively read-only; sysfs(5).

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use rootling_config::mounts::is_bind;
use rootling_config::namespaces::Namespace;

use super::view::{destination, has_type, is_cgroup, is_new, mounts, namespace, turn_into_bind};
use crate::host::Host;
use crate::pass::{AdaptError, Pass};

const SYS: &str = "/sys";

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    if !mounts(pass.spec).iter().any(is_sysfs) {
        return Ok(());
    }
    let Some(why) = refusal(pass.spec, pass.host) else { return Ok(()) };
    // Before Linux 5.12 only the top mount of the bind mount can be made read-only.
    let recursive = pass.host.kernel_at_least(5, 12);
    let options: &[&str] = &["rbind", "nosuid", "noexec", "nodev", "ro", "rro"];
    let options = if recursive { options } else { &options[..5] };
    let gone = replace(pass.spec, options);
    pass.note(format!("mounts: {}: replaced by a read-only bind of the host's /sys", list(&gone)), why);
    if !recursive {
        pass.warn(
            "mounts: /sys: only its top is read-only",
            "the kernel is older than 5.12, which can do all of it",
        );
    }
    Ok(())
}

fn is_sysfs(mount: &Mount) -> bool {
    is_new(mount, "sysfs")
}

/// Why the kernel would refuse a sysfs, if it would.
fn refusal(spec: &Spec, host: &Host) -> Option<&'static str> {
    let (network, user) =
        (namespace(spec, LinuxNamespaceType::Network), namespace(spec, LinuxNamespaceType::User));
    // A new user namespace has no privilege over a network namespace that existed before it.
    let owned = network.is_new() || (!user.is_new() && host.network_belongs_to(network.path(), user.path()));
    match network {
        _ if owned => host
            .sys_masked()
            .then_some("parts of /sys are mounted over here, so the kernel refuses a new sysfs"),
        Namespace::Path(path) if !host.is_own_namespace(LinuxNamespaceType::Network, &path) => Some(
            "the network namespace to join does not belong to the container's user namespace, as a sysfs needs",
        ),
        _ => {
            Some("the container shares the host's network namespace, and a sysfs requires privileges over it")
        }
    }
}

/// Replaces the first mount at or below /sys by the bind mount, and removes the others, except for cgroups and for
/// what the author has mounted there from elsewhere. A sysfs at another place becomes a bind mount there.
fn replace(spec: &mut Spec, options: &[&str]) -> Vec<PathBuf> {
    let Some(all) = spec.mounts_mut() else { return Vec::new() };
    let mut replaced = Vec::new();
    let mut bound = !all.iter().any(|mount| is_sysfs(mount) && destination(mount) == Path::new(SYS));
    all.retain_mut(|mount| {
        let at = destination(mount);
        if is_sysfs(mount) && !at.starts_with(SYS) {
            turn_into_bind(mount, SYS, options);
            replaced.push(at);
            return true;
        }
        if !is_part_of_sys(mount, &at) {
            return true;
        }
        replaced.push(at);
        if bound {
            return false;
        }
        bound = true;
        mount.set_destination(SYS.into());
        turn_into_bind(mount, SYS, options);
        true
    });
    replaced
}

fn is_part_of_sys(mount: &Mount, at: &Path) -> bool {
    if !at.starts_with(SYS) || is_cgroup(mount) {
        return false;
    }
    if is_bind(mount) {
        // It is from the host's own /sys, which the bind mount brings along.
        return mount.source().as_deref() == Some(at);
    }
    at == Path::new(SYS) || !has_type(mount, "tmpfs")
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
