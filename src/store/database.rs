//! One open database: how it is opened and configured, and its transactions. What can be done with it is in
//! the neighbours [`super::threads`], [`super::list`], [`super::turns`] and [`super::pages`].

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension};

use super::error::StoreError;
use super::lease::Leases;
use super::schema;
use crate::limits;

/// Name of the database file in its folder.
pub const FILE_NAME: &str = "store.sqlite";

/// One open database. Whatever changes rows takes `&mut self`, so a job that may only read cannot write.
///
/// Outside of the store's worker each call is a transaction of its own only as far as it is one statement.
#[derive(Debug)]
pub struct Database {
    pub(super) connection: Connection,
    /// None for a database in memory, which no other process shares.
    pub(super) leases: Option<Leases>,
}

/// Which transaction a group of jobs needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Database {
    /// Opens `<dir>/store.sqlite`; makes the folder (mode 0700) and the file (mode 0600) when they are not
    /// there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Newer`], [`StoreError::Corrupt`], [`StoreError::DiskFull`], or
    /// [`StoreError::Busy`] when another process held it for too long.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        let failed =
            |path: &Path, reason: String| StoreError::Open { path: path.display().to_string(), reason };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| failed(dir, error.to_string()))?;
        create_file(&path).map_err(|error| failed(&path, error.to_string()))?;
        // No mutex: the worker that owns the connection is the only one that uses it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(&path, flags).map_err(|error| failed(&path, error.to_string()))?;
        // NORMAL is enough: a commit is in the operating system's hands before it is acknowledged, so it
        // survives the death of the process, `kill -9` included. A power loss may cost the commits since the
        // last checkpoint, never the soundness of the file. FULL would add a disk flush to every commit.
        // The first says how a new file is made, so that pruning can give its pages back bit by bit.
        connection.execute_batch(&format!(
            "PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA synchronous = NORMAL;
             PRAGMA journal_size_limit = {};",
            limits::STORE_WAL_BYTES
        ))?;
        switch_to_write_ahead_log(&connection)?;
        connection.busy_timeout(limits::STORE_BUSY_TIMEOUT)?;
        configure(&connection)?;
        schema::migrate(&mut connection, &path.display().to_string())?;
        Ok(Self { connection, leases: Some(Leases::new(dir)) })
    }

    /// Opens a database that lives in memory and leaves nothing on disk.
    ///
    /// # Errors
    /// SQLite's, for example when there is no memory.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory()?;
        // Must come before the first table. Gives the memory of deleted threads back.
        connection.execute_batch("PRAGMA auto_vacuum = FULL;")?;
        configure(&connection)?;
        schema::migrate(&mut connection, ":memory:")?;
        schema::drop_search(&connection)?;
        Ok(Self { connection, leases: None })
    }

    /// A statement that stays prepared for the next time.
    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// The internal key of a thread.
    pub(super) fn thread_key(&self, id: &str) -> Result<i64, StoreError> {
        let key = self
            .prepare("SELECT key FROM threads WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        key.ok_or_else(|| StoreError::thread_not_found(id))
    }

    /// The internal key of a turn.
    pub(super) fn turn_key(&self, thread: i64, id: &str) -> Result<i64, StoreError> {
        let key = self
            .prepare("SELECT key FROM turns WHERE thread = ?1 AND id = ?2")?
            .query_row((thread, id), |row| row.get(0))
            .optional()?;
        key.ok_or_else(|| StoreError::turn_not_found(id))
    }

    pub(super) fn begin(&mut self, access: Access) -> Result<(), StoreError> {
        // Only left over if a rollback failed.
        self.rollback();
        self.run(match access {
            Access::Read => "BEGIN",
            // At once: a read transaction that becomes a writing one can fail without a chance to wait.
            Access::Write => "BEGIN IMMEDIATE",
        })
    }

    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.run("COMMIT")
    }

    /// Ends the transaction without a trace; does nothing when there is none.
    pub(super) fn rollback(&mut self) {
        if self.in_transaction()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "the store cannot roll back");
        }
    }

    /// False also after an error on which SQLite rolled back by itself, for example a full disk.
    pub(super) fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Marks the place in the transaction that [`Self::forget_job`] goes back to.
    pub(super) fn begin_job(&mut self) -> Result<(), StoreError> {
        self.run("SAVEPOINT job")
    }

    /// Keeps what was done since [`Self::begin_job`].
    pub(super) fn keep_job(&mut self) -> Result<(), StoreError> {
        self.run("RELEASE job")
    }

    /// Undoes what was done since [`Self::begin_job`].
    pub(super) fn forget_job(&mut self) -> Result<(), StoreError> {
        self.run("ROLLBACK TO job")?;
        self.run("RELEASE job")
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.prepare(sql)?.execute([])?;
        Ok(())
    }
}

/// Makes the empty file with the mode it is to have, if it is not there.
///
/// It is never opened here: closing a descriptor of a database file drops every lock that this process has on
/// it (POSIX), also those of another connection.
#[cfg(target_os = "linux")]
fn create_file(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode};
    match rustix::fs::mknodat(CWD, path, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0) {
        Err(error) if error != rustix::io::Errno::EXIST => Err(error.into()),
        _ => Ok(()),
    }
}

/// The same where files cannot be made without opening them; only one that is new is opened, before anybody
/// has a lock on it.
#[cfg(not(target_os = "linux"))]
fn create_file(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Switches to the write-ahead log, which the file remembers: readers and the writer do not wait for each
/// other, and a commit is one append.
fn switch_to_write_ahead_log(connection: &Connection) -> Result<(), StoreError> {
    // SQLite's own waiting stops where it could be a deadlock, for example when two processes switch a fresh
    // database at the same moment. So all the waiting is done here, where nothing is held between two tries.
    connection.busy_timeout(Duration::ZERO)?;
    let mut tries_left = limits::STORE_BUSY_TIMEOUT.as_millis() / limits::STORE_OPEN_PAUSE.as_millis();
    let mode: String = loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match mode.map_err(StoreError::from) {
            Err(StoreError::Busy) if tries_left > 0 => {
                tries_left -= 1;
                let _ = crossbeam_channel::after(limits::STORE_OPEN_PAUSE).recv();
            }
            ended => break ended?,
        }
    };
    if mode == "wal" {
        return Ok(());
    }
    let reason = format!("its file system cannot share a write-ahead log (journal mode {mode})");
    Err(StoreError::Open { path: connection.path().unwrap_or_default().to_owned(), reason })
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(limits::STORE_STATEMENTS);
    connection.execute_batch(&format!(
        "PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{};",
        limits::STORE_PAGE_CACHE_KIB
    ))?;
    Ok(())
}
