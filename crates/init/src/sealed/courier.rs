//! Tells the runtime of the filter, without a system call of the process that has it.
//!
//! Once a filter is loaded any call may be denied, and with SCMP_ACT_NOTIFY wait for an agent that has no listener yet.
//! So a process beside, without the filter and with the same descriptors, sends the listener, or why there is no filter,
//! and closes the channel. The filtered process tells it by shared memory, and is never dumpable for that.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;
use rootling_sys as sys;
use rootling_sys::clone::{CloneOptions, Cloned};
use rootling_sys::shared::{Shared, pause};

use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Error, Result};

/// What the number in the shared memory says: one of these, an errno, or the listener's own number.
const NOTHING: u32 = 0;
const LOADED: u32 = 1;
const DELIVERED: u32 = 2;
const FAILED: u32 = 3;
const FIRST_ERRNO: u32 = 1 << 16;
const FIRST_LISTENER: u32 = 1 << 20;

/// What becomes of the channel when all is said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtTheEnd {
    /// The filtered process has it on.
    LeaveChannel,
    /// It is closed, for both.
    CloseChannel,
}

/// The process beside.
#[derive(Clone, Copy)]
pub(super) struct Courier {
    word: Shared,
}

impl Courier {
    /// Makes it. It ends with this process.
    pub(super) fn start(report: &Channel, end: AtTheEnd) -> Result<Self> {
        let word = Shared::new().context(|| "mmap")?;
        // Nobody is there to wait for it once the filter is loaded.
        sys::process::discard_children().context(|| "sigaction(SIGCHLD)")?;
        let options = CloneOptions { share_files: true, ..CloneOptions::default() };
        let filtered = nix::unistd::getpid();
        match sys::clone::clone(options).context(|| "clone3 for what tells of the filter")? {
            Cloned::Parent { pidfd, .. } => {
                drop(pidfd);
                Ok(Self { word })
            }
            Cloned::Child => carry(word, report, end, filtered),
        }
    }

    /// Tells it what came of the filter.
    pub(super) fn tell(self, result: &Result<Option<RawFd>>) {
        self.word.set(match result {
            Ok(None) => LOADED,
            Ok(Some(listener)) => FIRST_LISTENER + *listener as u32,
            Err(error) => FIRST_ERRNO + error.errno().map_or(0, |errno| errno as u32),
        });
    }

    /// Tells it of the listener, and waits until the agent has that.
    pub(super) fn hand_over(self, listener: Option<RawFd>) -> Result<()> {
        self.tell(&Ok(listener));
        loop {
            match self.word.get() {
                DELIVERED => return Ok(()),
                FAILED => return Err(Error::system("linux.seccomp: the agent did not get the listener")),
                _ => pause(),
            }
        }
    }
}

/// The process beside: waits for word, passes it on, and ends.
fn carry(word: Shared, report: &Channel, end: AtTheEnd, filtered: Pid) -> ! {
    let _ = sys::process::set_parent_death_signal(libc::SIGKILL);
    let said = loop {
        match word.get() {
            NOTHING if !is_there(filtered) => sys::exec::exit_now(1),
            NOTHING => pause(),
            said => break said,
        }
    };
    let delivered = match said {
        LOADED => true,
        FIRST_LISTENER.. => {
            let listener = (said - FIRST_LISTENER) as RawFd;
            let sent = deliver(listener, report);
            // For both.
            let _ = nix::unistd::close(listener);
            sent
        }
        errno => {
            let errno = Errno::from_raw(errno.saturating_sub(FIRST_ERRNO) as i32);
            report.send_failure(
                Error::from(errno).wrap("linux.seccomp: load the filter, and give up the privilege for it"),
            );
            false
        }
    };
    if end == AtTheEnd::CloseChannel && delivered {
        let _ = nix::unistd::close(report.as_raw_fd());
    }
    word.set(if delivered { DELIVERED } else { FAILED });
    sys::exec::exit_now(0)
}

fn deliver(number: RawFd, report: &Channel) -> bool {
    sys::fds::with_borrowed(number, |listener: BorrowedFd<'_>| {
        report.send_with(&FromChild::SeccompListener, listener)
    })
    .is_ok()
        && matches!(report.receive(), Ok(Some(ToChild::ListenerSent)))
}

/// Whether the process that is to have the filter still exists.
fn is_there(pid: Pid) -> bool {
    nix::sys::signal::kill(pid, None) != Err(Errno::ESRCH)
}
