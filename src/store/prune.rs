//! Removing old threads, and giving their room back. Never run by a server; `app-server prune` does it,
//! beside servers that may be running.

use rusqlite::OptionalExtension;

use super::database::{Access, Database};
use super::error::StoreError;
use crate::limits;

/// A thread that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldThread {
    /// Its id.
    pub id: String,
    /// Its name, or else its preview.
    pub title: String,
    /// When it last changed.
    pub updated_at_ms: i64,
    /// About how many bytes it takes.
    pub bytes: u64,
}

/// A thread's place among all, by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgedThread {
    key: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
}

/// What became of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pruned {
    /// It is gone, or would be.
    Removed,
    /// Another live process has it open; who, for people.
    InUse(String),
    /// It was gone already, or has changed since it was found to be old.
    Changed,
}

/// The database's room, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The file without its log.
    pub file: u64,
    /// What of it is in use.
    pub used: u64,
}

impl Database {
    /// All threads, the one that changed longest ago first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn threads_by_age(&self) -> Result<Vec<AgedThread>, StoreError> {
        let mut statement =
            self.prepare("SELECT key, updated_at_ms FROM threads ORDER BY updated_at_ms, key")?;
        let rows =
            statement.query_map([], |row| Ok(AgedThread { key: row.get(0)?, updated_at_ms: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is known of these threads, in their order; what is gone is left out.
    ///
    /// # Errors
    /// SQLite's.
    pub fn old_threads(&self, threads: &[AgedThread]) -> Result<Vec<OldThread>, StoreError> {
        let mut statement = self.prepare(
            "SELECT id, COALESCE(name, preview), LENGTH(settings) + LENGTH(preview)
                 + (SELECT TOTAL(LENGTH(body)) FROM items WHERE thread = threads.key)
                 + (SELECT TOTAL(LENGTH(body)) FROM conversation WHERE conversation.thread = threads.key)
             FROM threads WHERE key = ?1",
        )?;
        let mut found = Vec::with_capacity(threads.len());
        for thread in threads {
            let row = statement.query_row([thread.key], |row| {
                // Lengths: never negative, and far below what a double holds exactly.
                let bytes = row.get::<_, f64>(2)? as u64;
                let updated_at_ms = thread.updated_at_ms;
                Ok(OldThread { id: row.get(0)?, title: row.get(1)?, updated_at_ms, bytes })
            });
            found.extend(row.optional()?);
        }
        Ok(found)
    }

    /// Removes threads in one transaction, except those that another live process has open and those that
    /// have changed; with `dry_run` it only says what it would do.
    ///
    /// # Errors
    /// SQLite's; nothing of it is kept then.
    pub fn prune(&mut self, threads: &[OldThread], dry_run: bool) -> Result<Vec<Pruned>, StoreError> {
        self.begin(if dry_run { Access::Read } else { Access::Write })?;
        let outcomes: Result<Vec<_>, _> =
            threads.iter().map(|thread| self.prune_one(thread, dry_run)).collect();
        if dry_run || outcomes.is_err() {
            self.rollback();
        } else {
            self.commit()?;
        }
        outcomes
    }

    fn prune_one(&mut self, thread: &OldThread, dry_run: bool) -> Result<Pruned, StoreError> {
        let updated_at_ms: Option<i64> = self
            .prepare("SELECT updated_at_ms FROM threads WHERE id = ?1")?
            .query_row([&thread.id], |row| row.get(0))
            .optional()?;
        if updated_at_ms != Some(thread.updated_at_ms) {
            return Ok(Pruned::Changed);
        }
        match self.refuse_other_writer(&thread.id) {
            Err(StoreError::Owned { holder, .. }) => return Ok(Pruned::InUse(holder)),
            other => other?,
        }
        if !dry_run {
            self.delete_thread(&thread.id)?;
        }
        Ok(Pruned::Removed)
    }

    /// How much room the database takes.
    ///
    /// # Errors
    /// SQLite's.
    pub fn room(&self) -> Result<Room, StoreError> {
        let pragma = |name: &str| -> Result<u64, StoreError> {
            let value: i64 = self.connection.pragma_query_value(None, name, |row| row.get(0))?;
            Ok(u64::try_from(value).unwrap_or(0))
        };
        let (size, pages, free) = (pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?);
        Ok(Room { file: size * pages, used: size * pages.saturating_sub(free) })
    }

    /// Gives the room of removed threads back to the file system, in steps that hold nobody up for long.
    /// False for a database that an older program made: that takes [`Self::rebuild`].
    ///
    /// # Errors
    /// SQLite's.
    pub fn give_room_back(&mut self) -> Result<bool, StoreError> {
        const INCREMENTAL: i64 = 2;
        let mode: i64 = self.connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
        if mode != INCREMENTAL {
            return Ok(false);
        }
        loop {
            let free: i64 = self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
            if free == 0 {
                break;
            }
            let step = format!("PRAGMA incremental_vacuum({})", limits::PRUNE_PAGES);
            let mut statement = self.connection.prepare(&step)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            drop(rows);
            drop(statement);
            let left: i64 = self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
            if left >= free {
                break;
            }
        }
        self.checkpoint()?;
        Ok(true)
    }

    /// Writes the whole database anew, without free room, and so that room can be given back in steps from
    /// then on. Others cannot write meanwhile, so it is for when nobody else is there.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when somebody else is; [`StoreError::DiskFull`]: it needs as much room again.
    pub fn rebuild(&mut self) -> Result<(), StoreError> {
        self.connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM;")?;
        self.checkpoint()
    }

    /// Moves the log into the file, as far as readers let it.
    fn checkpoint(&self) -> Result<(), StoreError> {
        let moved = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        match moved.map_err(StoreError::from) {
            Err(StoreError::Busy) => Ok(()),
            other => other,
        }
    }

    /// True if a live process other than this one writes to any thread.
    ///
    /// # Errors
    /// SQLite's.
    pub fn has_other_writers(&self) -> Result<bool, StoreError> {
        let Some(leases) = &self.leases else { return Ok(false) };
        let mut statement = self.prepare("SELECT DISTINCT owner FROM threads WHERE owner IS NOT NULL")?;
        let owners = statement.query_map([], |row| row.get::<_, String>(0))?;
        for owner in owners {
            if leases.is_held_by_another(&owner?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
