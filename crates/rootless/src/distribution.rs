//! The words of each distribution. os-release(5)

use std::path::Path;

use rootling_config::remedies::Family;

use crate::host::Host;

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
