//! `stats`, and the figures of `events`.

use std::time::{Duration, Instant};

use rootling_cgroup::stats::{Source, Stats};
use rootling_config::id::ContainerId;
use rootling_config::remedies::CREATE_DELEGATED;

use rootling_init::channel::Warn;

use crate::error::{Error, ErrorKind, Result, of_cgroup};
use crate::process_usage;
use crate::state::{Record, Status};
use crate::store::{Listed, Slot, Store};

/// The figures of one container at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its id.
    pub id: String,
    /// When they were read.
    pub at: Instant,
    /// The figures; for a container without a cgroup, sums over its processes.
    pub stats: Stats,
}

/// Reads the figures of those containers in `ids` that have not stopped; without any id, of all containers.
///
/// # Errors
/// One of `ids` does not exist, or a file cannot be read.
pub fn sample(store: &Store, ids: &[ContainerId]) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    if ids.is_empty() {
        for entry in store.list()? {
            if let Listed::Container(slot, record) = entry {
                samples.extend(one(&slot, &record)?);
            }
        }
    } else {
        for id in ids {
            let (slot, record) = read(store, id)?;
            samples.extend(one(&slot, &record)?);
        }
    }
    Ok(samples)
}

/// Opens a container that may be removed at this moment: its record vanishes before its directory does.
fn read(store: &Store, id: &ContainerId) -> Result<(Slot, Record)> {
    for _ in 0..20 {
        let slot = store.open(id)?;
        if let Ok(record) = slot.read() {
            return Ok((slot, record));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let slot = store.open(id)?;
    let record = slot.read()?;
    Ok((slot, record))
}

fn one(slot: &Slot, record: &Record) -> Result<Option<Sample>> {
    if matches!(slot.status(record)?, Status::Stopped | Status::Creating) {
        return Ok(None);
    }
    let at = Instant::now();
    let stats = match figures(record) {
        Ok(stats) => stats,
        // The container has ended meanwhile.
        Err(_) if slot.status(record)? == Status::Stopped => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(Some(Sample { id: record.id.clone(), at, stats }))
}

/// The figures of a container: those of its cgroup, or of its processes if it has none.
pub(super) fn figures(record: &Record) -> Result<Stats> {
    if !record.cgroup.is_none() {
        return record.cgroup.stats().map_err(of_cgroup);
    }
    let members = record.init.map(|init| super::ps::without_cgroup(record, init));
    members
        .and_then(|members| process_usage::of(&members))
        .ok_or_else(|| not_running(record, Status::Stopped))
}

/// Warns of what a reader of the figures should know.
pub(super) fn warn_of(stats: &Stats, warn: Warn<'_>) {
    if stats.source == Source::Processes {
        warn(format!(
            "this container has no cgroup, so its figures are sums over its processes; for those of a cgroup, {CREATE_DELEGATED}"
        ));
    }
}

/// Returns the figures of one container that has not stopped. Figures that no cgroup counts are marked as such, with a
/// warning.
///
/// # Errors
/// The container does not exist or does not run, or a file cannot be read.
pub fn stats(store: &Store, id: &ContainerId, warn: Warn<'_>) -> Result<Stats> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    check_running(&slot, &record)?;
    let stats = figures(&record)?;
    warn_of(&stats, warn);
    Ok(stats)
}

pub(super) fn check_running(slot: &Slot, record: &Record) -> Result<()> {
    match slot.status(record)? {
        status @ (Status::Stopped | Status::Creating) => Err(not_running(record, status)),
        _ => Ok(()),
    }
}

fn not_running(record: &Record, status: Status) -> Error {
    Error::new(
        ErrorKind::WrongState,
        format!("container with id {} is not running: it is {status}, so it uses nothing", record.id),
    )
}
