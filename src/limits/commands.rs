//! Numbers of running commands: how many, how long, how much they may say.

use std::time::Duration;

use super::{KIB, MIB};

/// Commands running at once in the process, for all clients and agents. Above it a command is answered
/// -32001.
pub const COMMANDS_RUNNING_MAX: usize = 1024;
/// Commands running at once for one connection. Above it a command is answered -32001.
pub const COMMANDS_PER_CONNECTION_MAX: usize = 512;
/// A command that a client runs without naming a timeout ends after this, with exit code 124.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest timeout of a command; a shorter one is taken as this, so that it means something to start it.
pub const COMMAND_TIMEOUT_MIN: Duration = Duration::from_millis(50);
/// A command that is told to end has this long to do it by itself; then it is killed, with its whole group.
pub const COMMAND_KILL_GRACE: Duration = Duration::from_millis(500);
/// After a command's end its output is awaited this long, if something that it started still holds the pipes.
pub const COMMAND_DRAIN_DEADLINE: Duration = Duration::from_secs(2);
/// What a command leaves behind outside of its group is looked for again after this, while something of it is
/// dying; each pause is twice the one before.
pub const COMMAND_SWEEP_PAUSE: Duration = Duration::from_millis(10);
/// Longest such pause. What lives then is left, and the log says so.
pub const COMMAND_SWEEP_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Bytes of each stream that are read after a command's end however slow their taker is: what a pipe holds.
/// So a client that does not read cannot hold up the end.
pub const COMMAND_DRAIN_BYTES: usize = COMMAND_PIPE_BYTES;
/// The last bytes of a command's output in which is looked for words about a resource limit that was hit.
pub const COMMAND_LIMIT_WORDS_BYTES: usize = 4 * KIB;
/// Bytes that the pipe of an output which has filled a read holds from then on, if the system lets it. Not
/// from the beginning: the system bounds what all pipes of a user hold together.
pub const COMMAND_PIPE_BYTES: usize = 4 * COMMAND_READ_BYTES;
/// Bytes of one command's output that are read at once.
pub const COMMAND_READ_BYTES: usize = 64 * KIB;
/// Bytes that wait for one command to read its input. Above it a write is answered -32001.
pub const COMMAND_STDIN_BYTES: usize = 8 * MIB;
/// Writes that wait for one command to read its input. Above it a write is answered -32001.
pub const COMMAND_STDIN_WRITES: usize = 1024;
/// Bytes of each stream of a command that are kept for a client that names no cap. What comes above it is
/// dropped.
pub const COMMAND_OUTPUT_BYTES: usize = MIB;
/// Bytes of each stream of a command that can be kept at most, also without a cap. A command that says more
/// is killed and answered -32001: whoever wants more has to have it streamed.
pub const COMMAND_OUTPUT_BYTES_MAX: usize = 8 * MIB;
/// Bytes of output kept for the answers of all commands together. Above it the command that says more is
/// killed and answered -32001.
pub const COMMANDS_OUTPUT_BYTES: usize = 256 * MIB;
/// Bytes of streamed output on their way to one client. Above it the commands wait in their pipes.
pub const COMMANDS_CREDIT_BYTES: usize = MIB;
/// Rows and columns of a terminal when a client names none.
pub const TERMINAL_SIZE: (u16, u16) = (24, 80);
