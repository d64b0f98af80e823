//! CPU and I/O scheduling: `process.scheduler` for `sched_setattr(2)`, `process.ioPriority` for
//! `ioprio_set(2)`.

use oci_spec::runtime::{
    IOPriorityClass, LinuxIOPriority, LinuxSchedulerFlag, LinuxSchedulerPolicy, Scheduler,
};
use rootling_sys::scheduling::SchedAttr;

/// Why scheduling parameters were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulingError {
    /// Outside -20..=19.
    #[error(
        "process.scheduler: invalid scheduler.nice: {nice} when scheduler.policy is {policy}; use -20 to 19"
    )]
    Nice {
        /// The value.
        nice: i32,
        /// The policy.
        policy: LinuxSchedulerPolicy,
    },
    /// A priority with a policy that has none.
    #[error(
        "process.scheduler: scheduler.priority can only be specified for SCHED_FIFO or SCHED_RR policy, not {0}; \
         remove it"
    )]
    PriorityWithout(LinuxSchedulerPolicy),
    /// Outside 1..=99.
    #[error("process.scheduler: invalid scheduler.priority: {priority} for {policy}; use 1 to 99")]
    Priority {
        /// The value.
        priority: i32,
        /// The policy.
        policy: LinuxSchedulerPolicy,
    },
    /// Deadline parameters with another policy.
    #[error(
        "process.scheduler: scheduler runtime/deadline/period can only be specified for SCHED_DEADLINE policy, not \
         {0}; remove them"
    )]
    DeadlineWithout(LinuxSchedulerPolicy),
    /// The kernel requires runtime <= deadline <= period, all positive.
    #[error(
        "process.scheduler: SCHED_DEADLINE needs 1024 <= runtime <= deadline <= period in nanoseconds, got runtime \
         {runtime}, deadline {deadline}, period {period} (0 means the deadline)"
    )]
    Deadline {
        /// Nanoseconds.
        runtime: u64,
        /// Nanoseconds.
        deadline: u64,
        /// Nanoseconds; 0 means the deadline.
        period: u64,
    },
    /// Linux has a number for this policy but no implementation.
    #[error("process.scheduler: Linux does not implement {0}; choose another policy")]
    NotImplemented(LinuxSchedulerPolicy),
    /// Outside 0..=7.
    #[error("process.ioPriority: invalid ioPriority.Priority: {0}; use 0 to 7")]
    IoPriority(i64),
}

/// The arguments for `sched_setattr(2)`.
///
/// # Errors
/// [`SchedulingError`] for what the kernel would refuse whatever the caller's privileges.
pub fn attributes(scheduler: &Scheduler) -> Result<SchedAttr, SchedulingError> {
    let policy = *scheduler.policy();
    let (nice, priority) = (scheduler.nice().unwrap_or(0), scheduler.priority().unwrap_or(0));
    let times =
        [*scheduler.runtime(), *scheduler.deadline(), *scheduler.period()].map(Option::unwrap_or_default);
    match policy {
        LinuxSchedulerPolicy::SchedIso => return Err(SchedulingError::NotImplemented(policy)),
        LinuxSchedulerPolicy::SchedOther | LinuxSchedulerPolicy::SchedBatch
            if !(-20..=19).contains(&nice) =>
        {
            return Err(SchedulingError::Nice { nice, policy });
        }
        LinuxSchedulerPolicy::SchedFifo | LinuxSchedulerPolicy::SchedRr if !(1..=99).contains(&priority) => {
            return Err(SchedulingError::Priority { priority, policy });
        }
        LinuxSchedulerPolicy::SchedFifo | LinuxSchedulerPolicy::SchedRr => {}
        _ if priority != 0 => return Err(SchedulingError::PriorityWithout(policy)),
        _ => {}
    }
    check_times(policy, times)?;
    let [runtime, deadline, period] = times;
    let flags = scheduler.flags().iter().flatten().fold(0, |flags, flag| flags | flag_bit(*flag));
    Ok(SchedAttr {
        policy: policy_number(policy),
        flags,
        nice,
        priority: priority as u32,
        runtime,
        deadline,
        period,
    })
}

