//! Why an MCP server gives no answer. Texts are for models and clients. Made on whichever OS thread calls.

use std::time::Duration;

/// Why a call was not answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// Nobody wants the answer any more.
    #[error("cancelled")]
    Cancelled,
    /// It took too long.
    #[error("no answer to `{method}` within {} seconds", within.as_secs_f64())]
    TimedOut {
        /// What was asked.
        method: String,
        /// The timeout.
        within: Duration,
    },
    /// The connection ended; the text says how.
    #[error("{0}")]
    Gone(String),
    /// It does not know the session any more.
    #[error("its session ended")]
    SessionOver,
    /// It refused.
    #[error("{message} ({code})")]
    Refused {
        /// JSON-RPC code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// So many calls wait for it, the maximum.
    #[error("{0} calls are waiting for it already; retry when one has ended")]
    TooMany(usize),
    /// It answered something else than the protocol has.
    #[error("it broke the protocol: {0}")]
    Malformed(String),
}

/// Why a server could not be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum McpError {
    /// It is not configured.
    #[error("there is no MCP server `{0}`; add [mcp_servers.{0}] to config.toml")]
    UnknownServer(String),
    /// The configuration switches it off.
    #[error("the MCP server `{0}` is disabled in config.toml")]
    Disabled(String),
    /// The configuration leaves the tool out.
    #[error("the tool `{tool}` of the MCP server `{server}` is disabled in config.toml")]
    ToolDisabled {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
    },
    /// It did not start.
    #[error("the MCP server `{server}` did not start: {why}")]
    NotStarted {
        /// The server.
        server: String,
        /// Why, and when it is tried again.
        why: String,
    },
    /// It did not answer.
    #[error("the MCP server `{server}` failed: {error}")]
    Call {
        /// The server.
        server: String,
        /// Why.
        error: CallError,
    },
}
