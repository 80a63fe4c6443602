//! Who writes to a thread: one process at a time, by a lease that dies with its owner.
//!
//! A process that writes keeps a file in the `owners` folder locked (`flock`) for as long as it lives; the
//! operating system lets go of the lock however the process ends. A thread's row names the owner's file. An
//! owner whose file is not locked, or is not there, is dead, and its threads are free.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::OptionalExtension;
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use super::database::Database;
use super::error::StoreError;

/// Folder of the owners' files, beside the database.
const DIR_NAME: &str = "owners";
/// Bytes of an owner's file that are read: a process id and a newline.
const OWNER_BYTES_MAX: u64 = 32;

/// Where owners are found, and this process's own lease once it has written.
#[derive(Debug)]
pub(super) struct Leases {
    dir: PathBuf,
    own: Option<Own>,
}

/// This process's lease. Its drop lets go of it.
#[derive(Debug)]
struct Own {
    name: String,
    path: PathBuf,
    _locked: File,
}

impl Leases {
    pub(super) fn new(database_dir: &Path) -> Self {
        Self { dir: database_dir.join(DIR_NAME), own: None }
    }

    /// The name of this process's lease, which is taken now if it was not before.
    fn own_name(&mut self) -> io::Result<&str> {
        if self.own.is_none() {
            self.own = Some(Own::take(&self.dir)?);
        }
        Ok(self.own.as_ref().map_or("", |own| own.name.as_str()))
    }

    fn is_own(&self, name: &str) -> bool {
        self.own.as_ref().is_some_and(|own| own.name == name)
    }

    /// True if this is the name of another owner that lives.
    pub(super) fn is_held_by_another(&self, name: &str) -> bool {
        !self.is_own(name) && self.holder(name).is_some()
    }

    /// What is known of another owner if it lives: its process id as it wrote it. The file of a dead one is
    /// removed.
    fn holder(&self, name: &str) -> Option<String> {
        // The name comes from the database; it must not lead anywhere else.
        Uuid::parse_str(name).ok()?;
        let path = self.dir.join(name);
        let file = File::open(&path).ok()?;
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            let _ = std::fs::remove_file(&path);
            return None;
        }
        let mut text = String::new();
        let _ = file.take(OWNER_BYTES_MAX).read_to_string(&mut text);
        Some(format!("process {}", text.trim()))
    }
}

impl Own {
    fn take(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let name = Uuid::new_v4().to_string();
        let path = dir.join(&name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { name, path, _locked: file })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Database {
    /// Makes this process the one that writes to a thread. A database in memory has no other processes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; [`StoreError::Owned`] while another live process has it.
    pub fn claim(&mut self, thread_id: &str) -> Result<(), StoreError> {
        let owner = self.owner(thread_id)?;
        let Some(leases) = &mut self.leases else { return Ok(()) };
        if let Some(owner) = &owner {
            if leases.is_own(owner) {
                return Ok(());
            }
            if let Some(holder) = leases.holder(owner) {
                return Err(StoreError::Owned { id: thread_id.to_owned(), holder });
            }
        }
        let own = leases
            .own_name()
            .map_err(|error| StoreError::Sqlite(format!("the lease cannot be written: {error}")))?
            .to_owned();
        self.prepare("UPDATE threads SET owner = ?2 WHERE id = ?1")?.execute((thread_id, own))?;
        Ok(())
    }

    /// Gives a thread up that this process had claimed; any other is left as it is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn release(&mut self, thread_id: &str) -> Result<(), StoreError> {
        let Some(own) = self.leases.as_ref().and_then(|leases| leases.own.as_ref()) else { return Ok(()) };
        self.prepare("UPDATE threads SET owner = NULL WHERE id = ?1 AND owner = ?2")?
            .execute((thread_id, &own.name))?;
        Ok(())
    }

    /// True if a live process other than this one writes to the thread.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn is_owned_elsewhere(&self, thread_id: &str) -> Result<bool, StoreError> {
        let Some(leases) = &self.leases else { return Ok(false) };
        let owner = self.owner(thread_id)?;
        Ok(owner.is_some_and(|owner| !leases.is_own(&owner) && leases.holder(&owner).is_some()))
    }

    /// Refuses to touch a thread that another live process writes to.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; [`StoreError::Owned`].
    pub fn refuse_other_writer(&self, thread_id: &str) -> Result<(), StoreError> {
        let Some(owner) = self.owner(thread_id)? else { return Ok(()) };
        let other = self.leases.as_ref().filter(|leases| !leases.is_own(&owner));
        match other.and_then(|leases| leases.holder(&owner)) {
            Some(holder) => Err(StoreError::Owned { id: thread_id.to_owned(), holder }),
            None => Ok(()),
        }
    }

    fn owner(&self, thread_id: &str) -> Result<Option<String>, StoreError> {
        let owner = self
            .prepare("SELECT owner FROM threads WHERE id = ?1")?
            .query_row([thread_id], |row| row.get(0))
            .optional()?;
        owner.ok_or_else(|| StoreError::thread_not_found(thread_id))
    }
}
