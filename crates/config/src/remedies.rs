//! What to do about what a host or a caller lacks. There is one text for each problem, no matter whether it appears
//! in an error, in a warning or in the output of `rootling doctor`.

use std::path::Path;

use crate::idmap::IdKind;

/// Families of distributions that do these things in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and their derivatives.
    Debian,
    /// Fedora, RHEL and their derivatives.
    Fedora,
    /// Arch and its derivatives.
    Arch,
    /// Alpine.
    Alpine,
    /// NixOS.
    NixOs,
    /// Any other.
    Other,
}

/// The remedy if users may not open the device that makes network interfaces; udev makes it accessible.
pub const OPEN_TUN: &str = "every user has to be able to open it, as root: chmod 0666 /dev/net/tun";

/// The setting with which no port of the host is reserved for root; ip(7).
pub const FREE_PORTS: &str = "net.ipv4.ip_unprivileged_port_start=0";

/// The remedy if a port of the host is reserved for root; ip(7).
pub const LOW_PORTS: &str = "ports below net.ipv4.ip_unprivileged_port_start are root's: publish a higher one, or, as root: \
     sysctl -w net.ipv4.ip_unprivileged_port_start=0";

/// How to raise limits of namespaces that are 0, to what a machine with little memory has by itself;
/// namespaces(7).
pub fn raise_namespaces(limits: &[impl std::fmt::Display]) -> String {
    let settings: Vec<_> = limits.iter().map(|name| format!("{name}=28633")).collect();
    format!("as root run `sysctl -w {}`", settings.join(" "))
}

/// What helps if a directory cannot be changed.
pub const OTHER_PLACE: &str = "or use another place";

/// The remedy for a directory that does not let an id pass, and the alternative to it. `is_own` tells whether who reads this can
/// change it.
pub fn let_pass(is_own: bool, alternative: &str) -> String {
    let who = if is_own { "run" } else { "its owner has to run" };
    format!("{who} `chmod o+x` on it, {alternative}")
}

/// How to have a user's systemd run without a session; loginctl(1).
pub fn enable_linger(user: &str) -> String {
    format!("as root: loginctl enable-linger {user}")
}

/// The remedy for an SELinux label that the kernel does not accept; selinux(8).
pub const UNKNOWN_CONTEXT: &str = "the policy of SELinux on this host has no such context: correct the label, or load the policy module that \
     has its type";

impl Family {
    /// How to install newuidmap and newgidmap.
    pub fn install_id_helpers(self) -> String {
        match self {
            Family::Debian => "as root: apt-get install uidmap".into(),
            Family::Fedora => "as root: dnf reinstall shadow-utils".into(),
            Family::Arch => "as root: pacman -S shadow".into(),
            Family::Alpine => "as root: apk add shadow-uidmap".into(),
            Family::NixOs => {
                "put /run/wrappers/bin into PATH: NixOS has newuidmap and newgidmap there".into()
            }
            Family::Other => {
                "install the package that has newuidmap and newgidmap: uidmap, shadow or shadow-utils".into()
            }
        }
    }

    /// How to install what gives a container a network.
    pub fn install_network_program(self) -> String {
        match self {
            Family::Debian => "as root: apt-get install passt, or slirp4netns if there is no passt".into(),
            Family::Fedora => "as root: dnf install passt".into(),
            Family::Arch => "as root: pacman -S passt".into(),
            Family::Alpine => "as root: apk add passt".into(),
            Family::NixOs => "in configuration.nix: environment.systemPackages = [ pkgs.passt ];".into(),
            Family::Other => "install passt, which has pasta, or slirp4netns".into(),
        }
    }

    /// How to give `owner` the missing range of ids.
    pub fn add_range(self, owner: &str, kind: IdKind, start: u32, count: u32) -> String {
        let file = kind.subid_file();
        match self {
            Family::Alpine => format!("as root: echo '{owner}:{start}:{count}' >> {file}"),
            Family::NixOs => {
                format!(
                    "in configuration.nix: users.users.{owner}.autoSubUidGidRange = true; then nixos-rebuild switch"
                )
            }
            _ => format!(
                "as root: usermod --add-sub{kind}s {start}-{} {owner}",
                u64::from(start) + u64::from(count) - 1
            ),
        }
    }

