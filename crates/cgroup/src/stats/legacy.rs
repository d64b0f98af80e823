//! Statistics from the hierarchies of cgroup v1 (Documentation/admin-guide/cgroup-v1).

use std::io;
use std::path::Path;

use super::model::{
    BlkIo, BlkIoEntry, CpuSet, CpuUsage, HugeTlb, Memory, MemoryEntry, Pids, Stats, Throttling,
};
use super::parse::{huge_page_sizes, keyed, list, text, value, value_or_zero};
use crate::procs;
use crate::v1::Paths;

/// Clock ticks of `cpuacct.stat` per second: USER_HZ, which is the same on all supported platforms.
const TICKS: u64 = 100;
const NANOSECONDS: u64 = 1_000_000_000;

/// Reads all hierarchies that the container is in; the figures of the others are zero and marked as not counted.
pub(crate) fn read(paths: &Paths) -> io::Result<Stats> {
    let mut stats = Stats::default();
    let dir = |name: &str| paths.get(name).filter(|dir| dir.is_dir());
    if let Some(dir) = dir("cpu") {
        let stat = keyed(&text(dir, "cpu.stat")?.unwrap_or_default());
        let get = |key: &str| stat.get(key).copied().unwrap_or(0);
        stats.cpu.throttling = Throttling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time: get("throttled_time"),
        };
    }
    if let Some(dir) = dir("cpuacct") {
        stats.cpu.usage = cpu(dir)?;
        stats.counted.cpu = true;
    }
    if let Some(dir) = dir("cpuset") {
        stats.cpuset = cpuset(dir)?;
    }
    if let Some(dir) = dir("memory") {
        stats.memory = memory(dir)?;
        stats.counted.memory = true;
    }
    if let Some(dir) = dir("pids") {
        let limit = value(dir, "pids.max")?.filter(|max| *max != u64::MAX).unwrap_or(0);
        stats.pids = Pids { current: value_or_zero(dir, "pids.current")?, limit };
        stats.counted.pids = true;
    } else if let Some(dir) = paths.values().find(|dir| dir.is_dir()) {
        // Without the controller threads are not counted, but processes are.
        stats.pids.current = procs::direct(dir)?.len() as u64;
        stats.counted.pids = true;
    }
    if let Some(dir) = dir("blkio") {
        stats.blkio = blkio(dir)?;
        stats.counted.blkio = true;
    }
    if let Some(dir) = dir("hugetlb") {
        for size in huge_page_sizes() {
            if let Some(found) = huge_pages(dir, &size)? {
                stats.hugetlb.insert(size, found);
            }
        }
    }
    Ok(stats)
}

fn cpu(dir: &Path) -> io::Result<CpuUsage> {
    let stat = keyed(&text(dir, "cpuacct.stat")?.unwrap_or_default());
    let ticks = |key: &str| stat.get(key).map_or(0, |ticks| ticks.saturating_mul(NANOSECONDS / TICKS));
    let percpu = text(dir, "cpuacct.usage_percpu")?.unwrap_or_default();
    let (mut percpu_user, mut percpu_kernel) = (Vec::new(), Vec::new());
    // A heading, followed by one line for each processor: its number, user time, system time.
    for line in text(dir, "cpuacct.usage_all")?.unwrap_or_default().lines().skip(1) {
        let mut times = line.split(' ').skip(1).map(str::parse);
        if let (Some(Ok(user)), Some(Ok(kernel))) = (times.next(), times.next()) {
            percpu_user.push(user);
            percpu_kernel.push(kernel);
        }
    }
    Ok(CpuUsage {
        total: value_or_zero(dir, "cpuacct.usage")?,
        percpu: percpu.split_whitespace().filter_map(|n| n.parse().ok()).collect(),
        percpu_kernel,
        percpu_user,
        kernel: ticks("system"),
        user: ticks("user"),
    })
}

