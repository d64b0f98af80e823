//! Everything that the launch needs to know, determined before the first process is made.
//!
//! What libcontainer does correctly is in its spec ([`crate::lower`]); the rest is for the parts of rootling that do
//! it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use oci_spec::runtime::{
    Hook, Hooks, LinuxDeviceCgroup, LinuxIdMapping, LinuxIntelRdt, LinuxResources, LinuxSeccomp, Spec,
};
use rootling_config::container::{Container, Process};
use rootling_config::id::ContainerId;
use rootling_config::idmap::IdMaps;
use rootling_config::limits::Limits;
use rootling_config::seccomp;
use rootling_rootless::host::Host;
use rootling_rootless::idmap::{MapOwner, MapWriter, must_deny_setgroups};

use rootling_init::attributes::{Attributes, Surroundings};
use rootling_init::blueprint::{Blueprint, Identity};

use crate::caller::Caller;
use crate::error::{Error, Result, chain, one_line};
use crate::exec_state::{Listener, Outside, StoredFilter, StoredProcess};
use crate::labels;
use crate::lower::for_libcontainer;
use crate::mounts;
use crate::owners::{Owners, closed_to_caller};

/// The options of `create` and `run`; [`CreateOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// The id of the new container.
    pub id: ContainerId,
    /// Absolute path of the bundle; runtime-spec, bundle.md.
    pub bundle: PathBuf,
    /// The kind of program that calls.
    pub caller: Caller,
    /// A file to read instead of the bundle's config.json (`--config`).
    pub config: Option<PathBuf>,
    /// The file to write the pid of the container's first process to (`--pid-file`).
    pub pid_file: Option<PathBuf>,
    /// The socket that gets the terminal of a detached container (`--console-socket`).
    pub console_socket: Option<PathBuf>,
    /// The socket that gets a pidfd of the container's first process (`--pidfd-socket`).
    pub pidfd_socket: Option<PathBuf>,
    /// Move the root file system over `/` instead of pivot_root(2) (`--no-pivot`).
    pub no_pivot: bool,
    /// Leave the caller's session keyring in place (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// How many descriptors beyond 2 the container keeps, not counting `$LISTEN_FDS` (`--preserve-fds`). They must be
    /// open: the number of one that is not would be given to a descriptor of the runtime.
    pub preserve_fds: u32,
    /// How cgroups are managed (`--cgroup-manager`, `--systemd-cgroup`).
    pub cgroup_manager: rootling_config::CgroupManager,
    /// Do without what only root may do (`--rootless`); `None` means if the caller is not root.
    pub rootless: Option<bool>,
    /// Run without the limits that cannot be set here (`--ignore-cgroup-limits`).
    pub ignore_cgroup_limits: bool,
    /// Fail instead of bind-mounting what the kernel does not let the caller mount anew (`--strict`).
    pub strict: bool,
    /// Take the spec as it is (`--no-adapt`).
    pub no_adapt: bool,
    /// Whose subordinate ids to map if the spec has no maps of its own (`--userns-remap`).
    pub map_owner: Option<MapOwner>,
    /// The directory of compiled seccomp profiles; without one they are compiled each time.
    pub seccomp_cache: Option<PathBuf>,
}

impl CreateOptions {
    /// The options for a container of this bundle, with nothing else asked for.
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

    /// How many sockets from systemd the container gets.
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
    /// What the log tells at the level debug, once it is certain that this program makes the container.
    pub(crate) details: Vec<String>,
    pub(crate) blueprint: Blueprint,
    /// Whether the spec has no `process`, so that the container can be created but not started.
    pub(crate) no_process: bool,
    pub(crate) writer: Option<MapsWriter>,
    /// What `exec` will need to know about the container.
    pub(crate) stored: StoredProcess,
    pub(crate) hooks: Option<Hooks>,
    pub(crate) listener: Option<Listener>,
    pub(crate) cgroup_path: Option<String>,
    /// `linux.resources` without the device rules, for the record.
    pub(crate) resources: Option<LinuxResources>,
    /// The limits that follow from `resources`.
    pub(crate) limits: Limits,
    pub(crate) device_rules: Vec<LinuxDeviceCgroup>,
    pub(crate) rdt: Option<LinuxIntelRdt>,
    /// What to say about the root file system once the container has started; an error would say that and more.
    pub(crate) about_root: Option<String>,
}

