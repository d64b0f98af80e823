//! Limits as a user writes them: the rules for the flags of `rootling spec` and `rootling update`.
//!
//! A `config.json` may hold any number, and the kernel has the last word on it. A flag is typed by a
//! person, so what makes no sense is refused here with the range that does, and what the host cannot
//! do is left out with a warning.

use std::fmt::Display;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxWeightDevice};

use crate::process::affinity::{self, NumberSet};

/// Below this few programs start at all; in bytes.
pub const MEMORY_MIN: i64 = 6 << 20;

/// The size of /dev/shm unless another is asked for; in bytes.
pub const SHM_SIZE: i64 = 64 << 20;

/// The range of `cpu.shares` that kernels accept; what lies outside is moved to the nearer end.
pub const CPU_SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// The range of `cpu.period` in microseconds: 1 ms to 1 s.
pub const CPU_PERIOD: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;

/// The least `cpu.quota` in microseconds: 1 ms.
pub const CPU_QUOTA_MIN: i64 = 1_000;

/// The period in microseconds that `--cpus` is a share of.
pub const CPUS_PERIOD: u32 = 100_000;

/// The range of block I/O weights.
pub const BLKIO_WEIGHT: std::ops::RangeInclusive<u16> = 10..=1000;

/// The range of an OOM score adjustment (`proc_pid_oom_score_adj(5)`).
pub const OOM_SCORE_ADJ: std::ops::RangeInclusive<i64> = -1000..=1000;

/// What the host can do, as far as the rules ask.
#[derive(Clone, Debug, Default)]
pub struct Ability {
    /// The CPUs that exist.
    pub cpus: NumberSet,
    /// The memory nodes that exist.
    pub mems: NumberSet,
    /// Swap can be limited.
    pub swap: bool,
    /// Swappiness can be set (cgroup v1 only).
    pub swappiness: bool,
    /// The OOM killer can be disabled (cgroup v1 only).
    pub oom_kill_disable: bool,
    /// Block I/O can be weighted.
    pub blkio_weight: bool,
    /// The CPU controller has realtime time to give; in microseconds, what the cgroup above has
    /// (`cpu.rt_runtime_us`, cgroup v1 with `CONFIG_RT_GROUP_SCHED` only).
    pub realtime: Option<i64>,
    /// The controllers that the caller can set limits with.
    pub controllers: Controllers,
}

/// Which controllers can be used, by their version 2 names (cgroups(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the controller that it is named after.
pub struct Controllers {
    pub memory: bool,
    pub cpu: bool,
    pub cpuset: bool,
    pub pids: bool,
    pub io: bool,
}

impl Controllers {
    /// All of them, as for root.
    pub const ALL: Self = Self { memory: true, cpu: true, cpuset: true, pids: true, io: true };

    /// Those among `names`; `blkio` is the old name of `io`.
    pub fn among<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for name in names {
            match name {
                "memory" => found.memory = true,
                "cpu" => found.cpu = true,
                "cpuset" => found.cpuset = true,
                "pids" => found.pids = true,
                "io" | "blkio" => found.io = true,
                _ => {}
            }
        }
        found
    }
}

