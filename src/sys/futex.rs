//! Where the kernel looks up who waits for a futex: with room for thousands who wait.
//!
//! Each wake-up walks a list of waiters in a table of the process. The kernel sizes that table by the number
//! of processors (Linux 6.16 and later: 16 lists on two of them), while every connection has a writer that
//! waits. Measured with 4,000 idle connections on two processors: half of a turn's processor time was spent
//! in these walks.

/// Makes the table so large that the lists stay short with this many waiting OS threads, within
/// [`FUTEX_LISTS_MAX`](crate::limits::FUTEX_LISTS_MAX). False where the kernel has no such table or refuses;
/// then wake-ups take longer the more connections there are.
pub fn make_room(waiting: usize) -> bool {
    #[cfg(target_os = "linux")]
    return linux::set_slots(waiting.min(crate::limits::FUTEX_LISTS_MAX).next_power_of_two());
    #[cfg(not(target_os = "linux"))]
    return waiting == 0;
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{c_int, c_ulong};

    /// prctl(2) since Linux 6.16; not yet in `libc`.
    const PR_FUTEX_HASH: c_int = 78;
    const PR_FUTEX_HASH_SET_SLOTS: c_ulong = 1;
    #[cfg(test)]
    const PR_FUTEX_HASH_GET_SLOTS: c_ulong = 2;

    pub(super) fn set_slots(slots: usize) -> bool {
        let Ok(slots) = c_ulong::try_from(slots) else { return false };
        let flags: c_ulong = 0;
        // SAFETY: this option takes numbers only; a kernel that does not know it answers EINVAL.
        unsafe { libc::prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS, slots, flags) == 0 }
    }

    #[cfg(test)]
    pub(super) fn slots() -> Option<usize> {
        // SAFETY: as above.
        let slots = unsafe { libc::prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_GET_SLOTS) };
        usize::try_from(slots).ok()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::limits::FUTEX_LISTS_MAX;

    #[test]
    #[allow(clippy::print_stderr, reason = "says what was not tested")]
    fn there_is_a_list_for_everybody_who_waits() {
        if linux::slots().is_none() {
            eprintln!("SKIPPED: this kernel has no table of futexes for a process");
            return;
        }
        assert!(make_room(/*waiting*/ 100));
        assert_eq!(linux::slots(), Some(128));
        assert!(make_room(/*waiting*/ 1_000_000));
        assert_eq!(linux::slots(), Some(FUTEX_LISTS_MAX));
    }
}