fn cpuset(dir: &Path) -> io::Result<CpuSet> {
    // The kernel can mount this hierarchy without the prefix of its file names.
    let prefix = if dir.join("cpuset.cpus").exists() { "cpuset." } else { "" };
    let flag = |name: &str| value_or_zero(dir, &format!("{prefix}{name}"));
    let numbers = |name: &str| {
        text(dir, &format!("{prefix}{name}")).map(|text| list(text.as_deref().unwrap_or_default()))
    };
    let level = text(dir, &format!("{prefix}sched_relax_domain_level"))?;
    Ok(CpuSet {
        cpus: numbers("cpus")?,
        cpu_exclusive: flag("cpu_exclusive")?,
        mems: numbers("mems")?,
        mem_hardwall: flag("mem_hardwall")?,
        mem_exclusive: flag("mem_exclusive")?,
        memory_migrate: flag("memory_migrate")?,
        memory_spread_page: flag("memory_spread_page")?,
        memory_spread_slab: flag("memory_spread_slab")?,
        memory_pressure: flag("memory_pressure")?,
        sched_load_balance: flag("sched_load_balance")?,
        sched_relax_domain_level: level.and_then(|n| n.trim().parse().ok()).unwrap_or(0),
    })
}

fn memory(dir: &Path) -> io::Result<Memory> {
    let raw = keyed(&text(dir, "memory.stat")?.unwrap_or_default());
    let entry = |kind: &str| -> io::Result<MemoryEntry> {
        let field = |name: &str| value_or_zero(dir, &format!("{kind}.{name}"));
        Ok(MemoryEntry {
            limit: field("limit_in_bytes")?,
            usage: field("usage_in_bytes")?,
            max: field("max_usage_in_bytes")?,
            failcnt: field("failcnt")?,
        })
    };
    Ok(Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: entry("memory")?,
        swap: entry("memory.memsw")?,
        kernel: entry("memory.kmem")?,
        kernel_tcp: entry("memory.kmem.tcp")?,
        raw,
        psi: None,
    })
}

/// The sets of files that a scheduler may provide, best first; each is recognised by its first file.
const SETS: [&[&str]; 5] = [
    &[
        "bfq.sectors",
        "bfq.io_service_time",
        "bfq.io_wait_time",
        "bfq.io_merged",
        "bfq.io_queued",
        "bfq.time",
        "bfq.io_serviced",
        "bfq.io_service_bytes",
    ],
    &["bfq.io_serviced", "bfq.io_service_bytes"],
    &[
        "sectors",
        "io_service_time",
        "io_wait_time",
        "io_merged",
        "io_queued",
        "time",
        "io_serviced",
        "io_service_bytes",
    ],
    &["throttle.io_serviced", "throttle.io_service_bytes"],
    // These do not include children; the others do.
    &["throttle.io_serviced", "throttle.io_service_bytes"],
];

fn blkio(dir: &Path) -> io::Result<BlkIo> {
    let mut blkio = BlkIo::default();
    for (at, set) in SETS.iter().enumerate() {
        let suffix = if at + 1 == SETS.len() { "" } else { "_recursive" };
        let file = |name: &str| format!("blkio.{name}{suffix}");
        // A file without any device exists but is empty, and the next set may have more.
        if text(dir, &file(set[0]))?.is_none_or(|text| entries(&text).is_empty()) {
            continue;
        }
        for name in *set {
            let found = entries(&text(dir, &file(name))?.unwrap_or_default());
            let field = match name.rsplit('.').next().unwrap_or(name) {
                "sectors" => &mut blkio.sectors_recursive,
                "io_service_time" => &mut blkio.io_service_time_recursive,
                "io_wait_time" => &mut blkio.io_wait_time_recursive,
                "io_merged" => &mut blkio.io_merged_recursive,
                "io_queued" => &mut blkio.io_queued_recursive,
                "time" => &mut blkio.io_time_recursive,
                "io_serviced" => &mut blkio.io_serviced_recursive,
                _ => &mut blkio.io_service_bytes_recursive,
            };
            *field = found;
        }
        break;
    }
    Ok(blkio)
}

