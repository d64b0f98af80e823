//! `process.scheduler`, `process.ioPriority` and `linux.memoryPolicy`, which are applied in the same way to the
//! container's first process and to those of `exec`.

use nix::errno::Errno;
use rootling_config::process::memory_policy::MemoryPolicy;
use rootling_sys::scheduling::SchedAttr;

use crate::error::{Error, Result};
use rootling_sys as sys;

/// The settings that the kernel is asked for.
#[derive(Debug, Default)]
pub struct Scheduling {
    pub(crate) scheduler: Option<SchedAttr>,
    pub(crate) io_priority: Option<i32>,
    pub(crate) memory_policy: Option<MemoryPolicy>,
}

impl Scheduling {
    /// Applies the settings to the calling process.
    pub fn set(&self) -> Result<()> {
        if let Some(attr) = &self.scheduler {
            sys::scheduling::set_scheduler(attr).map_err(|errno| {
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
