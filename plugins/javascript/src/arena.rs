//! The engine's memory: blocks of fixed sizes cut from an arena, kept in a list per size when they are given back.
//!
//! An instance lives for one call, so nothing is ever joined or given back to the system, and the arena is part of the snapshot: a
//! usual call does not grow its memory, which would cost the host system calls and let several threads stand in each
//! other's way. Promises: what a script throws away is used again, so a busy script stays within its limit.
#![expect(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::Layout;
use std::ptr;

use rquickjs::allocator::Allocator;

/// What is left for calls when the snapshot is taken: a usual one needs a fifth.
const FIRST: usize = 192 << 10;
/// Taken when that is used up.
const NEXT: usize = 128 << 10;
/// Larger blocks have their own place.
const LARGEST: usize = 32 << 10;
/// Before each block: its size. QuickJS wants blocks that begin at a multiple of eight.
const HEAD: usize = 8;
/// Sizes: every multiple of 16 up to 512, then four to each doubling.
const SIZES: usize = 32 + 4 * 6;

/// Blocks for the engine.
pub struct Arena {
    /// The next free byte of the piece being cut, and its end.
    at: usize,
    end: usize,
    free: [*mut u8; SIZES],
}

impl Arena {
    pub const fn new() -> Self {
        Self { at: 0, end: 0, free: [ptr::null_mut(); SIZES] }
    }

    /// Takes a fresh piece, and makes the general allocator, which serves everything else, take one as well.
    pub fn prepare(&mut self) {
        self.take(FIRST);
        drop(Vec::<u8>::with_capacity(FIRST));
    }

    fn take(&mut self, size: usize) -> bool {
        let Ok(layout) = Layout::from_size_align(size, 16) else { return false };
        // SAFETY: the size is not zero.
        let piece = unsafe { std::alloc::alloc(layout) };
        if piece.is_null() {
            return false;
        }
        (self.at, self.end) = (piece as usize, piece as usize + size);
        true
    }
}

/// The list for blocks of that size, and how much such a block holds.
fn class(size: usize) -> (usize, usize) {
    if size <= 512 {
        let sixteens = size.div_ceil(16).max(1);
        return (sixteens - 1, sixteens * 16);
    }
    // 512 is 2^9: the doubling it is in, and the quarter of that.
    let doubling = (size - 1).ilog2() as usize;
    let quarter = 1 << (doubling - 2);
    let quarters = size.div_ceil(quarter);
    (32 + (doubling - 9) * 4 + (quarters - 5), quarters * quarter)
}

fn large(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEAD)?, HEAD).ok()
}

// SAFETY: blocks do not overlap (each is cut once, and is either in use or in one list), are aligned to eight, and hold as much as
// their head says. There are no threads.
unsafe impl Allocator for Arena {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        if size > LARGEST {
            let Some(layout) = large(size) else { return ptr::null_mut() };
            // SAFETY: the size is not zero, and the block is at least as long as its head.
            unsafe {
                let block = std::alloc::alloc(layout);
                if block.is_null() {
                    return block;
                }
                block.cast::<usize>().write(size);
                return block.add(HEAD);
            }
        }
        let (list, holds) = class(size);
        let Some(first) = self.free.get_mut(list) else { return ptr::null_mut() };
        if !first.is_null() {
            let block = *first;
            // SAFETY: a free block's first word is the next of its list.
            *first = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        let whole = holds + HEAD;
        if self.end - self.at < whole && !self.take(NEXT) {
            return ptr::null_mut();
        }
        let block = self.at as *mut u8;
        self.at += whole;
        // SAFETY: the piece had room for head and block.
        unsafe {
            block.cast::<usize>().write(holds);
            block.add(HEAD)
        }
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        let Some(size) = count.checked_mul(size) else { return ptr::null_mut() };
        let block = self.alloc(size);
        if !block.is_null() {
            // SAFETY: the block holds at least that much.
            unsafe { ptr::write_bytes(block, 0, size) };
        }
        block
    }

    unsafe fn dealloc(&mut self, block: *mut u8) {
        // SAFETY: the caller vouches for the block, so its head is before it.
        unsafe {
            let holds = Self::usable_size(block);
            if holds > LARGEST {
                if let Some(layout) = large(holds) {
                    std::alloc::dealloc(block.sub(HEAD), layout);
                }
            } else if let Some(first) = self.free.get_mut(class(holds).0) {
                block.cast::<*mut u8>().write(*first);
                *first = block;
            }
        }
    }

    unsafe fn realloc(&mut self, block: *mut u8, size: usize) -> *mut u8 {
        if block.is_null() {
            return self.alloc(size);
        }
        // SAFETY: as above; the copy stays within both blocks.
        unsafe {
            let holds = Self::usable_size(block);
            if holds > LARGEST && size > LARGEST {
                let (Some(old), Some(new)) = (large(holds), large(size)) else { return ptr::null_mut() };
                let moved = std::alloc::realloc(block.sub(HEAD), old, new.size());
                if moved.is_null() {
                    return moved;
                }
                moved.cast::<usize>().write(size);
                return moved.add(HEAD);
            }
            if size <= holds && holds <= LARGEST {
                return block;
            }
            let moved = self.alloc(size);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, holds.min(size));
                self.dealloc(block);
            }
            moved
        }
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        // SAFETY: every block has a head.
        unsafe { block.sub(HEAD).cast::<usize>().read() }
    }
}
