//! Numbers of what turns work with: keys of model providers, MCP servers and patches.

use std::time::Duration;

use super::{KIB, MIB};

// ---- Model providers ----

/// Longest API key that a client may sign in with, in bytes. A longer one is refused with -32600.
pub const API_KEY_BYTES_MAX: usize = 8 * KIB;

// ---- MCP servers ----

/// MCP servers in the configuration. More are a start-up error.
pub const MCP_SERVERS_MAX: usize = 32;
/// An MCP server must have answered `initialize` and listed its tools within this, unless its table says
/// otherwise. After it the server is killed and counts as failed.
pub const MCP_STARTUP_TIMEOUT: Duration = Duration::from_secs(10);
/// A call of an MCP server's tool must be answered within this, unless its table says otherwise. After it the
/// call fails and the server is told that nobody waits any more; the server itself goes on.
pub const MCP_TOOL_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest message of an MCP server, in bytes. A larger one ends the connection to it.
pub const MCP_MESSAGE_BYTES_MAX: usize = 16 * MIB;
/// Calls that one MCP server may have open. Above it a call fails at once.
pub const MCP_CALLS_MAX: usize = 64;
/// Pieces of news that a call of an MCP server may have waiting: progress is dropped above it, a question is
/// declined.
pub const MCP_CALL_NEWS: usize = 16;
/// Characters of what an MCP server tells of its progress; the rest is cut off.
pub const MCP_PROGRESS_CHARS: usize = 1024;
/// Bytes of what an MCP server behind HTTP says to refuse a request that go into the error.
pub const MCP_REFUSAL_BYTES_MAX: usize = 4 * KIB;
/// Longest time for what an MCP server behind HTTP is told besides calls: that nobody waits for an answer.
pub const MCP_TELL_TIMEOUT: Duration = Duration::from_secs(2);
/// Such messages that may wait. Above it they are dropped: they are a courtesy.
pub const MCP_TELLS: usize = 16;
/// Longest time for the end of a session with an MCP server behind HTTP. After it the server is left alone.
pub const MCP_END_TIMEOUT: Duration = Duration::from_millis(200);
/// Longest silence of the stream on which an MCP server behind HTTP tells of changes; then it is opened anew.
pub const MCP_LISTEN_SILENCE: Duration = Duration::from_secs(24 * 3600);
/// Times in a row, with nothing new in between, that an answer of an MCP server behind HTTP is taken up again
/// after its stream broke off; then the call fails.
pub const MCP_RESUMES: u32 = 5;
/// Pause before that, unless the server's stream says another.
pub const MCP_RESUME_PAUSE: Duration = Duration::from_millis(500);
/// Longest such pause; a server that wants a longer one gets this.
pub const MCP_RESUME_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Requests of clients that may wait for MCP servers, each on a worker of its own. Above it a request is
/// answered -32001.
pub const MCP_REQUESTS_MAX: usize = 32;
/// Tools, resources or templates that are taken from one MCP server; what it lists beyond is left out.
pub const MCP_LIST_MAX: usize = 1024;
/// Pages of one list that an MCP server is asked for.
pub const MCP_PAGES_MAX: usize = 64;
/// Pause before an MCP server that failed is started again, by the next that needs it, and before its news
/// are listened to again. It doubles with each failure in a row.
pub const MCP_RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
pub const MCP_RESTART_PAUSE_MAX: Duration = Duration::from_secs(60);
/// An MCP server that died sooner than this after its start counts as failed, and so does a stream of news.
pub const MCP_STABLE_AFTER: Duration = Duration::from_secs(10);
/// Bytes of a line of an MCP server's stderr that go to the log; the rest of the line is left out.
pub const MCP_STDERR_LINE_BYTES_MAX: usize = KIB;
/// Longest name of a tool that models accept, in bytes. A longer one is cut and gets a hash.
pub const MCP_TOOL_NAME_BYTES_MAX: usize = 64;

// ---- patches ----

/// Largest patch, in bytes of its text. Above it the model is told to split it.
pub const PATCH_BYTES_MAX: usize = 2 * MIB;
/// Files of one patch. Above it the model is told to split it.
pub const PATCH_FILES_MAX: usize = 256;
/// Hunks of one patch. Above it the model is told to split it.
pub const PATCH_HUNKS_MAX: usize = 4096;
/// Largest file that a patch may touch, in bytes. A larger one is refused, and the model told so.
pub const PATCH_FILE_BYTES_MAX: usize = 16 * MIB;
/// Bytes that a patch may hold in memory: what it reads and what it makes. Above it it is refused.
pub const PATCH_PLAN_BYTES_MAX: usize = 64 * MIB;
/// Symbolic links on the way to one file of a patch, as in the kernel; more count as a circle.
pub const PATCH_LINKS_MAX: usize = 40;
/// Time for the shortest difference between two texts. After it the difference is right, but longer.
pub const DIFF_TIME_MAX: Duration = Duration::from_millis(500);
/// Lines that a unified diff shows around a change.
pub const DIFF_CONTEXT_LINES: usize = 3;
/// Bytes of old and new contents that a turn keeps for its diff. Files for which no room is left are shown
/// as changed, without lines.
pub const TURN_DIFF_BYTES_MAX: usize = 32 * MIB;
