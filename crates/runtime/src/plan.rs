//! Everything that the launch needs to know, decided before the first process is made.
//!
//! What libcontainer does correctly stays in the lowered spec ([`crate::lower`]); the rest is taken
//! out of the spec here and given to the part of ours that does it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Hook, Hooks, LinuxDeviceCgroup, LinuxIdMapping, LinuxIntelRdt, LinuxResources, Process, ProcessBuilder,
    Spec, UserBuilder,
};
use rootling_config::id::ContainerId;
use rootling_config::limits::Limits;
use rootling_config::namespaces::{self, NamespaceSet};
use rootling_config::seccomp;
use rootling_rootless::host::Host;
use rootling_rootless::idmap::{MapOwner, MapWriter, must_deny_setgroups, only_one_id};

use rootling_init::attributes::{Attributes, Surroundings};
use rootling_init::blueprint::{Blueprint, Identity};
use rootling_init::idmap::IdMaps;

use crate::caller::Caller;
use crate::error::{Error, Result, chain, of_limits, one_line};
use crate::exec_state::{Listener, Outside, StoredFilter, StoredProcess};
use crate::labels;
use crate::lower;
use crate::owners::{Owners, closed_to_caller};

/// What `create` and `run` are asked for; [`CreateOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// The id of the new container.
    pub id: ContainerId,
    /// Absolute path of the bundle; runtime-spec, bundle.md.
    pub bundle: PathBuf,
    /// The kind of program that asks.
    pub caller: Caller,
    /// Another file instead of the bundle's config.json (`--config`).
    pub config: Option<PathBuf>,
    /// Where to write the pid of the container's first process (`--pid-file`).
    pub pid_file: Option<PathBuf>,
    /// Socket that gets the terminal of a detached container (`--console-socket`).
    pub console_socket: Option<PathBuf>,
    /// Socket that gets a pidfd of the container's first process (`--pidfd-socket`).
    pub pidfd_socket: Option<PathBuf>,
    /// Move the root file system over `/` instead of pivot_root(2) (`--no-pivot`).
    pub no_pivot: bool,
    /// Leave the caller's session keyring in place (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// How many descriptors after 2 the container keeps, `$LISTEN_FDS` not counted (`--preserve-fds`). They have to be open:
    /// one that is not would be given to something of the runtime's.
    pub preserve_fds: u32,
    /// How cgroups are managed (`--cgroup-manager`, `--systemd-cgroup`).
    pub cgroup_manager: rootling_config::CgroupManager,
    /// Do without what only root may do (`--rootless`); by default where the caller is not root.
    pub rootless: Option<bool>,
    /// Run without the limits that cannot be set here (`--ignore-cgroup-limits`).
    pub ignore_cgroup_limits: bool,
    /// Fail instead of binding what the kernel does not let the caller mount anew (`--strict`).
    pub strict: bool,
    /// Take the spec as it is (`--no-adapt`).
    pub no_adapt: bool,
    /// Whose subordinate ids to map, in a spec without its own maps (`--userns-remap`).
    pub map_owner: Option<MapOwner>,
    /// Directory of compiled seccomp profiles; without one they are compiled each time.
    pub seccomp_cache: Option<PathBuf>,
}

impl CreateOptions {
    /// A container of this bundle, with nothing else asked for.
    pub fn new(id: ContainerId, bundle: impl Into<PathBuf>) -> Self {
        Self {
            id,
            bundle: bundle.into(),
            caller: Caller::default(),
            config: None,
            pid_file: None,
            console_socket: None,
            pidfd_socket: None,
            no_pivot: false,
            no_new_keyring: false,
            preserve_fds: 0,
            cgroup_manager: rootling_config::CgroupManager::default(),
            rootless: None,
            ignore_cgroup_limits: false,
            strict: false,
            no_adapt: false,
            map_owner: None,
            seccomp_cache: None,
        }
    }

    /// How many sockets of systemd's the container gets.
    fn listen_fds(&self) -> u32 {
        if self.caller == Caller::Command { listen_fds() } else { 0 }
    }
}

/// Who writes the id maps of a new user namespace, and how.
pub(crate) struct MapsWriter {
    pub(crate) by: MapWriter,
    pub(crate) deny_setgroups: bool,
}

