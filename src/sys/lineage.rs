//! Which command a process belongs to, wherever it has gone: a process that has made itself a session of its
//! own, lost its parent and emptied its environment is still told from others, and so can be ended.
//!
//! Two things of Linux make that possible without a privilege. The soft limit of file locks (`RLIMIT_LOCKS`)
//! has meant nothing since Linux 2.4.25, but is handed down to every process that a process starts: it
//! carries a number by which a command's processes are known. And who has called
//! `PR_SET_CHILD_SUBREAPER` becomes the parent of all whose own parent has ended, so what a command has left
//! behind is found among this process's children, without looking at every process of the machine.
//!
//! It may not know what a command is. A process that sets this limit itself is lost from sight; a confined
//! one cannot.

use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, pidfd_open,
    pidfd_send_signal, setrlimit, waitid,
};

use super::orphans;

/// Bytes of `/proc/PID/limits` and `stat` that are looked at: all of them.
const TEXT_BYTES: usize = 2048;

/// What all commands of one owner have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage {
    family: u32,
}

/// The number that a command's processes carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

impl Lineage {
    /// A new one, different from those of other servers. From here on this process inherits the children of
    /// its descendants.
    #[must_use]
    pub fn new() -> Self {
        if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
            tracing::warn!(%error, "processes that leave their command's group will not be found");
        }
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        // Not zero, which others may have set, and with room below the number that stands for no limit.
        Self { family: (random >> 33) as u32 | 1 }
    }

    /// The mark of a command.
    #[must_use]
    pub fn mark(self, command: u32) -> Mark {
        Mark(u64::from(self.family) << u32::BITS | u64::from(command))
    }

    /// Kills what is left behind by commands that do not run any more, and reaps what has died of it. Gives
    /// how many are still to die; their own children are found by the next call. `is_spared` tells of a
    /// command and a process of it.
    pub fn sweep(self, is_spared: impl Fn(u32, Pid) -> bool) -> usize {
        let mut left = 0;
        for pid in left_behind() {
            let Some(process) = Process::look(pid) else { continue };
            let Some(command) = process.command_of(self) else { continue };
            if is_spared(command, pid) {
                continue;
            }
            if process.is_dead {
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            } else if process.kill() {
                left += 1;
            }
        }
        left
    }

    /// Kills all of them, whoever their parent is, and what they start meanwhile. For a process that must not
    /// allocate: system calls only. What cannot be killed is given up after some rounds.
    pub(super) fn end_all(self) {
        const ROUNDS: usize = 100;
        const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        for _ in 0..ROUNDS {
            let mut last = None;
            each_process(|pid| {
                let process = Process::look(pid).filter(|process| !process.is_dead);
                if let Some(process) = process.filter(|process| process.command_of(self).is_some())
                    && process.kill()
                {
                    last = Some(process);
                }
            });
            let Some(last) = last else { return };
            let _ = poll(&mut [PollFd::new(&last.descriptor, PollFlags::IN)], Some(&PAUSE));
        }
    }
}

impl Default for Lineage {
    fn default() -> Self {
        Self::new()
    }
}

/// Marks this process and all that it will start. For a child between fork and exec: it only makes system
/// calls. Who may not is not marked.
pub(super) fn put(mark: Mark) {
    let maximum = getrlimit(Resource::Locks).maximum;
    let _ = setrlimit(Resource::Locks, Rlimit { current: Some(mark.0), maximum });
}

/// A process and what is known of it. Its number may be another's by now; its descriptor is not.
struct Process {
    descriptor: OwnedFd,
    mark: Option<u64>,
    /// It has ended and waits to be reaped.
    is_dead: bool,
}

impl Process {
    fn look(pid: Pid) -> Option<Self> {
        // First of all: whatever is read below is read of this process, or of one that came after its end,
        // and then the signal reaches nobody.
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let mut text = [0; TEXT_BYTES];
        let mark = mark_in(read(pid, b"limits", &mut text)?);
        let state = state_in(read(pid, b"stat", &mut text)?)?;
        Some(Self { descriptor, mark, is_dead: matches!(state, b'Z' | b'X') })
    }

