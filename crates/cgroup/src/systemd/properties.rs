//! Limits as properties of a unit, so that systemd shows them and does not undo what is written to the files.

use cgroups_rs::systemd::{
    ALLOWED_CPUS, ALLOWED_MEMORY_NODES, CPU_QUOTA_PER_SEC_US, CPU_QUOTA_PERIOD_US, CPU_SHARES, CPU_WEIGHT,
    MEMORY_LIMIT, MEMORY_LOW, MEMORY_MAX, MEMORY_SWAP_MAX, TASKS_MAX,
};
use rootling_config::limits::{Bound, Cpu, Cpuset, Io, Limits, Memory, Period, Swap};
use rootling_config::process::affinity::{self, NumberSet};
use zbus::zvariant::Value;

use super::bus::Property;
use crate::CgroupError;
use crate::convert::{blkio_weight_to_io_weight, cpu_shares_to_weight, tasks};

/// systemd's `infinity`.
const INFINITY: u64 = u64::MAX;

/// systemd.resource-control(5); the scale is that of `io.weight`.
const IO_WEIGHT: &str = "IOWeight";

/// Turns limits into properties for a version of systemd and of cgroups.
pub(crate) struct Translator<'a> {
    pub(crate) unified: bool,
    /// Called only if a property depends on it, since it costs a round trip.
    pub(crate) version: &'a dyn Fn() -> u32,
}

impl Translator<'_> {
    pub(crate) fn properties(&self, limits: &Limits) -> Result<Vec<Property>, CgroupError> {
        // systemd has no properties for the controllers that are ignored here.
        let Limits { memory, cpu, cpuset, pids, io, hugepages: _, network: _, rdma: _, unified } = limits;
        let mut out = Vec::new();
        self.memory(memory, &mut out);
        self.cpu(cpu, &mut out);
        self.cpuset(cpuset, &mut out);
        if let Some(limit) = pids {
            push(&mut out, TASKS_MAX, infinite(tasks(*limit)));
        }
        // Weights of single devices and throttles are only written to the files.
        let Io { weight, leaf_weight: _, devices: _, throttles: _ } = io;
        if let Some(weight) = weight {
            let (name, value) = if self.unified {
                (IO_WEIGHT, blkio_weight_to_io_weight(*weight))
            } else {
                ("BlockIOWeight", u64::from(weight.get()))
            };
            push(&mut out, name, value);
        }
        // In the order of names: cpu.idle comes before cpu.weight.
        for (file, value) in unified.iter() {
            self.unified_file(file, value.trim(), &mut out)?;
        }
        Ok(out)
    }

    fn memory(&self, memory: &Memory, out: &mut Vec<Property>) {
        let Memory { limit, reservation, swap, swappiness: _, disable_oom_killer: _, check_before_update: _ } =
            memory;
        let names = if self.unified {
            [MEMORY_MAX, MEMORY_LOW, MEMORY_SWAP_MAX].map(Some)
        } else {
            [Some(MEMORY_LIMIT), None, None]
        };
        for (name, value) in names.into_iter().zip([*limit, *reservation, swap.map(Swap::alone)]) {
            if let (Some(name), Some(value)) = (name, value) {
                push(out, name, infinite(value));
            }
        }
    }

    fn cpu(&self, cpu: &Cpu, out: &mut Vec<Property>) {
        let Cpu { shares, quota, period, burst: _, idle, realtime_runtime: _, realtime_period: _ } = cpu;
        if self.unified && *idle == Some(true) && (self.version)() >= 252 {
            // This is how cpu.idle is expressed; there can be no weight beside it.
            push(out, CPU_WEIGHT, 0_u64);
        } else if let Some(shares) = shares {
            let (name, value) = if self.unified {
                (CPU_WEIGHT, cpu_shares_to_weight(*shares))
            } else {
                (CPU_SHARES, shares.get())
            };
            push(out, name, value);
        }
        self.quota(*quota, period.map(Period::get), out);
    }

    /// Sets the quota. systemd stores it as a percentage of a CPU, which is rounded up here so that the container
    /// gets at least what it asked for.
    fn quota(&self, quota: Option<Bound>, period: Option<u64>, out: &mut Vec<Property>) {
        if quota.is_none() && period.is_none() {
            return;
        }
        if let Some(period) = period
            && (self.version)() >= 242
        {
            push(out, CPU_QUOTA_PERIOD_US, period);
        }
        let per_second = match quota {
            Some(Bound::At(quota)) => rounded_per_second(quota, period.unwrap_or(Period::DEFAULT.get())),
            _ => INFINITY,
        };
        push(out, CPU_QUOTA_PER_SEC_US, per_second);
    }

    fn cpuset(&self, cpuset: &Cpuset, out: &mut Vec<Property>) {
        let Cpuset { cpus, mems } = cpuset;
        for (name, set) in [(ALLOWED_CPUS, cpus), (ALLOWED_MEMORY_NODES, mems)] {
            if let Some(set) = set
                && (self.version)() >= 244
            {
                push(out, name, bitmap(set));
            }
        }
    }

    /// Handles files in `unified` that have a systemd property; the others are only written.
    fn unified_file(&self, file: &str, value: &str, out: &mut Vec<Property>) -> Result<(), CgroupError> {
        let invalid = || CgroupError::InvalidResource {
            field: "unified",
            value: format!("{file}={value}"),
            reason: "must be a number, a list of numbers such as 0-2,7, or max, as the file takes it",
        };
        let list = || {
            affinity::parse(value).map(|set| Some(set).filter(|set| !set.is_empty())).map_err(|_| invalid())
        };
        let number = || match value {
            "max" => Ok(INFINITY),
            n => n.parse::<u64>().map_err(|_| invalid()),
        };
        match file {
            // Not together with the CPUWeight=0 that stands for cpu.idle.
            "cpu.weight" if out.iter().any(|(name, v)| name == CPU_WEIGHT && *v == Value::U64(0)) => {}
            "cpu.weight" => push(out, CPU_WEIGHT, number()?),
            "cpu.idle" if value == "1" && (self.version)() >= 252 => push(out, CPU_WEIGHT, 0_u64),
            "cpu.max" => {
                let (quota, period) = match value.split_once(' ') {
                    Some((quota, period)) => (quota, period.trim().parse().map_err(|_| invalid())?),
                    None => (value, Period::DEFAULT.get()),
                };
                let quota = match quota {
                    "max" => Bound::Unlimited,
                    quota => Bound::At(quota.parse().map_err(|_| invalid())?),
                };
                // A 0 is left to the kernel to refuse.
                self.quota(Some(quota), Some(period).filter(|period| *period != 0), out);
            }
            "cpuset.cpus" => self.cpuset(&Cpuset { cpus: list()?, mems: None }, out),
            "cpuset.mems" => self.cpuset(&Cpuset { cpus: None, mems: list()? }, out),
            // Weights of single devices have other properties, and are only written to the files.
            "io.weight" => {
                let weight = value.strip_prefix("default").unwrap_or(value).trim();
                weight.parse::<u64>().into_iter().for_each(|weight| push(out, IO_WEIGHT, weight));
            }
            "memory.high" => push(out, "MemoryHigh", number()?),
            "memory.low" => push(out, MEMORY_LOW, number()?),
            "memory.min" => push(out, "MemoryMin", number()?),
            "memory.max" => push(out, MEMORY_MAX, number()?),
            "memory.swap.max" => push(out, MEMORY_SWAP_MAX, number()?),
            // systemd refuses 0; a single task amounts to the same, since that one exists already.
            "pids.max" => push(out, TASKS_MAX, number()?.max(1)),
            _ => {}
        }
        Ok(())
    }
}

