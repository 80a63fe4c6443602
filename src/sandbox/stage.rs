//! The helper stage: this binary, started again to become a command. It takes its orders from a socket on
//! standard input, confines itself, and turns into the program, which keeps its process id.
//!
//! It runs in a process of its own with one OS thread, knows nothing of the server, and ends with an error
//! word on the socket if anything goes wrong; a socket that closes without a word means success.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::STAGE_WORD;
use super::spec::{Spec, Step, Verdict};
use crate::sys::child;

/// Takes over if this process was started as a helper stage; to be called before anything else. Gives the
/// exit code of a stage that could not become its program.
#[must_use]
pub fn take_over() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != STAGE_WORD || args.next().is_some() {
        return None;
    }
    let failed = ExitCode::from(STAGE_FAILED);
    // A copy that closes by itself when the program begins.
    let Ok(channel) = io::stdin().as_fd().try_clone_to_owned() else { return Some(failed) };
    let mut channel = UnixStream::from(channel);
    let verdict = match read(&mut channel) {
        Ok((spec, _)) if spec.probe => Verdict::Probed(super::enforce::probe()),
        Ok((spec, stdin)) => {
            let Failure(step, error) = become_program(&spec, stdin);
            Verdict::Failed(step, error.raw_os_error().unwrap_or(libc::EINVAL))
        }
        Err(_) => Verdict::Failed(Step::Read, libc::EINVAL),
    };
    // Who asked may be gone; then nobody is left to tell.
    let _ = channel.write_all(&verdict.encode());
    Some(failed)
}

/// The exit code of a stage that did not become its program; nobody but the server sees it.
const STAGE_FAILED: u8 = 125;

/// What went wrong, and where.
pub(super) struct Failure(pub(super) Step, pub(super) io::Error);

/// `map_err` with the step.
pub(super) fn at<E: Into<io::Error>>(step: Step) -> impl FnOnce(E) -> Failure {
    move |error| Failure(step, error.into())
}

fn read(channel: &mut UnixStream) -> io::Result<(Spec, Option<OwnedFd>)> {
    let mut length = [0; size_of::<u64>()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(&*channel, &mut [IoSliceMut::new(&mut length)], &mut ancillary, RecvFlags::empty())?;
    let mut stdin = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut passed) = message {
            stdin = passed.next();
        }
    }
    channel.read_exact(&mut length[received.bytes..])?;
    let length = usize::try_from(u64::from_le_bytes(length)).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    channel.read_exact(&mut bytes)?;
    Ok((Spec::decode(&bytes)?, stdin))
}

/// Does everything in its order and becomes the program. Comes back only with a failure.
fn become_program(spec: &Spec, stdin: Option<OwnedFd>) -> Failure {
    let prepared = prepare(spec, stdin);
    if let Err(failure) = prepared {
        return failure;
    }
    let error =
        Command::new(&spec.program).args(&spec.args).env_clear().envs(spec.env.iter().cloned()).exec();
    Failure(Step::Program, error)
}

fn prepare(spec: &Spec, stdin: Option<OwnedFd>) -> Result<(), Failure> {
    let stdin = stdin.ok_or_else(|| Failure(Step::Read, io::ErrorKind::InvalidData.into()))?;
    rustix::stdio::dup2_stdin(&stdin).map_err(at(Step::Input))?;
    drop(stdin);
    super::enforce::files(&spec.enforce)?;
    // After the mounts: a working directory from before would still be the old, writable place.
    std::env::set_current_dir(&spec.cwd).map_err(at(Step::Cwd))?;
    child::apply_limits(spec.limits).map_err(at(Step::Limits))?;
    super::enforce::calls(&spec.enforce)?;
    super::enforce::die_with(spec.parent)
}
