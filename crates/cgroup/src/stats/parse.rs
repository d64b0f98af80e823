//! Parses the formats of the files: single values, flat keyed files, lists, and pressure.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use super::model::{Pressure, PressureLine};
use crate::file;

/// Parses a number. `max` becomes the largest number, and a negative value (from a counter that is just being
/// summed over processors) becomes 0, as in runc.
fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        text => text.parse::<i128>().ok().map(|n| u64::try_from(n.max(0)).unwrap_or(u64::MAX)),
    }
}

/// The single number in a file; `None` if this kernel or cgroup has no such file.
pub(super) fn value(dir: &Path, name: &str) -> io::Result<Option<u64>> {
    Ok(text(dir, name)?.and_then(|text| number(&text)))
}

/// The single number in a file; 0 if there is no such file.
pub(super) fn value_or_zero(dir: &Path, name: &str) -> io::Result<u64> {
    Ok(value(dir, name)?.unwrap_or(0))
}

/// The contents of a file; `None` if there is no such file.
pub(super) fn text(dir: &Path, name: &str) -> io::Result<Option<String>> {
    match file::read(dir, name) {
        Ok(text) => Ok(Some(text)),
        Err(e) if file::is_gone(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Parses lines of the form `key number`.
pub(super) fn keyed(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| line.split_once(' ').and_then(|(key, n)| Some((key.to_owned(), number(n)?)));
    text.lines().filter_map(line).collect()
}

/// The numbers in a list such as `0-2,7`; empty if it is not a list.
pub(super) fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    };
    // Limited to as many as there are different numbers.
    text.split(',').filter_map(range).flatten().take(1 << 16).collect()
}

/// Reads a pressure file. `None` if the kernel does not account pressure, has it disabled for this cgroup
/// (`cgroup.pressure`), or requires `psi=1` on its command line (EOPNOTSUPP).
pub(super) fn pressure(dir: &Path, name: &str) -> io::Result<Option<Pressure>> {
    let text = match text(dir, name) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(e) if rootling_sys::errno(&e) == Some(Errno::EOPNOTSUPP) => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let (kind, fields) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "some" => pressure.some = pressure_line(fields),
            "full" => pressure.full = pressure_line(fields),
            _ => {}
        }
    }
    Ok(Some(pressure))
}

fn pressure_line(fields: &str) -> PressureLine {
    let mut line = PressureLine::default();
    for (key, value) in fields.split_whitespace().filter_map(|f| f.split_once('=')) {
        let share = || value.parse().unwrap_or_default();
        match key {
            "avg10" => line.avg10 = share(),
            "avg60" => line.avg60 = share(),
            "avg300" => line.avg300 = share(),
            "total" => line.total = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    line
}

/// The huge page sizes of this machine, in the form that file names use: `2MB`.
pub(super) fn huge_page_sizes() -> Vec<String> {
    let entries = rootling_sys::directory::entries(Path::new("/sys/kernel/mm/hugepages")).unwrap_or_default();
    let names = entries.into_iter().filter_map(|entry| entry.name.into_string().ok());
    names.filter_map(|name| huge_page_size(&name)).collect()
}

/// Converts `hugepages-2048kB` to `2MB`.
fn huge_page_size(name: &str) -> Option<String> {
    let mut size: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    let mut units = ["KB", "MB", "GB"].into_iter();
    let mut unit = units.next()?;
    while size >= 1024 {
        let Some(next) = units.next() else { break };
        (size, unit) = (size / 1024, next);
    }
    Some(format!("{size}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_the_kernel_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        for (content, expected) in
            [("17\n", Some(17)), ("max\n", Some(u64::MAX)), ("-3\n", Some(0)), ("", None)]
        {
            std::fs::write(dir.path().join("f"), content).unwrap();
            assert_eq!(value(dir.path(), "f").unwrap(), expected, "{content:?}");
        }
        assert_eq!(value(dir.path(), "absent").unwrap(), None);
    }

    #[test]
    fn lists_and_keys() {
        assert_eq!(list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(list("\n"), [] as [u16; 0]);
        assert_eq!(list(&"0-65535,".repeat(100)).len(), 1 << 16);
        assert_eq!(keyed("a 1\nb 22\nbroken\n"), BTreeMap::from([("a".into(), 1), ("b".into(), 22)]));
    }

    #[test]
    fn pressure_has_two_lines() {
        let dir = tempfile::tempdir().unwrap();
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=4\n";
        std::fs::write(dir.path().join("cpu.pressure"), text).unwrap();
        let found = pressure(dir.path(), "cpu.pressure").unwrap().unwrap();
        assert_eq!(found.some, PressureLine { avg10: 1.5, avg60: 0.25, avg300: 0.0, total: 123 });
        assert_eq!(found.full.total, 4);
        assert_eq!(pressure(dir.path(), "io.pressure").unwrap(), None);
    }

    #[test]
    fn sizes_of_huge_pages_are_named_as_the_files() {
        for (name, size) in [
            ("hugepages-64kB", Some("64KB")),
            ("hugepages-2048kB", Some("2MB")),
            ("hugepages-1048576kB", Some("1GB")),
            ("other", None),
        ] {
            assert_eq!(huge_page_size(name).as_deref(), size, "{name}");
        }
    }
}
