//! The programs that give a container its own network without root: passt's pasta, and slirp4netns.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Access, Host};

/// The oldest pasta that is used: from this version on it exits by itself together with a network namespace below
/// /proc, and supports all options that it is given.
pub const OLDEST_PASTA: PastaVersion = PastaVersion(20_240_821);

/// The device through which both programs make a network interface.
const TUN: &str = "/dev/net/tun";

/// The date of a version of passt as a number, such as 20240821.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PastaVersion(u32);

impl fmt::Display for PastaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{:02}_{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

impl PastaVersion {
    /// Parses the first line of `pasta --version`: passt's own is `2025_09_19.623dbf6`, and Debian's is
    /// `0.0~git20250503.587980c-2`. Debian 12 prints `unknown version`.
    fn parse(text: &str) -> Option<Self> {
        let day = |word: &str| {
            let digits: String = word.chars().filter(|c| *c != '_').collect();
            let number = digits.parse::<u32>().ok().filter(|_| digits.len() == 8)?;
            (20_200_101..=29_991_231).contains(&number).then_some(Self(number))
        };
        text.lines().next()?.split(|c: char| !c.is_ascii_digit() && c != '_').find_map(day)
    }
}

/// The program that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkProgram {
    /// passt's pasta.
    Pasta(PathBuf),
    /// slirp4netns.
    Slirp4netns(PathBuf),
}

/// An option that pasta has had since [`OLDEST_PASTA`].
const OPTION_OF_THE_OLDEST: &str = "--map-host-loopback";

/// An installed pasta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pasta {
    /// Its path.
    pub path: PathBuf,
    /// Its version, if it reports one: Debian 12's reports that it is unknown, and Debian 13's prints nothing to a
    /// pipe.
    pub version: Option<PastaVersion>,
    /// Whether it is not older than [`OLDEST_PASTA`].
    pub is_new_enough: bool,
}

impl Pasta {
    fn look(host: &Host, path: PathBuf) -> Self {
        let says = |option: &str| host.machine.run(&path, &[option]).unwrap_or_default();
        let version = PastaVersion::parse(&says("--version"));
        let is_new_enough = match version {
            Some(version) => version >= OLDEST_PASTA,
            None => says("--help").contains(OPTION_OF_THE_OLDEST),
        };
        Self { path, version, is_new_enough }
    }
}

/// The programs that are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPrograms {
    /// pasta.
    pub pasta: Option<Pasta>,
    /// slirp4netns.
    pub slirp4netns: Option<PathBuf>,
    /// Whether the caller may open `/dev/net/tun`, without which neither works.
    pub tun: bool,
}

impl NetworkPrograms {
    pub(super) fn find(host: &Host) -> Self {
        let tun = Path::new(TUN);
        Self {
            pasta: host.find_program("pasta").map(|path| Pasta::look(host, path)),
            slirp4netns: host.find_program("slirp4netns"),
            tun: host.may(tun, Access::Read) && host.may(tun, Access::Write),
        }
    }

    /// pasta, which is faster and supports IPv6, or slirp4netns if pasta is missing or too old.
    pub fn best(&self) -> Option<NetworkProgram> {
        match (&self.pasta, &self.slirp4netns) {
            (Some(pasta), _) if pasta.is_new_enough => Some(NetworkProgram::Pasta(pasta.path.clone())),
            (_, Some(path)) => Some(NetworkProgram::Slirp4netns(path.clone())),
            _ => None,
        }
    }

    /// Describes a pasta that is too old, as the end of a sentence that begins with a comma; empty if there is
    /// none.
    pub fn too_old(&self) -> String {
        match &self.pasta {
            Some(Pasta { path, version, is_new_enough: false }) => {
                let version = version.map_or_else(String::new, |version| format!(" of {version}"));
                format!(", and {}{version} is older than {OLDEST_PASTA}", path.display())
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Fixture;

    #[test]
    fn versions_of_passt_and_of_debian_are_read() {
        for (text, expected) in [
            ("pasta 2025_09_19.623dbf6\nCopyright Red Hat\n", Some("2025_09_19")),
            ("pasta 0.0~git20250503.587980c-2+deb13u1\n", Some("2025_05_03")),
            ("pasta 0^20240906.g6b38f07-1.fc41.x86_64\n", Some("2024_09_06")),
            ("pasta unknown version\n20250101\n", None),
            ("pasta 0.0~git20239.1\n", None),
            ("", None),
        ] {
            let found = PastaVersion::parse(text).map(|version| version.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    /// What it reports as its version, what its help contains, whether it is used, and what is said if it is not.
    #[test]
    fn an_old_pasta_gives_way() {
        const PASTA: &str = "/usr/bin/pasta";
        for (version, help, new, words) in [
            ("pasta 2025_09_19.623dbf6\n", "", true, ""),
            (
                "pasta 2024_08_20.1d6142f\n",
                OPTION_OF_THE_OLDEST,
                false,
                "of 2024_08_20 is older than 2024_08_21",
            ),
            // Debian 13 and 12.
            ("", "Usage: pasta\n  --map-host-loopback ADDR\n", true, ""),
            (
                "pasta unknown version\n",
                "Usage: pasta\n  --no-map-gw\n",
                false,
                "/usr/bin/pasta is older than",
            ),
        ] {
            let machine = || {
                let says = |option: &str| format!("{PASTA} {option}");
                let machine = Fixture::ordinary(1000).program(PASTA, 0o755);
                machine.output(&says("--version"), version).output(&says("--help"), help)
            };
            let pasta = NetworkProgram::Pasta(PASTA.into());
            let slirp4netns = NetworkProgram::Slirp4netns("/usr/bin/slirp4netns".into());
            let both = Host::on(machine().program("/usr/bin/slirp4netns", 0o755)).network_programs();
            assert_eq!(both.best(), Some(if new { pasta.clone() } else { slirp4netns }), "{version}");
            let alone = Host::on(machine()).network_programs();
            assert_eq!(alone.best(), new.then_some(pasta), "{version}");
            assert!(alone.too_old().contains(words) && alone.too_old().is_empty() == new, "{alone:?}");
        }
        assert_eq!(NetworkPrograms::default().best(), None);
    }
}
