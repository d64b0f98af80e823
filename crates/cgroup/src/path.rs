//! Paths of cgroups: normalises `linux.cgroupsPath` and finds the caller's own cgroup.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::file;

/// `linux.cgroupsPath` with `.` and `..` resolved lexically, never climbing above the root.
///
/// An absolute path stays absolute. The string comes from config.json, so `../../x` must not
/// leave the hierarchy; cgroupfs has no symbolic links that could make a lexical answer wrong.
pub(crate) fn clean(path: &str) -> PathBuf {
    let clean = rootling_sys::path::clean(Path::new(path));
    if path.starts_with('/') { clean } else { clean.strip_prefix("/").unwrap_or(&clean).to_owned() }
}

/// Appends a path, absolute or relative, to `root`.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The cgroups of a process: the contents of `/proc/PID/cgroup` (cgroups(7)).
pub(crate) struct Own(String);

impl Own {
    /// Those of the caller.
    pub(crate) fn read() -> io::Result<Self> {
        file::slurp(&mut File::open("/proc/self/cgroup")?).map(Self)
    }

    /// Those of another process.
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        std::fs::read_to_string(format!("/proc/{pid}/cgroup")).map(Self)
    }

    /// The path in the unified hierarchy.
    pub(crate) fn unified(&self) -> Option<&Path> {
        self.0.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
    }

    /// The path in the v1 hierarchy of `controller`; a named hierarchy is given as `name=systemd`.
    pub(crate) fn controller(&self, controller: &str) -> Option<&Path> {
        self.0.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            controllers.split(',').any(|c| c == controller).then(|| Path::new(path))
        })
    }
}

#[cfg(feature = "fuzzing")]
impl From<String> for Own {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_climbs_out_of_the_hierarchy() {
        for (given, cleaned) in [
            ("/a/b", "/a/b"),
            ("a/b", "a/b"),
            ("/a/../b/./c", "/b/c"),
            ("../../../etc", "etc"),
            ("/../../etc", "/etc"),
            ("a/../../b", "b"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(clean(given), Path::new(cleaned), "{given}");
        }
    }

    #[test]
    fn own_cgroups_are_found_by_controller() {
        let own = Own("4:memory:/a:b\n3:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/u\n".into());
        assert_eq!(own.unified(), Some(Path::new("/u")));
        assert_eq!(own.controller("memory"), Some(Path::new("/a:b")));
        assert_eq!(own.controller("cpuacct"), Some(Path::new("/c")));
        assert_eq!(own.controller("name=systemd"), Some(Path::new("/s")));
        assert_eq!(own.controller("cpuset"), None);
    }
}
