//! From a request and the container's state to everything that the child needs.

use nix::errno::Errno;
use rootling_config::process::affinity;
use rootling_config::remedies::GROUP_RANGES;
use rootling_config::{seccomp, validate};
use rootling_rootless::host::Host;

use super::request::{self, ExecOptions};
use rootling_init::attributes::{Attributes, Surroundings};
use rootling_init::channel::Warn;

use crate::error::{Error, Result, chain};
use crate::exec_state::Listener;
use crate::exec_state::StoredProcess;
use crate::labels;
use crate::plan::keyring_name;

/// What the process is made with.
pub(crate) struct ExecPlan {
    pub(super) attributes: Attributes,
    pub(super) apparmor: Option<String>,
    pub(super) affinity: Affinity,
    pub(super) listener: Option<Listener>,
}

/// `process.execCPUAffinity` as masks of sched_setaffinity(2).
#[derive(Default)]
pub(super) struct Affinity {
    /// While it joins the container.
    pub(super) initial: Option<Vec<u64>>,
    /// In the container's cgroup.
    pub(super) last: Option<Vec<u64>>,
}

impl ExecPlan {
    pub(crate) fn new(
        host: &Host,
        options: &ExecOptions,
        stored: StoredProcess,
        filter: Option<seccomp::Program>,
        warn: Warn<'_>,
    ) -> Result<Self> {
        let mut process = request::process(options, &stored.process, warn)?;
        validate::process(&process).map_err(|e| Error::invalid(chain(&e)))?;
        if stored.groups_denied && process.user().additional_gids().as_ref().is_some_and(|g| !g.is_empty()) {
            warn(format!(
                "process.user.additionalGids ignored: a map of a single id lets nobody change groups; {GROUP_RANGES}"
            ));
            process.user_mut().set_additional_gids(None);
        }
        let surroundings = Surroundings {
            env: Vec::new(),
            keep_groups: stored.keep_groups,
            seccomp: filter,
            personality: stored.personality,
            memory_policy: stored.memory_policy,
            keyring: stored.keyring.then(|| keyring_name(&options.id)),
            preserve_fds: options.preserve_fds,
        };
        let attributes = Attributes::new(&process, surroundings, warn)?;
        labels::check(&process, host)?;
        Ok(Self {
            attributes,
            apparmor: process.apparmor_profile().clone().filter(|p| !p.is_empty()),
            affinity: cpu_affinity(&process)?,
            listener: stored.listener,
        })
    }
}

fn cpu_affinity(process: &oci_spec::runtime::Process) -> Result<Affinity> {
    let Some(wanted) = process.exec_cpu_affinity() else { return Ok(Affinity::default()) };
    let mask = |name: &str, list: Option<&String>| -> Result<Option<Vec<u64>>> {
        let Some(list) = list.filter(|l| !l.trim().is_empty()) else { return Ok(None) };
        let set = affinity::parse(list)
            .map_err(|e| Error::invalid(format!("process.execCPUAffinity.{name}: {}", chain(&e))))?;
        Ok(Some(set.words().to_vec()))
    };
    Ok(Affinity {
        initial: mask("initial", wanted.initial().as_ref())?,
        last: mask("final", wanted.cpu_affinity_final().as_ref())?,
    })
}

/// What to say when the kernel takes none of the CPUs.
pub(super) fn affinity_error(errno: Errno, field: &str) -> Error {
    let error = Error::from(errno).wrap(format!("process.execCPUAffinity.{field}: sched_setaffinity"));
    match errno {
        Errno::EINVAL => error.remedy("none of the CPUs is one of this machine and of the cgroup's cpuset"),
        _ => error,
    }
}
