//! Turns the flags about cgroup limits into `linux.resources`.

use std::path::Path;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources, LinuxThrottleDevice,
    LinuxThrottleDeviceBuilder, LinuxWeightDevice, LinuxWeightDeviceBuilder, Spec,
};

use super::error::{GenerateError, wrong};
use super::{Facts, Files, LimitFlags, NodeKind, size};
use crate::limits::{LimitError, refuse};
use crate::resources::{self, BLKIO_WEIGHT, CPUS_PERIOD, MEMORY_MIN};

/// The valid range of a period.
const PERIODS: &str = "1000 to 1000000 microseconds (1 ms to 1 s)";

/// The valid range of a weight.
const WEIGHTS: &str = "10 to 1000";

pub(super) fn run(
    spec: &mut Spec,
    flags: &LimitFlags,
    facts: &Facts,
    files: &dyn Files,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let memory_min = flags.memory_min.as_deref().map_or(Ok(MEMORY_MIN), |text| size("memory-min", text))?;
    if flags == &LimitFlags::default() {
        return Ok(());
    }
    let mut wanted = LinuxResources::default();
    wanted
        .set_devices(None)
        .set_memory(Some(memory(flags)?))
        .set_cpu(Some(cpu(flags, facts)?))
        .set_block_io(Some(block_io(flags, files)?))
        .set_pids(flags.pids_limit.map(|limit| {
            let mut pids = LinuxPids::default();
            pids.set_limit(limit);
            pids
        }));
    warnings.extend(resources::check(&mut wanted, &facts.support, memory_min)?);
    let Some(linux) = spec.linux_mut() else { return Ok(()) };
    let devices = linux.resources().as_ref().and_then(|old| old.devices().clone());
    wanted.set_devices(devices);
    let empty =
        serde_json::to_value(&wanted).is_ok_and(|all| all.as_object().is_some_and(serde_json::Map::is_empty));
    linux.set_resources(Some(wanted).filter(|_| !empty));
    Ok(())
}

fn memory(flags: &LimitFlags) -> Result<LinuxMemory, GenerateError> {
    let bytes = |flag, text: &Option<String>| text.as_deref().map(|text| size(flag, text)).transpose();
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(bytes("memory", &flags.memory)?)
        .set_reservation(bytes("memory-reservation", &flags.memory_reservation)?)
        .set_swap(bytes("memory-swap", &flags.memory_swap)?)
        .set_swappiness(held(
            "memory-swappiness",
            // The host's own value, as without the flag.
            flags.memory_swappiness.filter(|value| *value != -1),
            "0 to 100, or -1 for the host's own",
        )?)
        .set_disable_oom_killer(flags.oom_kill_disable.then_some(true));
    Ok(memory)
}

/// Converts a number to the type of the specification's field, which may exclude negative numbers.
fn held<T: TryFrom<i64>>(
    flag: &'static str,
    value: Option<i64>,
    range: &str,
) -> Result<Option<T>, LimitError> {
    let held =
        |value| T::try_from(value).map_err(|_| refuse(flag, value, format!("is out of range; use {range}")));
    value.map(held).transpose()
}

fn cpu(flags: &LimitFlags, facts: &Facts) -> Result<LinuxCpu, LimitError> {
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(held("cpu-shares", flags.cpu_shares, "2 to 262144")?)
        .set_period(held("cpu-period", flags.cpu_period, PERIODS)?)
        .set_quota(flags.cpu_quota)
        .set_realtime_period(held("cpu-rt-period", flags.cpu_rt_period, PERIODS)?)
        .set_realtime_runtime(flags.cpu_rt_runtime)
        .set_cpus(flags.cpuset_cpus.clone())
        .set_mems(flags.cpuset_mems.clone());
    if let Some(cpus) = &flags.cpus {
        let quota = resources::cpus_quota(cpus, facts.support.cpus.len(), &cpu)?;
        cpu.set_quota(Some(quota)).set_period(Some(u64::from(CPUS_PERIOD)));
    }
    Ok(cpu)
}

fn block_io(flags: &LimitFlags, files: &dyn Files) -> Result<LinuxBlockIo, GenerateError> {
    let mut io = LinuxBlockIo::default();
    io.set_weight(held("blkio-weight", flags.blkio_weight, WEIGHTS)?);
    let weights = flags.blkio_weight_device.iter().map(|text| weight_device(text, files));
    io.set_weight_device(some(weights.collect::<Result<_, _>>()?));
    io.set_throttle_read_bps_device(throttles("device-read-bps", &flags.device_read_bps, files)?)
        .set_throttle_write_bps_device(throttles("device-write-bps", &flags.device_write_bps, files)?)
        .set_throttle_read_iops_device(throttles("device-read-iops", &flags.device_read_iops, files)?)
        .set_throttle_write_iops_device(throttles("device-write-iops", &flags.device_write_iops, files)?);
    Ok(io)
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn weight_device(text: &str, files: &dyn Files) -> Result<LinuxWeightDevice, GenerateError> {
    const FLAG: &str = "blkio-weight-device";
    let (path, value) = device_and_value(FLAG, text)?;
    let weight = value.parse::<u16>().ok().filter(|weight| *weight == 0 || BLKIO_WEIGHT.contains(weight));
    let weight =
        weight.ok_or_else(|| wrong(FLAG, text, format!("{value:?} is not a weight; use {WEIGHTS}")))?;
    let (major, minor) = block_device(FLAG, text, path, files)?;
    let device = LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(weight);
    device.build().map_err(|error| wrong(FLAG, text, error.to_string()))
}

fn throttles(
    flag: &'static str,
    given: &[String],
    files: &dyn Files,
) -> Result<Option<Vec<LinuxThrottleDevice>>, GenerateError> {
    let one = |text: &String| {
        let (path, value) = device_and_value(flag, text)?;
        let rate = if flag.ends_with("bps") {
            u64::try_from(size(flag, value)?).unwrap_or(0)
        } else {
            value.parse().map_err(|_| wrong(flag, text, "the rate is not a number of operations a second"))?
        };
        if rate == 0 {
            return Err(wrong(flag, text, "the rate has to be at least 1"));
        }
        let (major, minor) = block_device(flag, text, path, files)?;
        let device = LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(rate);
        device.build().map_err(|error| wrong(flag, text, error.to_string()))
    };
    given.iter().map(one).collect::<Result<_, _>>().map(some)
}

fn device_and_value<'a>(flag: &'static str, text: &'a str) -> Result<(&'a str, &'a str), GenerateError> {
    match text.rsplit_once(':') {
        Some((path, value)) if path.starts_with('/') && !value.is_empty() => Ok((path, value)),
        _ => Err(wrong(flag, text, "is not of the form DEVICE:VALUE, such as /dev/sda:1m or /dev/sda:100")),
    }
}

fn block_device(
    flag: &'static str,
    text: &str,
    path: &str,
    files: &dyn Files,
) -> Result<(i64, i64), GenerateError> {
    match files.node(Path::new(path)).map(|node| node.kind) {
        Ok(NodeKind::Block(major, minor)) => Ok((major.into(), minor.into())),
        Ok(_) => Err(wrong(flag, text, "is not a block device; see lsblk for those of this host")),
        Err(error) => {
            Err(wrong(flag, text, format!("{path}: {error}; see lsblk for the devices of this host")))
        }
    }
}
