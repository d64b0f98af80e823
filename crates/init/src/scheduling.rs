//! `process.scheduler`, `process.ioPriority` and `linux.memoryPolicy`: the same for the container's first process
//! and for those of `exec`.

use nix::errno::Errno;
use oci_spec::runtime::{LinuxMemoryPolicy, Process};
use rootling_config::process::memory_policy::{self, MemoryPolicy};
use rootling_config::process::scheduling::{self, SchedAttr};

use crate::error::{Error, Result, chain};
use rootling_sys as sys;

/// What the kernel is asked for.
#[derive(Debug, Default)]
pub struct Scheduling {
    scheduler: Option<SchedAttr>,
    io_priority: Option<i32>,
    memory_policy: Option<MemoryPolicy>,
}

impl Scheduling {
    /// What a validated `process` asks for.
    pub fn new(process: &Process, policy: Option<&LinuxMemoryPolicy>) -> Result<Self> {
        let invalid = |e: &dyn std::error::Error| Error::invalid(chain(e));
        let scheduler = process.scheduler().as_ref().map(scheduling::attributes).transpose();
        let io_priority = process.io_priority().as_ref().map(scheduling::io_priority).transpose();
        Ok(Self {
            scheduler: scheduler.map_err(|e| invalid(&e))?,
            io_priority: io_priority.map_err(|e| invalid(&e))?,
            memory_policy: policy.map(memory_policy::resolve).transpose().map_err(|e| invalid(&e))?,
        })
    }

    /// Sets it for the calling process.
    pub fn set(&self) -> Result<()> {
        if let Some(attr) = &self.scheduler {
            sys::scheduling::set_scheduler(raw(attr)).map_err(|errno| {
                let SchedAttr { policy, nice, priority, .. } = attr;
                let what = format!("sched_setattr(policy {policy}, nice {nice}, priority {priority})");
                refused(errno, &format!("process.scheduler: {what}"))
            })?;
        }
        if let Some(priority) = self.io_priority {
            sys::scheduling::set_io_priority(priority).map_err(|errno| {
                let what = format!("ioprio_set(class {}, priority {})", priority >> 13, priority & 7);
                refused(errno, &format!("process.ioPriority: {what}"))
            })?;
        }
        if let Some(policy) = &self.memory_policy {
            sys::scheduling::set_memory_policy(policy.mode, policy.nodes.words()).map_err(|errno| {
                let nodes: Vec<_> = policy.nodes.iter().collect();
                let error = Error::from(errno).wrap(format!(
                    "linux.memoryPolicy: set_mempolicy(mode {:#x}, nodes {nodes:?})",
                    policy.mode
                ));
                error.remedy("the nodes of this machine are in /sys/devices/system/node/online")
            })?;
        }
        Ok(())
    }
}

/// As the kernel takes it.
fn raw(attr: &SchedAttr) -> libc::sched_attr {
    libc::sched_attr {
        size: 0,
        sched_policy: attr.policy,
        sched_flags: attr.flags,
        sched_nice: attr.nice,
        sched_priority: attr.priority,
        sched_runtime: attr.runtime,
        sched_deadline: attr.deadline,
        sched_period: attr.period,
    }
}

fn refused(errno: Errno, what: &str) -> Error {
    let error = Error::from(errno).wrap(what);
    match errno {
        Errno::EPERM => {
            error.remedy(
                "this takes CAP_SYS_NICE outside of any user namespace, and on cgroup v1 a cpu.rt_runtime_us above 0 in the \
                 container's cgroup; choose a lower one, or remove it",
            )
        }
        _ => error,
    }
}
