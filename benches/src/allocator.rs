//! The system's allocator: pinned thresholds, and the bytes that are in use.

#![allow(unsafe_code, reason = "calls the C library")]

/// Pins glibc's allocator, so that "warm" means the same for every subject: nothing is served by
/// a mapping of its own, and freed memory stays in the process. By default glibc moves both
/// thresholds at run time, and large columns then pay for fresh pages or don't, depending on what
/// was freed before.
///
/// Does nothing on other C libraries.
pub fn pin_allocator() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        // Setting the thresholds also stops glibc from moving them. 32 MiB is the most it takes,
        // so larger requests are kept off mappings by allowing none of them.
        (libc::M_MMAP_THRESHOLD, 32 << 20),
        (libc::M_MMAP_MAX, 0),
        (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
    ] {
        // SAFETY: sets a parameter of the allocator; callable at any time.
        let accepted = unsafe { libc::mallopt(parameter, value) };
        assert_eq!(accepted, 1, "glibc accepts its own parameters");
    }
}

/// Bytes that the process has allocated from the C library and not freed, in C and Rust code
/// alike. Zero on other C libraries than glibc.
pub fn heap_bytes() -> usize {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: only reads the allocator's counters.
        let info = unsafe { libc::mallinfo2() };
        info.uordblks + info.hblkhd
    }
    #[cfg(not(target_env = "gnu"))]
    0
}
