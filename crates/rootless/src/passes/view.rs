//! Queries that several passes make on a spec, and small edits that they share.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, Mount, Spec};

use rootling_config::mounts::is_bind;
use rootling_config::namespaces::{Namespace, empty_linux};
use rootling_sys::path::clean;

use crate::host::Host;

pub(super) fn namespace(spec: &Spec, typ: LinuxNamespaceType) -> Namespace {
    let all = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let entry = all.into_iter().flatten().find(|namespace| namespace.typ() == typ);
    entry.map_or(Namespace::None, Namespace::of)
}

/// Whether the container uses the caller's own namespace, either because it names none or by its path.
pub(super) fn is_shared(spec: &Spec, host: &Host, typ: LinuxNamespaceType) -> bool {
    match namespace(spec, typ) {
        Namespace::None => true,
        Namespace::New => false,
        Namespace::Path(path) => host.is_own_namespace(typ, &path),
    }
}

pub(super) fn add_namespace(spec: &mut Spec, typ: LinuxNamespaceType) {
    let mut new = LinuxNamespace::default();
    new.set_typ(typ);
    linux_mut(spec).namespaces_mut().get_or_insert_default().push(new);
}

/// The `linux` object, which is added empty if there is none.
pub(super) fn linux_mut(spec: &mut Spec) -> &mut Linux {
    spec.linux_mut().get_or_insert_with(empty_linux)
}

pub(super) fn mounts(spec: &Spec) -> &[Mount] {
    spec.mounts().as_deref().unwrap_or_default()
}

pub(super) fn mounts_mut(spec: &mut Spec) -> &mut [Mount] {
    spec.mounts_mut().as_deref_mut().unwrap_or_default()
}

pub(super) fn options(mount: &Mount) -> &[String] {
    mount.options().as_deref().unwrap_or_default()
}

pub(super) fn has_type(mount: &Mount, typ: &str) -> bool {
    mount.typ().as_deref() == Some(typ)
}

/// Whether the mount is a new file system of this type.
pub(super) fn is_new(mount: &Mount, typ: &str) -> bool {
    has_type(mount, typ) && !is_bind(mount)
}

pub(super) fn is_cgroup(mount: &Mount) -> bool {
    is_new(mount, "cgroup") || is_new(mount, "cgroup2")
}

/// The destination as the kernel will see it inside the root file system, as far as the text shows it: absolute,
/// without `.`, `..` or doubled slashes.
pub(super) fn destination(mount: &Mount) -> PathBuf {
    clean(mount.destination())
}

/// Turns a mount into a bind mount of a directory of the host, at the same mount point.
pub(super) fn turn_into_bind(mount: &mut Mount, source: &str, options: &[&str]) {
    mount
        .set_typ(Some("bind".into()))
        .set_source(Some(source.into()))
        .set_options(Some(options.iter().map(|option| (*option).into()).collect()));
}

/// Drops the read-only paths below `top`, and returns them.
pub(super) fn drop_readonly_paths(spec: &mut Spec, top: &str) -> Vec<String> {
    let paths = spec.linux_mut().as_mut().and_then(|linux| linux.readonly_paths_mut().as_mut());
    let Some(paths) = paths else { return Vec::new() };
    let (gone, kept) =
        std::mem::take(paths).into_iter().partition(|path| clean(Path::new(path)).starts_with(top));
    *paths = kept;
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_cleaned() {
        for (given, wanted) in [
            ("/sys", "/sys"),
            ("/sys/", "/sys"),
            ("sys//fs/./cgroup", "/sys/fs/cgroup"),
            ("/proc/../sys", "/sys"),
            ("/../../x", "/x"),
        ] {
            assert_eq!(clean(Path::new(given)), Path::new(wanted), "{given}");
        }
    }

    #[test]
    fn an_empty_path_is_a_new_namespace() {
        let spec: Spec = serde_json::from_str(
            r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid","path":""},{"type":"ipc","path":"/x"}]}}"#,
        )
        .unwrap();
        assert_eq!(namespace(&spec, LinuxNamespaceType::Pid), Namespace::New);
        assert_eq!(namespace(&spec, LinuxNamespaceType::Ipc), Namespace::Path("/x".into()));
        assert_eq!(namespace(&spec, LinuxNamespaceType::Uts), Namespace::None);
    }

    #[test]
    fn a_missing_linux_object_is_added_empty() {
        let mut spec: Spec = serde_json::from_str(r#"{"ociVersion":"1.0.2"}"#).unwrap();
        add_namespace(&mut spec, LinuxNamespaceType::User);
        let json = serde_json::to_value(spec.linux()).unwrap();
        assert_eq!(json, serde_json::json!({"namespaces": [{"type": "user"}]}));
    }
}
