//! `update`.

use std::fmt::Display;
use std::str::FromStr;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};
use rootling_config::generate::size;
use rootling_config::load;
use rootling_runtime::{self as runtime, Error, Result, Rules};
use rootling_sys::file::stream;

use crate::args;
use crate::log;
use crate::roots::Context;

pub(crate) fn update(context: Context<'_>, args: &args::Update) -> Result<()> {
    refuse_intel_rdt(args)?;
    let (resources, rules) = if let Some(path) = &args.resources {
        (runtime::resources(&read(path)?)?, None)
    } else {
        let memory_min = bytes("memory-min", args.memory_min.as_ref())?;
        (from_flags(args)?, Some(Rules { memory_min }))
    };
    runtime::update(context.host, &context.store()?, &args.id.id, &resources, rules, &mut |text| {
        log::warning(&text);
    })
}

/// Reads the file, or standard input for `-`.
fn read(path: &std::path::Path) -> Result<Vec<u8>> {
    let read = if path.as_os_str() == "-" {
        stream(std::io::stdin(), load::MOST)
    } else {
        std::fs::File::open(path).and_then(|file| stream(file, load::MOST))
    };
    read.map_err(|e| {
        Error::invalid(format!("--resources {path:?}: {e}; name a file with JSON, or - for standard input"))
    })
}

/// Refuses flags for a resctrl group, which can be changed only if the container was made with one.
fn refuse_intel_rdt(args: &args::Update) -> Result<()> {
    for (flag, value, what) in [
        ("--l3-cache-schema", &args.l3_cache_schema, "Intel RDT/CAT: l3 cache schema"),
        ("--mem-bw-schema", &args.mem_bw_schema, "Intel RDT/MBA: memory bandwidth schema"),
    ] {
        if value.as_ref().is_some_and(|v| !v.is_empty()) {
            return Err(Error::invalid(format!(
                "{flag}: {what} is not enabled for this container; leave it out"
            )));
        }
    }
    Ok(())
}

/// The valid range of a period.
const PERIODS: &str = "1000 to 1000000 microseconds (1 ms to 1 s)";

fn from_flags(args: &args::Update) -> Result<LinuxResources> {
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(bytes("memory", args.memory.as_ref())?)
        .set_reservation(bytes("memory-reservation", args.memory_reservation.as_ref())?)
        .set_swap(bytes("memory-swap", args.memory_swap.as_ref())?)
        .set_kernel(bytes("kernel-memory", args.kernel_memory.as_ref())?)
        .set_kernel_tcp(bytes("kernel-memory-tcp", args.kernel_memory_tcp.as_ref())?);
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(within("cpu-share", args.cpu_share.as_ref(), "2 to 262144")?)
        .set_quota(number("cpu-quota", args.cpu_quota.as_ref())?)
        .set_period(within("cpu-period", args.cpu_period.as_ref(), PERIODS)?)
        .set_burst(within("cpu-burst", args.cpu_burst.as_ref(), "0 to the quota, in microseconds")?)
        .set_realtime_period(within("cpu-rt-period", args.cpu_rt_period.as_ref(), PERIODS)?)
        .set_realtime_runtime(number("cpu-rt-runtime", args.cpu_rt_runtime.as_ref())?)
        .set_idle(number("cpu-idle", args.cpu_idle.as_ref())?)
        .set_cpus(given(args.cpuset_cpus.as_ref()))
        .set_mems(given(args.cpuset_mems.as_ref()));
    let mut block_io = LinuxBlockIo::default();
    block_io.set_weight(within("blkio-weight", args.blkio_weight.as_ref(), "10 to 1000")?);
    let pids = number("pids-limit", args.pids_limit.as_ref())?.map(|limit| {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        pids
    });
    let mut resources = LinuxResources::default();
    resources
        .set_memory((memory != LinuxMemory::default()).then_some(memory))
        .set_cpu((cpu != LinuxCpu::default()).then_some(cpu))
        .set_block_io((block_io != LinuxBlockIo::default()).then_some(block_io))
        .set_pids(pids);
    resources.set_devices(None);
    if resources == empty() {
        return Err(Error::invalid(
            "nothing to change: give at least one limit, see `rootling update --help`",
        ));
    }
    Ok(resources)
}

fn empty() -> LinuxResources {
    let mut empty = LinuxResources::default();
    empty.set_devices(None);
    empty
}

/// Scripts pass an empty value for an absent one.
fn given(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn number<T: FromStr<Err: Display>>(flag: &str, text: Option<&String>) -> Result<Option<T>> {
    let parse = |text: String| {
        text.parse()
            .map_err(|e| Error::invalid(format!("invalid value for {flag}: {text:?}: {e}; write a number")))
    };
    given(text).map(parse).transpose()
}

/// Like [`number`], for a type that does not hold whole numbers outside `range`.
fn within<T: FromStr<Err: Display>>(flag: &str, text: Option<&String>, range: &str) -> Result<Option<T>> {
    number(flag, text).map_err(|error| match text {
        Some(text) if text.parse::<i128>().is_ok() => {
            Error::invalid(format!("--{flag}: {text} is out of range; use {range}"))
        }
        _ => error,
    })
}

/// Parses a number of bytes, which may have a unit based on 1024 as in Docker; -1 is preserved.
fn bytes(flag: &'static str, text: Option<&String>) -> Result<Option<i64>> {
    let parse = |text: String| {
        size(flag, &text).map_err(|_| {
            Error::invalid(format!(
                "invalid value for {flag}: {text:?}; write bytes or a unit, such as 512k, 64M or 1.5g, or -1 for none"
            ))
        })
    };
    given(text).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, expected) in [
            ("50M", 50 << 20),
            ("1.5g", 3 << 29),
            ("512k", 512 << 10),
            ("-1", -1),
            ("64MiB", 64 << 20),
            ("7", 7),
        ] {
            assert_eq!(bytes("memory", Some(&text.to_owned())).unwrap(), Some(expected), "{text}");
        }
        assert_eq!(bytes("memory", None).unwrap(), None);
        assert_eq!(bytes("memory", Some(&String::new())).unwrap(), None);
        for text in ["lots", "-5", "1x", "99999999999g"] {
            let error = bytes("memory", Some(&text.to_owned())).unwrap_err().to_string();
            assert!(error.contains("invalid value for memory"), "{error}");
        }
    }

    #[test]
    fn a_number_that_is_none_names_its_flag() {
        let error = number::<u64>("cpu-period", Some(&"fast".to_owned())).unwrap_err().to_string();
        assert!(error.contains("invalid value for cpu-period"), "{error}");
        assert_eq!(number::<i64>("cpu-quota", Some(&"-1".to_owned())).unwrap(), Some(-1));
        let share = |text: &str| within::<u64>("cpu-share", Some(&text.to_owned()), "2 to 262144");
        assert_eq!(share("-1").unwrap_err().to_string(), "--cpu-share: -1 is out of range; use 2 to 262144");
        assert_eq!(share("5").unwrap(), Some(5));
        assert!(share("x").unwrap_err().to_string().contains("write a number"));
    }
}
