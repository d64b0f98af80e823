//! The options of `exec`, and the `process` object that follows from them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr;

use oci_spec::runtime::{Capability, LinuxCapabilities, Process};
use rootling_config::id::ContainerId;
use rootling_config::load;

use crate::caller::Caller;
use crate::error::{Context, Error, Result, chain};

/// The options of `exec`; [`ExecOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct ExecOptions {
    /// The container's id.
    pub id: ContainerId,
    /// The kind of program that calls.
    pub caller: Caller,
    /// The program and its arguments; empty with [`ExecOptions::process`].
    pub args: Vec<String>,
    /// A file with a `process` object that describes the whole process (`--process`).
    pub process: Option<PathBuf>,
    /// The working directory in the container (`--cwd`).
    pub cwd: Option<PathBuf>,
    /// Variables to add to the container's environment (`--env`).
    pub env: Vec<String>,
    /// Give the process a terminal (`--tty`).
    pub tty: bool,
    /// The uid and, if one is given, the gid (`--user`).
    pub user: Option<(u32, Option<u32>)>,
    /// Groups to add to the container's supplementary groups (`--additional-gids`).
    pub additional_gids: Vec<u32>,
    /// Do not stay with the process (`--detach`).
    pub detach: bool,
    /// The file to write its pid to (`--pid-file`).
    pub pid_file: Option<PathBuf>,
    /// Its SELinux label (`--process-label`).
    pub process_label: Option<String>,
    /// Its AppArmor profile (`--apparmor`).
    pub apparmor: Option<String>,
    /// `process.noNewPrivileges` (`--no-new-privs`).
    pub no_new_privs: Option<bool>,
    /// Capabilities in addition to the container's (`--cap`).
    pub caps: Vec<String>,
    /// How many descriptors beyond 2 the process keeps (`--preserve-fds`).
    pub preserve_fds: u32,
    /// The socket that gets its terminal when it is detached (`--console-socket`).
    pub console_socket: Option<PathBuf>,
    /// The socket that gets a pidfd of it (`--pidfd-socket`).
    pub pidfd_socket: Option<PathBuf>,
    /// Cgroups below the container's, `[CONTROLLER[,CONTROLLER...]:]PATH` (`--cgroup`).
    pub cgroups: Vec<String>,
    /// Start the process even if the container is paused (`--ignore-paused`).
    pub ignore_paused: bool,
}

impl ExecOptions {
    /// The options for a process that differs from the container's first one only in its arguments.
    pub fn new(id: ContainerId, args: Vec<String>) -> Self {
        Self {
            id,
            caller: Caller::default(),
            args,
            process: None,
            cwd: None,
            env: Vec::new(),
            tty: false,
            user: None,
            additional_gids: Vec::new(),
            detach: false,
            pid_file: None,
            process_label: None,
            apparmor: None,
            no_new_privs: None,
            caps: Vec::new(),
            preserve_fds: 0,
            console_socket: None,
            pidfd_socket: None,
            cgroups: Vec::new(),
            ignore_paused: false,
        }
    }
}

/// The `process` object for these options, based on that of the container.
pub(super) fn process(
    options: &ExecOptions,
    container: &Process,
    warn: &mut dyn FnMut(String),
) -> Result<Process> {
    match &options.process {
        Some(path) => {
            for flag in ignored(options) {
                warn(format!("{flag} is ignored: --process describes the whole process"));
            }
            from_file(path, container, warn)
        }
        None => from_flags(options, container, warn),
    }
}

