//! Which program gives a container its network.

use std::env;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs are looked for when the caller has no PATH: a runtime may give its hooks an empty environment.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The oldest pasta that is used: from then on it ends by itself with a network namespace below /proc, and has all options
/// that it is given here.
const OLDEST: Version = Version(20_240_821);

/// The day of a version of passt, as a number: 20240821.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{:02}_{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

impl Version {
    /// Reads the first line of `pasta --version`: passt's own `2025_09_19.623dbf6`, and Debian's
    /// `0.0~git20250503.587980c-2`. Debian 12 has `unknown version`.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?;
        let day = |word: &str| {
            let digits: String = word.chars().filter(|c| *c != '_').collect();
            let number = digits.parse::<u32>().ok().filter(|_| digits.len() == 8)?;
            (20_200_101..=29_991_231).contains(&number).then_some(Self(number))
        };
        line.split(|c: char| !c.is_ascii_digit() && c != '_').find_map(day)
    }
}

/// A program, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// passt's pasta.
    Pasta(PathBuf),
    /// slirp4netns.
    Slirp4netns(PathBuf),
}

/// What there is of the programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// pasta, and its version where it says one.
    pub pasta: Option<(PathBuf, Option<Version>)>,
    /// slirp4netns.
    pub slirp4netns: Option<PathBuf>,
}

impl Found {
    /// Looks along the caller's PATH.
    pub fn look() -> Self {
        let pasta = find("pasta").map(|path| {
            let version = version(&path);
            (path, version)
        });
        Self { pasta, slirp4netns: find("slirp4netns") }
    }

    /// The one to use: pasta, which is faster and knows IPv6, and slirp4netns where that is missing or too old.
    pub fn tool(&self) -> Option<Tool> {
        match (&self.pasta, &self.slirp4netns) {
            (Some((path, version)), _) if *version >= Some(OLDEST) => Some(Tool::Pasta(path.clone())),
            (_, Some(path)) => Some(Tool::Slirp4netns(path.clone())),
            _ => None,
        }
    }

    /// Of a pasta that is too old, which one it is; begins with a comma. Empty where there is none.
    pub fn too_old(&self) -> String {
        match &self.pasta {
            Some((path, Some(version))) if *version < OLDEST => {
                format!(", and {} is of {version}, older than {OLDEST}", path.display())
            }
            Some((path, None)) => {
                format!(", and {} does not say its version, as before {OLDEST}", path.display())
            }
            _ => String::new(),
        }
    }
}

/// The PATH that is looked along.
pub(crate) fn search_path() -> String {
    env::var("PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned())
}

fn find(name: &str) -> Option<PathBuf> {
    let executable = |path: &Path| {
        path.is_absolute()
            && path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&search_path()).map(|dir| dir.join(name)).find(|path| executable(path))
}

/// What the program says of itself; some versions say it on standard error.
fn version(path: &Path) -> Option<Version> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output().ok()?;
    [output.stdout, output.stderr].iter().find_map(|text| Version::parse(&String::from_utf8_lossy(text)))
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
            let found = Version::parse(text).map(|version| version.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_old_pasta_gives_way() {
        let pasta = |version| Some((PathBuf::from("/usr/bin/pasta"), version));
        let slirp = || Some(PathBuf::from("/usr/bin/slirp4netns"));
        let new = Found { pasta: pasta(Some(OLDEST)), slirp4netns: slirp() };
        assert_eq!((new.tool(), new.too_old()), (Some(Tool::Pasta("/usr/bin/pasta".into())), String::new()));
        for version in [None, Some(Version(20_240_820))] {
            let old = Found { pasta: pasta(version), slirp4netns: slirp() };
            assert_eq!(old.tool(), Some(Tool::Slirp4netns("/usr/bin/slirp4netns".into())), "{version:?}");
            let alone = Found { slirp4netns: None, ..old };
            assert_eq!(alone.tool(), None, "{version:?}");
            assert!(alone.too_old().contains("/usr/bin/pasta"), "{version:?}");
        }
        assert_eq!(Found::default().tool(), None);
    }
}
