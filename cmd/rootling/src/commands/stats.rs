//! `stats`: a live table.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use rootling_cgroup::stats::Source;
use rootling_runtime::{self as runtime, Error, Result, Sample, Store};
use serde::Serialize;
use tabwriter::TabWriter;

use super::columns::aligned;
use crate::args;
use crate::terminal::print_next;

/// Clears a terminal and moves the cursor to the top: console_codes(4).
const CLEAR: &str = "\x1b[H\x1b[J";

/// The usage of one container between two samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    id: String,
    /// In per cent of one processor: 200 on two processors that are always busy.
    cpu_percent: Option<f64>,
    #[serde(rename = "memoryUsage")]
    memory: Option<u64>,
    /// `null` if there is none.
    memory_limit: Option<u64>,
    pids: Option<u64>,
    pids_limit: Option<u64>,
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
    /// The resident set size, which counts memory that several processes share once for each of them; only without
    /// a cgroup.
    resident_bytes: Option<u64>,
    source: Source,
}

pub(crate) fn stats(store: &Store, args: &args::Stats) -> Result<()> {
    let ids = &args.ids;
    let live = !args.json && !args.no_stream && std::io::stdout().is_terminal();
    let mut before = runtime::sample(store, ids)?;
    loop {
        std::thread::sleep(args.interval);
        let now = match runtime::sample(store, ids) {
            // The container was deleted while it was being watched.
            Err(e) if e.kind() == runtime::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let usages: Vec<Usage> = now.iter().map(|sample| usage(&before, sample)).collect();
        let text = if args.json { json(&usages)? } else { table(&usages, total_memory())? };
        let read_on = print_next(&format!("{}{text}", if live { CLEAR } else { "" }))?;
        // With named containers the command ends when all of them have stopped.
        if args.no_stream || !read_on || (now.is_empty() && !ids.is_empty()) {
            return Ok(());
        }
        before = now;
    }
}

fn usage(before: &[Sample], now: &Sample) -> Usage {
    let earlier = before.iter().find(|b| b.id == now.id);
    let (stats, counted) = (&now.stats, now.stats.counted);
    let cpu_percent = earlier.filter(|b| counted.cpu && b.stats.counted.cpu).and_then(|b| {
        let used = stats.cpu.usage.total.checked_sub(b.stats.cpu.usage.total)?;
        let passed = now.at.saturating_duration_since(b.at);
        Some(percent(Duration::from_nanos(used), passed))
    });
    let memory = counted.memory.then_some(stats.memory.usage);
    let pids = counted.pids.then_some(stats.pids);
    let bytes = counted.blkio.then(|| stats.blkio.bytes());
    Usage {
        id: now.id.clone(),
        cpu_percent,
        memory: memory.map(|memory| memory.usage),
        memory_limit: memory.map(|memory| memory.limit).filter(|limit| is_limit(*limit)),
        pids: pids.map(|pids| pids.current),
        pids_limit: pids.map(|pids| pids.limit).filter(|limit| *limit != 0),
        read_bytes: bytes.map(|(read, _)| read),
        written_bytes: bytes.map(|(_, written)| written),
        resident_bytes: stats.memory.raw.get("rss").copied().filter(|_| stats.source == Source::Processes),
        source: stats.source,
    }
}

/// In per cent, rounded to hundredths so that it is readable in JSON as well.
fn percent(used: Duration, passed: Duration) -> f64 {
    if passed.is_zero() {
        return 0.0;
    }
    (used.as_secs_f64() / passed.as_secs_f64() * 10_000.0).round() / 100.0
}

/// Whether a limit is one: "no limit" is the largest number on cgroup v2, and the largest number of whole pages on
/// v1.
fn is_limit(limit: u64) -> bool {
    limit != 0 && limit < 1 << 62
}

fn json(usages: &[Usage]) -> Result<String> {
    Ok(serde_json::to_string(usages).map_err(|e| Error::system(e.to_string()))? + "\n")
}

fn table(usages: &[Usage], total: Option<u64>) -> Result<String> {
    let mut text = String::from("ID\tCPU %\tMEM USAGE / LIMIT\tMEM %\tPIDS\tIO READ / WRITE\tSOURCE\n");
    for u in usages {
        // A container without a limit is limited by the machine.
        let limit = u.memory.and(u.memory_limit.or(total));
        let memory_percent = u.memory.zip(limit).map(|(usage, limit)| share(usage, limit));
        let _ = writeln!(
            text,
            "{}\t{}\t{} / {}\t{}\t{}\t{} / {}\t{}",
            u.id,
            or_dash(u.cpu_percent.map(|p| format!("{p:.2}%"))),
            or_dash(u.memory.map(size)),
            or_dash(limit.map(size)),
            or_dash(memory_percent.map(|p| format!("{p:.2}%"))),
            or_dash(u.pids),
            or_dash(u.read_bytes.map(size)),
            or_dash(u.written_bytes.map(size)),
            u.source.name(),
        );
    }
    aligned(&text, TabWriter::new(Vec::new()).padding(3))
}

/// A share in per cent.
#[allow(clippy::cast_precision_loss)] // Nobody reads more than two digits.
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64 * 100.0
}

