//! Threads, one at a time.

use rusqlite::{OptionalExtension, Row, named_params};

use super::database::Database;
use super::error::StoreError;
use super::records::{SettingsUpdate, ThreadRecord};

/// The columns of a [`ThreadRecord`], in the order that [`read_thread`] reads them.
pub(super) const COLUMNS: &str = "id, session_id, forked_from_id, name, preview, model_provider, model, \
    reasoning_effort, cwd, source, thread_source, originator, cli_version, history_mode, created_at_ms, \
    updated_at_ms, recency_at_ms, archived, git, settings, token_usage, turn_count, \
    unread_turn, read_revision, epoch";

pub(super) fn read_thread(row: &Row<'_>) -> rusqlite::Result<ThreadRecord> {
    Ok(ThreadRecord {
        id: row.get(0)?,
        session_id: row.get(1)?,
        forked_from_id: row.get(2)?,
        name: row.get(3)?,
        preview: row.get(4)?,
        model_provider: row.get(5)?,
        model: row.get(6)?,
        reasoning_effort: row.get(7)?,
        cwd: row.get(8)?,
        source: row.get(9)?,
        thread_source: row.get(10)?,
        originator: row.get(11)?,
        cli_version: row.get(12)?,
        history_mode: row.get(13)?,
        created_at_ms: row.get(14)?,
        updated_at_ms: row.get(15)?,
        recency_at_ms: row.get(16)?,
        archived: row.get(17)?,
        git: row.get(18)?,
        settings: row.get(19)?,
        token_usage: row.get(20)?,
        turn_count: row.get(21)?,
        unread_turn: row.get(22)?,
        read_revision: row.get(23)?,
        epoch: row.get(24)?,
    })
}

impl Database {
    /// Adds a thread without turns; [`ThreadRecord::turn_count`] is ignored.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is a thread with this id.
    pub fn insert_thread(&mut self, thread: &ThreadRecord) -> Result<(), StoreError> {
        self.prepare(
            "INSERT INTO threads (id, session_id, forked_from_id, name, preview, model_provider, model,
                 reasoning_effort, cwd, source, thread_source, originator, cli_version, history_mode,
                 created_at_ms, updated_at_ms, recency_at_ms, archived, git, settings, token_usage,
                 turn_count)
             VALUES (:id, :session_id, :forked_from_id, :name, :preview, :model_provider, :model,
                 :reasoning_effort, :cwd, :source, :thread_source, :originator, :cli_version, :history_mode,
                 :created_at_ms, :updated_at_ms, :recency_at_ms, :archived, :git, :settings, :token_usage,
                 0)",
        )?
        .execute(named_params! {
            ":id": thread.id,
            ":session_id": thread.session_id,
            ":forked_from_id": thread.forked_from_id,
            ":name": thread.name,
            ":preview": thread.preview,
            ":model_provider": thread.model_provider,
            ":model": thread.model,
            ":reasoning_effort": thread.reasoning_effort,
            ":cwd": thread.cwd,
            ":source": thread.source,
            ":thread_source": thread.thread_source,
            ":originator": thread.originator,
            ":cli_version": thread.cli_version,
            ":history_mode": thread.history_mode,
            ":created_at_ms": thread.created_at_ms,
            ":updated_at_ms": thread.updated_at_ms,
            ":recency_at_ms": thread.recency_at_ms,
            ":archived": thread.archived,
            ":git": thread.git,
            ":settings": thread.settings,
            ":token_usage": thread.token_usage,
        })
        .map_err(|error| StoreError::of_insert(error, "thread", &thread.id))?;
        Ok(())
    }

    /// The thread with this id.
    ///
    /// # Errors
    /// SQLite's.
    pub fn thread(&self, id: &str) -> Result<Option<ThreadRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM threads WHERE id = ?1");
        Ok(self.prepare(&sql)?.query_row([id], read_thread).optional()?)
    }

    /// Counts that a thread is loaded once more; returns how often it was.
    ///
    /// # Errors
    /// SQLite's, also when there is no such thread.
    pub fn begin_epoch(&mut self, id: &str) -> Result<i64, StoreError> {
        let mut statement =
            self.prepare("UPDATE threads SET epoch = epoch + 1 WHERE id = ?1 RETURNING epoch")?;
        Ok(statement.query_row([id], |row| row.get(0))?)
    }

    /// Names a thread, or takes its name away; true when there is such a thread.
    ///
    /// # Errors
    /// SQLite's.
    pub fn set_name(&mut self, id: &str, name: Option<&str>) -> Result<bool, StoreError> {
        Ok(self.prepare("UPDATE threads SET name = ?2 WHERE id = ?1")?.execute((id, name))? > 0)
    }

    /// Puts a thread away or brings it back; true when there is such a thread.
    ///
    /// # Errors
    /// SQLite's.
    pub fn set_archived(&mut self, id: &str, archived: bool) -> Result<bool, StoreError> {
        Ok(self.prepare("UPDATE threads SET archived = ?2 WHERE id = ?1")?.execute((id, archived))? > 0)
    }

    /// Replaces a thread's settings; true when there is such a thread.
    ///
    /// # Errors
    /// SQLite's.
    pub fn set_settings(&mut self, id: &str, update: &SettingsUpdate<'_>) -> Result<bool, StoreError> {
        let changed = self
            .prepare(
                "UPDATE threads SET model_provider = :model_provider, model = :model,
                     reasoning_effort = :reasoning_effort, cwd = :cwd, settings = :settings
                 WHERE id = :id",
            )?
            .execute(named_params! {
                ":id": id,
                ":model_provider": update.model_provider,
                ":model": update.model,
                ":reasoning_effort": update.reasoning_effort,
                ":cwd": update.cwd,
                ":settings": update.settings,
            })?;
        Ok(changed > 0)
    }

    /// Replaces what is known of a thread's repository (JSON); true when there is such a thread.
    ///
    /// # Errors
    /// SQLite's.
    pub fn set_git(&mut self, id: &str, git: Option<&str>) -> Result<bool, StoreError> {
        Ok(self.prepare("UPDATE threads SET git = ?2 WHERE id = ?1")?.execute((id, git))? > 0)
    }

    /// Deletes a thread with its turns and items; true when there was such a thread.
    ///
    /// # Errors
    /// SQLite's.
    pub fn delete_thread(&mut self, id: &str) -> Result<bool, StoreError> {
        Ok(self.prepare("DELETE FROM threads WHERE id = ?1")?.execute([id])? > 0)
    }
}