    fn command_of(&self, lineage: Lineage) -> Option<u32> {
        let mark = self.mark.filter(|mark| mark >> u32::BITS == u64::from(lineage.family))?;
        Some((mark & u64::from(u32::MAX)) as u32)
    }

    /// False if that is not allowed.
    fn kill(&self) -> bool {
        !matches!(pidfd_send_signal(self.descriptor.as_fd(), Signal::KILL), Err(Errno::PERM))
    }
}

/// The processes that this one has inherited, or if that is not known all there are.
fn left_behind() -> Vec<Pid> {
    orphans::inherited().unwrap_or_else(|| {
        let mut all = Vec::new();
        each_process(|pid| all.push(pid));
        all
    })
}

/// Calls this with every process of the machine but this one. It allocates nothing.
fn each_process(mut look: impl FnMut(Pid)) {
    let own = rustix::process::getpid();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(c"/proc", flags, Mode::empty()) else { return };
    let mut space = [MaybeUninit::uninit(); TEXT_BYTES];
    let mut entries = RawDir::new(&folder, &mut space);
    while let Some(Ok(entry)) = entries.next() {
        let pid =
            number(entry.file_name().to_bytes()).and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid.filter(|pid| *pid != own) {
            look(pid);
        }
    }
}

/// The beginning of a file about a process. It allocates nothing.
fn read<'a>(pid: Pid, name: &[u8], text: &'a mut [u8; TEXT_BYTES]) -> Option<&'a [u8]> {
    let mut path = [0; 64];
    let mut rest = &mut path[..];
    write!(rest, "/proc/{}/", pid.as_raw_nonzero()).ok()?;
    rest.write_all(name).ok()?;
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let count = read_all(file.as_fd(), text)?;
    Some(&text[..count])
}

fn read_all(file: BorrowedFd<'_>, text: &mut [u8]) -> Option<usize> {
    let mut count = 0;
    while count < text.len() {
        match rustix::io::read(file, &mut text[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(count)
}

/// The soft limit of file locks in `/proc/PID/limits`; none is no limit.
fn mark_in(limits: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"Max file locks";
    let at = limits.windows(NAME.len()).position(|window| window == NAME)?;
    number(limits[at + NAME.len()..].trim_ascii_start())
}

/// The state in `/proc/PID/stat`: it stands behind the name in parentheses, which may contain anything.
fn state_in(stat: &[u8]) -> Option<u8> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(end + 2).copied()
}

/// The number at the beginning of a text.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let add = |sum: Option<u64>, digit: &u8| {
        let sum = sum.unwrap_or(0).checked_mul(10)?;
        sum.checked_add(u64::from(digit - b'0'))
    };
    let mut sum = None;
    for digit in digits {
        sum = Some(add(sum, digit)?);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_states_are_read_as_the_kernel_writes_them() {
        let limits = b"Max msgqueue size  819200  819200  bytes\n\
                       Max file locks            72623859790382856    unlimited            locks     \n";
        assert_eq!(mark_in(limits), Some(72_623_859_790_382_856));
        assert_eq!(mark_in(b"Max file locks            unlimited            unlimited  locks"), None);
        assert_eq!(mark_in(b"Max cpu time              1            1  seconds"), None);
        assert_eq!(state_in(b"12 (a) Z (b) S 1 2 3"), Some(b'S'));
        assert_eq!(state_in(b"12"), None);
        assert_eq!(
            (number(b"1234 x"), number(b"x"), number(b"99999999999999999999")),
            (Some(1234), None, None)
        );
    }

    #[test]
    fn this_process_is_found_and_carries_no_mark_of_ours() {
        let lineage = Lineage { family: 7 };
        assert_eq!(lineage.mark(/*command*/ 9), Mark(7 << 32 | 9));
        let own = Process::look(rustix::process::getpid()).expect("it is there");
        assert!(!own.is_dead && own.command_of(lineage).is_none());
        let mut count = 0;
        each_process(|_| count += 1);
        assert!(count > 0, "there are others");
    }
}
