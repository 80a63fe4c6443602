//! How the C library's allocator keeps memory: as little as a small server needs.
//!
//! glibc makes an arena for every few OS threads, and learns from one large free to keep large blocks for
//! ever. With two OS threads per connection and the occasional message of many megabytes both cost more
//! than they save: measured after 15 MiB messages on one of 1,000 connections, 38 MiB of memory instead of
//! 86.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::limits;

/// Limits what the allocator keeps. To be called once, before there are other OS threads. It does nothing
/// with other C libraries.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (option, value) in [
        (libc::M_ARENA_MAX, limits::ALLOCATOR_ARENAS),
        (libc::M_MMAP_THRESHOLD, limits::ALLOCATOR_MMAP_BYTES),
        (libc::M_TRIM_THRESHOLD, limits::ALLOCATOR_TRIM_BYTES),
    ] {
        // SAFETY: mallopt takes two numbers and keeps no pointer; a value that it does not like is refused.
        let is_set = unsafe { libc::mallopt(option, value) } == 1;
        debug_assert!(is_set, "the allocator refused option {option}");
    }
}

/// Bytes of memory that this process occupies now; none where the system does not tell.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    // proc_pid_statm(5): the second number is the resident pages.
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
