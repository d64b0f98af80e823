//! What keeps the caller from making another process; fork(2), EAGAIN.

use std::path::{Path, PathBuf};

use super::cgroup::{self, CgroupMode};
use super::{Host, Machine};

pub(super) fn reached(host: &Host) -> String {
    if let Some((dir, limit)) = pids_cgroup_at_limit(host.machine(), host.cgroup_mode()) {
        return format!(
            "cgroup {dir:?} is at its limit of {limit} processes: raise its pids.max, or end processes in it"
        );
    }
    match process_rlimit(host.machine()) {
        Some(limit) => format!(
            "RLIMIT_NPROC lets this user have {limit} processes: raise it with `ulimit -u`, or end some; the \
             pids.max of the container or of a cgroup above the caller's, and kernel.threads-max, limit them as well"
        ),
        None => "the pids.max of the container or of a cgroup above the caller's, or kernel.threads-max or \
                 kernel.pid_max of the host, is reached: raise it, or end processes"
            .into(),
    }
}

/// The soft limit; `None` if there is no limit. proc_pid_limits(5)
fn process_rlimit(machine: &dyn Machine) -> Option<u64> {
    let text = machine.read(Path::new("/proc/self/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max processes"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The nearest cgroup, from the caller's own up, that has reached its limit of processes; cgroup-v2.rst, "PID".
fn pids_cgroup_at_limit(machine: &dyn Machine, mode: CgroupMode) -> Option<(PathBuf, u64)> {
    let text = machine.read(Path::new("/proc/self/cgroup")).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let (hierarchy, own) = match mode {
        CgroupMode::None => return None,
        CgroupMode::V2 => ("", lines.find(|(names, _)| names.is_empty())?.1),
        CgroupMode::V1 | CgroupMode::Hybrid => {
            lines.find(|(names, _)| names.split(',').any(|n| n == "pids"))?
        }
    };
    let own = cgroup::below_root(hierarchy, own)?;
    own.ancestors().take_while(|dir| dir.starts_with(cgroup::ROOT)).find_map(|dir| {
        let number = |name: &str| machine.read(&dir.join(name)).ok()?.trim().parse::<u64>().ok();
        let (limit, current) = (number("pids.max")?, number("pids.current")?);
        (current >= limit).then(|| (dir.to_owned(), limit))
    })
}

#[cfg(test)]
mod tests {
    use crate::host::{Fixture, Host};

    #[test]
    fn the_limit_that_is_reached_is_named() {
        let v2 = || {
            Fixture::ordinary(1000)
                .fs("/sys/fs/cgroup", 0x6367_7270)
                .file("/proc/self/cgroup", "0::/user.slice/a\n")
                .file(
                    "/proc/self/limits",
                    "Max processes             40                   50                   processes\n",
                )
        };
        let advice = Host::on(v2()).process_limit();
        assert!(advice.contains("RLIMIT_NPROC lets this user have 40 processes"), "{advice}");
        let full = v2()
            .file("/sys/fs/cgroup/user.slice/pids.max", "7\n")
            .file("/sys/fs/cgroup/user.slice/pids.current", "7\n");
        let advice = Host::on(full).process_limit();
        assert!(advice.starts_with("cgroup \"/sys/fs/cgroup/user.slice\" is at its limit of 7"), "{advice}");
        let unlimited = v2().file("/proc/self/limits", "Max processes unlimited unlimited processes\n");
        let advice = Host::on(unlimited).process_limit();
        assert!(advice.contains("kernel.threads-max"), "{advice}");
    }
}
