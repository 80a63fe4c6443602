//! What can go wrong in the store. Errors are cloneable, because one failed commit fails many jobs.

use rusqlite::ErrorCode;

/// Why a job of the store failed. After any of these the store goes on serving other jobs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A page was asked for with a cursor that this store did not hand out for this list.
    #[error("invalid cursor: {0}")]
    InvalidCursor(String),
    /// The thread or turn that the job is about is not in the store (any more).
    #[error("{what} not found: {id}")]
    NotFound {
        /// `thread` or `turn`.
        what: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// There is a thread or turn with this id already.
    #[error("{what} exists already: {id}")]
    Exists {
        /// `thread` or `turn`.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// Another live process writes to the thread.
    #[error("thread {id} already has an active writer: {holder}")]
    Owned {
        /// The thread.
        id: String,
        /// Who, for people.
        holder: String,
    },
    /// Another process held the database for longer than [`crate::limits::STORE_BUSY_TIMEOUT`].
    #[error("the database is locked by another process; try again")]
    Busy,
    /// There is no room for the data. Nothing of the job was kept.
    #[error("the disk is full: free some space and try again")]
    DiskFull,
    /// The database was written by a newer program, which this one must not touch.
    #[error(
        "the database {path} has schema version {found}, this program knows versions up to {known}: \
         upgrade the program or choose another home"
    )]
    Newer {
        /// The database file.
        path: String,
        /// The schema version of the database.
        found: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// The file is damaged, or is no database.
    #[error("the database is damaged: {0}; restore it from a backup or move it away")]
    Corrupt(String),
    /// The database's folder or file could not be made or opened.
    #[error("cannot open the database {path}: {reason}")]
    Open {
        /// The folder or file.
        path: String,
        /// The reason of the operating system or of SQLite.
        reason: String,
    },
    /// Any other failure, in SQLite's words.
    #[error("database: {0}")]
    Sqlite(String),
    /// The store has ended, or was never started.
    #[error("the store is closed")]
    Closed,
    /// The job panicked; nothing of it was kept.
    #[error("a job of the store panicked: {0}")]
    Panicked(String),
}

/// The queue of the store is full ([`crate::limits::STORE_JOBS`]) or the store has ended; the job was not
/// taken and neither of its closures will run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is overloaded; try again")]
pub struct StoreFull;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Sqlite(error.to_string()),
        }
    }
}

impl StoreError {
    pub(super) fn thread_not_found(id: &str) -> Self {
        Self::NotFound { what: "thread", id: id.to_owned() }
    }

    pub(super) fn turn_not_found(id: &str) -> Self {
        Self::NotFound { what: "turn", id: id.to_owned() }
    }

    /// The error of an insert of a row whose id must be new.
    pub(super) fn of_insert(error: rusqlite::Error, what: &'static str, id: &str) -> Self {
        if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
            Self::Exists { what, id: id.to_owned() }
        } else {
            error.into()
        }
    }
}
