//! What can be wrong with a command in which a call has failed.

use std::fmt;

/// The code that has panicked or crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crash {
    /// The start of the standard library, before `main`.
    Start,
    /// pathrs.
    Pathrs,
    /// libcontainer and libcgroups.
    Libcontainer,
    /// Anything else.
    Own,
}

/// A problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// It has not ended within its time.
    Hang,
    /// It has panicked, or was ended by a signal.
    Crash(Crash),
    /// A process is alive that no record refers to.
    Orphan,
    /// It has reported success although it has failed.
    WrongSuccess,
    /// A container that ran before is not running any more, or contains a process of the failed command.
    Harm,
    /// Something is left behind that `delete --force` does not remove.
    Stuck,
    /// Something is left behind that `delete --force` removes.
    Leftover,
    /// The failure is not reported in one clear line.
    Message,
}

impl Finding {
    /// Whether it is unacceptable.
    pub fn is_bad(self) -> bool {
        !matches!(self, Self::Leftover | Self::Message | Self::Crash(Crash::Start))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hang => "hang",
            Self::Crash(Crash::Start) => "crash at the start of std",
            Self::Crash(Crash::Pathrs) => "panic of pathrs",
            Self::Crash(Crash::Libcontainer) => "panic of libcontainer",
            Self::Crash(Crash::Own) => "crash",
            Self::Orphan => "orphan",
            Self::WrongSuccess => "wrong success",
            Self::Harm => "harm to the container",
            Self::Stuck => "left after delete -f",
            Self::Leftover => "left until delete -f",
            Self::Message => "message",
        })
    }
}
