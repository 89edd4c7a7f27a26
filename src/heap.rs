//! The C library's allocator, told what this process does: every job asks for large buffers, one like the other, on a few
//! threads, and gives all of them back.
//!
//! glibc is that allocator, for Rust and for the encoders in C alike (`docs/measurements.md` has it beside others). Settled,
//! it is the pool that buffers come from: what a job gave back is what the next one gets, without a call of the system and
//! without a page to be zeroed. What it keeps is what jobs held at a time, arena by arena; `sched` gives all of it back every
//! few seconds, and at rest. Other C libraries are left as they are.
#![allow(unsafe_code, reason = "functions of the C library, which take numbers and a block of the caller's")]

/// To be called once, first thing in `main`: a thread that is there already keeps the arena it has.
pub fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use crate::limits;
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
    glibc::discard(samples);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::{c_int, c_void};

    // As in glibc's malloc.h.
    pub(super) const M_TRIM_THRESHOLD: c_int = -1;
    pub(super) const M_MMAP_THRESHOLD: c_int = -3;
    pub(super) const M_ARENA_MAX: c_int = -8;

    // As in Linux' mman-common.h.
    const MADV_DONTNEED: c_int = 4;
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

    pub(super) fn discard(samples: &mut [u8]) {
        let before = samples.as_ptr().align_offset(PAGE_BYTES);
        let Some(rest) = samples.get_mut(before..) else { return };
        let length = rest.len() / PAGE_BYTES * PAGE_BYTES;
        // SAFETY: the pages lie within `rest`, which is ours alone. Those of a heap are anonymous and private: read again, they
        // are zeros (madvise(2)), which bytes may be.
        unsafe { madvise(rest.as_mut_ptr().cast(), length, MADV_DONTNEED) };
    }

    pub(super) fn trim() {
        // SAFETY: it takes a number, and each arena's own lock; blocks in use stay where they are.
        unsafe { malloc_trim(0) };
    }
}