/// The whole plan: what the child is to make, and what the runtime has to do for it.
pub(crate) struct Plan {
    pub(crate) blueprint: Blueprint,
    /// Whether the spec is without `process`, so that the container can be created and not started.
    pub(crate) no_process: bool,
    pub(crate) writer: Option<MapsWriter>,
    /// What `exec` needs to know of the container later.
    pub(crate) stored: StoredProcess,
    pub(crate) hooks: Option<Hooks>,
    pub(crate) listener: Option<Listener>,
    pub(crate) cgroup_path: Option<String>,
    /// `linux.resources` without the device rules, for the record.
    pub(crate) resources: Option<LinuxResources>,
    /// What they say.
    pub(crate) limits: Limits,
    pub(crate) device_rules: Vec<LinuxDeviceCgroup>,
    pub(crate) rdt: Option<LinuxIntelRdt>,
    /// What is to be known of the root file system once the container has started: an error says the same and more.
    pub(crate) about_root: Option<String>,
}

impl Plan {
    /// Plans a container from its adapted and validated spec; warnings go to `warn`.
    pub(crate) fn new(
        mut spec: Spec,
        host: &Host,
        options: &CreateOptions,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self> {
        let no_process = spec.process().is_none();
        if no_process {
            spec.set_process(Some(waiting_process(&spec)?));
        }
        let namespaces = namespaces::set(&spec).map_err(|e| Error::invalid(chain(&e)))?;
        let (rootfs, root) = rootfs(&spec, &options.bundle, host)?;
        if let Some(process) = spec.process() {
            labels::check(process, host)?;
        }
        if let Some(linux) = spec.linux() {
            labels::check_mounts(linux, host)?;
        }
        let (maps, writer) = maps(&spec, &namespaces, host)?;
        let owners = Owners::of(&rootfs, maps.as_ref()).filter(|_| !is_readonly(&spec));
        let about_root = owners.and_then(|owners| owners.warning(&root, host)).map(one_line);
        let (seccomp, listener) = seccomp_program(&mut spec, options, warn)?;
        let hooks = spec.hooks_mut().take();
        let process = first_process(&mut spec, seccomp, options, warn)?;
        let denied = writer.as_ref().is_some_and(|w| w.deny_setgroups);
        let mut stored = stored(&spec, &process, maps.as_ref(), denied, listener.as_ref());
        let linux = spec.linux_mut().get_or_insert_with(Default::default);
        let mut resources = linux.resources_mut().take();
        let limits =
            resources.as_ref().map(Limits::parse).transpose().map_err(of_limits)?.unwrap_or_default();
        let device_rules = resources.as_mut().and_then(|all| all.devices_mut().take()).unwrap_or_default();
        let resources = resources.filter(|limits| *limits != LinuxResources::default());
        let cgroup_path = linux.cgroups_path_mut().take().map(|p| p.to_string_lossy().into_owned());
        let rdt = linux.intel_rdt_mut().take();
        let blueprint =
            blueprint(spec, Known { namespaces, rootfs, maps, process }, hooks.as_ref(), host, options)?;
        stored.outside = Outside::of(&blueprint);
        Ok(Self {
            blueprint,
            no_process,
            writer,
            stored,
            hooks,
            listener,
            cgroup_path,
            resources,
            limits,
            device_rules,
            rdt,
            about_root,
        })
    }

    /// The container's id.
    pub(crate) fn id(&self) -> &ContainerId {
        &self.blueprint.identity.id
    }

    /// The maps of its own user namespace, if it gets one.
    pub(crate) fn maps(&self) -> Option<(&[LinuxIdMapping], &[LinuxIdMapping])> {
        self.blueprint.maps.as_ref().map(|maps| (maps.uid.as_slice(), maps.gid.as_slice()))
    }

    /// Hooks of the runtime's namespaces that run before the start: prestart, then createRuntime.
    pub(crate) fn runtime_hooks(&self) -> Vec<(&'static str, &[Hook])> {
        let Some(hooks) = &self.hooks else { return Vec::new() };
        #[allow(deprecated)] // prestart is deprecated for authors of specs, not for runtimes.
        let prestart = hooks.prestart();
        [("prestart", prestart), ("createRuntime", hooks.create_runtime())]
            .into_iter()
            .filter_map(|(name, list)| Some((name, list.as_deref()?)))
            .collect()
    }
}

/// The process of a container without one: it waits for a start that never comes, with no right in it.
fn waiting_process(spec: &Spec) -> Result<Process> {
    let first = |maps: &Option<Vec<LinuxIdMapping>>| {
        maps.iter().flatten().map(LinuxIdMapping::container_id).min().unwrap_or(0)
    };
    let linux = spec.linux().as_ref();
    let uid = linux.map_or(0, |linux| first(linux.uid_mappings()));
    let gid = linux.map_or(0, |linux| first(linux.gid_mappings()));
    let user = UserBuilder::default().uid(uid).gid(gid).build().map_err(|e| Error::system(chain(&e)))?;
    let process = ProcessBuilder::default()
        .user(user)
        .args(Vec::new())
        .env(vec!["HOME=/".to_owned()])
        .cwd("/")
        .no_new_privileges(true)
        .build();
    let mut process = process.map_err(|e| Error::system(chain(&e)))?;
    process.set_capabilities(None);
    process.set_rlimits(None);
    Ok(process)
}

/// What is known before the spec is lowered.
struct Known {
    namespaces: NamespaceSet,
    rootfs: PathBuf,
    maps: Option<IdMaps>,
    process: Attributes,
}

fn blueprint(
    mut spec: Spec,
    known: Known,
    hooks: Option<&Hooks>,
    host: &Host,
    options: &CreateOptions,
) -> Result<Blueprint> {
    let Known { namespaces, rootfs, maps, process } = known;
    let readonly_root = is_readonly(&spec);
    let identity = Identity {
        id: options.id.clone(),
        bundle: options.bundle.clone(),
        oci_version: spec.version().clone(),
        annotations: spec.annotations().clone().unwrap_or_default(),
    };
    let linux = spec.linux_mut().get_or_insert_with(Default::default);
    let readonly_paths = linux.readonly_paths_mut().take().unwrap_or_default();
    let masked_paths = linux.masked_paths_mut().take().unwrap_or_default();
    let root_propagation = lower::propagation(linux.rootfs_propagation().as_deref())?;
    let time_offsets = linux.time_offsets_mut().take();
    let hooked = lower::sees_the_root(hooks);
    let lowered = lower::lower(spec, &namespaces, hooked, (&options.bundle, &rootfs))?;
    let net_devices = lowered.spec.linux().as_ref().and_then(|l| l.net_devices().as_ref());
    Ok(Blueprint {
        identity,
        loopback: namespaces.network.is_new(),
        namespaces,
        rootfs,
        time_offsets,
        maps,
        net_devices: net_devices.is_some_and(|d| !d.is_empty()),
        spec: lowered.spec,
        dev: lowered.dev,
        devices: lowered.devices,
        mounts: lowered.mounts,
        names: lowered.names,
        base_propagation: lowered.base_propagation,
        mount_label: lowered.mount_label,
        hooked,
        create_hooks: hooks.and_then(|h| h.create_container().clone()).unwrap_or_default(),
        readonly_root,
        readonly_paths,
        masked_paths,
        root_propagation,
        process,
        start_hooks: hooks.and_then(|h| h.start_container().clone()).unwrap_or_default(),
        no_pivot: options.no_pivot,
        strict: options.strict,
        caller: host.euid(),
        rootless: options.rootless.unwrap_or_else(|| host.needs_user_namespace() || host.in_user_namespace()),
    })
}

/// What is kept for `exec`, so that a bundle that is changed or removed later changes nothing.
fn stored(
    spec: &Spec,
    attributes: &Attributes,
    maps: Option<&IdMaps>,
    groups_denied: bool,
    listener: Option<&Listener>,
) -> StoredProcess {
    StoredProcess {
        process: spec.process().clone().unwrap_or_default(),
        keep_groups: attributes.keep_groups,
        groups_denied,
        personality: attributes.personality,
        memory_policy: spec.linux().as_ref().and_then(|l| l.memory_policy().clone()),
        keyring: attributes.keyring.is_some(),
        filter: attributes.seccomp.as_ref().map(|s| StoredFilter { flags: s.flags, notify: s.notify }),
        listener: listener.cloned(),
        maps: maps.map(|m| (m.uid.clone(), m.gid.clone())),
        outside: Vec::new(),
    }
}

fn is_readonly(spec: &Spec) -> bool {
    spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly).unwrap_or(false)
}

