//! The allocator of the runtime where it is linked with musl, whose own asks the kernel each time.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// dlmalloc, behind a lock as soon as there is more than one thread. Nearly every process of the runtime has a single one, and
/// the two locked instructions for each block were a twelfth of what it executes; a mutex of the C library takes more.
pub struct Single {
    lock: Mutex<()>,
    heap: UnsafeCell<dlmalloc::Dlmalloc>,
}

/// Whether there has ever been a second thread.
static THREADS: AtomicBool = AtomicBool::new(false);

/// To be called before the first thread is made.
#[doc(hidden)]
pub fn begin_threads() {
    // What makes a thread orders it before all that the thread does.
    THREADS.store(true, Relaxed);
}

/// Whether [`begin_threads`] has been called.
#[doc(hidden)]
pub fn has_threads() -> bool {
    THREADS.load(Relaxed)
}

impl Single {
    /// An allocator that has no memory yet.
    ///
    /// # Safety
    /// [`begin_threads`] is called before a second thread is made.
    pub const unsafe fn new() -> Self {
        Self { lock: Mutex::new(()), heap: UnsafeCell::new(dlmalloc::Dlmalloc::new()) }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut dlmalloc::Dlmalloc) -> T) -> T {
        let _lock = has_threads().then(|| self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: there is one thread, or it has the lock; and dlmalloc calls nothing that would allocate.
        ask(unsafe { &mut *self.heap.get() })
    }
}

// SAFETY: one thread at a time gets at the heap, see `with`.
unsafe impl Sync for Single {}

// SAFETY: blocks are those of dlmalloc, which one thread at a time asks, with the sizes that the caller gives.
unsafe impl GlobalAlloc for Single {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.realloc(block, layout.size(), layout.align(), size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.free(block, layout.size(), layout.align()) });
    }
}

/// Asks another allocator again when it has refused: glibc's has two ways to get memory from the kernel, brk(2) and
/// mmap(2), and one that fails once ends no program.
pub struct Twice<A>(pub A);

// SAFETY: all of it is what the other allocator does, with the same arguments; a refusal has no effect.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Twice<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        twice(|| unsafe { self.0.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        twice(|| unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; a block whose realloc was refused is as it was.
        twice(|| unsafe { self.0.realloc(block, layout, size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) }
    }
}

fn twice(ask: impl Fn() -> *mut u8) -> *mut u8 {
    let block = ask();
    if block.is_null() { ask() } else { block }
}
