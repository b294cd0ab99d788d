//! What the C library keeps of memory that is given back.
//!
//! It keeps what lies between two allocations, and, of each thread's arena but the first, what lies after the last one: so
//! much is never given back by `malloc_trim(3)`. So that little is kept there, what is large comes from the system by
//! itself and goes back to it at once (`mallopt(3)`): the buffers of a fill, which go round and are few.

/// From this on, memory comes from the system by itself. A connection reads into buffers that are smaller.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;

/// Keeps little of what is freed. To be called before there is another thread.
pub(crate) fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain integers go in; glibc takes a lock of its own for it.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives back to the system what is free.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: an integer goes in; it locks what it looks at, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
