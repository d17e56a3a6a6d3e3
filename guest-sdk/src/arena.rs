//! The allocator of a rule: a bump arena in front of the default allocator.
//!
//! After each call the host puts the whole memory back, so nothing needs to be given back here; and memory that has not grown
//! is put back without a system call, which takes a third off what a call costs and lets several threads call rules side by
//! side. What does not fit goes to the default allocator, which grows the memory within the host's limit; the host then makes a
//! new instance for the next call.
#![expect(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

/// Enough for a rule that is shown all of an appointment with a text of 25 KiB, which it holds twice. All of it is cleared after
/// each call, and with a stack of 128 KiB this is what fits into three pages of 64 KiB beside a rule's data.
const SIZE: usize = 56 * 1024;

#[repr(align(16))]
struct Arena {
    space: UnsafeCell<[u8; SIZE]>,
    used: Cell<usize>,
}

// SAFETY: this target has no threads, so nothing is ever shared.
unsafe impl Sync for Arena {}

#[global_allocator]
static ARENA: Arena = Arena { space: UnsafeCell::new([0; SIZE]), used: Cell::new(0) };

impl Arena {
    fn start(&self) -> usize {
        self.space.get() as usize
    }

    fn holds(&self, at: *mut u8) -> bool {
        (at as usize).wrapping_sub(self.start()) < SIZE
    }

    /// Whether a block is the last one handed out, so that it can grow or shrink in place.
    fn is_last(&self, at: *mut u8, size: usize) -> bool {
        (at as usize) + size == self.start() + self.used.get()
    }
}

// SAFETY: blocks in the arena do not overlap (`used` only grows past them, and only the last one is resized), are aligned
// as asked (the arena itself is aligned to 16, larger alignments go to `System`), and live until the call ends.
unsafe impl GlobalAlloc for Arena {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let from = self.used.get().next_multiple_of(layout.align());
        match from.checked_add(layout.size()) {
            Some(to) if to <= SIZE && layout.align() <= 16 => {
                self.used.set(to);
                (self.start() + from) as *mut u8
            }
            _ => unsafe { System.alloc(layout) },
        }
    }

    #[inline(never)] // Inlined at every drop, it would make a rule three times as large.
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if !self.holds(at) {
            unsafe { System.dealloc(at, layout) }
        } else if self.is_last(at, layout.size()) {
            self.used.set(at as usize - self.start());
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.holds(at) {
            return unsafe { System.realloc(at, layout, size) };
        }
        let from = at as usize - self.start();
        if self.is_last(at, layout.size()) && size <= SIZE - from {
            self.used.set(from + size);
            return at;
        }
        // SAFETY: the caller vouches for size and alignment; the copy stays within both blocks.
        unsafe {
            let to = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !to.is_null() {
                std::ptr::copy_nonoverlapping(at, to, layout.size().min(size));
            }
            to
        }
    }
}
