//! The host's distribution, which determines how remedies are worded; os-release(5).

use std::path::Path;

use rootling_config::idmap::IdKind;
use rootling_config::remedies::{self, Family};

use crate::host::{Fault, Host};

/// The distribution that the host runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The family.
    pub family: Family,
    /// Its display name, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
}

impl Distribution {
    /// The distribution that /etc/os-release names.
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

impl Distribution {
    /// What to do about a newuidmap or newgidmap that cannot be used.
    pub(crate) fn mend(&self, kind: IdKind, fault: &Fault) -> String {
        match fault {
            Fault::Missing => self.family.install_id_helpers(),
            Fault::Unprivileged(path) => remedies::privilege_id_helper(kind, path),
            Fault::Nosuid(_) => remedies::ID_HELPER_ON_NOSUID.into(),
            Fault::NoNewPrivs(_) => remedies::NO_NEW_PRIVS.into(),
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