/// Why a limit was refused: the field, its value and the range that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} {problem}")]
#[non_exhaustive]
pub struct ResourceError {
    /// The field or flag.
    pub field: &'static str,
    /// What was asked for.
    pub value: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

fn refuse(field: &'static str, value: impl Display, problem: impl Into<String>) -> ResourceError {
    ResourceError { field, value: format!("{value}"), problem: problem.into() }
}

/// Checks limits, completes them (swap from memory, clamped shares) and takes out what the host cannot
/// do. Returns warnings, one line each. `memory_min` is [`MEMORY_MIN`] unless the user says otherwise.
///
/// # Errors
/// [`ResourceError`] for the first limit that makes no sense.
pub fn check(
    resources: &mut LinuxResources,
    host: &Ability,
    memory_min: i64,
) -> Result<Vec<String>, ResourceError> {
    let unset = |memory: &LinuxMemory| memory.swap().unwrap_or_default() == 0;
    // In words, 0 is no limit; to the kernel, and so to `update`, it is the least that there is.
    if let Some(pids) = resources.pids_mut().as_mut().filter(|pids| pids.limit() <= 0) {
        pids.set_limit(-1);
    }
    let warnings = check_change(resources, host, memory_min)?;
    if let Some(memory) = resources.memory_mut().as_mut().filter(|memory| unset(memory)) {
        let twice = memory.limit().filter(|limit| *limit > 0).map(|limit| limit.saturating_mul(2));
        memory.set_swap(twice.filter(|_| host.swap));
    }
    Ok(warnings)
}

/// As [`check`], for limits of a container that has some already: what is not named stays as it is, so
/// nothing is completed.
///
/// # Errors
/// [`ResourceError`] for the first limit that makes no sense.
pub fn check_change(
    resources: &mut LinuxResources,
    host: &Ability,
    memory_min: i64,
) -> Result<Vec<String>, ResourceError> {
    let mut warnings = Vec::new();
    if let Some(memory) = resources.memory_mut() {
        check_memory(memory, host, memory_min, &mut warnings)?;
    }
    if let Some(cpu) = resources.cpu_mut() {
        check_cpu(cpu, host, &mut warnings)?;
    }
    if let Some(block_io) = resources.block_io_mut() {
        check_block_io(block_io, host, &mut warnings)?;
    }
    leave_out(resources, host.controllers, &mut warnings);
    Ok(warnings)
}

/// Takes out the limits whose controller the caller cannot use.
fn leave_out(resources: &mut LinuxResources, usable: Controllers, warnings: &mut Vec<String>) {
    let mut missing = |controller: &str, limits: &str| {
        warnings.push(format!(
            "{limits}: left out: the {controller} controller is not available to this caller on this host"
        ));
    };
    // What says nothing goes without a word.
    let memory = resources.memory_mut().take().filter(|memory| *memory != LinuxMemory::default());
    resources.set_memory(memory);
    if !usable.memory && resources.memory_mut().take().is_some() {
        missing("memory", "memory limits");
    }
    if let Some(mut cpu) = resources.cpu_mut().take() {
        let all = cpu.clone();
        if !usable.cpuset {
            cpu.set_cpus(None).set_mems(None);
            if cpu != all {
                missing("cpuset", "cpuset-cpus and cpuset-mems");
            }
        }
        if !usable.cpu {
            let mut placement = LinuxCpu::default();
            placement.set_cpus(cpu.cpus().clone()).set_mems(cpu.mems().clone());
            if placement != cpu {
                missing("cpu", "limits of CPU time");
            }
            cpu = placement;
        }
        resources.set_cpu(Some(cpu).filter(|cpu| *cpu != LinuxCpu::default()));
    }
    if !usable.pids && resources.pids_mut().take().is_some_and(|pids| pids.limit() >= 0) {
        missing("pids", "pids-limit");
    }
    let block_io = resources.block_io_mut().take().filter(|io| *io != LinuxBlockIo::default());
    resources.set_block_io(block_io);
    if !usable.io && resources.block_io_mut().take().is_some() {
        missing("io", "limits of block I/O");
    }
}

fn check_memory(
    memory: &mut LinuxMemory,
    host: &Ability,
    least: i64,
    warnings: &mut Vec<String>,
) -> Result<(), ResourceError> {
    // -1 is unlimited; 0 is how flags say "not given".
    let given = |value: Option<i64>| value.filter(|value| *value != 0);
    let (limit, reservation) = (given(memory.limit()), given(memory.reservation()));
    for (field, value) in [("memory", limit), ("memory-reservation", reservation)] {
        if let Some(value) = value.filter(|value| *value != -1 && *value < least) {
            return Err(refuse(field, value, format!("bytes is below the minimum of {least}")));
        }
    }
    if let (Some(limit), Some(reservation)) = (limit.filter(|limit| *limit > 0), reservation)
        && reservation > limit
    {
        return Err(refuse(
            "memory-reservation",
            reservation,
            format!("is above the memory limit of {limit}"),
        ));
    }
    check_swap(memory, limit, host, warnings)?;
    if let Some(swappiness) = memory.swappiness() {
        if swappiness > 100 {
            return Err(refuse("memory-swappiness", swappiness, "is out of range; use 0 to 100"));
        }
        if !host.swappiness {
            warnings.push("memory-swappiness: this host's cgroups do not have it; left out".to_owned());
            memory.set_swappiness(None);
        }
    }
    if memory.disable_oom_killer() == Some(true) {
        if !host.oom_kill_disable {
            warnings.push("oom-kill-disable: this host's cgroups do not have it; left out".to_owned());
            memory.set_disable_oom_killer(None);
        } else if limit.is_none_or(|limit| limit < 0) {
            warnings.push(
                "oom-kill-disable: without a memory limit the host itself may run out of memory".to_owned(),
            );
        }
    }
    Ok(())
}

/// Swap is counted together with memory.
fn check_swap(
    memory: &mut LinuxMemory,
    limit: Option<i64>,
    host: &Ability,
    warnings: &mut Vec<String>,
) -> Result<(), ResourceError> {
    let limit = limit.filter(|limit| *limit > 0);
    match (memory.swap().filter(|swap| *swap != 0), limit) {
        (Some(swap), None) if swap != -1 => {
            return Err(refuse("memory-swap", swap, "needs a memory limit; set memory as well"));
        }
        (Some(swap), Some(limit)) if swap != -1 && swap < limit => {
            let problem = format!(
                "is below the memory limit of {limit}, which it includes; use more, or -1 for unlimited"
            );
            return Err(refuse("memory-swap", swap, problem));
        }
        (Some(_), _) if !host.swap => {
            warnings.push("memory-swap: this host cannot limit swap; left out".to_owned());
            memory.set_swap(None);
        }
        _ => {}
    }
    Ok(())
}

fn check_cpu(cpu: &mut LinuxCpu, host: &Ability, warnings: &mut Vec<String>) -> Result<(), ResourceError> {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        let clamped = shares.clamp(*CPU_SHARES.start(), *CPU_SHARES.end());
        if clamped != shares {
            let (low, high) = (CPU_SHARES.start(), CPU_SHARES.end());
            warnings.push(format!("cpu-shares: {shares} is outside {low} to {high}; {clamped} is used"));
            cpu.set_shares(Some(clamped));
        }
    }
    if let Some(period) = cpu.period().filter(|period| *period != 0 && !CPU_PERIOD.contains(period)) {
        return Err(refuse(
            "cpu-period",
            period,
            "microseconds is out of range; use 1000 to 1000000 (1 ms to 1 s)",
        ));
    }
    if let Some(quota) = cpu.quota().filter(|quota| *quota > 0 && *quota < CPU_QUOTA_MIN) {
        return Err(refuse("cpu-quota", quota, "microseconds is too little; use at least 1000 (1 ms)"));
    }
    check_realtime(cpu, host, warnings)?;
    exists("cpuset-cpus", cpu.cpus().as_deref(), &host.cpus)?;
    exists("cpuset-mems", cpu.mems().as_deref(), &host.mems)
}