    /// How to set a sysctl now and permanently.
    pub fn sysctl(self, key: &str, value: &str) -> String {
        let file = "/etc/sysctl.d/90-rootling.conf";
        match self {
            Family::NixOs => {
                format!(
                    "in configuration.nix: boot.kernel.sysctl.\"{key}\" = \"{value}\"; then nixos-rebuild switch"
                )
            }
            Family::Alpine => format!("as root: echo '{key} = {value}' >> {file} && sysctl -p {file}"),
            _ => format!("as root: echo '{key} = {value}' >> {file} && sysctl --system"),
        }
    }

    /// How to delegate all controllers to every user's systemd.
    pub fn delegate(self) -> String {
        match self {
            Family::Alpine => "as root: give the user a cgroup directory of its own; Alpine has no delegation".into(),
            Family::NixOs => "in configuration.nix: systemd.services.\"user@\".serviceConfig.Delegate = \"cpu cpuset io \
                              memory pids\"; then nixos-rebuild switch, and log in again"
                .into(),
            _ => "as root: mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io \
                  memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload; then \
                  log in again"
                .into(),
        }
    }

    /// How to make cgroup version 2 the only one.
    pub fn cgroup_2(self) -> String {
        let parameter = UNIFIED_HIERARCHY;
        match self {
            Family::Alpine => {
                "as root: set rc_cgroup_mode=\"unified\" in /etc/rc.conf, rc-update add cgroups, and boot again".into()
            }
            Family::Fedora => format!("as root: grubby --update-kernel=ALL --args={parameter}, and boot again"),
            Family::Debian => format!(
                "as root: add {parameter} to GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub, and boot again"
            ),
            Family::NixOs => "in configuration.nix: systemd.enableUnifiedCgroupHierarchy = true; then nixos-rebuild \
                              switch, and boot again"
                .into(),
            _ => format!("boot with the kernel parameter {parameter}"),
        }
    }
}

/// How to give newuidmap or newgidmap at this path the privilege to write maps.
pub fn privilege_id_helper(kind: IdKind, path: &Path) -> String {
    let path = path.display();
    format!("as root: chmod u+s {path}, or setcap cap_set{kind}+ep {path}; or reinstall its package")
}

/// The remedy for newuidmap or newgidmap on a mount that disables their privilege.
pub const ID_HELPER_ON_NOSUID: &str = "install it on a mount without nosuid, or remount that one with suid";

/// The remedy for newuidmap and newgidmap that are started without the possibility to gain privilege.
pub const NO_NEW_PRIVS: &str =
    "start rootling from a process without no_new_privs (setpriv, systemd's NoNewPrivileges=)";

/// The remedy for newuidmap or newgidmap that refuses a map.
pub const CHECK_RANGES: &str = "check the caller's ranges in /etc/subuid and /etc/subgid";

/// The remedy for a map of a single id, with which nobody may change groups.
pub const GROUP_RANGES: &str = "give the caller ranges in /etc/subgid";

/// The remedy that gives the caller a cgroup of its own, in which systemd delegates the controllers.
pub const OWN_SCOPE: &str = "run under `systemd-run --user --scope -p Delegate=yes`";

/// The remedy for a container that needs a cgroup and has none.
pub const CREATE_DELEGATED: &str = "create it where a cgroup is delegated, as under `systemd-run --user --scope -p Delegate=yes`, or as root";

/// The remedy for root of a container or of a user namespace whose own cgroup lacks controllers.
pub const CONTROLLERS_FROM_OUTSIDE: &str =
    "on the host, write the controllers to cgroup.subtree_control of each cgroup above the caller's";

/// The remedy for cgroups that an outer container has mounted read-only.
pub const WRITABLE_CGROUPS: &str = "start the outer container with --security-opt unmask=/sys/fs/cgroup (podman) or \
     --privileged (Docker)";

/// The remedy for a /proc of which an outer container covers parts.
pub const UNCOVERED_PROC: &str =
    "start the outer container with --security-opt unmask=ALL (podman) or systempaths=unconfined (Docker)";

/// The kernel parameter that makes cgroup version 2 the only one.
pub const UNIFIED_HIERARCHY: &str = "systemd.unified_cgroup_hierarchy=1";
