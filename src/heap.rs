//! The C library's allocator, told what this process does: every job asks for large buffers, one like the other, on a few
//! threads, and gives all of them back.
//!
//! glibc is that allocator, for Rust and for the encoders in C alike (`docs/measurements.md` has it beside others). Settled,
//! it is the pool that buffers come from: what a job gave back is what the next one gets, without a call of the system and
//! without a page to be zeroed. What it keeps is what jobs held at a time, arena by arena; `sched` gives all of it back every
//! few seconds, and at rest. Other C libraries are left as they are.
#![allow(unsafe_code, reason = "two functions of the C library, which take numbers")]

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

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    // As in glibc's malloc.h.
    pub(super) const M_TRIM_THRESHOLD: c_int = -1;
    pub(super) const M_MMAP_THRESHOLD: c_int = -3;
    pub(super) const M_ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    pub(super) fn set(parameter: c_int, value: usize) {
        let Ok(value) = c_int::try_from(value) else { return };
        // SAFETY: it takes two numbers under the allocator's own lock, and refuses those that it does not know; then things
        // are as they were.
        unsafe { mallopt(parameter, value) };
    }

    pub(super) fn trim() {
        // SAFETY: it takes a number, and each arena's own lock; blocks in use stay where they are.
        unsafe { malloc_trim(0) };
    }
}
