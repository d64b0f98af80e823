//! The log of the child. The child has no log file of its own: it sends its messages to the runtime over the channel,
//! by [`crate::channel::Channel::send_debug`]. What libraries log is not passed on.

use std::os::fd::RawFd;
use std::panic::PanicHookInfo;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use rootling_sys as sys;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber, span};

use crate::channel::FromChild;
use crate::error::Error;

/// Runs `f` without the runtime's log, whose descriptor the child has closed. A panic, perhaps in a library, is
/// reported over the channel, which has this number, and ends the process: the first process of a pid namespace would
/// survive abort(3), and its message on standard error might not be on anybody's terminal.
pub(crate) fn without<T>(number: RawFd, f: impl FnOnce() -> T) -> T {
    std::panic::set_hook(Box::new(move |defect| {
        let error = failed_check(defect)
            .unwrap_or_else(|| Error::system(format!("defect, please report it: {defect}")));
        if let Ok(message) = serde_json::to_vec(&FromChild::Failed(error)) {
            let _ = sys::fds::with_borrowed(number, |fd| nix::unistd::write(fd, &message));
        }
        sys::exec::exit_now(1)
    }));
    tracing::subscriber::with_default(Silent, f)
}

/// libcontainer opens what it needs of /proc through pathrs, which panics if a system call fails that it assumes cannot
/// fail. That is a failure of the system and not a defect.
fn failed_check(defect: &PanicHookInfo<'_>) -> Option<Error> {
    if !defect.location()?.file().contains("/pathrs-") {
        return None;
    }
    let text = defect.payload_as_str()?;
    let number = text.split_once("code: ").and_then(|(_, rest)| rest.split([',', ' ']).next()?.parse().ok());
    let error = number.map(Errno::from_raw).or_else(refused).map_or_else(|| Error::system(text), Error::from);
    Some(error.wrap("check that /proc is a proc file system"))
}

/// Why /proc cannot be opened, if pathrs does not say it: nothing that it held has been closed yet.
fn refused() -> Option<Errno> {
    nix::fcntl::open("/proc/thread-self", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).err()
}

struct Silent;

impl Subscriber for Silent {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn event(&self, _: &Event<'_>) {}

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
