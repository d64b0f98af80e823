//! The allocator of the runtime where it is linked with musl, whose own asks the kernel each time.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// dlmalloc behind a lock of the standard library, which takes two instructions where nobody waits. That of the crate is
/// a mutex of the C library: a quarter of the instructions of the command line's parser were its locking.
pub struct Locked(Mutex<dlmalloc::Dlmalloc>);

impl Default for Locked {
    fn default() -> Self {
        Self::new()
    }
}

impl Locked {
    /// An allocator that has no memory yet.
    pub const fn new() -> Self {
        Self(Mutex::new(dlmalloc::Dlmalloc::new()))
    }

    fn lock(&self) -> MutexGuard<'_, dlmalloc::Dlmalloc> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: blocks are those of dlmalloc, which one thread at a time asks, with the sizes that the caller gives.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        unsafe { self.lock().malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.lock().calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.lock().realloc(block, layout.size(), layout.align(), size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.lock().free(block, layout.size(), layout.align()) }
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
