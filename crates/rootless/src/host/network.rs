//! The programs that give a container a network of its own without root: passt's pasta and slirp4netns.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Access, Host};

/// The oldest pasta that is used: from then on it ends by itself with a network namespace below /proc, and has all options
/// that it is given.
pub const OLDEST_PASTA: PastaVersion = PastaVersion(20_240_821);

/// The device by which both make a network interface.
const TUN: &str = "/dev/net/tun";

/// The day of a version of passt, as a number: 20240821.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PastaVersion(u32);

impl fmt::Display for PastaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{:02}_{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

impl PastaVersion {
    /// Reads the first line of `pasta --version`: passt's own `2025_09_19.623dbf6`, and Debian's
    /// `0.0~git20250503.587980c-2`. Debian 12 has `unknown version`.
    fn parse(text: &str) -> Option<Self> {
        let day = |word: &str| {
            let digits: String = word.chars().filter(|c| *c != '_').collect();
            let number = digits.parse::<u32>().ok().filter(|_| digits.len() == 8)?;
            (20_200_101..=29_991_231).contains(&number).then_some(Self(number))
        };
        text.lines().next()?.split(|c: char| !c.is_ascii_digit() && c != '_').find_map(day)
    }
}

/// The one that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkProgram {
    /// passt's pasta.
    Pasta(PathBuf),
    /// slirp4netns.
    Slirp4netns(PathBuf),
}

/// What there is of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPrograms {
    /// pasta, and its version where it says one.
    pub pasta: Option<(PathBuf, Option<PastaVersion>)>,
    /// slirp4netns.
    pub slirp4netns: Option<PathBuf>,
    /// The caller may open `/dev/net/tun`, without which neither works.
    pub tun: bool,
}

impl NetworkPrograms {
    pub(super) fn find(host: &Host) -> Self {
        let pasta = host.find_program("pasta").map(|path| {
            let version = host.machine.run(&path, &["--version"]);
            (path, version.ok().and_then(|text| PastaVersion::parse(&text)))
        });
        let tun = Path::new(TUN);
        let tun = host.may(tun, Access::Read) && host.may(tun, Access::Write);
        Self { pasta, slirp4netns: host.find_program("slirp4netns"), tun }
    }

    /// pasta, which is faster and knows IPv6, and slirp4netns where that is missing or too old.
    pub fn best(&self) -> Option<NetworkProgram> {
        match (&self.pasta, &self.slirp4netns) {
            (Some((path, version)), _) if *version >= Some(OLDEST_PASTA) => {
                Some(NetworkProgram::Pasta(path.clone()))
            }
            (_, Some(path)) => Some(NetworkProgram::Slirp4netns(path.clone())),
            _ => None,
        }
    }

    /// Of a pasta that is too old, which one it is: a sentence's end that begins with a comma. Empty where there is none.
    pub fn too_old(&self) -> String {
        match &self.pasta {
            Some((path, Some(version))) if *version < OLDEST_PASTA => {
                format!(", and {} is of {version}, older than {OLDEST_PASTA}", path.display())
            }
            Some((path, None)) => {
                format!(", and {} does not say its version, as before {OLDEST_PASTA}", path.display())
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_old_pasta_gives_way() {
        let pasta = |version| Some((PathBuf::from("/usr/bin/pasta"), version));
        let slirp = || Some(PathBuf::from("/usr/bin/slirp4netns"));
        let new = NetworkPrograms { pasta: pasta(Some(OLDEST_PASTA)), slirp4netns: slirp(), tun: true };
        assert_eq!(
            (new.best(), new.too_old()),
            (Some(NetworkProgram::Pasta("/usr/bin/pasta".into())), String::new())
        );
        for version in [None, Some(PastaVersion(20_240_820))] {
            let old = NetworkPrograms { pasta: pasta(version), slirp4netns: slirp(), tun: true };
            assert_eq!(
                old.best(),
                Some(NetworkProgram::Slirp4netns("/usr/bin/slirp4netns".into())),
                "{version:?}"
            );
            let alone = NetworkPrograms { slirp4netns: None, ..old };
            assert_eq!(alone.best(), None, "{version:?}");
            assert!(alone.too_old().contains("/usr/bin/pasta"), "{version:?}");
        }
        assert_eq!(NetworkPrograms::default().best(), None);
    }
}
