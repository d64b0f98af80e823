//! `linux.resources` as properties of a unit, so that systemd does not undo what is written to the
//! files, and shows it.

use cgroups_rs::systemd::{
    ALLOWED_CPUS, ALLOWED_MEMORY_NODES, CPU_QUOTA_PER_SEC_US, CPU_QUOTA_PERIOD_US, CPU_SHARES, CPU_WEIGHT,
    MEMORY_LIMIT, MEMORY_LOW, MEMORY_MAX, MEMORY_SWAP_MAX, TASKS_MAX,
};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};
use zbus::zvariant::Value;

use super::bus::Property;
use crate::CgroupError;
use crate::convert::{blkio_weight_to_io_weight, cpu_shares_to_weight, memory_swap_to_v2};

/// systemd's `infinity`.
const INFINITY: u64 = u64::MAX;

/// systemd.resource-control(5), the scale is that of `io.weight`.
const IO_WEIGHT: &str = "IOWeight";

/// The kernel's period when none is given, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// Turns resources into properties for one systemd and one cgroup version.
pub(crate) struct Translator<'a> {
    pub(crate) unified: bool,
    /// Asked for only when a property depends on it: it costs a round trip.
    pub(crate) version: &'a dyn Fn() -> u32,
}

impl Translator<'_> {
    pub(crate) fn properties(&self, r: &LinuxResources) -> Result<Vec<Property>, CgroupError> {
        let mut out = Vec::new();
        if let Some(m) = r.memory() {
            self.memory(m, &mut out)?;
        }
        if let Some(c) = r.cpu() {
            self.cpu(c, &mut out)?;
        }
        if let Some(p) = r.pids() {
            push(&mut out, TASKS_MAX, tasks(p.limit()));
        }
        if let Some(weight) = r.block_io().as_ref().and_then(LinuxBlockIo::weight).filter(|w| *w != 0) {
            let (name, value) = if self.unified {
                (IO_WEIGHT, blkio_weight_to_io_weight(weight))
            } else {
                ("BlockIOWeight", u64::from(weight))
            };
            push(&mut out, name, value);
        }
        let mut files: Vec<_> = r.unified().iter().flatten().collect();
        // cpu.idle before cpu.weight.
        files.sort();
        for (file, value) in files {
            self.unified_file(file, value.trim(), &mut out)?;
        }
        Ok(out)
    }

    fn memory(&self, m: &LinuxMemory, out: &mut Vec<Property>) -> Result<(), CgroupError> {
        let limit = if self.unified { MEMORY_MAX } else { MEMORY_LIMIT };
        // -1 is all bits set, which is systemd's infinity.
        if let Some(n) = m.limit().filter(|n| *n != 0) {
            push(out, limit, n.cast_unsigned());
        }
        if !self.unified {
            return Ok(());
        }
        if let Some(n) = m.reservation().filter(|n| *n != 0) {
            push(out, MEMORY_LOW, n.cast_unsigned());
        }
        if let Some(n) = memory_swap_to_v2(m.swap().unwrap_or(0), m.limit().unwrap_or(0))? {
            push(out, MEMORY_SWAP_MAX, n.cast_unsigned());
        }
        Ok(())
    }

    fn cpu(&self, c: &LinuxCpu, out: &mut Vec<Property>) -> Result<(), CgroupError> {
        let shares = c.shares().filter(|s| *s != 0);
        if self.unified && c.idle() == Some(1) && (self.version)() >= 252 {
            // This is how cpu.idle is said; there can be no weight beside it.
            push(out, CPU_WEIGHT, 0_u64);
        } else if let Some(shares) = shares {
            let (name, value) =
                if self.unified { (CPU_WEIGHT, cpu_shares_to_weight(shares)) } else { (CPU_SHARES, shares) };
            push(out, name, value);
        }
        self.quota(c.quota().unwrap_or(0), c.period().unwrap_or(0), out);
        self.cpuset(ALLOWED_CPUS, "cpu.cpus", c.cpus().as_deref(), out)?;
        self.cpuset(ALLOWED_MEMORY_NODES, "cpu.mems", c.mems().as_deref(), out)
    }

    /// systemd keeps the quota as a percentage of a CPU, rounded up here so that the container
    /// gets at least what it asked for.
    fn quota(&self, quota: i64, period: u64, out: &mut Vec<Property>) {
        if period != 0 && (self.version)() >= 242 {
            push(out, CPU_QUOTA_PERIOD_US, period);
        }
        if quota == 0 && period == 0 {
            return;
        }
        let mut per_second = INFINITY;
        if let Ok(quota @ 1..) = u64::try_from(quota) {
            per_second = rounded_per_second(quota, period);
        }
        push(out, CPU_QUOTA_PER_SEC_US, per_second);
    }

    fn cpuset(
        &self,
        name: &str,
        field: &'static str,
        set: Option<&str>,
        out: &mut Vec<Property>,
    ) -> Result<(), CgroupError> {
        let Some(set) = set.filter(|s| !s.is_empty()) else { return Ok(()) };
        let reason = "write it as a list of numbers and ranges, such as 0-2,7";
        let invalid = || CgroupError::InvalidResource { field, value: set.to_owned(), reason };
        let bits = bitmap(set).ok_or_else(invalid)?;
        if (self.version)() >= 244 {
            push(out, name, bits);
        }
        Ok(())
    }

    /// The files of `unified` that systemd has a property for; the others are written all the same.
    fn unified_file(&self, file: &str, value: &str, out: &mut Vec<Property>) -> Result<(), CgroupError> {
        let invalid = || CgroupError::InvalidResource {
            field: "unified",
            value: format!("{file}={value}"),
            reason: "must be a number, or max where the file takes it",
        };
        let number = || match value {
            "max" => Ok(INFINITY),
            n => n.parse::<u64>().map_err(|_| invalid()),
        };
        match file {
            // Not beside CPUWeight=0 of cpu.idle.
            "cpu.weight" if out.iter().any(|(name, v)| name == CPU_WEIGHT && *v == Value::U64(0)) => {}
            "cpu.weight" => push(out, CPU_WEIGHT, number()?),
            "cpu.idle" if value == "1" && (self.version)() >= 252 => push(out, CPU_WEIGHT, 0_u64),
            "cpu.max" => {
                let (quota, period) = value.split_once(' ').unwrap_or((value, "100000"));
                let period = period.trim().parse().map_err(|_| invalid())?;
                let quota = if quota == "max" { -1 } else { quota.parse().map_err(|_| invalid())? };
                self.quota(quota, period, out);
            }
            "cpuset.cpus" => self.cpuset(ALLOWED_CPUS, "unified", Some(value), out)?,
            "cpuset.mems" => self.cpuset(ALLOWED_MEMORY_NODES, "unified", Some(value), out)?,
            // Weights of single devices have other properties, and are only written.
            "io.weight" => {
                let weight = value.strip_prefix("default").unwrap_or(value).trim();
                weight.parse::<u64>().into_iter().for_each(|weight| push(out, IO_WEIGHT, weight));
            }
            "memory.high" => push(out, "MemoryHigh", number()?),
            "memory.low" => push(out, MEMORY_LOW, number()?),
            "memory.min" => push(out, "MemoryMin", number()?),
            "memory.max" => push(out, MEMORY_MAX, number()?),
            "memory.swap.max" => push(out, MEMORY_SWAP_MAX, number()?),
            // 0 is refused by systemd; one task is as good as none.
            "pids.max" => push(out, TASKS_MAX, number()?.max(1)),
            _ => {}
        }
        Ok(())
    }
}

