//! What can go wrong with files.

use std::io;

/// Why a file operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operation makes no sense; the text says why.
    #[error("{0}")]
    Refused(String),
    /// A limit of this server; the text names it.
    #[error("{0}")]
    Limit(String),
    /// The operating system's refusal, in its own words.
    #[error("{0}")]
    Os(#[from] io::Error),
}

impl FileError {
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }
}
