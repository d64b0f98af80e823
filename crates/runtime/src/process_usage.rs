//! The resource usage of a container without a cgroup: sums over its processes, from /proc.
//!
//! A process that ends while it is being read is not counted. If the caller may not read a figure of one process, or
//! the kernel does not keep it, the sum is unknown: one that leaves out some processes would be wrong.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{SysconfVar, sysconf};
use rootling_cgroup::stats::{BlkIoEntry, Counted, CpuUsage, MemoryEntry, Source, Stats};
use rootling_sys::fds::adopt;
use rootling_sys::file;

use crate::process::{ProcessRef, Stat, parse_stat};

/// An upper limit in bytes that none of the files reaches.
const MOST: u64 = 1 << 20;

/// What these processes use together; `None` if all of them have ended.
///
/// | figure | is the sum of | including ended processes |
/// |---|---|---|
/// | processor time | proc_pid_stat(5), and for its first thread proc_pid_schedstat(5), which is exact | if a process of the container has waited for them |
/// | memory in use, and with swap | `Pss` and `SwapPss` of proc_pid_smaps(5), `smaps_rollup` | no |
/// | `rss` of the raw figures | `Rss` there, or the approximate one that everybody may read | no |
/// | bytes read and written | proc_pid_io(5), which counts storage | as for time |
/// | processes | their threads, as a cgroup counts them | no |
pub(crate) fn of(members: &[ProcessRef]) -> Option<Stats> {
    let usages: Vec<Usage> = members.iter().filter_map(|member| Usage::of(*member)).collect();
    if usages.is_empty() { None } else { Some(sum(&usages)) }
}

/// One process.
#[derive(Clone, Debug, Default)]
struct Usage {
    stat: Stat,
    /// Processor time of its first thread, in nanoseconds; 0 if the kernel does not count it.
    exact: u64,
    /// In bytes; `None` if it cannot be read.
    memory: Option<Memory>,
    /// Bytes read and written; `None` if they cannot be read.
    io: Option<[u64; 2]>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memory {
    rss: u64,
    pss: u64,
    swap_pss: u64,
}

impl Usage {
    /// `None` if it has ended. Files are read through its directory, which never shows another process that gets its
    /// pid.
    fn of(member: ProcessRef) -> Option<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let path = format!("/proc/{}", member.pid);
        let dir = File::options().read(true).custom_flags(flags.bits()).open(path).ok()?;
        let before = parse_stat(&read(&dir, "stat")?)?;
        if before.start_time != member.start_time {
            return None;
        }
        let exact = read(&dir, "schedstat").as_deref().and_then(parse_schedstat).unwrap_or(0);
        let memory = read(&dir, "smaps_rollup").as_deref().and_then(parse_memory);
        let io = read(&dir, "io").as_deref().and_then(parse_io);
        // Read last, since it tells why another file was missing.
        let stat = parse_stat(&read(&dir, "stat")?)?;
        if stat.is_ending() {
            // The I/O of an ended process is added to its parent's once that has waited for it.
            let (memory, io) = (Some(memory.unwrap_or_default()), Some(io.unwrap_or_default()));
            return Some(Self { stat, exact, memory, io });
        }
        Some(Self { stat, exact, memory, io })
    }
}

/// Reads a file of a process; `None` if it cannot be read for any reason.
fn read(dir: &File, name: &str) -> Option<Vec<u8>> {
    let fd = openat(Some(dir.as_raw_fd()), name, file::OPEN_FLAGS, Mode::empty()).map(adopt).ok()?;
    file::contents(fd, MOST).ok()
}

/// Parses `TIME WAITED SLICES`, of which the first is the time in nanoseconds.
fn parse_schedstat(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.split_whitespace().next()?.parse().ok()
}

/// Parses `KEY: NUMBER` or `KEY: NUMBER kB`, one per line.
fn keyed(text: &[u8], key: &str) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

fn parse_memory(text: &[u8]) -> Option<Memory> {
    let bytes = |key| keyed(text, key).map(|kib| kib.saturating_mul(1024));
    Some(Memory { rss: bytes("Rss")?, pss: bytes("Pss")?, swap_pss: bytes("SwapPss").unwrap_or(0) })
}

fn parse_io(text: &[u8]) -> Option<[u64; 2]> {
    Some([keyed(text, "read_bytes")?, keyed(text, "write_bytes")?])
}

fn sum(usages: &[Usage]) -> Stats {
    let mut stats = Stats { source: Source::Processes, ..Stats::default() };
    stats.counted = Counted { cpu: true, pids: true, ..Counted::default() };
    stats.cpu.usage = processor_time(usages);
    stats.pids.current = total(usages.iter().map(|usage| usage.stat.threads.max(1)));
    let page = system(SysconfVar::PAGE_SIZE, 4096);
    let resident = |usage: &Usage| usage.memory.map_or(usage.stat.resident.saturating_mul(page), |m| m.rss);
    stats.memory.raw.insert("rss".to_owned(), total(usages.iter().map(resident)));
    match usages.iter().map(|usage| usage.memory).collect::<Option<Vec<_>>>() {
        Some(all) => {
            let pss = total(all.iter().map(|memory| memory.pss));
            let swap = total(all.iter().map(|memory| memory.swap_pss));
            stats.memory.raw.extend([("pss".to_owned(), pss), ("swap_pss".to_owned(), swap)]);
            let entry = |usage| MemoryEntry { limit: u64::MAX, usage, ..MemoryEntry::default() };
            (stats.memory.usage, stats.memory.swap) = (entry(pss), entry(pss.saturating_add(swap)));
            stats.counted.memory = true;
        }
        None => stats.unknown.push("memory"),
    }
    match usages.iter().map(|usage| usage.io).collect::<Option<Vec<_>>>() {
        Some(all) => {
            // Summed over all devices.
            let entry = |op: &str, which: usize| BlkIoEntry {
                op: op.to_owned(),
                value: total(all.iter().map(|bytes| bytes[which])),
                ..BlkIoEntry::default()
            };
            stats.blkio.io_service_bytes_recursive = vec![entry("Read", 0), entry("Write", 1)];
            stats.counted.blkio = true;
        }
        None => stats.unknown.push("blkio"),
    }
    stats
}

