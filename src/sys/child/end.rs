//! How a child ended, and a descriptor that tells it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Readable once a child has ended, or has become nobody's: what a [`super::super::poller::Poller`] watches.
#[derive(Debug)]
pub struct EndWatch {
    readable: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    _waits: waiter::Waiter,
}

impl AsFd for EndWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}

#[cfg(target_os = "linux")]
impl EndWatch {
    /// Watches a child of this process.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn of(pid: Pid) -> io::Result<Self> {
        Ok(Self { readable: rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())? })
    }
}

#[cfg(not(target_os = "linux"))]
impl EndWatch {
    /// Watches a child of this process.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let (readable, _waits) = waiter::start(pid)?;
        Ok(Self { readable, _waits })
    }
}

/// Where a process has no descriptor: a worker that waits for its end, and the end of a pipe that tells it.
/// Also tested where it is not used.
#[cfg(any(test, not(target_os = "linux")))]
mod waiter {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::process::Pid;

    use crate::limits::STACK_BYTES_IO;
    use crate::sys::worker::Worker;

    /// Ends when the child has ended or is reaped, so that has to come before its drop.
    pub(super) type Waiter = Worker;

    pub(super) fn start(pid: Pid) -> io::Result<(OwnedFd, Waiter)> {
        let (readable, held) = io::pipe()?;
        let waiter = Worker::spawn("cmd-end", STACK_BYTES_IO, move || {
            super::wait_for_end(pid);
            drop(held);
        })?;
        Ok((readable.into(), waiter))
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildEnd {
    /// It returned this.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// How a child ended, if it has; it stays a zombie, so that its id is not given to another. One that is
/// nobody's any more has ended as well, and nobody knows how: that is told as a kill.
#[must_use]
pub fn has_ended(pid: Pid) -> Option<ChildEnd> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = match waitid(WaitId::Pid(pid), options) {
        Ok(status) => status?,
        Err(Errno::CHILD) => return Some(ChildEnd::Signal(libc::SIGKILL)),
        Err(_) => return None,
    };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(ChildEnd::Code(code)),
        (None, Some(signal)) => Some(ChildEnd::Signal(signal)),
        (None, None) => None,
    }
}

/// Waits for a child's end without letting its id go.
pub fn wait_for_end(pid: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
}

/// Waits for a child's end, and lets its id go.
pub fn reap(pid: Pid) {
    while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED) {}
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_told(readable: &impl AsFd, timeout: Option<&Timespec>) -> bool {
        poll(&mut [PollFd::new(readable, PollFlags::IN)], timeout) == Ok(1)
    }

    #[test]
    fn the_end_is_told_and_the_child_stays_until_it_is_reaped() {
        let at_once = Timespec::default();
        let start = || {
            let mut cat = Command::new("cat");
            cat.stdin(std::process::Stdio::piped()).spawn().expect("it starts")
        };
        let (mut one, mut two) = (start(), start());
        let (first, second) = (Pid::from_child(&one), Pid::from_child(&two));
        let watch = EndWatch::of(first).expect("it can be watched");
        let (readable, waiter) = waiter::start(second).expect("it can be watched");
        assert!(!is_told(&watch, Some(&at_once)) && !is_told(&readable, Some(&at_once)));
        assert_eq!((has_ended(first), has_ended(second)), (None, None));
        drop((one.stdin.take(), two.stdin.take()));
        assert!(is_told(&watch, /*timeout*/ None) && is_told(&readable, /*timeout*/ None));
        for pid in [first, second] {
            assert_eq!(has_ended(pid), Some(ChildEnd::Code(0)));
            reap(pid);
            assert_eq!(has_ended(pid), Some(ChildEnd::Signal(libc::SIGKILL)), "nobody waits for it for ever");
        }
        drop(waiter);
    }
}
