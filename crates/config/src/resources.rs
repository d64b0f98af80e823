//! Limits as a user writes them: the rules for the flags of `rootling spec` and `rootling update`.
//!
//! A `config.json` may hold any number, and the kernel has the last word on it. A flag is typed by a person, so a
//! value that makes no sense is refused here with the valid range, and what the host does not support is left out
//! with a warning.

use std::num::{NonZeroU16, NonZeroU64};

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use crate::limits::{self, Bound, Cpu, Io, LimitError, Limits, Memory, Period, Version, refuse};
use crate::process::affinity::NumberSet;

/// With less memory than this, few programs start at all; in bytes.
pub const MEMORY_MIN: i64 = 6 << 20;

/// The default size of /dev/shm, in bytes.
pub const SHM_SIZE: i64 = 64 << 20;

/// The range of `cpu.shares` that kernels accept; a value outside is moved to the nearer end.
pub const CPU_SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// The smallest `cpu.quota` in microseconds: 1 ms.
pub const CPU_QUOTA_MIN: u64 = 1_000;

/// The period in microseconds that `--cpus` is a share of.
pub const CPUS_PERIOD: u32 = Period::DEFAULT.get() as u32;

/// The range of block I/O weights.
pub const BLKIO_WEIGHT: std::ops::RangeInclusive<u16> = 10..=1000;

/// The range of an OOM score adjustment (`proc_pid_oom_score_adj(5)`).
pub const OOM_SCORE_ADJ: std::ops::RangeInclusive<i64> = -1000..=1000;

/// What the host supports, as far as the rules depend on it.
#[derive(Clone, Debug, Default)]
pub struct LimitSupport {
    /// The CPUs that exist.
    pub cpus: NumberSet,
    /// The memory nodes that exist.
    pub mems: NumberSet,
    /// Whether swap can be limited.
    pub swap: bool,
    /// Whether swappiness can be set (cgroup v1 only).
    pub swappiness: bool,
    /// Whether the OOM killer can be disabled (cgroup v1 only).
    pub oom_kill_disable: bool,
    /// Whether block I/O can be weighted.
    pub blkio_weight: bool,
    /// The realtime budget of the parent cgroup, in microseconds, if the CPU controller has one (`cpu.rt_runtime_us`,
    /// only cgroup v1 with `CONFIG_RT_GROUP_SCHED`).
    pub realtime: Option<i64>,
    /// The controllers with which the caller can set limits.
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