/// Realtime time is handed down: no cgroup can have more than the one above it.
fn check_realtime(
    cpu: &mut LinuxCpu,
    host: &Ability,
    warnings: &mut Vec<String>,
) -> Result<(), ResourceError> {
    let given = |value: &i64| *value != 0;
    let runtime = cpu.realtime_runtime().filter(given);
    let period = cpu.realtime_period().filter(|period| *period != 0);
    if let Some(period) = period.filter(|period| !CPU_PERIOD.contains(period)) {
        return Err(refuse(
            "cpu-rt-period",
            period,
            "microseconds is out of range; use 1000 to 1000000 (1 ms to 1 s)",
        ));
    }
    if let Some(runtime) = runtime {
        let most = period.map_or(*CPU_PERIOD.end() as i64, |period| period as i64);
        if runtime < -1 || runtime > most {
            let problem =
                format!("microseconds is out of range; use 1 to {most}, the period, or -1 for no limit");
            return Err(refuse("cpu-rt-runtime", runtime, problem));
        }
    }
    if runtime.is_none() && period.is_none() {
        return Ok(());
    }
    match host.realtime {
        None => {
            warnings.push(
                "cpu-rt-runtime and cpu-rt-period: this host's cgroups do not have them; left out".to_owned(),
            );
            cpu.set_realtime_runtime(None).set_realtime_period(None);
        }
        Some(above) if runtime.is_some_and(|runtime| above != -1 && runtime > above) => {
            return Err(refuse(
                "cpu-rt-runtime",
                runtime.unwrap_or_default(),
                format!(
                    "microseconds is more than the {above} of the cgroups above; set their cpu.rt_runtime_us first"
                ),
            ));
        }
        Some(_) => {}
    }
    Ok(())
}

