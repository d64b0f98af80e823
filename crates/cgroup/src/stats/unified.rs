//! Statistics from cgroup v2 (Documentation/admin-guide/cgroup-v2.rst).

use std::io;
use std::path::Path;

use super::model::{
    BlkIo, BlkIoEntry, Counted, Cpu, CpuUsage, HugeTlb, Memory, MemoryEntry, Pids, Stats, Throttling,
};
use super::parse::{huge_page_sizes, keyed, pressure, text, value, value_or_zero};
use crate::procs;

/// Reads everything that the cgroup `dir` provides; figures without a controller are zero and marked as not
/// counted.
pub(crate) fn read(dir: &Path) -> io::Result<Stats> {
    let mut stats =
        Stats { pids: pids(dir)?, memory: memory(dir)?, blkio: io(dir)?, cpu: cpu(dir)?, ..Stats::default() };
    for size in huge_page_sizes() {
        if let Some(found) = huge_pages(dir, &size)? {
            stats.hugetlb.insert(size, found);
        }
    }
    let has = |name: &str| Ok::<_, io::Error>(text(dir, name)?.is_some());
    stats.counted =
        Counted { cpu: has("cpu.stat")?, memory: has("memory.current")?, pids: true, blkio: has("io.stat")? };
    Ok(stats)
}

fn pids(dir: &Path) -> io::Result<Pids> {
    let Some(current) = value(dir, "pids.current")? else {
        // Without the controller threads are not counted, but processes are.
        return Ok(Pids { current: procs::direct(dir)?.len() as u64, limit: 0 });
    };
    let limit = value(dir, "pids.max")?.filter(|max| *max != u64::MAX).unwrap_or(0);
    Ok(Pids { current, limit })
}

fn memory(dir: &Path) -> io::Result<Memory> {
    let raw = keyed(&text(dir, "memory.stat")?.unwrap_or_default());
    let mut usage = memory_entry(dir, "memory")?;
    // As in dockerd: "max" counts every time that something had to be reclaimed, which is harmless.
    let events = keyed(&text(dir, "memory.events")?.unwrap_or_default());
    usage.failcnt = events.get("oom").copied().unwrap_or(0);
    let mut swap = memory_entry(dir, "memory.swap")?;
    // As in cgroup v1, memory and swap are counted together. The maxima of both cannot be added for that.
    swap.usage = swap.usage.saturating_add(usage.usage);
    if swap.limit != u64::MAX {
        swap.limit = swap.limit.saturating_add(usage.limit);
    }
    swap.max = 0;
    Ok(Memory {
        cache: raw.get("file").copied().unwrap_or(0),
        usage,
        swap,
        raw,
        psi: pressure(dir, "memory.pressure")?,
        ..Memory::default()
    })
}

fn memory_entry(dir: &Path, kind: &str) -> io::Result<MemoryEntry> {
    Ok(MemoryEntry {
        usage: value_or_zero(dir, &format!("{kind}.current"))?,
        limit: value_or_zero(dir, &format!("{kind}.max"))?,
        // Since Linux 5.19; for swap since 6.5.
        max: value_or_zero(dir, &format!("{kind}.peak"))?,
        failcnt: 0,
    })
}

fn cpu(dir: &Path) -> io::Result<Cpu> {
    let stat = keyed(&text(dir, "cpu.stat")?.unwrap_or_default());
    let get = |key: &str| stat.get(key).copied().unwrap_or(0);
    let nanoseconds = |key: &str| get(key).saturating_mul(1000);
    Ok(Cpu {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            user: nanoseconds("user_usec"),
            kernel: nanoseconds("system_usec"),
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: pressure(dir, "cpu.pressure")?,
    })
}

fn io(dir: &Path) -> io::Result<BlkIo> {
    let mut blkio = BlkIo { psi: pressure(dir, "io.pressure")?, ..BlkIo::default() };
    for line in text(dir, "io.stat")?.unwrap_or_default().lines() {
        let mut fields = line.split_whitespace();
        let device = fields.next().and_then(|d| d.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(a, b)| (a.parse(), b.parse())) else { continue };
        for (key, count) in fields.filter_map(|f| f.split_once('=')) {
            let Ok(value) = count.parse() else { continue };
            let entry = |op: &str| BlkIoEntry { major, minor, op: op.to_owned(), value };
            match key {
                "rbytes" => blkio.io_service_bytes_recursive.push(entry("Read")),
                "wbytes" => blkio.io_service_bytes_recursive.push(entry("Write")),
                "rios" => blkio.io_serviced_recursive.push(entry("Read")),
                "wios" => blkio.io_serviced_recursive.push(entry("Write")),
                _ => {}
            }
        }
    }
    Ok(blkio)
}

