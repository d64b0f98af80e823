//! Another process that changes a root file system while a container of it starts.

use std::hint::spin_loop;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat2};

/// Two names that a thread exchanges with each other over and over until this is dropped; both are then as they
/// were at first.
#[derive(Debug)]
pub struct Exchange {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    wanted: AtomicU8,
    names: Mutex<Names>,
}

/// What the thread is to do.
const EXCHANGE: u8 = 0;
const PAUSE: u8 = 1;
const END: u8 = 2;

#[derive(Debug)]
struct Names {
    first: PathBuf,
    second: PathBuf,
    exchanged: bool,
    count: u64,
    failed: Option<Errno>,
}

impl Names {
    fn exchange(&mut self) {
        match renameat2(None, &self.first, None, &self.second, RenameFlags::RENAME_EXCHANGE) {
            Ok(()) => {
                self.exchanged = !self.exchanged;
                self.count += 1;
            }
            Err(errno) => self.failed = Some(errno),
        }
    }

    fn restore(&mut self) {
        if self.exchanged {
            self.exchange();
        }
    }
}

impl Exchange {
    /// Starts to exchange these names, both of which exist.
    pub fn of(first: &Path, second: &Path) -> Self {
        let names = Names {
            first: first.to_owned(),
            second: second.to_owned(),
            exchanged: false,
            count: 0,
            failed: None,
        };
        let shared = Arc::new(Shared { wanted: AtomicU8::new(EXCHANGE), names: Mutex::new(names) });
        let thread = spawn({
            let shared = Arc::clone(&shared);
            move || exchange_until_the_end(&shared)
        });
        Self { shared, thread: Some(thread) }
    }

    /// Until the result is dropped, both names are as they were at first.
    pub fn hold(&self) -> Held<'_> {
        self.shared.wanted.store(PAUSE, Ordering::SeqCst);
        let mut names = lock(&self.shared);
        names.restore();
        assert_eq!(names.failed, None, "an exchange failed");
        Held { shared: &self.shared, names }
    }

    /// How often the names have been exchanged so far.
    pub fn count(&self) -> u64 {
        self.hold().names.count
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.shared.wanted.store(END, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        lock(&self.shared).restore();
    }
}

/// See [`Exchange::hold`].
#[derive(Debug)]
pub struct Held<'a> {
    shared: &'a Shared,
    names: MutexGuard<'a, Names>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.wanted.store(EXCHANGE, Ordering::SeqCst);
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Names> {
    shared.names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pauses for a different time after each exchange, from nothing to about a millisecond: whatever a start does
/// between two accesses to a name, the name changes in between sooner or later.
fn exchange_until_the_end(shared: &Shared) {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    loop {
        match shared.wanted.load(Ordering::SeqCst) {
            EXCHANGE => lock(shared).exchange(),
            PAUSE => sleep(Duration::from_micros(50)),
            _ => return,
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        for _ in 0..1_u64 << ((random >> 32) % 16) {
            spin_loop();
        }
    }
}
