//! Where a process inherits nobody: what has lost its parent is reaped by the system's first process.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// There is nothing to watch.
#[derive(Debug)]
pub struct DeathWatch(Infallible);

impl DeathWatch {
    /// None.
    ///
    /// # Errors
    /// None.
    pub fn new() -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// Does nothing.
    pub fn clear(&self) {
        match self.0 {}
    }
}

impl AsFd for DeathWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}

/// Does nothing.
pub fn hold_signal_back() {}

/// Finds nothing.
pub fn reap(_may: impl FnOnce() -> bool) {}