/// The absolute path of the root file system, which has to be a directory, and what is known of that.
fn rootfs(spec: &Spec, bundle: &Path, host: &Host) -> Result<(PathBuf, Metadata)> {
    let root =
        spec.root().as_ref().ok_or_else(|| Error::invalid("root: missing; name the root file system"))?;
    let path = bundle.join(root.path());
    let path = std::fs::canonicalize(&path).map_err(|e| {
        let error = Error::from(e).wrap(format!("root.path: {path:?}"));
        match host.closed_parent(&path) {
            Some(closed) => error.remedy(closed_to_caller(&closed, &path, host)),
            None => error.remedy(
                "it has to be a directory that the caller may enter; a relative path starts at the bundle",
            ),
        }
    })?;
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => Ok((path, found)),
        _ => Err(Error::invalid(format!("root.path: {path:?} is not a directory"))),
    }
}

fn maps(spec: &Spec, namespaces: &NamespaceSet, host: &Host) -> Result<(Option<IdMaps>, Option<MapsWriter>)> {
    if !namespaces.user.is_new() {
        return Ok((None, None));
    }
    let linux = spec.linux().as_ref();
    let list = |f: fn(&oci_spec::runtime::Linux) -> &Option<Vec<LinuxIdMapping>>| {
        linux.and_then(|l| f(l).clone()).unwrap_or_default()
    };
    let (uid, gid) = (list(|l| l.uid_mappings()), list(|l| l.gid_mappings()));
    if let Some(what) = only_one_id(&uid, &gid) {
        tracing::debug!("{what}");
    }
    let by = rootling_rootless::idmap::writer(host, &uid, &gid)
        .map_err(|e| Error::invalid(chain(&e)).see_doctor(e.has_check()))?;
    let deny_setgroups = must_deny_setgroups(host, &by);
    Ok((Some(IdMaps { uid, gid }), Some(MapsWriter { by, deny_setgroups })))
}