fn check_times(policy: LinuxSchedulerPolicy, times: [u64; 3]) -> Result<(), SchedulingError> {
    let [runtime, deadline, period] = times;
    if policy != LinuxSchedulerPolicy::SchedDeadline {
        let none = times == [0; 3];
        return if none { Ok(()) } else { Err(SchedulingError::DeadlineWithout(policy)) };
    }
    let ordered = runtime <= deadline && (period == 0 || deadline <= period);
    // Below 1024 ns the kernel's fixed-point arithmetic would round the runtime to nothing.
    if runtime >= 1024 && ordered {
        Ok(())
    } else {
        Err(SchedulingError::Deadline { runtime, deadline, period })
    }
}

/// The number of a policy in linux/sched.h.
fn policy_number(policy: LinuxSchedulerPolicy) -> u32 {
    match policy {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    }
}

/// The bit of a flag in linux/sched.h.
fn flag_bit(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

/// The `ioprio` argument for `ioprio_set(2)`: class and priority in one number (linux/ioprio.h).
///
/// # Errors
/// [`SchedulingError::IoPriority`] outside 0 to 7.
pub fn io_priority(priority: &LinuxIOPriority) -> Result<i32, SchedulingError> {
    let level = i32::try_from(priority.priority()).ok().filter(|level| (0..=7).contains(level));
    let level = level.ok_or(SchedulingError::IoPriority(priority.priority()))?;
    let class = match priority.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    Ok(class << 13 | level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SchedAttr, SchedulingError> {
        attributes(&serde_json::from_str(json).expect("scheduler"))
    }

    #[test]
    fn what_the_kernel_takes_becomes_its_structure() {
        for (json, expected) in [
            (r#"{"policy":"SCHED_OTHER","nice":-20}"#, SchedAttr { nice: -20, ..Default::default() }),
            (
                r#"{"policy":"SCHED_BATCH","nice":19}"#,
                SchedAttr { policy: 3, nice: 19, ..Default::default() },
            ),
            (
                r#"{"policy":"SCHED_RR","priority":99,"flags":["SCHED_RESET_ON_FORK"]}"#,
                SchedAttr { policy: 2, priority: 99, flags: 1, ..Default::default() },
            ),
            (r#"{"policy":"SCHED_IDLE"}"#, SchedAttr { policy: 5, ..Default::default() }),
            (
                r#"{"policy":"SCHED_DEADLINE","runtime":2000,"deadline":3000}"#,
                SchedAttr { policy: 6, runtime: 2000, deadline: 3000, ..Default::default() },
            ),
        ] {
            assert_eq!(read(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_it_would_refuse_is_an_error() {
        for (json, expected) in [
            (
                r#"{"policy":"SCHED_OTHER","nice":20}"#,
                "invalid scheduler.nice: 20 when scheduler.policy is SCHED_OTHER",
            ),
            (r#"{"policy":"SCHED_BATCH","nice":-21}"#, "invalid scheduler.nice: -21"),
            (r#"{"policy":"SCHED_OTHER","priority":1}"#, "can only be specified for SCHED_FIFO or SCHED_RR"),
            (r#"{"policy":"SCHED_FIFO"}"#, "invalid scheduler.priority: 0 for SCHED_FIFO; use 1 to 99"),
            (r#"{"policy":"SCHED_FIFO","priority":100}"#, "invalid scheduler.priority: 100"),
            (r#"{"policy":"SCHED_OTHER","period":5}"#, "only be specified for SCHED_DEADLINE"),
            (
                r#"{"policy":"SCHED_DEADLINE","runtime":3000,"deadline":2000}"#,
                "runtime <= deadline <= period",
            ),
            (r#"{"policy":"SCHED_DEADLINE"}"#, "got runtime 0, deadline 0, period 0"),
            (r#"{"policy":"SCHED_ISO"}"#, "does not implement SCHED_ISO"),
        ] {
            let error = read(json).expect_err(json).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn io_priority_packs_class_and_level() {
        let read = |json: &str| io_priority(&serde_json::from_str(json).expect("priority"));
        assert_eq!(read(r#"{"class":"IOPRIO_CLASS_RT","priority":0}"#), Ok(1 << 13));
        assert_eq!(read(r#"{"class":"IOPRIO_CLASS_BE","priority":7}"#), Ok(2 << 13 | 7));
        assert_eq!(read(r#"{"class":"IOPRIO_CLASS_IDLE","priority":3}"#), Ok(3 << 13 | 3));
        for bad in [-1, 8, i64::MAX] {
            let error = read(&format!(r#"{{"class":"IOPRIO_CLASS_BE","priority":{bad}}}"#)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("process.ioPriority: invalid ioPriority.Priority: {bad}; use 0 to 7")
            );
        }
    }
}
