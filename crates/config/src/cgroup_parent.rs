//! The parent of a container's cgroup, for a configuration that cannot name the container.
//!
//! `linux.cgroupsPath` names a single cgroup, so of two containers from the same bundle the second is refused. With
//! the annotation [`ANNOTATION`] instead, the cgroup is named after the container.

use std::path::Path;

use oci_spec::runtime::Spec;

use crate::id::ContainerId;

/// The annotation, which `rootling spec --cgroup-parent` writes; other runtimes ignore it.
pub const ANNOTATION: &str = "org.rootling.cgroup-parent";

/// Why a parent was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{ANNOTATION} {parent:?}: {problem}")]
#[non_exhaustive]
pub struct CgroupParentError {
    /// What was asked for.
    pub parent: String,
    /// What is wrong with it and what would be right.
    pub problem: &'static str,
}

/// Checks a parent: a slice if systemd makes the cgroups, otherwise the path of a cgroup.
///
/// # Errors
/// What is wrong with it and what would be right.
pub fn check(parent: &str, systemd: bool) -> Result<(), &'static str> {
    if parent.is_empty() || parent.split('/').any(|part| part == "..") || parent.contains('\0') {
        return Err("is not the path of a cgroup; write it without \"..\"");
    }
    let slice = Path::new(parent).extension().is_some_and(|kind| kind == "slice");
    if systemd && (!slice || parent.contains(['/', ':'])) {
        return Err("is not a slice; where systemd manages cgroups, write for example user.slice, \
                    or use --cgroup-manager cgroupfs");
    }
    if !systemd && slice && !parent.contains('/') {
        return Err("is a slice of systemd; use --cgroup-manager systemd, or the path of a cgroup");
    }
    Ok(())
}

/// Sets `linux.cgroupsPath` from the annotation, if it has none of its own.
///
/// # Errors
/// The parent does not suit whoever makes the cgroups.
pub fn resolve(spec: &mut Spec, id: &ContainerId, systemd: bool) -> Result<(), CgroupParentError> {
    let Some(parent) = spec.annotations().as_ref().and_then(|all| all.get(ANNOTATION)) else {
        return Ok(());
    };
    check(parent, systemd).map_err(|problem| CgroupParentError { parent: parent.clone(), problem })?;
    let path = if systemd {
        format!("{parent}:rootling:{id}")
    } else {
        format!("{}/{id}", parent.trim_end_matches('/'))
    };
    let linux = spec.linux_mut().get_or_insert_with(crate::namespaces::empty_linux);
    if linux.cgroups_path().as_ref().is_none_or(|path| path.as_os_str().is_empty()) {
        linux.set_cgroups_path(Some(path.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(parent: &str, own: Option<&str>, systemd: bool) -> Result<String, String> {
        let annotations = json!({ ANNOTATION: parent });
        let spec = json!({"ociVersion": "1.0.2", "annotations": annotations, "linux": {"cgroupsPath": own}});
        let mut spec: Spec = serde_json::from_value(spec).expect("a spec");
        resolve(&mut spec, &ContainerId::parse("web").expect("an id"), systemd).map_err(|e| e.to_string())?;
        let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
        Ok(path.expect("a path").to_string_lossy().into_owned())
    }

    #[test]
    fn the_cgroup_is_called_after_the_container() {
        for (parent, own, systemd, expected) in [
            ("a-b.slice", None, true, "a-b.slice:rootling:web"),
            ("/jobs", None, false, "/jobs/web"),
            ("jobs/a/", None, false, "jobs/a/web"),
            ("/", None, false, "/web"),
            ("/user.slice/x.slice", None, false, "/user.slice/x.slice/web"),
            ("/jobs", Some(""), false, "/jobs/web"),
            ("/jobs", Some("/own"), false, "/own"),
        ] {
            assert_eq!(resolved(parent, own, systemd).as_deref(), Ok(expected), "{parent}");
        }
    }

    #[test]
    fn a_parent_has_to_be_one_for_who_makes_cgroups() {
        for (parent, systemd, words) in [
            ("/jobs", true, "is not a slice; where systemd manages"),
            ("a:b.slice", true, "is not a slice"),
            ("user.slice", false, "is a slice of systemd"),
            ("/a/../b", false, "is not the path of a cgroup"),
            ("", false, "is not the path of a cgroup"),
        ] {
            let error = resolved(parent, None, systemd).expect_err(parent);
            assert!(error.starts_with(&format!("{ANNOTATION} {parent:?}: {words}")), "{error}");
        }
    }
}
