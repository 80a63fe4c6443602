//! The limit of open file descriptors: raised for the server, put back for its children.
//!
//! Programs that use `select`, or loop over all possible descriptors, go wrong or slow with a high limit;
//! so a child gets what the server was started with.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process was started with.
static STARTED_WITH: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit to the hard one. Gives the soft limit before and after; none is no limit.
///
/// # Errors
/// The operating system's refusal; the limit is then as it was.
pub fn raise_open_files() -> io::Result<(Option<u64>, Option<u64>)> {
    let before = *STARTED_WITH.get_or_init(|| getrlimit(Resource::Nofile));
    setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })?;
    Ok((before.current, before.maximum))
}

/// Puts the limit back to what the process was started with. For a child before its program: it
/// only makes one system call. Does nothing if the limit was not raised.
///
/// # Errors
/// The operating system's refusal.
pub fn restore_open_files() -> io::Result<()> {
    match STARTED_WITH.get() {
        Some(before) => Ok(setrlimit(Resource::Nofile, *before)?),
        None => Ok(()),
    }
}

/// Above every descriptor that a program may have opened, as far as that is worth looking for.
#[cfg(not(target_os = "linux"))]
pub(super) fn highest_descriptor() -> libc::c_int {
    const MANY: libc::c_int = 10_240;
    let soft = getrlimit(Resource::Nofile).current;
    soft.and_then(|soft| libc::c_int::try_from(soft).ok()).map_or(MANY, |soft| soft.min(MANY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_goes_up_and_back() {
        let soft = || getrlimit(Resource::Nofile).current;
        let start = soft();
        let (before, after) = raise_open_files().expect("up to the hard limit is allowed");
        assert_eq!((before, soft()), (start, after));
        assert!(after.is_none_or(|after| before.is_some_and(|before| before <= after)));
        restore_open_files().expect("down is allowed");
        assert_eq!(soft(), start);
    }
}
