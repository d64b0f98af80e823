//! The parts of a container, and the order in which the rules are checked.

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::runtime::{
    Hook, Hooks, LinuxDevice, LinuxDeviceCgroup, LinuxIntelRdt, LinuxMemoryPolicy, LinuxNetDevice,
    LinuxResources, LinuxSeccomp, LinuxTimeOffset, Spec,
};

use super::{Process, devices, idmaps, linux, mounts, namespaces, nul, sysctl};
use crate::error::{ValidateError, invalid, quoted};
use crate::idmap::IdMaps;
use crate::limits::Limits;
use crate::mounts::{Mount, Propagation};
use crate::namespaces::NamespaceSet;
use crate::process::memory_policy::MemoryPolicy;

/// The contents of a spec, in types that cannot hold a rule violation; only [`Container::parse`] makes one.
///
/// An empty list or string means that the field is absent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Container {
    /// `ociVersion`.
    pub version: String,
    /// `annotations`.
    pub annotations: HashMap<String, String>,
    /// Whether an annotation says to keep the caller's supplementary groups.
    pub keeps_groups: bool,
    /// `root`.
    pub root: Root,
    /// `process`, which is required to start a container but not to create it (runtime-spec, config.md "Process");
    /// [`no_process`] is the error for those that start it.
    pub process: Option<Process>,
    /// `hostname` and `domainname`.
    pub names: (Option<String>, Option<String>),
    /// `mounts`, in their order.
    pub mounts: Vec<Mount>,
    /// `hooks`.
    pub hooks: Option<Hooks>,
    /// `linux.namespaces`.
    pub namespaces: NamespaceSet,
    /// `linux.uidMappings` and `linux.gidMappings`; `Some` if, and only if, the user namespace is new.
    pub maps: Option<IdMaps>,
    /// The first user and group id of the maps, including maps of a joined user namespace; 0 without maps.
    pub first_ids: (u32, u32),
    /// `linux.timeOffsets`.
    pub time_offsets: HashMap<String, LinuxTimeOffset>,
    /// `linux.netDevices`.
    pub net_devices: HashMap<String, LinuxNetDevice>,
    /// `linux.devices`.
    pub devices: Vec<LinuxDevice>,
    /// `linux.sysctl`.
    pub sysctl: HashMap<String, String>,
    /// `linux.resources` without the device rules, as written.
    pub resources: Option<LinuxResources>,
    /// The limits in `resources`.
    pub limits: Limits,
    /// `linux.resources.devices`.
    pub device_rules: Vec<LinuxDeviceCgroup>,
    /// `linux.cgroupsPath`.
    pub cgroup_path: Option<PathBuf>,
    /// `linux.intelRdt`.
    pub rdt: Option<LinuxIntelRdt>,
    /// `linux.seccomp`.
    pub seccomp: Option<LinuxSeccomp>,
    /// `linux.rootfsPropagation`; without it everything is private.
    pub root_propagation: Option<Propagation>,
    /// `linux.readonlyPaths`.
    pub readonly_paths: Vec<String>,
    /// `linux.maskedPaths`.
    pub masked_paths: Vec<String>,
    /// `linux.mountLabel`.
    pub mount_label: Option<String>,
    /// `linux.personality`, as the argument of personality(2).
    pub personality: Option<u32>,
    /// `linux.memoryPolicy`, as written and as the kernel takes it.
    pub memory_policy: Option<(LinuxMemoryPolicy, MemoryPolicy)>,
}

/// `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The root file system; a relative path starts at the bundle.
    pub path: PathBuf,
    /// Whether nothing in it can be changed.
    pub readonly: bool,
}

