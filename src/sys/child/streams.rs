//! The streams of a child: pipes, or a terminal opened with `openpt`, because the crates for that do no work
//! of ours between fork and exec.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};
use rustix::termios::tcsetwinsize;

use super::{ChildSpec, window};

/// The server's side of a child's streams.
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: Option<OwnedFd>,
}

/// The child's side.
pub(super) struct ChildEnds {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Ends {
    pub(super) fn open(spec: &ChildSpec<'_>) -> io::Result<(Self, ChildEnds)> {
        match spec.terminal {
            Some((rows, columns)) => Self::terminal(rows, columns),
            None => Self::pipes(spec.stdin),
        }
    }

    fn pipes(with_stdin: bool) -> io::Result<(Self, ChildEnds)> {
        let (stdout, child_stdout) = io::pipe()?;
        let (stderr, child_stderr) = io::pipe()?;
        let (child_stdin, stdin) = match with_stdin {
            true => {
                let (reader, writer) = io::pipe()?;
                (OwnedFd::from(reader), Some(OwnedFd::from(writer)))
            }
            false => (File::open("/dev/null")?.into(), None),
        };
        let ours = Self { stdin, stdout: stdout.into(), stderr: Some(stderr.into()) };
        for end in [ours.stdin.as_ref(), Some(&ours.stdout), ours.stderr.as_ref()].into_iter().flatten() {
            rustix::io::ioctl_fionbio(end, /*value*/ true)?;
        }
        let theirs =
            ChildEnds { stdin: child_stdin, stdout: child_stdout.into(), stderr: child_stderr.into() };
        Ok((ours, theirs))
    }

    fn terminal(rows: u16, columns: u16) -> io::Result<(Self, ChildEnds)> {
        let (ours, theirs) = open_terminal()?;
        tcsetwinsize(&ours, window(rows, columns))?;
        rustix::io::ioctl_fionbio(&ours, /*value*/ true)?;
        let writing = ours.as_fd().try_clone_to_owned()?;
        let theirs = ChildEnds { stdin: theirs.try_clone()?, stdout: theirs.try_clone()?, stderr: theirs };
        Ok((Self { stdin: Some(writing), stdout: ours, stderr: None }, theirs))
    }
}

/// Both sides of a new terminal.
#[cfg(target_os = "linux")]
fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    Ok((ours, theirs))
}

/// Both sides of a new terminal; the child's is opened by its name.
#[cfg(not(target_os = "linux"))]
fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::{Mode, OFlags};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = rustix::pty::ptsname(&ours, Vec::new())?;
    let theirs =
        rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((ours, theirs))
}

/// Lets a pipe hold this many bytes, so that both of its ends are woken less often. A terminal stays as it
/// is, and so does a pipe for which the system has no room.
pub fn widen(output: &OwnedFd, bytes: usize) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(output, bytes);
    #[cfg(not(target_os = "linux"))]
    let _ = (output, bytes);
}