/// Microseconds of processor time a second, in whole per cents.
fn rounded_per_second(quota: u64, period: u64) -> u64 {
    let period = if period == 0 { DEFAULT_PERIOD } else { period };
    (quota.saturating_mul(1_000_000) / period).next_multiple_of(10_000)
}

/// The same resources with the quota that systemd makes of it, so that both write the same to the file.
pub(crate) fn as_systemd_rounds(r: &LinuxResources) -> LinuxResources {
    let mut rounded = r.clone();
    if let Some(cpu) = rounded.cpu_mut()
        && let Some(Ok(quota @ 1..)) = cpu.quota().map(u64::try_from)
    {
        let period = cpu.period().filter(|p| *p != 0).unwrap_or(DEFAULT_PERIOD);
        let quota = rounded_per_second(quota, period).saturating_mul(period) / 1_000_000;
        cpu.set_quota(i64::try_from(quota).ok());
    }
    rounded
}

fn push(out: &mut Vec<Property>, name: &str, value: impl Into<Value<'static>>) {
    out.push((name.to_owned(), value.into()));
}

fn tasks(limit: i64) -> u64 {
    match limit {
        ..0 => INFINITY,
        0 => 1,
        n => n.cast_unsigned(),
    }
}

/// A list of CPUs or memory nodes as bytes, the lowest numbers in the first.
fn bitmap(set: &str) -> Option<Vec<u8>> {
    /// More than any kernel is built for.
    const MOST: usize = 1 << 16;
    let mut bits = Vec::new();
    for range in set.split(',').map(str::trim).filter(|r| !r.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        if bits.len() <= last / 8 {
            bits.resize(last / 8 + 1, 0);
        }
        (first..=last).for_each(|n| bits[n / 8] |= 1 << (n % 8));
    }
    (!bits.is_empty()).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(unified: bool, version: u32, json: &str) -> Vec<(String, u64)> {
        let translator = Translator { unified, version: &|| version };
        let properties = translator.properties(&serde_json::from_str(json).unwrap()).unwrap();
        properties.into_iter().map(|(name, value)| (name, u64::try_from(value).unwrap_or(0))).collect()
    }

    #[test]
    fn limits_become_properties() {
        const MAX: u64 = u64::MAX;
        for (unified, json, expected) in [
            (
                true,
                r#"{"memory":{"limit":100,"swap":300,"reservation":5}}"#,
                &[("MemoryMax", 100), ("MemoryLow", 5), ("MemorySwapMax", 200)][..],
            ),
            (true, r#"{"memory":{"limit":-1}}"#, &[("MemoryMax", MAX), ("MemorySwapMax", MAX)]),
            (false, r#"{"memory":{"limit":100,"swap":300}}"#, &[("MemoryLimit", 100)]),
            (true, r#"{"cpu":{"shares":1024}}"#, &[("CPUWeight", 100)]),
            (true, r#"{"cpu":{"shares":1024,"idle":1}}"#, &[("CPUWeight", 0)]),
            (false, r#"{"cpu":{"shares":1024}}"#, &[("CPUShares", 1024)]),
            (true, r#"{"cpu":{"quota":50000}}"#, &[("CPUQuotaPerSecUSec", 500_000)]),
            (
                true,
                r#"{"cpu":{"quota":1001,"period":100000}}"#,
                &[("CPUQuotaPeriodUSec", 100_000), ("CPUQuotaPerSecUSec", 20_000)],
            ),
            (true, r#"{"cpu":{"quota":-1}}"#, &[("CPUQuotaPerSecUSec", MAX)]),
            (true, r#"{"pids":{"limit":0}}"#, &[("TasksMax", 1)]),
            (true, r#"{"pids":{"limit":-1}}"#, &[("TasksMax", MAX)]),
            (
                true,
                r#"{"unified":{"cpu.max":"max 1000"}}"#,
                &[("CPUQuotaPeriodUSec", 1000), ("CPUQuotaPerSecUSec", MAX)],
            ),
            (true, r#"{"unified":{"memory.high":"max"}}"#, &[("MemoryHigh", MAX)]),
            (true, r#"{"blockIO":{"weight":200}}"#, &[("IOWeight", 1920)]),
            (false, r#"{"blockIO":{"weight":200}}"#, &[("BlockIOWeight", 200)]),
            (true, r#"{"unified":{"io.weight":"default 5"}}"#, &[("IOWeight", 5)]),
            (true, r#"{"unified":{"io.weight":"8:0 5"}}"#, &[]),
            (true, r#"{"unified":{"io.max":"8:0 rbps=5"}}"#, &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(n, v)| (n.to_owned(), v)).collect();
            assert_eq!(properties(unified, 255, json), expected, "{json}");
        }
    }

    #[test]
    fn the_file_gets_the_quota_that_systemd_makes_of_it() {
        for (json, quota) in [
            (r#"{"cpu":{"quota":1001,"period":100000}}"#, Some(2000)),
            (r#"{"cpu":{"quota":50000}}"#, Some(50_000)),
            (r#"{"cpu":{"quota":-1}}"#, Some(-1)),
            (r#"{"cpu":{"shares":5}}"#, None),
        ] {
            let rounded = as_systemd_rounds(&serde_json::from_str(json).unwrap());
            assert_eq!(rounded.cpu().as_ref().unwrap().quota(), quota, "{json}");
        }
    }

    #[test]
    fn an_old_systemd_gets_only_what_it_knows() {
        assert_eq!(properties(true, 240, r#"{"cpu":{"cpus":"0"}}"#), []);
        let quota = [("CPUQuotaPerSecUSec".to_owned(), 20_000)];
        assert_eq!(properties(true, 240, r#"{"cpu":{"quota":2000,"period":100000}}"#), quota);
    }

    #[test]
    fn cpu_lists_become_bitmaps() {
        assert_eq!(bitmap("0"), Some(vec![1]));
        assert_eq!(bitmap("0-3, 9,"), Some(vec![0b1111, 0b10]));
        for bad in ["", ",", "3-1", "a", "99999999"] {
            assert_eq!(bitmap(bad), None, "{bad}");
        }
    }
}
