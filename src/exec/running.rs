//! The handle by which a running command is steered.

use std::fmt;
use std::io;

use bytes::Bytes;

use super::TerminalSize;
use super::command::CommandRef;
use super::end::KillReason;

/// A command that was started or is about to be. None of its calls waits. Dropping it kills the command.
#[derive(Debug)]
pub struct Running(pub(super) CommandRef);

/// Why input was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StdinError {
    /// The command was started without input.
    #[error("the command takes no input")]
    NotPiped,
    /// Its input was closed, by us or by the command.
    #[error("stdin is already closed")]
    Closed,
    /// So much waits for the command to read it that nothing more is taken.
    #[error("too much input waits for the command to read it")]
    Full,
    /// The command has ended.
    #[error("the command has ended")]
    Ended,
}

/// Why a terminal did not get another size.
#[derive(Debug, thiserror::Error)]
pub enum ResizeError {
    /// The command has pipes.
    #[error("process is not attached to a PTY")]
    NotATerminal,
    /// The command has ended.
    #[error("the command has ended")]
    Ended,
    /// The operating system refused.
    #[error("{}", .0)]
    Os(io::Error),
}

type Told = Box<dyn FnOnce(Result<(), StdinError>) + Send>;

/// Who is told what became of some input: `Ok` once all of it is in the pipe. Called on the worker `exec-io`,
/// or by whoever writes if it is refused at once; it must not wait.
pub struct Written(Option<Told>);

impl Written {
    /// Tells this.
    pub fn to(told: impl FnOnce(Result<(), StdinError>) + Send + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    /// Tells nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self(None)
    }

    pub(super) fn tell(self, outcome: Result<(), StdinError>) {
        if let Some(told) = self.0 {
            told(outcome);
        }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Written").field(&self.0.is_some()).finish()
    }
}

impl Running {
    /// Puts bytes into the command's input, and closes it behind them if asked to.
    pub fn write_stdin(&self, bytes: impl Into<Bytes>, close: bool, done: Written) {
        self.0.write(bytes.into(), close, done);
    }

    /// Changes the size of the command's terminal.
    ///
    /// # Errors
    /// See [`ResizeError`].
    pub fn resize(&self, size: TerminalSize) -> Result<(), ResizeError> {
        self.0.resize(size)
    }

    /// Ends the command with everything that it started: a request, a grace period, a kill. The sink is told
    /// when it has ended.
    pub fn kill(&self) {
        self.0.kill(KillReason::Demanded);
    }

    /// Kills the command with everything that it started, without a grace period.
    pub fn kill_now(&self) {
        self.0.kill_now();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
