//! `linux.namespaces` as one value per kind.
//!
//! OCI runtime specification, "Linux Container Configuration: Namespaces"; namespaces(7).

use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, Spec};

/// Every kind, in the order in which they are printed. The runtime joins them in another order.
pub const KINDS: [LinuxNamespaceType; 8] = [
    LinuxNamespaceType::User,
    LinuxNamespaceType::Pid,
    LinuxNamespaceType::Network,
    LinuxNamespaceType::Mount,
    LinuxNamespaceType::Ipc,
    LinuxNamespaceType::Uts,
    LinuxNamespaceType::Cgroup,
    LinuxNamespaceType::Time,
];

/// What a container does about one kind of namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespace {
    /// Stays in the caller's namespace.
    #[default]
    None,
    /// Gets a new namespace.
    New,
    /// Joins the namespace that this file refers to.
    Path(PathBuf),
}

impl Namespace {
    /// Parses an entry of `linux.namespaces`. An empty path means a new namespace, as in runc.
    pub fn of(entry: &LinuxNamespace) -> Self {
        match entry.path() {
            Some(path) if !path.as_os_str().is_empty() => Self::Path(path.clone()),
            _ => Self::New,
        }
    }

    /// Whether a new namespace is created.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::New)
    }

    /// Whether a namespace is created or joined, that is, the specification names this kind.
    pub fn is_set(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The file of the namespace to join.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::None | Self::New => None,
        }
    }
}

/// The namespaces of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the kind that it is named after.
pub struct NamespaceSet {
    pub pid: Namespace,
    pub network: Namespace,
    pub mount: Namespace,
    pub user: Namespace,
    pub ipc: Namespace,
    pub uts: Namespace,
    pub cgroup: Namespace,
    pub time: Namespace,
}

/// Why `linux.namespaces` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// A kind is given twice.
    #[error("malformed spec: duplicated namespace {0:?}")]
    Duplicated(&'static str),
    /// A relative path, which would mean something else in another directory.
    #[error(
        "linux.namespaces: path {path:?} of the {kind} namespace is not absolute; write it from / on",
        path = .path.display().to_string()
    )]
    Relative {
        /// The kind, as the specification names it.
        kind: &'static str,
        /// The path as given.
        path: PathBuf,
    },
}

/// An empty `linux` object. The default of oci-spec is that of a whole container, with namespaces, masked paths and
/// device rules that nobody asked for.
pub fn empty_linux() -> Linux {
    let mut linux = Linux::default();
    linux.set_namespaces(None).set_masked_paths(None).set_readonly_paths(None).set_resources(None);
    linux
}

/// The specification's name of a kind.
pub fn name(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mount",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "network",
        LinuxNamespaceType::Time => "time",
    }
}

/// The name of a kind's link in `/proc/PID/ns`.
pub fn proc_name(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Network => "net",
        other => name(other),
    }
}

/// The `CLONE_NEW*` bit of a kind (linux/sched.h).
pub fn clone_flag(kind: LinuxNamespaceType) -> CloneFlags {
    CloneFlags::from_bits_retain(kind as i32)
}

/// Parses `linux.namespaces`.
///
/// # Errors
/// [`NamespaceError`] for a kind given twice and for a relative path.
pub fn set(spec: &Spec) -> Result<NamespaceSet, NamespaceError> {
    let mut set = NamespaceSet::default();
    let listed = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    for namespace in listed.into_iter().flatten() {
        let kind = namespace.typ();
        let slot = set.get_mut(kind);
        if slot.is_set() {
            return Err(NamespaceError::Duplicated(name(kind)));
        }
        *slot = match Namespace::of(namespace) {
            Namespace::Path(path) if !path.is_absolute() => {
                return Err(NamespaceError::Relative { kind: name(kind), path });
            }
            other => other,
        };
    }
    Ok(set)
}

