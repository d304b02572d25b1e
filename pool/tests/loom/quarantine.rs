//! An allocator that finds use after free: memory that was given back is spoilt, and not reused for
//! a while. The checker's objects are indices, and a spoilt one leads out of its lists.
#![allow(unsafe_code, reason = "implements a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// How many blocks are held back: more than one execution of a model gives back.
const BLOCKS_MAX: usize = 4096;

/// The byte that fills memory that was given back.
const SPOILT: u8 = 0xdb;

/// Blocks that were given back, the oldest at `next`.
struct Ring {
    blocks: [(usize, Layout); BLOCKS_MAX],
    next: usize,
}

static RING: Mutex<Ring> =
    Mutex::new(Ring { blocks: [(0, Layout::new::<u8>()); BLOCKS_MAX], next: 0 });

/// Holds memory back before it goes to the system.
pub(crate) struct Quarantine;

// SAFETY: memory comes from the system's allocator and goes there, once.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the block is `layout.size()` bytes and the caller's no more.
        unsafe { ptr::write_bytes(pointer, SPOILT, layout.size()) };
        let (oldest, layout) = {
            let mut ring = RING.lock().unwrap_or_else(PoisonError::into_inner);
            let next = ring.next;
            ring.next = (next + 1) % BLOCKS_MAX;
            std::mem::replace(&mut ring.blocks[next], (pointer.expose_provenance(), layout))
        };
        if oldest != 0 {
            // SAFETY: the block was put into the ring once, and has just left it.
            unsafe { System.dealloc(ptr::with_exposed_provenance_mut(oldest), layout) };
        }
    }
}