fn huge_pages(dir: &Path, size: &str) -> io::Result<Option<HugeTlb>> {
    let reserved = value(dir, &format!("hugetlb.{size}.rsvd.current"))?;
    let usage = match reserved {
        Some(usage) => usage,
        None => match value(dir, &format!("hugetlb.{size}.current"))? {
            Some(usage) => usage,
            None => return Ok(None),
        },
    };
    let events = keyed(&text(dir, &format!("hugetlb.{size}.events"))?.unwrap_or_default());
    Ok(Some(HugeTlb { usage, max: 0, failcnt: events.get("max").copied().unwrap_or(0) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(files: &[(&str, &str)]) -> Stats {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        read(dir.path()).unwrap()
    }

    #[test]
    fn memory_and_swap_add_up_as_on_v1() {
        let memory = stats(&[
            ("memory.stat", "anon 10\nfile 30\n"),
            ("memory.current", "50\n"),
            ("memory.max", "100\n"),
            ("memory.peak", "70\n"),
            ("memory.swap.current", "5\n"),
            ("memory.swap.max", "20\n"),
            ("memory.events", "low 0\nhigh 0\nmax 900\noom 3\noom_kill 2\n"),
        ])
        .memory;
        assert_eq!(memory.cache, 30);
        assert_eq!(memory.usage, MemoryEntry { limit: 100, usage: 50, max: 70, failcnt: 3 });
        assert_eq!(memory.swap, MemoryEntry { limit: 120, usage: 55, max: 0, failcnt: 0 });
        assert_eq!(memory.raw.len(), 2);
        let unlimited = stats(&[("memory.max", "max\n"), ("memory.swap.max", "max\n")]).memory;
        assert_eq!((unlimited.usage.limit, unlimited.swap.limit), (u64::MAX, u64::MAX));
    }

    #[test]
    fn what_has_no_controller_is_not_counted() {
        let counted = stats(&[("cpu.stat", "usage_usec 1\n"), ("cgroup.procs", "1\n")]).counted;
        assert_eq!(counted, Counted { cpu: true, pids: true, ..Counted::default() });
        let counted = stats(&[("memory.current", "0\n"), ("io.stat", ""), ("cgroup.procs", "")]).counted;
        assert_eq!(counted, Counted { memory: true, pids: true, blkio: true, cpu: false });
    }

    #[test]
    fn memory_and_swap_beyond_the_largest_number_are_that() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["memory.current", "memory.swap.current"] {
            std::fs::write(dir.path().join(name), "18446744073709551615\n").unwrap();
        }
        assert_eq!(memory(dir.path()).unwrap().swap.usage, u64::MAX);
    }

    #[test]
    fn processor_time_is_in_nanoseconds() {
        let text =
            "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 2\nthrottled_usec 6\n";
        let cpu = stats(&[("cpu.stat", text)]).cpu;
        assert_eq!((cpu.usage.total, cpu.usage.user, cpu.usage.kernel), (30_000, 20_000, 10_000));
        assert_eq!(cpu.throttling, Throttling { periods: 4, throttled_periods: 2, throttled_time: 6_000 });
    }

    #[test]
    fn processes_are_counted_without_the_controller_too() {
        let with = stats(&[("pids.current", "7\n"), ("pids.max", "9\n")]).pids;
        assert_eq!(with, Pids { current: 7, limit: 9 });
        let unlimited = stats(&[("pids.current", "7\n"), ("pids.max", "max\n")]).pids;
        assert_eq!(unlimited, Pids { current: 7, limit: 0 });
        assert_eq!(stats(&[("cgroup.procs", "1\n2\n")]).pids, Pids { current: 2, limit: 0 });
    }

    #[test]
    fn each_device_has_its_line() {
        let text =
            "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 rbytes=5 wbytes=0 rios=6 wios=0\n";
        let blkio = stats(&[("io.stat", text)]).blkio;
        assert_eq!(blkio.bytes(), (6, 2));
        assert_eq!(blkio.io_serviced_recursive.len(), 4);
    }
}