impl Plan {
    /// Makes the plan for a container; warnings go to `warn`.
    pub(crate) fn new(
        mut container: Container,
        host: &Host,
        options: &CreateOptions,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self> {
        let (rootfs, root) = rootfs(&container.root.path, &options.bundle, host)?;
        let process = container.process.take();
        if let Some(process) = &process {
            labels::check(&process.written, host)?;
        }
        labels::check_mounts(container.mount_label.as_deref(), host)?;
        let writer = container.maps.as_ref().map(|maps| maps_writer(maps, host)).transpose()?;
        let owners = Owners::of(&rootfs, container.maps.as_ref()).filter(|_| !container.root.readonly);
        let about_root = owners.and_then(|owners| owners.warning(&root, host)).map(one_line);
        let (seccomp, listener) = seccomp_program(container.seccomp.take(), options, warn)?;
        let no_process = process.is_none();
        let process = process.unwrap_or_else(|| Process::waiting(container.first_ids));
        let (written_policy, memory_policy) = container.memory_policy.take().unzip();
        let surroundings = Surroundings {
            listen_fds: options.listen_fds(),
            keep_groups: container.keeps_groups,
            seccomp,
            personality: container.personality.map(u64::from),
            memory_policy,
            keyring: (!options.no_new_keyring).then(|| keyring_name(&options.id)),
            preserve_fds: options.preserve_fds,
        };
        let written = process.written.clone();
        let apparmor = written.apparmor_profile().clone().filter(|profile| !profile.is_empty());
        let process = Attributes::new(process, surroundings, warn);
        let mut stored = StoredProcess {
            process: written,
            keep_groups: process.keep_groups,
            groups_denied: writer.as_ref().is_some_and(|w| w.deny_setgroups),
            personality: process.personality,
            memory_policy: written_policy,
            keyring: process.keyring.is_some(),
            filter: process.seccomp.as_ref().map(|s| StoredFilter { flags: s.flags, notify: s.notify }),
            listener: listener.clone(),
            maps: container.maps.as_ref().map(|maps| (maps.uid().to_vec(), maps.gid().to_vec())),
            outside: Vec::new(),
        };
        let hooks = container.hooks.take();
        let (resources, limits) = (container.resources.take(), std::mem::take(&mut container.limits));
        let device_rules = std::mem::take(&mut container.device_rules);
        let cgroup_path = container.cgroup_path.take().map(|path| path.to_string_lossy().into_owned());
        let rdt = container.rdt.take();
        let spec = for_libcontainer(&mut container, apparmor)?;
        let blueprint = blueprint(container, Known { spec, rootfs, process }, hooks.as_ref(), host, options)?;
        stored.outside = Outside::of(&blueprint);
        Ok(Self {
            details: Vec::new(),
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

    /// The id maps of the user namespace that is made for the container, if there is one.
    pub(crate) fn maps(&self) -> Option<(&[LinuxIdMapping], &[LinuxIdMapping])> {
        self.blueprint.maps.as_ref().map(|maps| (maps.uid(), maps.gid()))
    }

    /// The hooks that run in the runtime's namespaces before the start: prestart, then createRuntime.
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

/// What is known in addition to the container itself.
struct Known {
    spec: Rc<Spec>,
    rootfs: PathBuf,
    process: Attributes,
}

fn blueprint(
    container: Container,
    known: Known,
    hooks: Option<&Hooks>,
    host: &Host,
    options: &CreateOptions,
) -> Result<Blueprint> {
    let Known { spec, rootfs, process } = known;
    let rootless =
        options.rootless.unwrap_or_else(|| host.needs_user_namespace() || host.in_user_namespace());
    let hooked = sees_the_root(hooks);
    let namespaces = container.namespaces;
    let mut mounts = mounts::place(container.mounts, (&options.bundle, &rootfs), &namespaces, rootless)?;
    Ok(Blueprint {
        identity: Identity {
            id: options.id.clone(),
            bundle: options.bundle.clone(),
            oci_version: container.version,
            annotations: container.annotations,
        },
        loopback: namespaces.network.is_new(),
        namespaces,
        rootfs,
        time_offsets: container.time_offsets,
        maps: container.maps,
        net_devices: spec.linux().as_ref().is_some_and(|linux| linux.net_devices().is_some()),
        spec,
        dev: mounts::dev(&mounts, hooked),
        devices: container.devices,
        base_propagation: mounts::base_propagation(&mut mounts, container.root_propagation),
        mounts,
        names: container.names,
        mount_label: container.mount_label,
        hooked,
        create_hooks: hooks.and_then(|h| h.create_container().clone()).unwrap_or_default(),
        readonly_root: container.root.readonly,
        readonly_paths: container.readonly_paths,
        masked_paths: container.masked_paths,
        root_propagation: container.root_propagation,
        process,
        start_hooks: hooks.and_then(|h| h.start_container().clone()).unwrap_or_default(),
        no_pivot: options.no_pivot,
        strict: options.strict,
        caller: host.euid(),
        rootless,
    })
}

/// Whether any hook looks at the root file system before it is entered.
fn sees_the_root(hooks: Option<&Hooks>) -> bool {
    let Some(hooks) = hooks else { return false };
    #[allow(deprecated)] // prestart is deprecated for authors of specs, not for runtimes.
    let lists = [hooks.prestart(), hooks.create_runtime(), hooks.create_container()];
    lists.into_iter().flatten().any(|list| !list.is_empty())
}

/// The absolute path of the root file system, which must be a directory, and its metadata.
fn rootfs(path: &Path, bundle: &Path, host: &Host) -> Result<(PathBuf, Metadata)> {
    let path = bundle.join(path);
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

fn maps_writer(maps: &IdMaps, host: &Host) -> Result<MapsWriter> {
    let by = rootling_rootless::idmap::writer(host, maps)
        .map_err(|e| Error::invalid(chain(&e)).see_doctor(e.has_check()))?;
    let deny_setgroups = must_deny_setgroups(host, &by);
    Ok(MapsWriter { by, deny_setgroups })
}

fn seccomp_program(
    profile: Option<LinuxSeccomp>,
    options: &CreateOptions,
    warn: &mut dyn FnMut(String),
) -> Result<(Option<seccomp::Program>, Option<Listener>)> {
    let Some(profile) = profile else { return Ok((None, None)) };
    let program = match &options.seccomp_cache {
        Some(dir) => seccomp::load_or_compile(dir, &profile),
        None => seccomp::compile(&profile),
    }?;
    let path = profile.listener_path().clone();
    if !program.as_ref().is_some_and(|program| program.notify) {
        if path.is_some() {
            warn("linux.seccomp.listenerPath is not used: no rule of the profile is SCMP_ACT_NOTIFY".into());
        }
        return Ok((program, None));
    }
    let metadata = profile.listener_metadata().clone().unwrap_or_default();
    Ok((program, path.map(|path| Listener { path, metadata })))
}

/// `$LISTEN_FDS`: how many sockets systemd has passed to this very process, sd_listen_fds(3).
pub fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|n: String| n.parse::<u32>().ok());
    if number("LISTEN_PID") == Some(std::process::id()) { number("LISTEN_FDS").unwrap_or(0) } else { 0 }
}

/// The name of a container's session keyring, as in runc.
pub(crate) fn keyring_name(id: &ContainerId) -> String {
    format!("_ses.{id}")
}

#[cfg(test)]
mod any_spec_tests;
#[cfg(test)]
mod tests;