/// Displays a dash for what is not counted or not visible to the caller.
fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Formats bytes with a unit based on 1024.
#[allow(clippy::cast_precision_loss)] // Nobody reads more than one decimal place.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{bytes}B") } else { format!("{value:.1}{unit}") }
}

/// The memory of the machine in bytes, from proc_meminfo(5).
fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture;

    fn used() -> Usage {
        Usage {
            id: "web".into(),
            cpu_percent: Some(12.5),
            memory: Some(3 << 20),
            memory_limit: Some(12 << 20),
            pids: Some(4),
            pids_limit: None,
            read_bytes: Some(2048),
            written_bytes: Some(0),
            resident_bytes: None,
            source: Source::Cgroup,
        }
    }

    #[test]
    fn figures_stand_under_their_titles() {
        let text = table(&[used()], None).unwrap();
        let lines: Vec<Vec<&str>> =
            text.lines().map(|l| l.split("   ").filter(|f| !f.is_empty()).map(str::trim).collect()).collect();
        assert_eq!(
            lines[0],
            ["ID", "CPU %", "MEM USAGE / LIMIT", "MEM %", "PIDS", "IO READ / WRITE", "SOURCE"]
        );
        assert_eq!(lines[1], ["web", "12.50%", "3.0MiB / 12.0MiB", "25.00%", "4", "2.0KiB / 0B", "cgroup"]);
    }

    #[test]
    fn picture_in_the_docs_shows_limits_and_what_nobody_counts() {
        let db = Usage {
            id: "db".into(),
            cpu_percent: Some(112.03),
            memory: Some(405 << 20),
            memory_limit: Some(512 << 20),
            pids: Some(38),
            pids_limit: Some(100),
            read_bytes: Some(733 << 20),
            written_bytes: Some(5 << 30),
            ..used()
        };
        let summed = Usage {
            id: "without-cgroup".into(),
            cpu_percent: Some(3.01),
            memory: Some(9 << 20),
            memory_limit: None,
            pids: Some(2),
            read_bytes: None,
            written_bytes: None,
            source: Source::Processes,
            ..used()
        };
        let printed = table(&[used(), db, summed], Some(16 << 30)).unwrap();
        picture::assert_shows("stats", "rootling stats --no-stream", &printed);
    }

    #[test]
    fn what_nobody_counts_is_a_dash() {
        let none = Usage {
            cpu_percent: None,
            memory: None,
            memory_limit: None,
            pids: None,
            read_bytes: None,
            written_bytes: None,
            ..used()
        };
        let text = table(std::slice::from_ref(&none), Some(1 << 30)).unwrap();
        assert!(text.lines().nth(1).unwrap().contains("- / -"), "{text}");
        assert!(json(&[none]).unwrap().contains(r#""cpuPercent":null"#));
    }

    #[test]
    fn figures_without_a_controller_are_none() {
        use rootling_cgroup::stats::{Counted, Stats};
        let counted = Counted { cpu: true, pids: true, ..Counted::default() };
        let sample = |total| {
            let mut stats = Stats { counted, ..Stats::default() };
            (stats.cpu.usage.total, stats.pids.current) = (total, 2);
            Sample { id: "a".into(), at: std::time::Instant::now(), stats }
        };
        let usage = usage(&[sample(5)], &sample(5));
        assert_eq!(
            (usage.memory, usage.memory_limit, usage.read_bytes, usage.written_bytes),
            (None, None, None, None)
        );
        assert_eq!((usage.cpu_percent, usage.pids), (Some(0.0), Some(2)));
        assert!(table(&[usage], Some(1 << 30)).unwrap().lines().nth(1).unwrap().contains("- / -"));
    }

    #[test]
    fn a_processor_that_is_always_busy_is_a_hundred() {
        assert!((percent(Duration::from_secs(2), Duration::from_secs(2)) - 100.0).abs() < 1e-9);
        assert!((percent(Duration::from_millis(1), Duration::from_secs(3)) - 0.03).abs() < 1e-9);
        assert!(percent(Duration::from_secs(1), Duration::ZERO).abs() < 1e-9);
    }

    #[test]
    fn no_limit_is_none_on_both_versions() {
        assert!(is_limit(1 << 30));
        assert!(!is_limit(u64::MAX) && !is_limit(9_223_372_036_854_771_712) && !is_limit(0));
    }
}
