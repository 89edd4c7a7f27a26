//! Counts every byte that a thread asks of the C library's allocator, by Rust and by C alike: it stands in front of `malloc`
//! and its family and hands on to glibc. Blocks count by their usable size, whether touched or not.
#![expect(unsafe_code, reason = "an allocator is its raw pointers")]

use std::cell::Cell;
use std::ffi::c_void;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
    fn malloc_usable_size(block: *mut c_void) -> usize;
}

fn add(bytes: i64) {
    // A thread that is ending has no counters any more, and nothing here measures it.
    let held = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        held.get()
    });
    if let Ok(held) = held {
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held)));
    }
}

fn size_of(block: *mut c_void) -> i64 {
    // SAFETY: `block` is null or came from glibc's allocator and is not freed yet.
    i64::try_from(unsafe { malloc_usable_size(block) }).unwrap_or(i64::MAX)
}

fn counted(block: *mut c_void) -> *mut c_void {
    add(size_of(block));
    block
}

// SAFETY (all below): each hands its arguments to the function of glibc that it stands in front of, whose contract
// is the caller's; counting touches no memory of theirs and allocates nothing.

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: see above.
    counted(unsafe { __libc_malloc(size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    // SAFETY: see above.
    counted(unsafe { __libc_calloc(count, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    let before = size_of(block);
    // SAFETY: see above.
    let after = unsafe { __libc_realloc(block, size) };
    // Both blocks exist while one is copied to the other, unless it grew where it stood.
    if after != block {
        add(size_of(after));
        add(-before);
    } else {
        add(size_of(after) - before);
    }
    after
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    // SAFETY: see above.
    counted(unsafe { __libc_memalign(align, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    // SAFETY: see above.
    counted(unsafe { __libc_memalign(align, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> i32 {
    const ENOMEM: i32 = 12;
    // SAFETY: see above; `to` is the caller's to be written.
    unsafe {
        let block = __libc_memalign(align, size);
        if block.is_null() {
            return ENOMEM;
        }
        to.write(counted(block));
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    add(-size_of(block));
    // SAFETY: see above.
    unsafe { __libc_free(block) }
}

/// What `run` returns, and the most bytes that this thread held meanwhile beyond what it held before.
pub(crate) fn peak<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    PEAK.set(before);
    let result = run();
    (result, u64::try_from(PEAK.get() - before).expect("a peak is no less than its start"))
}
