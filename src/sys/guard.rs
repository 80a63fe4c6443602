//! A small process of our own that outlives a `kill -9` of the server and kills what the server ran.
//!
//! The parent-death signal of [`super::child`] reaches a child, not what the child has started. So the server
//! keeps every group that runs in memory that both processes have, and when a pipe is at its end, because
//! whoever held its other side is gone, this process kills the groups that are left, and all that
//! [`super::lineage`] knows to be of them. Until then it sleeps: commands that come and go do not wake it. It
//! is a fork of the server without an exec: it needs no binary to be found, and it does nothing but system
//! calls.
//!
//! It may not know the protocol.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::lineage::Lineage;
use crate::limits;

/// The process. Its drop ends it and waits until it has ended; what is still there of its lineage and groups
/// is killed then.
#[derive(Debug)]
pub struct Guard {
    pid: Pid,
    pipe: Option<OwnedFd>,
    groups: Groups,
}

/// Its name, as the operating system shows it.
pub const NAME: &str = "app-server-grd";

impl Guard {
    /// Starts the process and waits until it stands guard.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn start(lineage: Lineage) -> io::Result<Self> {
        let (mut stands, standing) = io::pipe()?;
        let (reader, writer) = io::pipe()?;
        let groups = Groups::new()?;
        // SAFETY: the child has only this OS thread; it never returns from `watch`, which allocates nothing,
        // takes no lock and touches no memory but its own stack.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            watch(reader.as_raw_fd(), groups.places(), lineage);
        }
        let Some(pid) = Pid::from_raw(forked.max(0)) else { return Err(io::Error::last_os_error()) };
        let guard = Self { pid, pipe: Some(writer.into()), groups };
        drop(standing);
        // It says nothing but closes what it does not need.
        io::Read::read(&mut stands, &mut [0])?;
        Ok(guard)
    }

    /// Kills this group if the server dies. There is room for as many as may run.
    pub fn watch(&self, group: Pid) {
        self.groups.change(/*from*/ NOBODY, group.as_raw_nonzero().get());
    }

    /// Leaves this group alone from here on. To be called before its number is let go.
    pub fn forget(&self, group: Pid) {
        self.groups.change(group.as_raw_nonzero().get(), /*to*/ NOBODY);
    }
}

/// A place without a group.
const NOBODY: i32 = 0;

/// The groups that run, in memory that the guard has as well.
#[derive(Debug)]
struct Groups(NonNull<[AtomicI32; limits::COMMANDS_RUNNING_MAX]>);

// SAFETY: it is nothing but atomic numbers, which anybody may change from anywhere.
unsafe impl Send for Groups {}
// SAFETY: as above.
unsafe impl Sync for Groups {}

impl Groups {
    const BYTES: usize = size_of::<AtomicI32>() * limits::COMMANDS_RUNNING_MAX;

    fn new() -> io::Result<Self> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: new memory, at a place that is free, of no file.
        let at = unsafe { libc::mmap(ptr::null_mut(), Self::BYTES, access, kind, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(at.cast()).map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn places(&self) -> &[AtomicI32] {
        // SAFETY: the memory is there until the drop, is aligned to a page, and was zero, as a number is.
        unsafe { self.0.as_ref() }
    }

    fn change(&self, from: i32, to: i32) {
        let change =
            |place: &AtomicI32| place.compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        let _ = self.places().iter().any(change);
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and nobody refers to it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), Self::BYTES) };
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED) {}
    }
}

/// The whole life of the process: system calls only.
fn watch(pipe: RawFd, groups: &[AtomicI32], lineage: Lineage) -> ! {
    // SAFETY: system calls on numbers and on memory of this stack. Everything that was open in the server is
    // closed here: nobody may take a connection for open because of this process.
    unsafe {
        libc::setsid();
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        #[cfg(target_os = "linux")]
        libc::prctl(libc::PR_SET_NAME, c"app-server-grd".as_ptr());
        libc::dup2(pipe, 0);
        // Among these is the pipe by which its end tells that it stands.
        close_from(/*first*/ 1);
    }
    let mut nothing = 0_u8;
    // SAFETY: there is room for the one byte. Nobody writes one: it ends when nobody is left who could.
    while unsafe { libc::read(0, (&raw mut nothing).cast(), 1) } != 0 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
    for group in groups {
        let group = group.load(Ordering::SeqCst);
        if group != NOBODY {
            // SAFETY: a system call that takes two numbers.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    }
    lineage.end_all();
    // SAFETY: it does not come back; nothing of the server's is flushed or torn down.
    unsafe { libc::_exit(0) }
}

/// Closes this descriptor and all above it.
///
/// # Safety
/// Nothing in the process may use one of them any more.
unsafe fn close_from(first: libc::c_uint) {
    #[cfg(target_os = "linux")]
    // SAFETY: a system call that takes three numbers.
    if unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    const MANY: libc::c_uint = 65_536;
    for descriptor in first..MANY {
        // SAFETY: the caller's promise.
        unsafe { libc::close(descriptor as RawFd) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process_group;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    fn sleeper() -> (std::process::Child, Pid) {
        let child = Command::new("sleep").arg("60").process_group(0).spawn().expect("sleep starts");
        let pid = Pid::from_child(&child);
        (child, pid)
    }

    #[test]
    fn groups_that_are_left_die_with_the_pipe() {
        let guard = Guard::start(Lineage::new()).expect("a process");
        let ((mut left, left_pid), (mut forgotten, forgotten_pid)) = (sleeper(), sleeper());
        guard.watch(forgotten_pid);
        guard.watch(left_pid);
        guard.forget(forgotten_pid);
        drop(guard);
        let status = left.wait().expect("it is reaped");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
        assert_eq!(test_kill_process_group(forgotten_pid), Ok(()));
        forgotten.kill().expect("it runs");
        forgotten.wait().expect("it is reaped");
    }
}
