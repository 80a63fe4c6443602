//! A small process of our own that outlives a `kill -9` of the server and kills what the server ran.
//!
//! The parent-death signal of [`super::child`] reaches a child, not what the child has started. So this
//! process is told every group that begins and ends, by a pipe, and when the pipe is at its end without a
//! goodbye, because whoever held its other side is gone, it kills the groups that are left, and all that
//! [`super::lineage`] knows to be of them. It is a fork of the server without an exec: it needs no binary to
//! be found, and it does nothing but system calls.
//!
//! It may not know the protocol.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::lineage::Lineage;
use crate::limits;

/// The process. Its drop ends it and waits until it has ended; what is still there of its lineage and groups
/// is killed then.
#[derive(Debug)]
pub struct Guard {
    pid: Pid,
    pipe: Option<OwnedFd>,
    has_failed: AtomicBool,
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
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        // It reads at once whatever is written; should it ever not, nobody waits for it.
        rustix::io::ioctl_fionbio(&writer, /*value*/ true)?;
        // SAFETY: the child has only this OS thread; it never returns from `watch`, which allocates nothing,
        // takes no lock and touches no memory but its own stack.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            watch(reader.as_raw_fd(), lineage);
        }
        let Some(pid) = Pid::from_raw(forked.max(0)) else { return Err(io::Error::last_os_error()) };
        let guard = Self { pid, pipe: Some(writer), has_failed: AtomicBool::new(false) };
        drop(standing);
        // It says nothing but closes what it does not need.
        io::Read::read(&mut stands, &mut [0])?;
        Ok(guard)
    }

    /// Kills this group if the server dies.
    pub fn watch(&self, group: Pid) {
        self.tell(group.as_raw_nonzero().get());
    }

    /// Leaves this group alone from here on. To be called before its number is let go.
    pub fn forget(&self, group: Pid) {
        self.tell(-group.as_raw_nonzero().get());
    }

    fn tell(&self, group: i32) {
        let Some(pipe) = &self.pipe else { return };
        // So few bytes are written as a whole or not at all (POSIX, `PIPE_BUF`).
        if let Err(error) = rustix::io::write(pipe, &group.to_ne_bytes())
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the guard is gone: a kill -9 may leave processes of commands behind");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED) {}
    }
}

/// The whole life of the process: system calls only.
fn watch(pipe: RawFd, lineage: Lineage) -> ! {
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
    let mut groups = [0_i32; limits::COMMANDS_RUNNING_MAX];
    let mut told = [0_i32; 64];
    loop {
        let room = size_of_val(&told);
        // SAFETY: `told` has `room` bytes, and any bytes are numbers.
        let count = unsafe { libc::read(0, told.as_mut_ptr().cast(), room) };
        let Ok(count) = usize::try_from(count) else {
            if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                continue;
            }
            break;
        };
        if count == 0 {
            break;
        }
        for &group in &told[..count / size_of::<i32>()] {
            let (wanted, becomes) = if group > 0 { (0, group) } else { (-group, 0) };
            if let Some(place) = groups.iter_mut().find(|place| **place == wanted) {
                *place = becomes;
            }
        }
    }
    for group in groups {
        if group > 0 {
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
