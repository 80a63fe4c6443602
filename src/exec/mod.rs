//! Running commands: start, pipes or a terminal, input, limits, kill, end.
//!
//! A [`Spawner`] starts a command as a [`CommandSpec`] says and gives a [`Running`] to steer it with; what
//! the command says and how it ends goes to an [`OutputSink`]. None of that ever waits: a command is started
//! by the worker `exec-spawn`, and all running ones are served by the worker `exec-io`, which reads an output
//! only while its sink has room. So a slow taker holds up its own command, by its own pipe, and nothing else.
//!
//! A command's whole group goes with it: when it has ended, when it is killed, when its [`Running`] is
//! dropped, when the server ends, also by `kill -9`.
//!
//! It may not know who wants the command: connections, agent threads.

mod command;
mod confine;
mod end;
mod io_worker;
mod limit;
mod live;
mod running;
mod sink;
mod spawner;
mod spec;

pub use end::{EndCause, ExitOutcome, SpawnError};
pub use limit::ResourceLimit;
pub use running::{ResizeError, Running, StdinError, Written};
pub use sink::{Ending, OutputSink, SinkWaker, Stream};
pub use spawner::{Executor, Refusal, Spawner};
pub use spec::{CommandSpec, TerminalSize};

pub use crate::sys::child::ChildLimits as ResourceLimits;

#[cfg(test)]
mod tests;
