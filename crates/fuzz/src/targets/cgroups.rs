//! The files of cgroups.

use std::collections::BTreeMap;
use std::path::Path;

use rootling_cgroup::fuzzing::{event, own as own_path, path, pids, statistics, unit};
use rootling_init::error::chain;

use super::host::directory;
use super::sections;
use super::state::write;
use crate::check::{Answer, Run};

/// The statistics, events and processes in a directory.
pub(super) fn files() -> Run {
    let dir = directory();
    let mut there = BTreeMap::new();
    Box::new(move |input| {
        let text = String::from_utf8_lossy(input);
        lay_out(dir.path(), &sections::of(&text), &mut there);
        let mut refused = None;
        for unified in [true, false] {
            match statistics(dir.path(), unified) {
                Ok(stats) => {
                    stats.blkio.bytes();
                    serde_json::to_vec(&stats).map_err(|e| format!("cannot be printed: {e}"))?;
                }
                Err(error) => refused = Some(format!("statistics: {error}")),
            }
        }
        if let Err(error) = pids(dir.path()) {
            refused = Some(chain(&error));
        }
        let events = there.get("memory.events").map_or("", String::as_str);
        event(events, "oom_kill");
        Ok(refused.map_or(Answer::Accepted(Vec::new()), Answer::Refused))
    })
}

/// Writes the files whose contents differ, and removes all others.
fn lay_out(dir: &Path, wanted: &[(&str, String)], there: &mut BTreeMap<String, String>) {
    let usable = |name: &str| {
        !name.is_empty() && name.len() < 200 && !name.contains(['/', '\0']) && !name.starts_with('.')
    };
    let wanted: BTreeMap<&str, &String> =
        wanted.iter().filter(|(name, _)| usable(name)).map(|(name, content)| (*name, content)).collect();
    there.retain(|name, _| {
        let keep = wanted.contains_key(name.as_str());
        if !keep {
            std::fs::remove_file(dir.join(name)).expect("remove a file");
        }
        keep
    });
    for (name, content) in wanted {
        if there.get(name) != Some(content) {
            write(&dir.join(name), content.as_bytes());
            there.insert(name.to_owned(), content.clone());
        }
    }
}

/// `/proc/PID/cgroup` as a whole, and each line as a `linux.cgroupsPath`.
pub(super) fn own() -> Run {
    Box::new(|input| {
        let text = String::from_utf8_lossy(input);
        for controller in ["", "memory", "cpuacct", "name=systemd"] {
            own_path(&text, controller);
        }
        let mut refused = None;
        for line in text.lines().take(100) {
            let cleaned = path(line);
            if cleaned.split('/').any(|part| part == ".." || part == ".") || path(&cleaned) != cleaned {
                return Err(format!("{line:?} becomes {cleaned:?}"));
            }
            for rootless in [true, false] {
                match unit(line, rootless) {
                    Ok(found) if found.split('/').any(|part| part == "..") => {
                        return Err(format!("{line:?} becomes {found:?}"));
                    }
                    Ok(_) => {}
                    Err(error) => refused = Some(chain(&error)),
                }
            }
        }
        Ok(refused.map_or(Answer::Accepted(Vec::new()), Answer::Refused))
    })
}
