//! Why a patch is not applied: told to the model, so each text says what to do about it. Knows no files;
//! made on whichever OS thread works on the patch.

use std::io;
use std::path::{Path, PathBuf};

/// Why a patch is not applied. Whatever it says, no file was changed, but for [`PatchError::Rollback`].
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The text is no patch.
    #[error("invalid patch, line {line}: {reason}")]
    Parse {
        /// Line of the patch, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It is larger than what is accepted.
    #[error("patch too large: {0}")]
    TooLarge(String),
    /// A file is not as the patch needs it.
    #[error("the patch does not fit {}: {reason}", path.display())]
    Fit {
        /// The file, as the plan resolved it.
        path: PathBuf,
        /// What does not fit, and where.
        reason: String,
    },
    /// The file system refused.
    #[error("{}: {what}: {error}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the file system said.
        error: io::Error,
    },
    /// Applying failed half-way, and so did taking back what was done: the files named are not as before.
    #[error("{cause}; taking back the changes failed too, so look at these files: {left}")]
    Rollback {
        /// Why it had to be taken back.
        cause: Box<PatchError>,
        /// What could not be taken back.
        left: String,
    },
}

impl PatchError {
    pub(super) fn parse(line: usize, reason: impl Into<String>) -> PatchError {
        PatchError::Parse { line, reason: reason.into() }
    }

    pub(super) fn fit(path: &Path, reason: impl Into<String>) -> PatchError {
        PatchError::Fit { path: path.to_owned(), reason: reason.into() }
    }

    pub(super) fn io(what: &'static str, path: &Path, error: impl Into<io::Error>) -> PatchError {
        PatchError::Io { what, path: path.to_owned(), error: error.into() }
    }
}
