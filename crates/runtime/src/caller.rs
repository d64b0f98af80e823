//! The calling process: what kind of program it is, and what state it must be in.

use rootling_sys as sys;
use rootling_sys::signals::Signals;

use crate::error::{Context, Error, ErrorKind, Result};

/// The kind of program that makes a container, or a process in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// A program that this library is a part of. It gets its signal mask back when the call returns; its other
    /// children, and what systemd has put into its environment (`LISTEN_FDS`, `NOTIFY_SOCKET`), are left alone. The
    /// program is never executed again: if the container could write to its file, that is an error unless
    /// [`crate::seal`] was called.
    #[default]
    Program,
    /// A command such as `rootling run`, whose process ends after the call. All its signals stay blocked, so that none
    /// of them ends it before it has reported its result. It adopts the container's orphans, reaps every child, passes
    /// on what systemd has passed to it, and is executed again from the start if the container could write to its file.
    Command,
}

impl Caller {
    /// Blocks the signals so that they can be read from a descriptor; [`Caller`] says for how long.
    pub(crate) fn block_signals(self) -> Result<Signals> {
        let signals = match self {
            Self::Program => Signals::block(),
            Self::Command => Signals::block_for_good(),
        };
        signals.context(|| "signalfd")
    }
}

/// Called before a clone: the child has only the calling thread, so a lock that another thread holds, such as the
/// allocator's, would stay locked in the child forever (fork(2), "Notes").
pub(crate) fn check_single_threaded() -> Result<()> {
    match sys::thread::count().context(|| "/proc/self/task")? {
        1 => Ok(()),
        threads => Err(Error::new(
            ErrorKind::WrongState,
            format!(
                "this process has {threads} threads, and only one with a single thread can make a process of a container: \
                 make it before the first thread is started, or in a process of its own"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContainerId, CreateOptions, ExecOptions, Host, RunOptions, Store, Warn};

    #[test]
    fn a_process_with_threads_is_refused_before_anything_is_made() {
        // A test runs in a thread of its own, for which the main thread waits.
        let dir = tempfile::tempdir().expect("make a directory");
        let root = dir.path().join("state");
        let (host, store) = (Host::probe(), Store::own(&root));
        let id = ContainerId::parse("web").expect("an id");
        let (options, exec) =
            (CreateOptions::new(id.clone(), dir.path()), ExecOptions::new(id, vec!["true".into()]));
        let warn: Warn<'_> = &mut |warning| panic!("{warning}");
        let errors = [
            crate::create(&host, &store, &options, warn).err(),
            crate::run(&host, &store, &options, RunOptions::default(), warn).err(),
            crate::exec(&host, &store, &exec, warn).err(),
        ];
        for error in errors {
            let error = error.expect("an error");
            assert_eq!(error.kind(), ErrorKind::WrongState);
            assert!(error.to_string().contains("threads"), "{error}");
        }
        assert!(!root.exists());
    }
}