fn seccomp_program(
    spec: &mut Spec,
    options: &CreateOptions,
    warn: &mut dyn FnMut(String),
) -> Result<(Option<seccomp::Program>, Option<Listener>)> {
    let Some(profile) = spec.linux_mut().as_mut().and_then(|l| l.seccomp_mut().take()) else {
        return Ok((None, None));
    };
    let program = match &options.seccomp_cache {
        Some(dir) => seccomp::load_or_compile(dir, &profile),
        None => seccomp::compile(&profile),
    }
    .map_err(|e| Error::invalid(chain(&e)))?;
    let notify = program.as_ref().is_some_and(|p| p.notify);
    let listener = match profile.listener_path() {
        Some(path) if notify => Some(Listener {
            path: path.clone(),
            metadata: profile.listener_metadata().clone().unwrap_or_default(),
        }),
        None if notify => {
            return Err(Error::invalid(
                "linux.seccomp.listenerPath: missing, and the profile uses SCMP_ACT_NOTIFY; name the agent's socket",
            ));
        }
        Some(_) => {
            warn("linux.seccomp.listenerPath is not used: no rule of the profile is SCMP_ACT_NOTIFY".into());
            None
        }
        None => None,
    };
    Ok((program, listener))
}

fn first_process(
    spec: &mut Spec,
    seccomp: Option<seccomp::Program>,
    options: &CreateOptions,
    warn: &mut dyn FnMut(String),
) -> Result<Attributes> {
    let keep_groups = rootling_config::annotations::keeps_groups(spec);
    let linux = spec.linux_mut().get_or_insert_with(Default::default);
    let personality = personality(linux)?;
    let memory_policy = linux.memory_policy().clone();
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("process: missing"))?;
    let mut env = Vec::new();
    let listen_fds = options.listen_fds();
    if listen_fds > 0 {
        // sd_listen_fds(3): the program is pid 1 of its pid namespace.
        env.extend([format!("LISTEN_FDS={listen_fds}"), "LISTEN_PID=1".to_owned()]);
    }
    let surroundings = Surroundings {
        env,
        keep_groups,
        seccomp,
        personality,
        memory_policy,
        keyring: (!options.no_new_keyring).then(|| keyring_name(&options.id)),
        preserve_fds: options.preserve_fds + listen_fds,
    };
    Attributes::new(process, surroundings, warn)
}

/// `$LISTEN_FDS`: how many sockets systemd has passed to this very process, sd_listen_fds(3).
pub fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|n: String| n.parse::<u32>().ok());
    if number("LISTEN_PID") == Some(std::process::id()) { number("LISTEN_FDS").unwrap_or(0) } else { 0 }
}

/// libcontainer refuses every personality flag, so the personality is ours.
fn personality(linux: &mut oci_spec::runtime::Linux) -> Result<Option<u64>> {
    let Some(wanted) = linux.personality_mut().take() else { return Ok(None) };
    let value =
        rootling_config::process::personality::value(&wanted).map_err(|e| Error::invalid(chain(&e)))?;
    Ok(Some(value.into()))
}

/// The session keyring of a container, as runc names it.
pub(crate) fn keyring_name(id: &ContainerId) -> String {
    format!("_ses.{id}")
}

#[cfg(test)]
mod any_spec_tests;
