//! How much freed memory the process keeps for what it allocates next.
//!
//! Invariant: a bound per thread, whatever was in use before. Nothing else belongs here.

/// Most bytes that are free at the end of a thread's heap and not given back to the kernel.
///
/// TLS allocates a portion's records, 256 KiB, and frees them when they are sent. glibc's own bound of 128 KiB gives those pages
/// back each time, and the kernel clears new ones for the next portion. This is room for several transfers of a worker.
#[cfg(target_env = "gnu")]
const KEPT: std::ffi::c_int = 1024 * 1024;

/// Sets the bound, for all threads.
pub(super) fn keep_what_is_freed() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "no safe wrapper knows this call")]
        // SAFETY: mallopt(3) takes two numbers, locks what it changes, and may be called at any time.
        let set = unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT) };
        if set == 0 {
            tracing::debug!("the allocator keeps its own bound for freed memory");
        }
    }
}
