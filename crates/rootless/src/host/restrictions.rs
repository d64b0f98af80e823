//! What may keep the caller from making a user namespace; `user_namespaces`(7).

use std::path::Path;

use rootling_config::remedies::raise_namespaces;

use super::{Host, install_profile};

/// Something that keeps an ordinary user from making user namespaces, or from using them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restriction {
    /// The kernel was built without user namespaces (`CONFIG_USER_NS`).
    NotBuilt,
    /// `kernel.unprivileged_userns_clone` is 0: Debian 10, linux-hardened.
    CloneDenied,
    /// `user.max_user_namespaces` is 0. namespaces(7)
    NoneAllowed,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1 and no profile covers the caller: Ubuntu 23.10 and
    /// newer. The namespace can still be made, but without capabilities in it.
    AppArmorSysctl,
    /// The caller is confined by this AppArmor profile. In an outer container, the profiles of Docker and podman forbid
    /// mounts; on a host, from Linux 6.7 on, a profile forbids user namespaces unless it has `userns`.
    AppArmorProfile(String),
    /// A seccomp filter is in force, as in an outer container: `Seccomp` in proc_pid_status(5). Docker's filter
    /// forbids new namespaces and mounts.
    SeccompFilter,
}

impl Restriction {
    /// Whether it is certain to be the reason; others may or may not be involved.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::AppArmorProfile(_) | Self::SeccompFilter)
    }

    /// What the obstacle is, followed by what to do about it, in one sentence.
    pub fn advice(&self) -> String {
        match self {
            Self::NotBuilt => "this kernel has no user namespaces: boot one built with CONFIG_USER_NS".into(),
            Self::CloneDenied => {
                "kernel.unprivileged_userns_clone is 0: as root run `sysctl -w kernel.unprivileged_userns_clone=1`"
                    .into()
            }
            Self::NoneAllowed => {
                let limit = "user.max_user_namespaces";
                format!("{limit} is 0: {}", raise_namespaces(&[limit]))
            }
            Self::AppArmorSysctl => format!(
                "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1), and rootling has no \
                 profile that allows them: {}",
                install_profile()
            ),
            Self::AppArmorProfile(profile) => format!(
                "the AppArmor profile \"{profile}\" is in force: if it is that of an outer container, start that container \
                 with --security-opt apparmor=unconfined; on a host, give rootling a profile of its own, {}",
                install_profile()
            ),
            Self::SeccompFilter => "a seccomp filter of the outer container is in force: start that container with \
                                    --security-opt seccomp=unconfined, or with a profile that allows clone, unshare, \
                                    setns, mount, move_mount, open_tree, fsopen, fsconfig, fsmount, mount_setattr, \
                                    pivot_root, sethostname and setdomainname"
                .into(),
        }
    }
}

pub(super) fn find(host: &Host) -> Vec<Restriction> {
    let zero = |path: &str| host.number(path) == Some(0);
    let mut found = Vec::new();
    if host.node(Path::new("/proc/self/ns/user")).is_err() && host.node(Path::new("/proc/self/ns")).is_ok() {
        found.push(Restriction::NotBuilt);
    }
    if zero("/proc/sys/kernel/unprivileged_userns_clone") {
        found.push(Restriction::CloneDenied);
    }
    if zero("/proc/sys/user/max_user_namespaces") {
        found.push(Restriction::NoneAllowed);
    }
    let profile = apparmor_profile(host);
    if profile.is_none() && host.number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        found.push(Restriction::AppArmorSysctl);
    }
    if let Some((name, true)) = profile {
        found.push(Restriction::AppArmorProfile(name));
    }
    if host.status_field("Seccomp").as_deref() == Some("2") {
        found.push(Restriction::SeccompFilter);
    }
    found
}

/// The profile that confines the caller, and whether it forbids anything; `None` if the caller is unconfined. The
/// label is `NAME (MODE)`, or the word `unconfined`: apparmor(7).
fn apparmor_profile(host: &Host) -> Option<(String, bool)> {
    // If other modules are stacked with it, AppArmor's own directory has its label.
    let label = ["/proc/self/attr/apparmor/current", "/proc/self/attr/current"]
        .iter()
        .find_map(|path| host.machine().read(Path::new(path)).ok())?;
    let label = label.trim_end_matches(['\n', '\0']);
    let (name, mode) = label.rsplit_once(" (")?;
    Some((name.to_owned(), mode.trim_end_matches(')') == "enforce"))
}

#[cfg(test)]
mod tests {
    use super::super::Fixture;
    use super::*;

    #[test]
    fn each_restriction_is_found_by_its_file() {
        let user = || Fixture::ordinary(1000).directory("/proc/self/ns").namespace("/proc/self/ns/user", 1);
        let sysctl = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
        let label = "/proc/self/attr/current";
        for (name, machine, wanted) in [
            ("nothing", user(), vec![]),
            (
                "no namespaces",
                Fixture::ordinary(1000).directory("/proc/self/ns"),
                vec![Restriction::NotBuilt],
            ),
            ("no /proc", Fixture::ordinary(1000), vec![]),
            (
                "Debian's switch",
                user().file("/proc/sys/kernel/unprivileged_userns_clone", "0\n"),
                vec![Restriction::CloneDenied],
            ),
            (
                "Debian's switch is on",
                user().file("/proc/sys/kernel/unprivileged_userns_clone", "1\n"),
                vec![],
            ),
            (
                "none",
                user().file("/proc/sys/user/max_user_namespaces", "0\n"),
                vec![Restriction::NoneAllowed],
            ),
            (
                "Ubuntu",
                user().file(sysctl, "1\n").file(label, "unconfined\n"),
                vec![Restriction::AppArmorSysctl],
            ),
            ("Ubuntu, profile", user().file(sysctl, "1\n").file(label, "rootling (unconfined)\n"), vec![]),
            (
                "Docker",
                user()
                    .file(label, "docker-default (enforce)\n")
                    .file("/proc/self/status", "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"),
                vec![Restriction::AppArmorProfile("docker-default".into()), Restriction::SeccompFilter],
            ),
            ("another label", user().file(label, "system_u:system_r:init_t:s0\0"), vec![]),
        ] {
            assert_eq!(Host::on(machine).user_namespace_restrictions(), wanted, "{name}");
        }
    }
}
