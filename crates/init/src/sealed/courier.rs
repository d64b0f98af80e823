//! Hands the seccomp listener to the runtime without a system call of the process that has the filter.
//!
//! Once a filter with SCMP_ACT_NOTIFY is loaded, any call may wait for an agent that has no listener yet. So a process
//! beside, without the filter and with the same descriptors, sends the listener, and tells by shared memory when the
//! agent has it. The filtered process is never dumpable for that.

use std::os::fd::BorrowedFd;

use rootling_sys as sys;
use rootling_sys::clone::{CloneOptions, Cloned};
use rootling_sys::shared::{Shared, pause};

use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Error, Result};

/// What the number in the shared memory says, beside the listener's own, which is above them.
const NOTHING: u32 = 0;
const DELIVERED: u32 = 1;
const FAILED: u32 = 2;
const FIRST: u32 = 3;

/// The process beside.
pub(super) struct Courier {
    word: Shared,
}

impl Courier {
    /// Makes it. It ends with this process.
    pub(super) fn start(report: &Channel) -> Result<Self> {
        let word = Shared::new().context(|| "mmap")?;
        // Nobody is there to wait for it once the filter is loaded.
        sys::process::discard_children().context(|| "sigaction(SIGCHLD)")?;
        let options = CloneOptions { share_files: true, ..CloneOptions::default() };
        let parent = nix::unistd::getpid();
        match sys::clone::clone(options).context(|| "clone3 for the seccomp listener")? {
            Cloned::Parent { pidfd, .. } => {
                drop(pidfd);
                Ok(Self { word })
            }
            Cloned::Child => carry(word, report, parent),
        }
    }

    /// Waits until the agent has the listener.
    pub(super) fn hand_over(&self, listener: i32) -> Result<()> {
        self.word.set(listener as u32 + FIRST);
        loop {
            match self.word.get() {
                DELIVERED => return Ok(()),
                FAILED => return Err(Error::system("linux.seccomp: the agent did not get the listener")),
                _ => pause(),
            }
        }
    }
}

/// The process beside: waits for the listener, sends it, and closes it, which is for both.
fn carry(word: Shared, report: &Channel, filtered: nix::unistd::Pid) -> ! {
    let _ = sys::process::set_parent_death_signal(libc::SIGKILL);
    let number = loop {
        match word.get() {
            NOTHING if !is_there(filtered) => sys::exec::exit_now(1),
            NOTHING => pause(),
            number => break number - FIRST,
        }
    };
    let sent = deliver(number as i32, report);
    let _ = nix::unistd::close(number as i32);
    word.set(if sent { DELIVERED } else { FAILED });
    sys::exec::exit_now(0)
}

fn deliver(number: i32, report: &Channel) -> bool {
    sys::fds::with_borrowed(number, |listener: BorrowedFd<'_>| {
        report.send_with(&FromChild::SeccompListener, listener)
    })
    .is_ok()
        && matches!(report.receive(), Ok(Some(ToChild::ListenerSent)))
}

/// Whether the process that is to have the filter still exists.
fn is_there(pid: nix::unistd::Pid) -> bool {
    nix::sys::signal::kill(pid, None) != Err(nix::errno::Errno::ESRCH)
}
