//! Determines the unit that a container gets from `linux.cgroupsPath`.

use std::path::PathBuf;

use cgroups_rs::systemd::utils::{expand_slice, is_slice_unit};
use serde::{Deserialize, Serialize};

use crate::CgroupError;

/// A unit, and the slice that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) slice: String,
}

impl Unit {
    /// Parses `slice:prefix:name`, any part of which may be empty. Without a path, the container's id names a
    /// scope in the default slice.
    pub(crate) fn parse(path: Option<&str>, id: &str, rootless: bool) -> Result<Self, CgroupError> {
        let (slice, prefix, name) = match path.filter(|p| !p.is_empty()) {
            None => ("", "rootling", id),
            Some(path) => {
                let parts: Vec<_> = path.split(':').collect();
                let [slice, prefix, name] = parts[..] else {
                    return Err(CgroupError::SystemdPath { path: path.to_owned() });
                };
                (slice, prefix, name)
            }
        };
        let default = if rootless { "user.slice" } else { "system.slice" };
        let slice = if slice.is_empty() { default } else { slice };
        let unit = Self {
            // A caller that wants a slice, for example for a pod, says so by the name.
            name: if is_slice_unit(name) { name.to_owned() } else { format!("{prefix}-{name}.scope") },
            slice: slice.to_owned(),
        };
        unit.path()?;
        if unit.name.contains('/') {
            return Err(CgroupError::SystemdPath { path: path.unwrap_or(id).to_owned() });
        }
        Ok(unit)
    }

    pub(crate) fn is_slice(&self) -> bool {
        is_slice_unit(&self.name)
    }

    /// The cgroup, relative to that of the service manager: each `-` in the name of a slice stands for another
    /// level.
    pub(crate) fn path(&self) -> Result<PathBuf, CgroupError> {
        let slice =
            expand_slice(&self.slice).map_err(|_| CgroupError::Slice { slice: self.slice.clone() })?;
        Ok(PathBuf::from(slice).join(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_three_parts_names_slice_and_scope() {
        for (path, rootless, name, cgroup) in [
            (None, false, "rootling-web.scope", "system.slice/rootling-web.scope"),
            (None, true, "rootling-web.scope", "user.slice/rootling-web.scope"),
            (Some("system.slice:docker:12"), false, "docker-12.scope", "system.slice/docker-12.scope"),
            (Some(":libpod:12"), true, "libpod-12.scope", "user.slice/libpod-12.scope"),
            (Some("a-b.slice:cri:12"), false, "cri-12.scope", "a.slice/a-b.slice/cri-12.scope"),
            (Some("-.slice:x:pod.slice"), false, "pod.slice", "pod.slice"),
        ] {
            let unit = Unit::parse(path, "web", rootless).unwrap();
            assert_eq!(unit.name, name, "{path:?}");
            assert_eq!(unit.path().unwrap(), PathBuf::from(cgroup), "{path:?}");
        }
    }

    #[test]
    fn another_shape_is_an_error_that_says_the_right_one() {
        for path in ["/a/b", "a:b", "a:b:c:d"] {
            let error = Unit::parse(Some(path), "web", false).unwrap_err().to_string();
            let expected = r#"expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups"#;
            assert!(error.contains(expected), "{error}");
        }
        for path in ["a/b.slice:p:n", "a:p:n", "a--b.slice:p:n", ".slice:p:n"] {
            let error = Unit::parse(Some(path), "web", false).unwrap_err();
            assert!(matches!(error, CgroupError::Slice { .. }), "{path}: {error}");
        }
        assert!(Unit::parse(Some("a.slice:p:../n"), "web", false).is_err());
    }
}