/// Microseconds of processor time per second, rounded up to whole per cents.
fn rounded_per_second(quota: u64, period: u64) -> u64 {
    (quota.saturating_mul(1_000_000) / period).next_multiple_of(10_000)
}

/// The same limits with the quota as systemd rounds it, so that both write the same value to the file.
pub(crate) fn as_systemd_rounds(limits: &Limits) -> Limits {
    let mut rounded = limits.clone();
    if let Some(Bound::At(quota)) = &mut rounded.cpu.quota {
        let period = limits.cpu.period.unwrap_or(Period::DEFAULT).get();
        *quota = rounded_per_second(*quota, period).saturating_mul(period) / 1_000_000;
    }
    rounded
}

const fn infinite(bound: Bound) -> u64 {
    match bound {
        Bound::Unlimited => INFINITY,
        Bound::At(value) => value,
    }
}

fn push(out: &mut Vec<Property>, name: &str, value: impl Into<Value<'static>>) {
    out.push((name.to_owned(), value.into()));
}

/// A set as bytes, with the lowest numbers in the first byte.
fn bitmap(set: &NumberSet) -> Vec<u8> {
    let mut bits: Vec<u8> = set.words().iter().flat_map(|word| word.to_le_bytes()).collect();
    bits.truncate(bits.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::testing::limits;

    fn properties(unified: bool, version: u32, json: &str) -> Vec<(String, u64)> {
        let translator = Translator { unified, version: &|| version };
        let properties = translator.properties(&limits(json)).unwrap();
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
            (r#"{"cpu":{"quota":1001,"period":100000}}"#, Some(Bound::At(2000))),
            (r#"{"cpu":{"quota":50000}}"#, Some(Bound::At(50_000))),
            (r#"{"cpu":{"quota":-1}}"#, Some(Bound::Unlimited)),
            (r#"{"cpu":{"shares":5}}"#, None),
        ] {
            let rounded = as_systemd_rounds(&limits(json));
            assert_eq!(rounded.cpu.quota, quota, "{json}");
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
        for (list, bytes) in
            [("0", &[1][..]), ("0-3, 9", &[0b1111, 0b10]), ("64", &[0, 0, 0, 0, 0, 0, 0, 0, 1])]
        {
            assert_eq!(bitmap(&affinity::parse(list).unwrap()), bytes, "{list}");
        }
        let translator = Translator { unified: true, version: &|| 255 };
        for bad in [",", "3-1", "a", "99999999"] {
            let limits = limits(&format!(r#"{{"unified":{{"cpuset.cpus":"{bad}"}}}}"#));
            assert!(translator.properties(&limits).is_err(), "{bad}");
        }
    }
}
