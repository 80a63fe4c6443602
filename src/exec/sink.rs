//! Where a command's output goes.

use super::command::CommandRef;
use super::end::KillReason;
use super::{ExitOutcome, SpawnError};

/// One of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// What it says on stdout, or on its terminal.
    Stdout,
    /// What it says on stderr.
    Stderr,
}

/// How a command's story ends.
#[derive(Debug)]
pub enum Ending {
    /// It ran.
    Exited(ExitOutcome),
    /// It never ran.
    NotStarted(SpawnError),
}

/// Takes what one command says. Everything is called on one of the workers of [`super::Executor`], which
/// serve all commands: nothing here may wait. `started` comes first and `ended` last, after all output; a
/// command that could not be started has only `ended`.
///
/// Backpressure is [`OutputSink::room`]: while there is none, the output stays in its pipe, and the command
/// waits as soon as that is full. When there is room again, [`SinkWaker::wake`] has to be called.
pub trait OutputSink: Send {
    /// The command runs.
    fn started(&mut self, waker: SinkWaker) {
        let _ = waker;
    }

    /// Bytes of this stream that are taken now; zero leaves them where they are until the waker is used.
    fn room(&mut self, stream: Stream) -> usize {
        let _ = stream;
        usize::MAX
    }

    /// Takes what the command said: at most what there was room for, or after its end the rest.
    fn output(&mut self, stream: Stream, bytes: &[u8]);

    /// The command has ended and is reaped.
    fn ended(self: Box<Self>, ending: Ending);
}

/// A sink's way back to its command: it says that there is room again. It may be used at any time from
/// anywhere, also after the command's end.
#[derive(Debug, Clone)]
pub struct SinkWaker(pub(super) CommandRef);

impl SinkWaker {
    /// Ends the command, as [`super::Running::kill`] does: for a sink that cannot take what it says.
    pub fn kill(&self) {
        self.0.kill(KillReason::Demanded);
    }

    /// Looks at [`OutputSink::room`] again soon.
    pub fn wake(&self) {
        self.0.look();
    }
}