fn exists(field: &'static str, list: Option<&str>, present: &NumberSet) -> Result<(), ResourceError> {
    let Some(list) = list else { return Ok(()) };
    let wanted = affinity::parse(list)
        .map_err(|error| refuse(field, format!("{list:?}"), format!("is not a list of numbers: {error}")))?;
    match wanted.iter().find(|number| !present.contains(*number)) {
        Some(absent) => Err(refuse(
            field,
            format!("{list:?}"),
            format!("names {absent}, which this host does not have; it has {present}"),
        )),
        None => Ok(()),
    }
}

fn check_block_io(
    block_io: &mut LinuxBlockIo,
    host: &Ability,
    warnings: &mut Vec<String>,
) -> Result<(), ResourceError> {
    let devices = block_io.weight_device().iter().flatten().filter_map(LinuxWeightDevice::weight);
    let mut given = block_io.weight().into_iter().chain(devices).filter(|weight| *weight != 0).peekable();
    let any = given.peek().is_some();
    if let Some(weight) = given.find(|weight| !BLKIO_WEIGHT.contains(weight)) {
        return Err(refuse("blkio-weight", weight, "is out of range; use 10 to 1000"));
    }
    if any && !host.blkio_weight {
        warnings.push("blkio-weight: this host's cgroups do not have it; left out".to_owned());
        block_io.set_weight(None).set_weight_device(None);
    }
    Ok(())
}

/// The quota in microseconds of [`CPUS_PERIOD`] that `--cpus` stands for, on a host with `count` CPUs.
/// `--cpus` says both quota and period, so it cannot be given together with either.
///
/// # Errors
/// [`ResourceError`]: not a number, below 0.01, more than there are, or together with the other flags.
pub fn cpus_quota(cpus: &str, count: usize, cpu: &LinuxCpu) -> Result<i64, ResourceError> {
    let quoted = || format!("{cpus:?}");
    if cpu.period().is_some() || cpu.quota().is_some() {
        return Err(refuse("cpus", quoted(), "cannot be given together with cpu-period or cpu-quota"));
    }
    let number: f64 =
        cpus.parse().map_err(|_| refuse("cpus", quoted(), "is not a number; write for example 1.5"))?;
    let most = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if !(0.01..=most).contains(&number) {
        return Err(refuse(
            "cpus",
            quoted(),
            format!("is out of range; use 0.01 to {count}, the CPUs of this host"),
        ));
    }
    Ok((number * f64::from(CPUS_PERIOD)).round() as i64)
}

/// Checks an OOM score adjustment.
///
/// # Errors
/// [`ResourceError`] outside [`OOM_SCORE_ADJ`].
pub fn oom_score_adj(value: i64) -> Result<i32, ResourceError> {
    if !OOM_SCORE_ADJ.contains(&value) {
        return Err(refuse("oom-score-adj", value, "is out of range; use -1000 to 1000"));
    }
    Ok(value as i32)
}

/// The size of /dev/shm in bytes: what was asked for, or [`SHM_SIZE`].
///
/// # Errors
/// [`ResourceError`] for a negative size.
pub fn shm_size(value: Option<i64>) -> Result<i64, ResourceError> {
    match value {
        Some(size) if size < 0 => Err(refuse("shm-size", size, "is negative; use a number of bytes")),
        size => Ok(size.filter(|size| *size > 0).unwrap_or(SHM_SIZE)),
    }
}

#[cfg(test)]
mod tests;
