//! Tells the runtime about the filter without a system call of the thread that has the filter.
//!
//! Once a filter is loaded, any call may be denied, or with SCMP_ACT_NOTIFY may block for an agent that has no listener
//! yet. So a second thread, which has no filter, sends the listener, or the reason why there is no filter, and closes
//! the channel. The filtered thread talks to it through a number in memory. It is a thread rather than a process
//! because nobody can kill a thread alone, execve(2) ends it, and it is never a child that the program does not know.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use rootling_sys as sys;
use rootling_sys::thread::pause;

use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Error, Result};

/// What the threads tell each other.
struct Words {
    /// One of the numbers below; an errno or the listener's descriptor is encoded in it.
    said: AtomicU32,
    /// 0 when the filtered thread has ended: a filter may end it alone (SECCOMP_RET_KILL_THREAD).
    filtered: AtomicU32,
}

const NOTHING: u32 = 0;
const LOADED: u32 = 1;
const DELIVERED: u32 = 2;
const FAILED: u32 = 3;
const FIRST_ERRNO: u32 = 1 << 16;
const FIRST_LISTENER: u32 = 1 << 20;

/// The exit code of the process if the filter has ended its other thread: 128 plus SIGSYS, as a shell reports it.
const ENDED_BY_FILTER: i32 = 128 + 31;

/// Room for a message, and for what the C library needs on a stack, in bytes.
const STACK: usize = 128 << 10;

/// What becomes of the channel when everything has been said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtTheEnd {
    /// The filtered thread keeps using it.
    LeaveChannel,
    /// It is closed.
    CloseChannel,
}

/// The second thread.
#[derive(Clone, Copy)]
pub(super) struct Courier {
    words: &'static Words,
}

impl Courier {
    /// Starts the thread. It ends with this process, and with execve(2).
    pub(super) fn start(report: &Channel, end: AtTheEnd) -> Result<Self> {
        // Leaked, since it is unknown which of the two threads ends first.
        let words: &'static Words =
            Box::leak(Box::new(Words { said: AtomicU32::new(NOTHING), filtered: AtomicU32::new(1) }));
        sys::thread::clear_at_end(&words.filtered);
        let channel = report.as_raw_fd();
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || carry(words, channel, end))
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
            .context(|| "clone3 for the thread that reports on the filter")?;
        Ok(Self { words })
    }

    /// Tells it that the filter is loaded, and the listener's number.
    pub(super) fn tell(self, listener: Option<RawFd>) {
        self.words.say(listener.map_or(LOADED, |listener| FIRST_LISTENER + listener as u32));
    }

    /// Tells it of a failure, and waits until it has passed that on.
    pub(super) fn fail(self, error: &Error) {
        self.words.say(FIRST_ERRNO + error.errno().map_or(0, |errno| errno as u32));
        while self.words.said() != FAILED {
            pause();
        }
    }

    /// Tells it of the listener, and waits until the agent has the listener.
    pub(super) fn hand_over(self, listener: Option<RawFd>) -> Result<()> {
        self.tell(listener);
        loop {
            match self.words.said() {
                DELIVERED => return Ok(()),
                FAILED => return Err(Error::system("linux.seccomp: the agent did not get the listener")),
                _ => pause(),
            }
        }
    }
}

impl Words {
    fn say(&self, number: u32) {
        self.said.store(number, Ordering::Release);
    }

    fn said(&self) -> u32 {
        self.said.load(Ordering::Acquire)
    }
}

/// The second thread: waits for a message, passes it on, and ends. `channel` is the other thread's channel by its
/// number, since it is closed by one of the threads, but not by both.
fn carry(words: &Words, channel: RawFd, end: AtTheEnd) -> ! {
    // Never dropped.
    let report = Channel::of(sys::fds::adopt(channel));
    let said = loop {
        match words.said() {
            NOTHING if words.filtered.load(Ordering::Acquire) == 0 => {
                sys::thread::exit_alone(ENDED_BY_FILTER)
            }
            NOTHING => pause(),
            said => break said,
        }
    };
    let delivered = match said {
        LOADED => true,
        FIRST_LISTENER.. => {
            let listener = (said - FIRST_LISTENER) as RawFd;
            let sent = deliver(listener, &report);
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
        // The process at the other end may have ended.
        let _ = report.send(&FromChild::Waiting);
        let _ = nix::unistd::close(channel);
    }
    words.say(if delivered { DELIVERED } else { FAILED });
    sys::thread::exit_alone(ENDED_BY_FILTER)
}

fn deliver(number: RawFd, report: &Channel) -> bool {
    sys::fds::with_borrowed(number, |listener: BorrowedFd<'_>| {
        report.send_with(&FromChild::SeccompListener, listener)
    })
    .is_ok()
        && matches!(report.receive(), Ok(Some(ToChild::ListenerSent)))
}
