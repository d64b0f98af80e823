//! The doors between rooms: whatever is not handed through is closed, not merely marked.
//!
//! A descriptor that is only close-on-exec stays open until execve(2) has resolved the program's path, and an image can
//! make that path lead through the descriptor.

use std::os::fd::{AsRawFd, RawFd};

use rootling_sys as sys;

use crate::error::{Context, Result};

/// What a room holds open, in addition to the standard streams.
pub trait Held {
    /// The numbers of its descriptors.
    fn held(&self) -> Vec<RawFd>;
}

/// The numbers of these descriptors.
pub(crate) fn numbers<'a, F: AsRawFd + 'a>(fds: impl IntoIterator<Item = &'a F>) -> Vec<RawFd> {
    fds.into_iter().map(AsRawFd::as_raw_fd).collect()
}

/// Closes everything that the room does not hold, except for the first `preserved` numbers after the standard streams,
/// which the program keeps. A debug build verifies the result.
pub(crate) fn close_others(room: &impl Held, preserved: u32) -> Result<()> {
    let mut kept = room.held();
    kept.extend(3..3 + preserved as RawFd);
    sys::fds::close_all_but(&kept).context(|| "close_range")?;
    if cfg!(debug_assertions) {
        compare(&kept);
    }
    Ok(())
}

/// Verifies the result with /proc/self/fd, which not every image has.
fn compare(kept: &[RawFd]) {
    let others: Vec<RawFd> =
        sys::fds::open_below(4096).into_iter().filter(|fd| *fd > 2 && !kept.contains(fd)).collect();
    assert!(others.is_empty(), "open beside what the room holds: {others:?}");
}
