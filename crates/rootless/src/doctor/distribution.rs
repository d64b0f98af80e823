//! The words of each distribution. os-release(5)

use std::path::Path;

use crate::host::{Host, SubIdRange};

/// Distributions that do these things alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and what is made of them.
    Debian,
    /// Fedora, RHEL and what is made of them.
    Fedora,
    /// Arch and what is made of it.
    Arch,
    /// Alpine.
    Alpine,
    /// NixOS.
    NixOs,
    /// Any other.
    Other,
}

/// What the host runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The family.
    pub family: Family,
    /// Its name for people, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
}

impl Distribution {
    /// The one that /etc/os-release names.
    pub fn of(host: &Host) -> Self {
        let read = |path: &str| host.text_of(Path::new(path));
        let text = read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
        };
        let words = format!("{} {}", field("ID").unwrap_or_default(), field("ID_LIKE").unwrap_or_default());
        let family = words.split_whitespace().find_map(family).unwrap_or(Family::Other);
        let name = field("PRETTY_NAME").or_else(|| field("NAME")).unwrap_or_else(|| "unknown".into());
        Self { family, name }
    }

    /// Installs newuidmap and newgidmap.
    pub(super) fn install_id_helpers(&self) -> String {
        match self.family {
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

    /// Gives `owner` the missing `range` of `kind` ("uid" or "gid").
    pub(super) fn add_range(&self, owner: &str, kind: &str, file: &str, range: SubIdRange) -> String {
        let SubIdRange { start, count } = range;
        match self.family {
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

    /// Sets a sysctl now and for later.
    pub(super) fn sysctl(&self, key: &str, value: &str) -> String {
        let file = "/etc/sysctl.d/90-rootling.conf";
        match self.family {
            Family::NixOs => {
                format!(
                    "in configuration.nix: boot.kernel.sysctl.\"{key}\" = \"{value}\"; then nixos-rebuild switch"
                )
            }
            Family::Alpine => format!("as root: echo '{key} = {value}' >> {file} && sysctl -p {file}"),
            _ => format!("as root: echo '{key} = {value}' >> {file} && sysctl --system"),
        }
    }

    /// Gives every user's systemd all controllers.
    pub(super) fn delegate(&self) -> String {
        match self.family {
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

    /// Makes cgroup version 2 the only one.
    pub(super) fn cgroup_2(&self) -> String {
        let parameter = "systemd.unified_cgroup_hierarchy=1";
        match self.family {
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

fn family(id: &str) -> Option<Family> {
    Some(match id {
        "debian" | "ubuntu" => Family::Debian,
        "fedora" | "rhel" | "centos" => Family::Fedora,
        "arch" => Family::Arch,
        "alpine" => Family::Alpine,
        "nixos" => Family::NixOs,
        _ => return None,
    })
}
