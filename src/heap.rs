//! The C library's allocator, told what this process does: every job asks for large buffers, one like the other, on a few
//! threads, and gives all of them back.
//!
//! glibc is that allocator, for Rust and for the encoders in C alike (`docs/measurements.md` has it beside others). Settled,
//! it is the pool that buffers come from: what a job gave back is what the next one gets, without a call of the system and
//! without a page to be zeroed. What it keeps is what jobs held at a time, arena by arena; `sched` gives all of it back every
//! few seconds, and at rest. Other C libraries are left as they are.
//!
//! Blocks too large to be kept come from the system each time, page by page, half a millisecond a megabyte. Where it has large
//! pages, [`Heap`] asks for these.
#![allow(
    unsafe_code,
    reason = "an allocator, and functions of the C library that take numbers or a block of the caller's"
)]

use std::alloc::{GlobalAlloc, Layout, System};

use crate::limits;

/// The C library's allocator as Rust's, with large pages for blocks from `HEAP_LARGE_PAGES_BYTES_MIN` on: a binary names it as
/// its `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

// SAFETY: every block is the system allocator's, to which every call goes on as it is.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        enlarge(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        enlarge(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        enlarge(unsafe { System.realloc(block, layout, len) }, len)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Asks for large pages below a large block. A null pointer stays one.
fn enlarge(block: *mut u8, len: usize) -> *mut u8 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if len >= limits::HEAP_LARGE_PAGES_BYTES_MIN && !block.is_null() {
        glibc::advise(block, len, glibc::MADV_HUGEPAGE);
    }
    block
}

/// To be called once, first thing in `main`: a thread that is there already keeps the arena it has.
pub fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let arenas = cores.clamp(2, limits::HEAP_ARENAS_MAX);
        glibc::set(glibc::M_ARENA_MAX, arenas);
        glibc::set(glibc::M_MMAP_THRESHOLD, limits::HEAP_BLOCK_BYTES_MAX);
        glibc::set(glibc::M_TRIM_THRESHOLD, limits::HEAP_KEPT_BYTES_MAX / arenas);
    }
}

/// Gives the system all whole pages that nobody uses. It takes milliseconds, and the next jobs pay for getting them back.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::trim();
}

/// Gives the system the whole pages of `samples`, whose values nobody needs any more: afterwards each is what it was, or 0.
/// For large blocks that end soon anyway; the pages come back, one by one, if the block is written to again.
pub fn discard(samples: &mut [u8]) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::advise(samples.as_mut_ptr(), samples.len(), glibc::MADV_DONTNEED);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::{c_int, c_void};

    // As in glibc's malloc.h.
    pub(super) const M_TRIM_THRESHOLD: c_int = -1;
    pub(super) const M_MMAP_THRESHOLD: c_int = -3;
    pub(super) const M_ARENA_MAX: c_int = -8;

    // As in Linux' mman-common.h.
    pub(super) const MADV_DONTNEED: c_int = 4;
    pub(super) const MADV_HUGEPAGE: c_int = 14;
    /// Of most machines. Where pages are larger the kernel refuses what is not a multiple, and keeps it.
    const PAGE_BYTES: usize = 4096;

    unsafe extern "C" {
        fn madvise(start: *mut c_void, length: usize, advice: c_int) -> c_int;
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    pub(super) fn set(parameter: c_int, value: usize) {
        let Ok(value) = c_int::try_from(value) else { return };
        // SAFETY: it takes two numbers under the allocator's own lock, and refuses those that it does not know; then things
        // are as they were.
        unsafe { mallopt(parameter, value) };
    }

    /// Tells the system what is to become of the whole pages of a block of the caller's. If it does not want to know, things are
    /// as they were.
    pub(super) fn advise(block: *mut u8, len: usize, advice: c_int) {
        let before = block.align_offset(PAGE_BYTES);
        let Some(length) = len.checked_sub(before).map(|rest| rest / PAGE_BYTES * PAGE_BYTES) else { return };
        // SAFETY: the pages lie within the block. Those of a heap are anonymous and private: with MADV_DONTNEED they read as
        // zeros afterwards (madvise(2)), which its owner has asked for; MADV_HUGEPAGE changes no value.
        unsafe { madvise(block.wrapping_add(before).cast(), length, advice) };
    }

    pub(super) fn trim() {
        // SAFETY: it takes a number, and each arena's own lock; blocks in use stay where they are.
        unsafe { malloc_trim(0) };
    }
}
