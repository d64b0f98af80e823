//! What can be wrong with a command in which a call has failed.

use std::fmt;

/// Whose code has panicked or crashed.
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

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// It has not ended within its time.
    Hang,
    /// It has panicked, or was ended by a signal.
    Crash(Crash),
    /// A process lives that no record leads to.
    Orphan,
    /// It has claimed a success that is none.
    WrongSuccess,
    /// A container that ran before does not run any more, or a process of the failed command lives in it.
    Harm,
    /// Something is left that `delete --force` does not remove.
    Stuck,
    /// Something is left, which `delete --force` does remove.
    Leftover,
    /// The failure is not told by one clear line.
    Message,
}

impl Finding {
    /// Whether it must not be.
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