impl Container {
    /// Parses a spec, which must already be adapted to an ordinary user if needed.
    ///
    /// # Errors
    /// The first rule that is broken, as a [`ValidateError`].
    pub fn parse(mut spec: Spec) -> Result<Self, ValidateError> {
        version(spec.version())?;
        let root = root(&spec)?;
        let process = spec.process_mut().take().map(Process::parse).transpose()?;
        nul::check(&spec)?;
        let namespaces = crate::namespaces::set(&spec)?;
        namespaces::check(&spec, &namespaces)?;
        let mounts = mounts::parse(spec.mounts_mut().take().unwrap_or_default(), &namespaces)?;
        let root_propagation = mounts::root_propagation(&spec)?;
        let (maps, first_ids) = idmaps::parse(&spec, &namespaces, process.as_ref(), &mounts)?;
        sysctl::check(&spec, &namespaces)?;
        devices::check(&spec)?;
        let parsed = linux::parse(&spec, process.as_ref())?;
        hooks(&spec)?;
        annotations(&spec)?;
        let keeps_groups = crate::annotations::keeps_groups(&spec);
        let names = (spec.hostname_mut().take(), spec.domainname_mut().take());
        let (version, annotations) = (spec.version().clone(), spec.annotations_mut().take());
        let hooks = spec.hooks_mut().take();
        let mut linux = spec.linux_mut().take().unwrap_or_else(crate::namespaces::empty_linux);
        let mut resources = linux.resources_mut().take();
        let device_rules = resources.as_mut().and_then(|all| all.devices_mut().take());
        let memory_policy = linux.memory_policy_mut().take().zip(parsed.memory_policy);
        Ok(Self {
            version,
            annotations: annotations.unwrap_or_default(),
            keeps_groups,
            root,
            process,
            names,
            mounts,
            hooks,
            namespaces,
            maps,
            first_ids,
            time_offsets: linux.time_offsets_mut().take().unwrap_or_default(),
            net_devices: linux.net_devices_mut().take().unwrap_or_default(),
            devices: linux.devices_mut().take().unwrap_or_default(),
            sysctl: linux.sysctl_mut().take().unwrap_or_default(),
            resources: resources.filter(|limits| *limits != LinuxResources::default()),
            limits: parsed.limits,
            device_rules: device_rules.unwrap_or_default(),
            cgroup_path: linux.cgroups_path_mut().take(),
            rdt: linux.intel_rdt_mut().take(),
            seccomp: linux.seccomp_mut().take(),
            root_propagation,
            readonly_paths: linux.readonly_paths_mut().take().unwrap_or_default(),
            masked_paths: linux.masked_paths_mut().take().unwrap_or_default(),
            mount_label: linux.mount_label_mut().take().filter(|label| !label.is_empty()),
            personality: parsed.personality,
            memory_policy,
        })
    }
}

/// The error for starting a spec without `process`.
pub fn no_process() -> ValidateError {
    invalid("process", "process property must not be empty", "add an object with args, cwd and user")
}

/// Checks only the annotations, some of which take effect before the rest can be checked.
///
/// # Errors
/// The first rule that is broken, as a [`ValidateError`].
pub fn annotations(spec: &Spec) -> Result<(), ValidateError> {
    spec.annotations().as_ref().map_or(Ok(()), crate::annotations::check)
}

/// Warnings about what is accepted but probably not meant, one line each.
pub fn warnings(spec: &Spec) -> Vec<String> {
    let mut warnings = Vec::new();
    if spec.version().is_empty() {
        warnings.push("ociVersion: missing; taken as 1.x".to_owned());
    }
    mounts::warn(spec, &mut warnings);
    linux::warn(spec, &mut warnings);
    warnings
}

/// By semantic versioning, every later minor version of the same major version is compatible.
fn version(version: &str) -> Result<(), ValidateError> {
    if version.is_empty() || version == "1" || version.starts_with("1.") {
        return Ok(());
    }
    Err(invalid("ociVersion", format!("{version:?} is not supported"), "write a 1.x version, such as 1.3.0"))
}

fn root(spec: &Spec) -> Result<Root, ValidateError> {
    let remedy = "set root.path to the directory of the root filesystem";
    let root = spec.root().as_ref().ok_or_else(|| invalid("root", "root must be specified", remedy))?;
    if root.path().as_os_str().is_empty() {
        return Err(invalid("root.path", "path is empty", remedy));
    }
    nul::no_nul("root.path", root.path())?;
    Ok(Root { path: root.path().clone(), readonly: root.readonly().unwrap_or(false) })
}

fn hooks(spec: &Spec) -> Result<(), ValidateError> {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    #[allow(deprecated)] // Deprecated by the specification, but still in use.
    let prestart = hooks.prestart();
    for (kind, list) in [
        ("prestart", prestart),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ] {
        for (index, entry) in list.iter().flatten().enumerate() {
            hook(&format!("hooks.{kind}[{index}]"), entry)?;
        }
    }
    Ok(())
}

fn hook(field: &str, hook: &Hook) -> Result<(), ValidateError> {
    if !hook.path().is_absolute() {
        let problem = format!("{} is not an absolute path", quoted(hook.path()));
        return Err(invalid(format!("{field}.path"), problem, "write the program's path from / on"));
    }
    nul::hook(field, hook)?;
    if let Some(timeout) = hook.timeout().filter(|timeout| *timeout <= 0) {
        let problem = format!("{timeout} seconds is not a time to wait");
        return Err(invalid(format!("{field}.timeout"), problem, "use a number above 0, or leave it out"));
    }
    Ok(())
}
