//! Starts a command through the helper stage, and learns whether it began.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::Signal;

use super::STAGE_WORD;
use super::spec::{Enforce, Spec, Step, Verdict};
use crate::limits::SANDBOX_STAGE_DEADLINE;
use crate::sys::child::{self, Child, ChildSpec};

/// A policy made ready for one command's working directory.
#[derive(Debug, Clone)]
pub struct Confinement {
    pub(super) stage: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) enforce: Enforce,
}

/// Why a command did not begin. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program or the working directory is missing or not to be used. Shown as the operating system
    /// says it.
    #[error("{0}")]
    Command(io::Error),
    /// Its rules could not be applied, so it was not started.
    #[error("cannot {}: {source}", step.words())]
    Stage {
        /// What the stage was doing.
        step: Step,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The helper stage itself could not be run.
    #[error("cannot start the helper process: {0}")]
    Helper(io::Error),
}

impl Confinement {
    /// Starts a command and waits until it has begun; with rules to apply that takes about a millisecond. The
    /// command's folder is the one it was confined for, whatever `spec` says. It is killed when the OS thread
    /// that called this ends, so that must be one that lives as long as the server.
    ///
    /// # Errors
    /// It did not begin; see [`SpawnError`].
    pub fn spawn(&self, spec: &ChildSpec<'_>) -> Result<Child, SpawnError> {
        if self.enforce.is_nothing() {
            return child::start(&ChildSpec { cwd: &self.cwd, ..*spec }).map_err(SpawnError::Command);
        }
        let (child, verdict) = run_stage(self, spec, /*probe*/ false).map_err(SpawnError::Helper)?;
        let Some(verdict) = verdict else { return Ok(child) };
        end(&child);
        match verdict {
            Verdict::Failed(step, errno) => {
                let source = io::Error::from_raw_os_error(errno);
                match step {
                    Step::Cwd | Step::Program => Err(SpawnError::Command(source)),
                    step => Err(SpawnError::Stage { step, source }),
                }
            }
            Verdict::Probed(_) => Err(SpawnError::Helper(io::ErrorKind::InvalidData.into())),
        }
    }
}

/// Runs the helper stage and hears its verdict; none means that it became the program.
pub(super) fn run_stage(
    confinement: &Confinement,
    spec: &ChildSpec<'_>,
    probe: bool,
) -> io::Result<(Child, Option<Verdict>)> {
    let (ours, theirs) = UnixStream::pair()?;
    let (child, stdin) = child::start_helper(spec, &confinement.stage, STAGE_WORD, theirs.into())?;
    let orders = Spec {
        probe,
        enforce: confinement.enforce.clone(),
        limits: spec.limits,
        parent: std::process::id(),
        cwd: confinement.cwd.clone(),
        program: spec.program.to_owned(),
        args: spec.args.to_vec(),
        env: child::environment(spec.env),
    };
    match converse(ours, &orders, stdin) {
        Ok(verdict) => Ok((child, verdict)),
        Err(error) => {
            end(&child);
            Err(error)
        }
    }
}

/// Makes sure that a stage which did not become its program is gone.
pub(super) fn end(child: &Child) {
    child::signal_group(child.pid, Signal::KILL);
    child::reap(child.pid);
}

fn converse(mut channel: UnixStream, spec: &Spec, stdin: OwnedFd) -> io::Result<Option<Verdict>> {
    channel.set_read_timeout(Some(SANDBOX_STAGE_DEADLINE))?;
    channel.set_write_timeout(Some(SANDBOX_STAGE_DEADLINE))?;
    let spec = spec.encode();
    let mut message = (spec.len() as u64).to_le_bytes().to_vec();
    message.extend_from_slice(&spec);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [stdin.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    // Who writes where nobody reads is told by the error alone: this process ignores PIPE.
    let sent = sendmsg(&channel, &[IoSlice::new(&message)], &mut ancillary, SendFlags::empty())?;
    channel.write_all(&message[sent..])?;
    drop(stdin);
    let mut said = Vec::new();
    channel.read_to_end(&mut said)?;
    if said.is_empty() { Ok(None) } else { Verdict::decode(&said).map(Some) }
}