impl NamespaceSet {
    /// The entry of one kind.
    pub fn get(&self, kind: LinuxNamespaceType) -> &Namespace {
        match kind {
            LinuxNamespaceType::Mount => &self.mount,
            LinuxNamespaceType::Cgroup => &self.cgroup,
            LinuxNamespaceType::Uts => &self.uts,
            LinuxNamespaceType::Ipc => &self.ipc,
            LinuxNamespaceType::User => &self.user,
            LinuxNamespaceType::Pid => &self.pid,
            LinuxNamespaceType::Network => &self.network,
            LinuxNamespaceType::Time => &self.time,
        }
    }

    /// The entry of one kind, to be changed.
    pub fn get_mut(&mut self, kind: LinuxNamespaceType) -> &mut Namespace {
        match kind {
            LinuxNamespaceType::Mount => &mut self.mount,
            LinuxNamespaceType::Cgroup => &mut self.cgroup,
            LinuxNamespaceType::Uts => &mut self.uts,
            LinuxNamespaceType::Ipc => &mut self.ipc,
            LinuxNamespaceType::User => &mut self.user,
            LinuxNamespaceType::Pid => &mut self.pid,
            LinuxNamespaceType::Network => &mut self.network,
            LinuxNamespaceType::Time => &mut self.time,
        }
    }

    /// The kinds that are joined, with their files.
    pub fn joined(&self) -> impl Iterator<Item = (LinuxNamespaceType, &Path)> {
        KINDS.into_iter().filter_map(|kind| Some((kind, self.get(kind).path()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(namespaces: &str) -> Result<NamespaceSet, NamespaceError> {
        let json = format!(r#"{{"ociVersion":"1.0.2","linux":{{"namespaces":{namespaces}}}}}"#);
        set(&serde_json::from_str(&json).expect("spec"))
    }

    #[test]
    fn each_kind_is_absent_new_or_a_path() {
        let set =
            read(r#"[{"type":"pid"},{"type":"network","path":"/run/netns/a"},{"type":"uts","path":""}]"#)
                .expect("valid");
        assert_eq!(set.pid, Namespace::New);
        assert_eq!(set.uts, Namespace::New);
        assert_eq!(set.network, Namespace::Path("/run/netns/a".into()));
        assert_eq!(set.mount, Namespace::None);
        assert_eq!(set.joined().count(), 1);
    }

    #[test]
    fn every_kind_of_the_specification_is_known_with_the_kernels_flag() {
        for (name, flag) in [
            ("pid", CloneFlags::CLONE_NEWPID),
            ("network", CloneFlags::CLONE_NEWNET),
            ("mount", CloneFlags::CLONE_NEWNS),
            ("user", CloneFlags::CLONE_NEWUSER),
            ("ipc", CloneFlags::CLONE_NEWIPC),
            ("uts", CloneFlags::CLONE_NEWUTS),
            ("cgroup", CloneFlags::CLONE_NEWCGROUP),
            ("time", rootling_sys::namespace::CLONE_NEWTIME),
        ] {
            let set = read(&format!(r#"[{{"type":"{name}"}}]"#)).expect(name);
            let kind = KINDS.into_iter().find(|kind| set.get(*kind).is_new()).expect(name);
            assert_eq!(clone_flag(kind), flag, "{name}");
            assert_eq!(super::name(kind), name);
        }
    }

    #[test]
    fn the_same_kind_twice_is_malformed() {
        let error = read(r#"[{"type":"pid"},{"type":"pid","path":"/p"}]"#).unwrap_err();
        assert_eq!(error.to_string(), r#"malformed spec: duplicated namespace "pid""#);
    }

    #[test]
    fn a_relative_path_is_an_error_that_names_it() {
        let error = read(r#"[{"type":"mount","path":"proc/1/ns/mnt"}]"#).unwrap_err().to_string();
        assert!(error.contains("\"proc/1/ns/mnt\" of the mount namespace is not absolute"), "{error}");
    }

    #[test]
    fn no_linux_object_means_no_namespaces() {
        let spec = serde_json::from_str(r#"{"ociVersion":"1.0.2"}"#).expect("spec");
        assert_eq!(set(&spec).expect("valid"), NamespaceSet::default());
    }
}
