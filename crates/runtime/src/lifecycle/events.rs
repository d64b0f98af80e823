//! `events`: figures at intervals, and reports of the OOM killer.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rootling_cgroup::OomWatch;
use rootling_cgroup::stats::Stats;
use rootling_config::id::ContainerId;

use rootling_init::channel::Warn;

use super::stats::{check_running, figures, warn_of};
use crate::error::{Context, Result, of_cgroup};
use crate::state::Record;
use crate::store::Store;

/// Something that happened to a container.
#[derive(Debug)]
pub enum Event {
    /// An interval has passed; this is what the container uses.
    Stats(Box<Stats>),
    /// The kernel has killed one of its processes because it ran out of memory.
    Oom,
}

/// How often to check for the end of a container whose processes may outlive its first one.
const LOOK: Duration = Duration::from_millis(100);

/// Reports events until the container has ended or `report` returns false.
///
/// # Errors
/// The container does not run, its files cannot be read, or `report` fails.
pub fn events(
    store: &Store,
    id: &ContainerId,
    interval: Duration,
    report: &mut dyn FnMut(Event) -> Result<bool>,
    warn: Warn<'_>,
) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    check_running(&slot, &record)?;
    let Some(init) = record.init else { return Ok(()) };
    // Read before the first wait, so that what cannot be read is an error at once and not only after an interval.
    warn_of(&figures(&record)?, warn);
    let mut watch = record.cgroup.watch_oom().map_err(of_cgroup)?;
    if watch.is_none() {
        tracing::debug!("no memory controller: running out of memory is not reported");
    }
    let mut first = init.open()?;
    let mut next = Instant::now() + interval;
    loop {
        let ended = first.is_none()
            && (record.own_pid_namespace || record.cgroup.is_none() || record.cgroup.is_empty());
        // Checked after the end was detected, so that the OOM kill that ended the container is not missed.
        if !report_oom(watch.as_mut(), report)? || ended {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + interval;
            if !report_stats(&record, report)? {
                return Ok(());
            }
        }
        // Also if the figures took longer than the interval: only here, the end of the container is noticed.
        let left = next.saturating_duration_since(Instant::now());
        let left = if first.is_some() { left } else { left.min(LOOK) };
        if wait(watch.as_ref(), first.as_ref(), left)? {
            first = None;
        }
    }
}

fn report_oom(watch: Option<&mut OomWatch>, report: &mut dyn FnMut(Event) -> Result<bool>) -> Result<bool> {
    let Some(watch) = watch else { return Ok(true) };
    for _ in 0..watch.take().context(|| "read of the out-of-memory events")? {
        if !report(Event::Oom)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A cgroup that vanishes while it is read goes with its container, whose end the next check detects.
fn report_stats(record: &Record, report: &mut dyn FnMut(Event) -> Result<bool>) -> Result<bool> {
    match figures(record) {
        Ok(stats) => report(Event::Stats(Box::new(stats))),
        Err(e) => match record.init {
            Some(init) if init.is_alive()? => Err(e),
            _ => Ok(true),
        },
    }
}

/// Waits for something to report, at most for this long; returns whether the first process has ended.
fn wait(watch: Option<&OomWatch>, first: Option<&OwnedFd>, left: Duration) -> Result<bool> {
    let mut fds = Vec::new();
    fds.extend(first.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
    fds.extend(watch.map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)));
    // Rounded up; otherwise the last millisecond would be spent polling in a loop.
    let timeout = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    let timeout = PollTimeout::try_from(timeout.min(i32::MAX as u64)).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(e) => return Err(e).context(|| "poll"),
    }
    Ok(first.is_some() && fds.first().is_some_and(|fd| fd.any().unwrap_or(false)))
}
