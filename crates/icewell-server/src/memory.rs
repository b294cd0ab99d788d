//! What the C library keeps of memory that is given back.
//!
//! A fill allocates and frees some hundred KiB for each piece that comes. Left to itself, glibc gives them back to the
//! system each time and gets them again, page by page, zeroed: a tenth of the processor time of a fill. So it keeps a few
//! MiB while fills run, and gives all back when none does.

/// More than what a fill has in flight.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 16 << 20;

/// Keeps a few MiB of what is freed. To be called before there is another thread.
pub(crate) fn keep_some() {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain integers go in; glibc takes a lock of its own for it.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT / 2);
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
