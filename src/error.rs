//! Start-up errors: what can go wrong before the server serves, told so that the user knows what to do.
//!
//! Errors of requests are [`crate::rpc::RpcError`]; this type never reaches the wire.

use std::fmt;
use std::path::PathBuf;

/// The process's exit codes (design, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for was done.
    Done,
    /// Something failed; stderr says what.
    Failed,
    /// The command line or the configuration was not understood.
    Usage,
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
        }
    }
}

/// An error that ends the process before or instead of serving.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The command line was not understood. Exit code 2.
    #[error("{0}\nTry `app-server --help`.")]
    Usage(String),
    /// A configuration key has a wrong value. Exit code 1; the message names the key and its source.
    #[error("configuration: {0}")]
    Config(String),
    /// A file or folder could not be used.
    #[error("{what} {}: {source}", path.display())]
    Path {
        /// What the server wanted to do, for example `cannot read`.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// An operating system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What the server wanted to do, for example `cannot listen on 127.0.0.1:80`.
        what: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Anything else; the message says what to do.
    #[error("{0}")]
    Other(String),
}

impl StartError {
    /// The exit code that belongs to this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Config(_) | Self::Path { .. } | Self::Io { .. } | Self::Other(_) => Exit::Failed,
        }
    }

    /// An I/O error with the words that say what was wanted.
    pub fn io(what: impl fmt::Display, source: std::io::Error) -> Self {
        Self::Io { what: what.to_string(), source }
    }
}
