//! Describes the container to be made: all that the child needs to know, and no open resources.
//!
//! The runtime derives it from a parsed container before the first process is cloned.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use oci_spec::runtime::{Hook, LinuxDevice, LinuxTimeOffset, Spec};
use rootling_config::id::ContainerId;
use rootling_config::idmap::IdMaps;
use rootling_config::mounts::{Idmap, MountOptions, Propagation};
use rootling_config::namespaces::{Namespace, NamespaceSet};

use crate::attributes::Attributes;

/// The container to be made.
pub struct Blueprint {
    /// What hooks and seccomp agents are told about it.
    pub identity: Identity,
    /// Its root file system, as a path of the host.
    pub rootfs: PathBuf,
    /// The namespaces that it gets.
    pub namespaces: NamespaceSet,
    /// `linux.timeOffsets`.
    pub time_offsets: HashMap<String, LinuxTimeOffset>,
    /// The id maps of the user namespace that is made for it.
    pub maps: Option<IdMaps>,
    /// The spec for libcontainer: what libcontainer does correctly, and nothing else.
    pub spec: Rc<Spec>,
    /// How its `/dev` is made.
    pub dev: Dev,
    /// `linux.devices`.
    pub devices: Vec<LinuxDevice>,
    /// Its mounts, in their order.
    pub mounts: Vec<MountPlan>,
    /// Hostname and domainname.
    pub names: (Option<String>, Option<String>),
    /// The propagation of the host's mounts while the container's are made, as a flag of mount(2).
    pub base_propagation: u64,
    /// The SELinux label of new file systems, if SELinux is enabled.
    pub mount_label: Option<String>,
    /// Whether any hook sees the complete root before it is entered.
    pub hooked: bool,
    /// Hooks that run in the container's namespaces before its root is entered.
    pub create_hooks: Vec<Hook>,
    /// Whether `linux.netDevices` names any device.
    pub net_devices: bool,
    /// Whether to bring up the loopback interface.
    pub loopback: bool,
    /// `root.readonly`.
    pub readonly_root: bool,
    /// `linux.readonlyPaths`.
    pub readonly_paths: Vec<String>,
    /// `linux.maskedPaths`.
    pub masked_paths: Vec<String>,
    /// `linux.rootfsPropagation`; without it everything is private.
    pub root_propagation: Option<Propagation>,
    /// Its first process.
    pub process: Attributes,
    /// Hooks that run right before the program.
    pub start_hooks: Vec<Hook>,
    /// Move the root file system over `/` instead of pivot_root(2).
    pub no_pivot: bool,
    /// Fail if the container would get less than it asks for.
    pub strict: bool,
    /// Effective uid of the caller.
    pub caller: u32,
    /// Whether the caller is an ordinary user, or root only of a user namespace.
    pub rootless: bool,
}

/// What others are told about a container.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its id.
    pub id: ContainerId,
    /// Absolute path of its bundle.
    pub bundle: PathBuf,
    /// `ociVersion` of its config.json.
    pub oci_version: String,
    /// Its annotations.
    pub annotations: HashMap<String, String>,
}

/// How `/dev` is made, which determines who fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dev {
    /// A new tmpfs: libcontainer makes the default devices and links in it. With `readonly` it is made read-only after
    /// that.
    Fresh {
        /// The mount asks for `ro`.
        readonly: bool,
    },
    /// The image's own, or a tmpfs with contents: rootling fills it, since libcontainer fails if a link exists.
    Plain {
        /// The mount asks for `ro`.
        readonly: bool,
    },
    /// A bind mount: nothing is made in it, as in runc.
    Bound,
}

/// A mount to be made.
#[derive(Clone, Debug)]
pub struct MountPlan {
    /// The mount point in the container: absolute, without `.`, `..` and doubled slashes.
    pub destination: PathBuf,
    /// What is mounted.
    pub kind: MountKind,
    /// The options of the mount.
    pub options: MountOptions,
    /// The id map of the mount, if it is to be id-mapped.
    pub idmap: Option<Idmap>,
}

/// What is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// The file or directory of the host at this path.
    Bind(PathBuf),
    /// A new file system.
    New {
        /// Its type.
        kind: String,
        /// Its source, as mountinfo shows it.
        source: String,
    },
    /// Nothing new: changes the flags of the existing mount.
    Remount,
    /// The container's [`Hierarchies`] of cgroup v1.
    CgroupV1,
}

/// What a cgroup v1 mount shows. It is known once the container's cgroup has been made, and is handed to the child
/// together with its descriptors.
#[derive(Clone, Debug, Default)]
pub struct Hierarchies {
    /// The name of each hierarchy, and the container's directory in it.
    pub directories: Vec<(String, PathBuf)>,
    /// The name and the target of a link for each controller that shares a hierarchy.
    pub links: Vec<(String, String)>,
}

impl MountPlan {
    /// Describes the mount for the beginning of an error message.
    pub(crate) fn describe(&self) -> String {
        let destination = self.destination.display();
        match &self.kind {
            MountKind::Bind(source) => format!("mount {} on {destination}", source.display()),
            MountKind::New { kind, .. } => format!("mount {kind} on {destination}"),
            MountKind::Remount => format!("remount {destination}"),
            MountKind::CgroupV1 => format!("mount cgroup on {destination}"),
        }
    }

    /// Whether this is a new file system of that type, mounted at exactly that path.
    pub fn is_new(&self, wanted: &str, destination: &str) -> bool {
        matches!(&self.kind, MountKind::New { kind, .. } if kind == wanted) && self.is_at(destination)
    }

    /// Whether it is mounted at exactly that path. Compares bytes, as both are clean: comparing paths takes apart both.
    pub fn is_at(&self, destination: &str) -> bool {
        self.destination.as_os_str() == destination
    }
}

impl Blueprint {
    /// Whether existing processes may look at the child: those in a pid namespace that it joins can see it, and in a
    /// joined user namespace a process with CAP_SYS_PTRACE may trace it.
    pub fn is_seen_by_others(&self) -> bool {
        let joined = |namespace: &Namespace| namespace.path().is_some();
        joined(&self.namespaces.user) || (joined(&self.namespaces.pid) && !self.namespaces.user.is_new())
    }
}
