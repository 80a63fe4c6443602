//! Processes that this one has inherited, because it is a subreaper and their own parent has ended: each that
//! dies has to be reaped here, or it stays a zombie and counts against the user's limit of processes.
//!
//! The kernel tells of a death by a signal. It is held back from all OS threads, so that it interrupts none,
//! and read by the one who watches a descriptor; without deaths nobody wakes.
//!
//! It may not know what a command is. Whoever calls [`reap`] is the only one who does.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Readable once a child of any kind has ended, if [`hold_signal_back`] was called.
#[derive(Debug)]
pub struct DeathWatch(OwnedFd);

impl DeathWatch {
    /// Watches. None where there is nothing to inherit.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn new() -> io::Result<Option<Self>> {
        // SAFETY: the call reads the set and makes a new descriptor, which is nobody else's.
        let descriptor = unsafe {
            let descriptor = libc::signalfd(-1, &signal(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(descriptor)
        };
        Ok(Some(Self(descriptor)))
    }

    /// Takes note of the deaths so far: it is readable again after the next. To be called before [`reap`].
    pub fn clear(&self) {
        // The kernel keeps one such signal at a time, so one place is enough.
        let mut told = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        // SAFETY: there is room for as many bytes as are asked for; nobody looks at them.
        unsafe { libc::read(self.0.as_raw_fd(), told.as_mut_ptr().cast(), size_of_val(&told)) };
    }
}

impl AsFd for DeathWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Holds the signal of a child's death back from this OS thread and all that it starts. To be called before
/// the first is started: one that does not hold it back takes it from the [`DeathWatch`].
pub fn hold_signal_back() {
    // SAFETY: a system call that reads the set.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &signal(), ptr::null_mut()) };
}

fn signal() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call fills the set; neither fails with these arguments.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        set.assume_init()
    }
}

/// Reaps the inherited processes that have died, unless it `may` not; that is asked once it is known who was
/// inherited.
pub fn reap(may: impl FnOnce() -> bool) {
    let inherited = inherited().unwrap_or_default();
    if inherited.is_empty() || !may() {
        return;
    }
    for pid in inherited {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// The processes that this one has inherited: the children of its first OS thread, which starts none itself.
/// None where the kernel does not list them (`CONFIG_PROC_CHILDREN`).
pub(super) fn inherited() -> Option<Vec<Pid>> {
    let own = rustix::process::getpid();
    let children = fs::read_to_string(format!("/proc/self/task/{own}/children")).ok()?;
    Some(children.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect())
}
