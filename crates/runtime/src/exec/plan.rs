//! Turns a request and the container's state into everything that the child needs.

use nix::errno::Errno;
use rootling_config::container::{Affinity, Process};
use rootling_config::process::memory_policy;
use rootling_config::remedies::GROUP_RANGES;
use rootling_config::seccomp;
use rootling_rootless::host::Host;

use super::request::{self, ExecOptions};
use rootling_init::attributes::{Attributes, Surroundings};
use rootling_init::channel::Warn;

use crate::error::{Error, Result};
use crate::exec_state::Listener;
use crate::exec_state::StoredProcess;
use crate::labels;
use crate::plan::keyring_name;

/// Everything that the process is made from.
pub(crate) struct ExecPlan {
    pub(super) attributes: Attributes,
    pub(super) apparmor: Option<String>,
    pub(super) affinity: Affinity,
    pub(super) listener: Option<Listener>,
}

impl ExecPlan {
    pub(crate) fn new(
        host: &Host,
        options: &ExecOptions,
        stored: StoredProcess,
        filter: Option<seccomp::Program>,
        warn: Warn<'_>,
    ) -> Result<Self> {
        let process = request::process(options, &stored.process, warn)?;
        let mut process = Process::parse(process)?;
        if stored.groups_denied
            && process.written.user().additional_gids().as_ref().is_some_and(|g| !g.is_empty())
        {
            warn(format!(
                "process.user.additionalGids ignored: a map of a single id lets nobody change groups; {GROUP_RANGES}"
            ));
            process.written.user_mut().set_additional_gids(None);
        }
        let memory_policy = stored.memory_policy.as_ref().map(memory_policy::resolve).transpose();
        let surroundings = Surroundings {
            listen_fds: 0,
            keep_groups: stored.keep_groups,
            seccomp: filter,
            personality: stored.personality,
            memory_policy: memory_policy?,
            keyring: stored.keyring.then(|| keyring_name(&options.id)),
            preserve_fds: options.preserve_fds,
        };
        labels::check(&process.written, host)?;
        let apparmor = process.written.apparmor_profile().clone().filter(|p| !p.is_empty());
        let affinity = process.affinity.clone();
        let attributes = Attributes::new(process, surroundings, warn);
        Ok(Self { attributes, apparmor, affinity, listener: stored.listener })
    }
}

/// The error for a mask of which the kernel accepts no CPU.
pub(super) fn affinity_error(errno: Errno, field: &str) -> Error {
    let error = Error::from(errno).wrap(format!("process.execCPUAffinity.{field}: sched_setaffinity"));
    match errno {
        Errno::EINVAL => error.remedy("none of the CPUs is one of this machine and of the cgroup's cpuset"),
        _ => error,
    }
}
