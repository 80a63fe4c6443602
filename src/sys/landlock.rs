//! The call by which a child takes the rights away from itself that a set of landlock rules does not grant.
//!
//! It may not know the rules.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Confines this process and all that it starts. For a child between its birth and its program: one system
/// call. `PR_SET_NO_NEW_PRIVS` has to be set before.
///
/// # Errors
/// The operating system's refusal.
pub fn restrict_self(rules: BorrowedFd<'_>) -> io::Result<()> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: a system call that takes two numbers, one of them an open descriptor.
    let outcome = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), NO_FLAGS) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The newest version that the operating system knows; 0 is none.
#[must_use]
pub fn version() -> u8 {
    const ASK_FOR_VERSION: libc::c_uint = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no rules and makes none.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, ASK_FOR_VERSION) };
    u8::try_from(version).unwrap_or(0)
}