    /// Those that are in `names`; `blkio` is the old name of `io`.
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

/// Checks limits, completes them (swap from memory, clamped shares), and removes what the host does not support.
/// Returns warnings, one line each. `memory_min` is [`MEMORY_MIN`] unless the user says otherwise.
///
/// # Errors
/// [`LimitError`] for the first limit that makes no sense.
pub fn check(
    resources: &mut LinuxResources,
    host: &LimitSupport,
    memory_min: i64,
) -> Result<Vec<String>, LimitError> {
    // For a user, 0 means no limit; for the kernel, and for `update` as in runc, it is the smallest limit.
    if let Some(pids) = resources.pids_mut().as_mut().filter(|pids| pids.limit() <= 0) {
        pids.set_limit(-1);
    }
    let warnings = check_values(resources, host, Least { limit: memory_min, reservation: memory_min })?;
    if let Some(memory) = resources.memory_mut().as_mut().filter(|memory| memory.swap().unwrap_or(0) == 0) {
        let twice = memory.limit().filter(|limit| *limit > 0).map(|limit| limit.saturating_mul(2));
        memory.set_swap(twice.filter(|_| host.swap));
    }
    Ok(warnings)
}

/// Like [`check`], for limits of a container that already has those of `before`. What is not given keeps its value,
/// so nothing is completed, and what is given must be consistent with it. Only `memory_min` sets a smallest memory
/// limit: users often know that a running container needs less.
///
/// # Errors
/// [`LimitError`] for the first limit that makes no sense.
pub fn check_change(
    resources: &mut LinuxResources,
    before: &LinuxResources,
    host: &LimitSupport,
    memory_min: Option<i64>,
) -> Result<Vec<String>, LimitError> {
    let least = Least { limit: memory_min.unwrap_or(0), reservation: memory_min.unwrap_or(MEMORY_MIN) };
    let warnings = check_values(resources, host, least)?;
    if let (Some(memory), Some(before)) = (resources.memory(), before.memory()) {
        check_reservation(memory, before)?;
    }
    Ok(warnings)
}

/// The smallest memory limit, in bytes.
#[derive(Clone, Copy)]
struct Least {
    limit: i64,
    reservation: i64,
}

fn check_values(
    resources: &mut LinuxResources,
    host: &LimitSupport,
    least: Least,
) -> Result<Vec<String>, LimitError> {
    let limits = Limits::parse(resources).map_err(in_flags)?;
    let mut warnings = Vec::new();
    if let Some(memory) = resources.memory_mut() {
        check_memory(memory, &limits.memory, host, least, &mut warnings)?;
    }
    if let Some(cpu) = resources.cpu_mut() {
        check_cpu(cpu, &limits.cpu, host, &mut warnings)?;
        exists("cpuset-cpus", limits.cpuset.cpus.as_ref(), &host.cpus)?;
        exists("cpuset-mems", limits.cpuset.mems.as_ref(), &host.mems)?;
    }
    if let Some(block_io) = resources.block_io_mut() {
        check_block_io(block_io, &limits.io, host, &mut warnings)?;
    }
    leave_out(resources, &limits, host.controllers, &mut warnings);
    Ok(warnings)
}

/// Names the flag instead of the field in an error for a user who gave flags.
fn in_flags(error: LimitError) -> LimitError {
    let field = match error.field {
        "memory.limit" => "memory",
        "memory.reservation" => "memory-reservation",
        "memory.swap" => "memory-swap",
        "memory.swappiness" => "memory-swappiness",
        "cpu.period" => "cpu-period",
        "cpu.idle" => "cpu-idle",
        "cpu.cpus" => "cpuset-cpus",
        "cpu.mems" => "cpuset-mems",
        field => field,
    };
    LimitError { field, ..error }
}

/// Removes the limits whose controller the caller cannot use. What limits nothing is removed silently.
fn leave_out(
    resources: &mut LinuxResources,
    limits: &Limits,
    usable: Controllers,
    warnings: &mut Vec<String>,
) {
    let memory = resources.memory_mut().take().filter(|memory| *memory != LinuxMemory::default());
    let cpu = resources.cpu_mut().take().filter(|cpu| *cpu != LinuxCpu::default());
    let block_io = resources.block_io_mut().take().filter(|io| *io != LinuxBlockIo::default());
    resources.set_memory(memory).set_cpu(cpu).set_block_io(block_io);
    let asks = limits.asks(Version::V1);
    for (usable, controller, what) in [
        (usable.memory, "memory", "memory limits"),
        (usable.cpuset, "cpuset", "cpuset-cpus and cpuset-mems"),
        (usable.cpu, "cpu", "limits of CPU time"),
        (usable.pids, "pids", "pids-limit"),
        (usable.io, "io", "limits of block I/O"),
    ] {
        let asked = asks.iter().any(|ask| ask.controller == controller);
        if !usable && limits::clear(resources, controller) && asked {
            warnings.push(format!(
                "{what}: left out: the {controller} controller is not available to this caller on this host"
            ));
        }
    }
}

fn check_memory(
    memory: &mut LinuxMemory,
    limits: &Memory,
    host: &LimitSupport,
    least: Least,
    warnings: &mut Vec<String>,
) -> Result<(), LimitError> {
    for (field, value, least) in
        [("memory", limits.limit, least.limit), ("memory-reservation", limits.reservation, least.reservation)]
    {
        let least = u64::try_from(least).unwrap_or(0);
        if let Some(Bound::At(value)) = value
            && value < least
        {
            return Err(refuse(field, value, format!("bytes is below the minimum of {least}")));
        }
    }
    if let (Some(Bound::At(limit)), Some(Bound::At(reservation))) = (limits.limit, limits.reservation)
        && reservation > limit
    {
        let problem = format!("is above the memory limit of {limit}");
        return Err(refuse("memory-reservation", reservation, problem));
    }
    let given = memory.swap().is_some_and(|swap| swap != 0);
    if given && !host.swap {
        warnings.push("memory-swap: this host cannot limit swap; left out".to_owned());
        memory.set_swap(None);
    }
    if limits.swappiness.is_some() && !host.swappiness {
        warnings.push("memory-swappiness: this host's cgroups do not have it; left out".to_owned());
        memory.set_swappiness(None);
    }
    if limits.disable_oom_killer {
        if !host.oom_kill_disable {
            warnings.push("oom-kill-disable: this host's cgroups do not have it; left out".to_owned());
            memory.set_disable_oom_killer(None);
        } else if !limits.limit.is_some_and(Bound::is_limit) {
            warnings.push(
                "oom-kill-disable: without a memory limit the host itself may run out of memory".to_owned(),
            );
        }
    }
    Ok(())
}

/// Checks limit and reservation against each other if one of them is new and the other is in force.
fn check_reservation(new: &LinuxMemory, before: &LinuxMemory) -> Result<(), LimitError> {
    let given = |value: Option<i64>| value.filter(|value| *value != 0);
    let limited = |value: Option<i64>| value.filter(|value| *value > 0);
    match (given(new.limit()), given(new.reservation())) {
        (None, Some(reservation)) => match limited(before.limit()) {
            Some(limit) if reservation > limit => {
                let problem = format!(
                    "is above the memory limit of {limit}, which is in force; raise that with memory"
                );
                Err(refuse("memory-reservation", reservation, problem))
            }
            _ => Ok(()),
        },
        (Some(limit @ 1..), None) => match limited(before.reservation()) {
            Some(reservation) if reservation > limit => {
                let problem = format!(
                    "is below the memory reservation of {reservation}, which is in force; lower that with \
                     memory-reservation"
                );
                Err(refuse("memory", limit, problem))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_cpu(
    cpu: &mut LinuxCpu,
    limits: &Cpu,
    host: &LimitSupport,
    warnings: &mut Vec<String>,
) -> Result<(), LimitError> {
    if let Some(shares) = limits.shares.map(NonZeroU64::get) {
        let clamped = shares.clamp(*CPU_SHARES.start(), *CPU_SHARES.end());
        if clamped != shares {
            let (low, high) = (CPU_SHARES.start(), CPU_SHARES.end());
            warnings.push(format!("cpu-shares: {shares} is outside {low} to {high}; {clamped} is used"));
            cpu.set_shares(Some(clamped));
        }
    }
    match limits.quota {
        Some(Bound::At(quota)) if quota < CPU_QUOTA_MIN => {
            Err(refuse("cpu-quota", quota, "microseconds is too little; use at least 1000 (1 ms)"))
        }
        _ => check_realtime(cpu, limits, host, warnings),
    }
}

/// Checks the realtime budget: no cgroup can have more than its parent.
fn check_realtime(
    cpu: &mut LinuxCpu,
    limits: &Cpu,
    host: &LimitSupport,
    warnings: &mut Vec<String>,
) -> Result<(), LimitError> {
    let period = limits.realtime_period.map(NonZeroU64::get);
    if let Some(period) = period.filter(|period| !Period::RANGE.contains(period)) {
        return Err(refuse(
            "cpu-rt-period",
            period,
            "microseconds is out of range; use 1000 to 1000000 (1 ms to 1 s)",
        ));
    }
    let most = period.unwrap_or(*Period::RANGE.end());
    let given = cpu.realtime_runtime().filter(|runtime| *runtime != 0);
    if let Some(runtime) = given.filter(|runtime| *runtime < -1 || *runtime > most as i64) {
        let problem =
            format!("microseconds is out of range; use 1 to {most}, the period, or -1 for no limit");
        return Err(refuse("cpu-rt-runtime", runtime, problem));
    }
    match (host.realtime, given) {
        _ if limits.realtime_runtime.is_none() && period.is_none() => {}
        (None, _) => {
            warnings.push(
                "cpu-rt-runtime and cpu-rt-period: this host's cgroups do not have them; left out".to_owned(),
            );
            cpu.set_realtime_runtime(None).set_realtime_period(None);
        }
        (Some(above), Some(runtime)) if above != -1 && runtime > above => {
            return Err(refuse(
                "cpu-rt-runtime",
                runtime,
                format!(
                    "microseconds is more than the {above} of the cgroups above; set their cpu.rt_runtime_us first"
                ),
            ));
        }
        _ => {}
    }
    Ok(())
}

fn exists(field: &'static str, wanted: Option<&NumberSet>, present: &NumberSet) -> Result<(), LimitError> {
    let absent =
        wanted.and_then(|wanted| Some((wanted, wanted.iter().find(|number| !present.contains(*number))?)));
    let Some((wanted, absent)) = absent else { return Ok(()) };
    let problem = format!("names {absent}, which this host does not have; it has {present}");
    Err(refuse(field, format!("\"{wanted}\""), problem))
}

fn check_block_io(
    block_io: &mut LinuxBlockIo,
    limits: &Io,
    host: &LimitSupport,
    warnings: &mut Vec<String>,
) -> Result<(), LimitError> {
    let devices = limits.devices.iter().filter_map(|entry| entry.weight);
    let all = limits.weight.map(NonZeroU16::get).into_iter().chain(devices);
    let mut given = all.filter(|weight| *weight != 0).peekable();
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

/// The quota, in microseconds per [`CPUS_PERIOD`], that `--cpus` stands for on a host with `count` CPUs. `--cpus`
/// sets both quota and period, so it cannot be given together with either.
///
/// # Errors
/// [`LimitError`]: not a number, below 0.01, more than there are, or together with the other flags.
pub fn cpus_quota(cpus: &str, count: usize, cpu: &LinuxCpu) -> Result<i64, LimitError> {
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
/// [`LimitError`] outside [`OOM_SCORE_ADJ`].
pub fn oom_score_adj(value: i64) -> Result<i32, LimitError> {
    if !OOM_SCORE_ADJ.contains(&value) {
        return Err(refuse("oom-score-adj", value, "is out of range; use -1000 to 1000"));
    }
    Ok(value as i32)
}

/// The size of /dev/shm in bytes: the requested one, or [`SHM_SIZE`].
///
/// # Errors
/// [`LimitError`] for a negative size.
pub fn shm_size(value: Option<i64>) -> Result<i64, LimitError> {
    match value {
        Some(size) if size < 0 => Err(refuse("shm-size", size, "is negative; use a number of bytes")),
        size => Ok(size.filter(|size| *size > 0).unwrap_or(SHM_SIZE)),
    }
}

#[cfg(test)]
mod tests;
