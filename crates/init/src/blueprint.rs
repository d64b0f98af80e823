//! What a container is to be: all that the child needs to know, and nothing that it could hold.
//!
//! The runtime makes it of a parsed container before the first process is cloned.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use oci_spec::runtime::{Hook, LinuxDevice, LinuxTimeOffset, Spec};
use rootling_config::id::ContainerId;
use rootling_config::idmap::IdMaps;
use rootling_config::mounts::{Idmap, MountOptions, Propagation};
use rootling_config::namespaces::{Namespace, NamespaceSet};

use crate::attributes::Attributes;

/// The container to be.
pub struct Blueprint {
    /// What hooks and seccomp agents are told of it.
    pub identity: Identity,
    /// Its root file system, as a path of the host.
    pub rootfs: PathBuf,
    /// Which namespaces it gets.
    pub namespaces: NamespaceSet,
    /// `linux.timeOffsets`.
    pub time_offsets: HashMap<String, LinuxTimeOffset>,
    /// The maps of the user namespace that is made for it.
    pub maps: Option<IdMaps>,
    /// The spec for libcontainer: what it does correctly, and nothing else.
    pub spec: Rc<Spec>,
    /// How its `/dev` comes about.
    pub dev: Dev,
    /// `linux.devices`.
    pub devices: Vec<LinuxDevice>,
    /// Its mounts, in their order.
    pub mounts: Vec<MountPlan>,
    /// Hostname and domainname.
    pub names: (Option<String>, Option<String>),
    /// Propagation of the host's mounts while the container's are made, as a flag of mount(2).
    pub base_propagation: u64,
    /// The SELinux label of new file systems, where SELinux is on.
    pub mount_label: Option<String>,
    /// Whether there are hooks that see the complete root before it is entered.
    pub hooked: bool,
    /// Hooks of the container's namespaces, before its root is entered.
    pub create_hooks: Vec<Hook>,
    /// Whether `linux.netDevices` names some.
    pub net_devices: bool,
    /// The loopback interface is to be brought up.
    pub loopback: bool,
    /// `root.readonly`.
    pub readonly_root: bool,
    /// `linux.readonlyPaths`.
    pub readonly_paths: Vec<String>,
    /// `linux.maskedPaths`.
    pub masked_paths: Vec<String>,
    /// `linux.rootfsPropagation`; without one all is private.
    pub root_propagation: Option<Propagation>,
    /// Its first process.
    pub process: Attributes,
    /// Hooks right before the program.
    pub start_hooks: Vec<Hook>,
    /// Move the root file system over `/` instead of pivot_root(2).
    pub no_pivot: bool,
    /// Fail where the container would get less than it asks for.
    pub strict: bool,
    /// Effective uid of the caller.
    pub caller: u32,
    /// An ordinary user, or root of a user namespace only.
    pub rootless: bool,
}

/// What others are told of a container.
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

/// How `/dev` comes about, which decides who fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dev {
    /// A new tmpfs: libcontainer makes the default devices and links in it. `readonly`: it is to be closed to
    /// changes after that.
    Fresh {
        /// The mount asks for `ro`.
        readonly: bool,
    },
    /// The image's, or a tmpfs with something in it: ours to fill, since libcontainer fails where a link exists.
    Plain {
        /// The mount asks for `ro`.
        readonly: bool,
    },
    /// Bound from somewhere: nothing is made in it, as in runc.
    Bound,
}

/// A mount that is to be made.
#[derive(Clone, Debug)]
pub struct MountPlan {
    /// Where, in the container.
    pub destination: PathBuf,
    /// What.
    pub kind: MountKind,
    /// How.
    pub options: MountOptions,
    /// With which ids.
    pub idmap: Option<Idmap>,
}

/// What is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// What the host has at this path.
    Bind(PathBuf),
    /// A new file system.
    New {
        /// Its type.
        kind: String,
        /// Its source, as mountinfo shows it.
        source: String,
    },
    /// Nothing new: other flags for what is mounted there.
    Remount,
    /// The container's [`Hierarchies`] of cgroup v1.
    CgroupV1,
}

/// What a mount of cgroup v1 shows. They are known when the container's cgroup is made, and handed to the child with its
/// descriptors.
#[derive(Clone, Debug, Default)]
pub struct Hierarchies {
    /// Name of each hierarchy, and the container's directory in it.
    pub directories: Vec<(String, PathBuf)>,
    /// Name and target of the link of each controller that shares one.
    pub links: Vec<(String, String)>,
}

impl MountPlan {
    /// The mount, for the head of an error.
    pub(crate) fn describe(&self) -> String {
        let destination = self.destination.display();
        match &self.kind {
            MountKind::Bind(source) => format!("mount {} on {destination}", source.display()),
            MountKind::New { kind, .. } => format!("mount {kind} on {destination}"),
            MountKind::Remount => format!("remount {destination}"),
            MountKind::CgroupV1 => format!("mount cgroup on {destination}"),
        }
    }

    /// Whether a new file system of this type goes exactly here.
    pub fn is_new(&self, wanted: &str, destination: &str) -> bool {
        matches!(&self.kind, MountKind::New { kind, .. } if kind == wanted)
            && self.destination == Path::new(destination)
    }
}

impl Blueprint {
    /// Whether processes that are there already may look at the child: those of a pid namespace that it joins see it,
    /// and in a joined user namespace one with CAP_SYS_PTRACE may trace it.
    pub fn is_seen_by_others(&self) -> bool {
        let joined = |namespace: &Namespace| namespace.path().is_some();
        joined(&self.namespaces.user) || (joined(&self.namespaces.pid) && !self.namespaces.user.is_new())
    }
}
