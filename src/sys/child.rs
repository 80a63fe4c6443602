//! Starting a child process so that nothing of it can be left behind, and signalling and reaping it.
//!
//! A child has a session of its own, so that a signal to its group reaches what it started and nobody else,
//! and a mark by which [`super::lineage`] finds what has left the group; it is told to die when the OS thread
//! that started it ends (`PR_SET_PDEATHSIG`), which is why children are started on a long-lived worker; it
//! inherits the three standard descriptors and no other; and its signals and its limit of open files are what
//! they were before the server changed them.
//!
//! It may not know the protocol.

mod end;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(not(target_os = "linux"))]
#[path = "child/launch_elsewhere.rs"]
mod launch;
mod streams;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, setrlimit, test_kill_process_group,
};
use rustix::termios::{Winsize, tcsetwinsize};

pub use end::{ChildEnd, EndWatch, has_ended, reap, wait_for_end};
#[cfg(target_os = "linux")]
pub use launch::aside;
use streams::Ends;
pub use streams::widen;

use super::lineage::Mark;
#[cfg(not(target_os = "linux"))]
use super::rlimit;

/// What to start.
#[derive(Debug)]
pub struct ChildSpec<'a> {
    /// The program; without a slash it is looked for in the child's `PATH`.
    pub program: &'a OsStr,
    /// Its arguments, without its name.
    pub args: &'a [OsString],
    /// The folder that it starts in.
    pub cwd: &'a Path,
    /// Variables that differ from this process's own: set, or with none taken out.
    pub env: &'a [(OsString, Option<OsString>)],
    /// Whether there is something to write its input into; without, its input is at its end.
    pub stdin: bool,
    /// Rows and columns of a terminal of its own; without, pipes.
    pub terminal: Option<(u16, u16)>,
    /// What it may use.
    pub limits: ChildLimits,
    /// What it and its descendants are known by.
    pub mark: Option<Mark>,
}

/// What one child process may use; none is what the server itself may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChildLimits {
    /// Seconds of processor time.
    pub cpu_secs: Option<u64>,
    /// Bytes of address space.
    pub address_space_bytes: Option<u64>,
    /// Open descriptors.
    pub open_files: Option<u64>,
    /// Processes of the same user, all together.
    pub processes: Option<u64>,
}

/// A child process. It is neither killed nor reaped by a drop: that is its owner's business.
#[derive(Debug)]
pub struct Child {
    /// Its process id, which is also that of its group and session. Valid until [`reap`].
    pub pid: Pid,
    /// Readable once the process has ended.
    pub end: EndWatch,
    /// Where its input goes, if it has one. Does not block.
    pub stdin: Option<OwnedFd>,
    /// What it says. Does not block. With a terminal this is all of it.
    pub stdout: OwnedFd,
    /// What it says on the other pipe.
    pub stderr: Option<OwnedFd>,
}

/// What belongs between a supervisor and this server and to nobody further down.
const NOT_INHERITED: [&str; 4] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET"];

/// What a child does to itself before it becomes its program, so that it can do less from then on. It runs in
/// the server's memory and in place of the OS thread that starts the child, so it should make system calls
/// only and keep nothing that it opens.
pub trait Confine {
    /// Takes files away. The folder that the child is to start in is entered after this.
    ///
    /// # Errors
    /// It could not, and the child does not begin.
    fn files(&mut self) -> io::Result<()>;

    /// Takes system calls away; the last thing but the program.
    ///
    /// # Errors
    /// It could not, and the child does not begin.
    fn calls(&mut self) -> io::Result<()>;
}

/// Starts a child. It dies with the calling OS thread.
///
/// # Errors
/// The operating system's refusal, as the child would tell it: no such program, no such folder, not
/// executable, out of descriptors or processes.
pub fn start(spec: &ChildSpec<'_>) -> io::Result<Child> {
    run(spec, /*confine*/ None)
}

/// As [`start`], for a child that confines itself.
///
/// # Errors
/// As of [`start`], and those of `confine`.
pub fn start_confined<'a>(spec: &ChildSpec<'_>, confine: &'a mut (dyn Confine + 'a)) -> io::Result<Child> {
    run(spec, Some(confine))
}

fn run<'a>(spec: &ChildSpec<'_>, confine: Option<&'a mut (dyn Confine + 'a)>) -> io::Result<Child> {
    let (ours, theirs) = Ends::open(spec)?;
    let pid = launch::run(spec, &theirs, confine)?;
    // They have to go: otherwise the outputs never end.
    drop(theirs);
    match EndWatch::of(pid) {
        Ok(end) => Ok(Child { pid, end, stdin: ours.stdin, stdout: ours.stdout, stderr: ours.stderr }),
        Err(error) => {
            signal_group(pid, Signal::KILL);
            reap(pid);
            Err(error)
        }
    }
}

/// Limits this process and what it starts. It only makes system calls.
///
/// # Errors
/// The operating system's refusal.
pub fn apply_limits(limits: ChildLimits) -> io::Result<()> {
    let set = |resource, value: Option<u64>, beyond: u64| match value {
        None => Ok(()),
        Some(value) => {
            let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let (soft, hard) = (value.min(most), value.saturating_add(beyond).min(most));
            setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
        }
    };
    // A second more for the hard limit: at the soft one the kernel sends XCPU, which tells why.
    set(Resource::Cpu, limits.cpu_secs, /*beyond*/ 1)?;
    set(Resource::As, limits.address_space_bytes, /*beyond*/ 0)?;
    set(Resource::Nofile, limits.open_files, /*beyond*/ 0)?;
    set(Resource::Nproc, limits.processes, /*beyond*/ 0)?;
    Ok(())
}

/// Ignored signals stay ignored across an exec; a child gets them as they are by default. A handler of the
/// server's must not run in a child either.
fn default_signals() {
    const LAST: libc::c_int = if cfg!(target_os = "linux") { 64 } else { 31 };
    for signal in 1..=LAST {
        // SAFETY: a system call that takes two numbers; there is no handler of ours involved. Those that
        // cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Has this process see how its children end. Whoever started it may ignore the signal of that, which an exec
/// hands down, and then the kernel lets go of a child that has ended before anybody has looked at it. To be
/// called before the first child is started.
pub fn see_ends() {
    // SAFETY: a system call that takes two numbers; there is no handler of ours involved.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Marks all descriptors but the standard ones: also those that the server itself was started with. The first
/// call is missing before Linux 5.11; all that the server opens is marked there anyway.
fn close_at_exec() {
    const FIRST: libc::c_int = 3;
    #[cfg(target_os = "linux")]
    // SAFETY: a system call that takes three numbers.
    let _ = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC as libc::c_uint,
        )
    };
    #[cfg(not(target_os = "linux"))]
    for descriptor in FIRST..rlimit::highest_descriptor() {
        // SAFETY: a system call that takes numbers; one that is not open is refused.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Signals everyone in the group. That nobody is left is no error.
pub fn signal_group(group: Pid, signal: Signal) {
    let _ = kill_process_group(group, signal);
}

/// Whether anybody is left in the group, also somebody who has ended and is not reaped.
#[must_use]
pub fn has_members(group: Pid) -> bool {
    test_kill_process_group(group) != Err(rustix::io::Errno::SRCH)
}

/// Changes the size of the terminal behind this descriptor; its foreground group is told.
///
/// # Errors
/// The operating system's refusal.
pub fn resize(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<()> {
    Ok(tcsetwinsize(terminal, window(rows, columns))?)
}

fn window(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
