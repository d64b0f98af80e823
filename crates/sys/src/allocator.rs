//! An allocator that asks twice.

use std::alloc::{GlobalAlloc, Layout};

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