/// Parses lines such as `8:0 Read 5` or `8:0 5`; a sum at the end belongs to no device.
fn entries(text: &str) -> Vec<BlkIoEntry> {
    let entry = |line: &str| {
        let mut fields = line.split([' ', ':']);
        let (major, minor) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (third, fourth) = (fields.next()?, fields.next());
        let (op, value) = fourth.map_or(("", third), |value| (third, value));
        Some(BlkIoEntry { major, minor, op: op.to_owned(), value: value.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

fn huge_pages(dir: &Path, size: &str) -> io::Result<Option<HugeTlb>> {
    for prefix in [format!("hugetlb.{size}.rsvd"), format!("hugetlb.{size}")] {
        if let Some(usage) = value(dir, &format!("{prefix}.usage_in_bytes"))? {
            let max = value_or_zero(dir, &format!("{prefix}.max_usage_in_bytes"))?;
            let failcnt = value_or_zero(dir, &format!("{prefix}.failcnt"))?;
            return Ok(Some(HugeTlb { usage, max, failcnt }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::model::Counted;
    use super::*;

    #[test]
    fn what_is_in_no_hierarchy_is_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.procs"), "1\n2\n").unwrap();
        let stats = read(&Paths::from([("memory".to_owned(), dir.path().to_owned())])).unwrap();
        let expected = Counted { memory: true, pids: true, ..Counted::default() };
        assert_eq!((stats.counted, stats.pids.current), (expected, 2));
        assert_eq!(read(&Paths::new()).unwrap().counted, Counted::default());
    }

    #[test]
    fn processor_time_is_split_by_processor_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("cpuacct.stat", "user 3\nsystem 2\n"),
            ("cpuacct.usage", "50\n"),
            ("cpuacct.usage_percpu", "20 30 \n"),
            ("cpuacct.usage_all", "cpu user system\n0 12 8\n1 18 12\n"),
        ] {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        let usage = cpu(dir.path()).unwrap();
        assert_eq!(usage.percpu, [20, 30]);
        assert_eq!((usage.percpu_user, usage.percpu_kernel), (vec![12, 18], vec![8, 12]));
        assert_eq!((usage.total, usage.user, usage.kernel), (50, 30_000_000, 20_000_000));
    }

    #[test]
    fn what_is_beyond_all_time_is_the_largest_number() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cpuacct.stat"), "user 1844674407370955162\nsystem 1\n").unwrap();
        let usage = cpu(dir.path()).unwrap();
        assert_eq!((usage.user, usage.kernel), (u64::MAX, 10_000_000));
    }

    #[test]
    fn file_that_cannot_be_read_is_an_error_and_not_zero() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("memory.usage_in_bytes")).unwrap();
        std::fs::create_dir(dir.path().join("cpuacct.usage")).unwrap();
        assert!(memory(dir.path()).is_err() && cpu(dir.path()).is_err());
    }

    #[test]
    fn numbers_of_devices_have_more_than_16_bits() {
        let dir = tempfile::tempdir().unwrap();
        let text = "8:0 Read 1\n259:70000 Read 2\nTotal 3\n";
        for name in ["io_serviced", "io_service_bytes"] {
            std::fs::write(dir.path().join(format!("blkio.throttle.{name}_recursive")), text).unwrap();
        }
        assert_eq!(blkio(dir.path()).unwrap().bytes(), (3, 0));
    }

    #[test]
    fn the_sum_over_all_devices_is_no_device() {
        let text = "8:0 Read 5\n8:0 Total 5\nTotal 5\n";
        let read = |op: &str| BlkIoEntry { major: 8, minor: 0, op: op.into(), value: 5 };
        assert_eq!(entries(text), [read("Read"), read("Total")]);
        assert_eq!(entries("8:16 6792\n")[0].value, 6792);
    }

    #[test]
    fn block_devices_are_counted_by_the_first_files_that_know_any() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("blkio.bfq.io_serviced_recursive", "Total 0\n");
        write("blkio.throttle.io_serviced_recursive", "8:0 Read 1\nTotal 1\n");
        write("blkio.throttle.io_service_bytes_recursive", "8:0 Read 512\n8:0 Write 8\nTotal 520\n");
        assert_eq!(blkio(dir.path()).unwrap().bytes(), (512, 8));
        write("blkio.throttle.io_service_bytes_recursive", "8:0 Read 18446744073709551615\n8:16 Read 1\n");
        assert_eq!(blkio(dir.path()).unwrap().bytes(), (u64::MAX, 0));
    }
}