/// The flags that have no effect together with `--process`, as in runc.
fn ignored(options: &ExecOptions) -> Vec<&'static str> {
    let given = [
        ("--cwd", options.cwd.is_some()),
        ("--env", !options.env.is_empty()),
        ("--user", options.user.is_some()),
        ("--additional-gids", !options.additional_gids.is_empty()),
        ("--process-label", options.process_label.is_some()),
        ("--apparmor", options.apparmor.is_some()),
        ("--no-new-privs", options.no_new_privs.is_some()),
        ("--cap", !options.caps.is_empty()),
        ("the command", !options.args.is_empty()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect()
}

/// Reads a `process` object from a file. A member that it lacks is taken from the container where runc does so, too;
/// that does not include `noNewPrivileges`, which engines omit when it is false.
fn from_file(path: &PathBuf, container: &Process, warn: &mut dyn FnMut(String)) -> Result<Process> {
    // A pipe works as well as a file: a shell's <(...) is one.
    let json = std::fs::File::open(path)
        .and_then(|file| rootling_sys::file::stream(file, load::MOST))
        .context(|| format!("--process {path:?}"))?;
    let (mut process, warnings) = load::process_from_slice(path, &json)
        .map_err(|e| Error::invalid(format!("--process {}", chain(&e))))?;
    warnings.into_iter().for_each(warn);
    if process.capabilities().is_none() {
        process.set_capabilities(container.capabilities().clone());
    }
    if process.rlimits().as_ref().is_none_or(Vec::is_empty) {
        process.set_rlimits(container.rlimits().clone());
    }
    if process.apparmor_profile().as_ref().is_none_or(String::is_empty) {
        process.set_apparmor_profile(container.apparmor_profile().clone());
    }
    if process.selinux_label().as_ref().is_none_or(String::is_empty) {
        process.set_selinux_label(container.selinux_label().clone());
    }
    if process.io_priority().is_none() {
        process.set_io_priority(*container.io_priority());
    }
    if process.scheduler().is_none() {
        process.set_scheduler(container.scheduler().clone());
    }
    if process.exec_cpu_affinity().is_none() {
        process.set_exec_cpu_affinity(container.exec_cpu_affinity().clone());
    }
    if process.user().umask().is_none() {
        let umask = container.user().umask();
        process.user_mut().set_umask(umask);
    }
    // The score that was adapted to what the caller may set: runc takes the container's, too.
    process.set_oom_score_adj(container.oom_score_adj());
    Ok(process)
}

fn from_flags(options: &ExecOptions, container: &Process, warn: &mut dyn FnMut(String)) -> Result<Process> {
    if options.args.is_empty() {
        return Err(Error::invalid(
            "exec args cannot be empty: name the program to run after the container's id, or give --process",
        ));
    }
    let mut process = container.clone();
    process.set_args(Some(options.args.clone()));
    process.set_terminal(Some(options.tty));
    // The size of the container's own terminal says nothing about the size of this one.
    process.set_console_size(None);
    if let Some(cwd) = &options.cwd {
        process.set_cwd(cwd.clone());
    }
    process.env_mut().get_or_insert_default().extend(options.env.iter().cloned());
    if let Some((uid, gid)) = options.user {
        process.user_mut().set_uid(uid);
        if let Some(gid) = gid {
            process.user_mut().set_gid(gid);
        }
    }
    if !options.additional_gids.is_empty() {
        let groups = process.user_mut().additional_gids_mut().get_or_insert_default();
        groups.extend(&options.additional_gids);
    }
    if let Some(label) = &options.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    if let Some(profile) = &options.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if let Some(wanted) = options.no_new_privs {
        process.set_no_new_privileges(Some(wanted));
    }
    if !options.caps.is_empty() {
        let sets = process.capabilities().clone().unwrap_or_else(no_capabilities);
        process.set_capabilities(Some(with_capabilities(sets, &options.caps, warn)));
    }
    Ok(process)
}

fn no_capabilities() -> LinuxCapabilities {
    let mut none = LinuxCapabilities::default();
    none.set_bounding(None).set_effective(None).set_inheritable(None).set_permitted(None).set_ambient(None);
    none
}

/// Applies `--cap`: the capabilities take effect, but are made ambient only if the container has inheritable
/// capabilities at all, without which none can be ambient; as in runc.
fn with_capabilities(
    mut sets: LinuxCapabilities,
    names: &[String],
    warn: &mut dyn FnMut(String),
) -> LinuxCapabilities {
    let mut added = HashSet::new();
    for name in names {
        let upper = name.to_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match Capability::from_str(plain) {
            Ok(capability) => drop(added.insert(capability)),
            Err(_) => warn(format!("--cap {name}: unknown capability ignored")),
        }
    }
    let more = |set: &Option<HashSet<Capability>>| {
        Some(set.iter().flatten().copied().chain(added.iter().copied()).collect())
    };
    let (bounding, effective, permitted) =
        (more(sets.bounding()), more(sets.effective()), more(sets.permitted()));
    if sets.inheritable().is_some() {
        let ambient = more(sets.ambient());
        sets.set_ambient(ambient);
    }
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    sets
}