fn processor_time(usages: &[Usage]) -> CpuUsage {
    let tick = 1_000_000_000 / system(SysconfVar::CLK_TCK, 100).max(1);
    let kind = |which: usize| {
        let ticks = usages.iter().flat_map(|usage| [usage.stat.own[which], usage.stat.waited_for[which]]);
        total(ticks).saturating_mul(tick)
    };
    let one = |usage: &Usage| {
        let own = total(usage.stat.own).saturating_mul(tick).max(usage.exact);
        own.saturating_add(total(usage.stat.waited_for).saturating_mul(tick))
    };
    CpuUsage { total: total(usages.iter().map(one)), user: kind(0), kernel: kind(1), ..CpuUsage::default() }
}

fn total(figures: impl IntoIterator<Item = u64>) -> u64 {
    figures.into_iter().fold(0, u64::saturating_add)
}

fn system(which: SysconfVar, otherwise: u64) -> u64 {
    sysconf(which).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(own: [u64; 2], exact: u64, memory: Option<Memory>, io: Option<[u64; 2]>) -> Usage {
        let stat = Stat { own, waited_for: [1, 0], threads: 2, resident: 3, ..Stat::default() };
        Usage { stat, exact, memory, io }
    }

    #[test]
    fn files_are_read_as_the_kernel_writes_them() {
        let rollup =
            b"55dbcc3d1000-7ffeb7ef7000 ---p 00000000 00:00 0    [rollup]\nRss:    1880 kB\nPss:    313 kB\n\
            Pss_Dirty:  84 kB\nSwap:   9 kB\nSwapPss:   2 kB\n";
        let memory = Memory { rss: 1880 * 1024, pss: 313 * 1024, swap_pss: 2048 };
        assert_eq!(parse_memory(rollup), Some(memory));
        assert_eq!(parse_memory(b"Rss: 1 kB\n"), None);
        let io = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
        assert_eq!(parse_io(io), Some([5, 6]));
        assert_eq!(parse_schedstat(b"46640 507242 1\n"), Some(46640));
        assert_eq!((parse_schedstat(b""), parse_io(b"")), (None, None));
    }

    #[test]
    fn time_is_exact_where_the_kernel_says_more_than_ticks() {
        let tick = 1_000_000_000 / system(SysconfVar::CLK_TCK, 100);
        let stats = sum(&[usage([2, 1], 3 * tick + 7, None, None), usage([4, 0], 5, None, None)]);
        assert_eq!(stats.cpu.usage.total, (3 + 1 + 4 + 1) * tick + 7);
        assert_eq!((stats.cpu.usage.user, stats.cpu.usage.kernel), (8 * tick, tick));
        assert_eq!(stats.pids.current, 4);
    }

    #[test]
    fn one_that_cannot_be_read_makes_the_sum_unknown() {
        let memory = |rss, pss| Some(Memory { rss, pss, swap_pss: 1 });
        let known = usage([0, 0], 0, memory(50, 5), Some([1, 2]));
        let stats = sum(&[known.clone(), usage([0, 0], 0, memory(60, 6), Some([3, 4]))]);
        assert_eq!((stats.memory.usage.usage, stats.memory.swap.usage), (11, 13));
        assert_eq!((stats.memory.raw["rss"], stats.blkio.bytes()), (110, (4, 6)));
        assert!(stats.counted.memory && stats.counted.blkio && stats.unknown.is_empty());
        let stats = sum(&[known, usage([0, 0], 0, None, None)]);
        assert_eq!((stats.memory.usage.usage, stats.unknown), (0, vec!["memory", "blkio"]));
        assert!(!stats.counted.memory && !stats.counted.blkio);
        assert_eq!(stats.memory.raw["rss"], 50 + 3 * system(SysconfVar::PAGE_SIZE, 4096));
    }

    #[test]
    fn what_has_ended_or_is_another_process_is_left_out() {
        let me = ProcessRef::of(std::process::id() as i32).unwrap();
        let stats = of(&[me]).unwrap();
        assert!(stats.memory.usage.usage > 0 && stats.cpu.usage.total > 0);
        assert!(of(&[ProcessRef { start_time: me.start_time + 1, ..me }]).is_none());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = ProcessRef::of(child.id() as i32).unwrap();
        // The process is a zombie by then, and has no memory.
        while !crate::process::stat(ended.pid).unwrap().has_ended() {
            std::thread::yield_now();
        }
        let stats = of(&[ended]).unwrap();
        assert_eq!((stats.memory.usage.usage, stats.pids.current), (0, 1));
        child.wait().unwrap();
        assert!(of(&[ended]).is_none());
    }
}
