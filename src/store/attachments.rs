//! What clients keep with threads: attachments, and what their users have read.

use rusqlite::{OptionalExtension, Row};

use super::cursor::{OrdinalCursor, Scope};
use super::database::Database;
use super::error::StoreError;
use super::records::Direction;

/// An attachment of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachmentRecord {
    /// Unique.
    pub id: String,
    /// What it is, in its client's words.
    pub kind: String,
    /// Which one of its kind; unique in its thread.
    pub identity: String,
    /// What is kept, as JSON.
    pub payload: String,
    /// When it was made.
    pub created_at_ms: i64,
}

/// A page of a thread's attachments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachmentPage {
    /// Oldest first.
    pub attachments: Vec<AttachmentRecord>,
    /// Continues after the last one; none at the end.
    pub next_cursor: Option<String>,
}

/// A page of the threads that have an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnerPage {
    /// Ids of threads, and whether they are archived.
    pub owners: Vec<(String, bool)>,
    /// Continues after the last one; none at the end.
    pub next_cursor: Option<String>,
}

/// What a user has read of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadState {
    /// The first turn that is not read; none if all are.
    pub unread_turn: Option<String>,
    /// Changes with every change.
    pub revision: i64,
}

const ATTACHMENT: &str =
    "SELECT id, kind, identity, payload, created_at_ms, key FROM attachments WHERE thread = ?1";

fn read_attachment(row: &Row<'_>) -> rusqlite::Result<(AttachmentRecord, i64)> {
    let attachment = AttachmentRecord {
        id: row.get(0)?,
        kind: row.get(1)?,
        identity: row.get(2)?,
        payload: row.get(3)?,
        created_at_ms: row.get(4)?,
    };
    Ok((attachment, row.get(5)?))
}

impl Database {
    /// The attachment of this kind and identity.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn attachment(
        &self,
        thread_id: &str,
        kind: &str,
        identity: &str,
    ) -> Result<Option<AttachmentRecord>, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let sql = format!("{ATTACHMENT} AND kind = ?2 AND identity = ?3");
        let found = self.prepare(&sql)?.query_row((thread, kind, identity), read_attachment).optional()?;
        Ok(found.map(|(attachment, _)| attachment))
    }

    /// Adds an attachment; false, and nothing changes, if the thread has `max` already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; SQLite's when there is one of this kind and identity.
    pub fn add_attachment(
        &mut self,
        thread_id: &str,
        new: &AttachmentRecord,
        max: usize,
    ) -> Result<bool, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let sql = "SELECT COUNT(*) FROM attachments WHERE thread = ?1";
        let count: i64 = self.prepare(sql)?.query_row([thread], |row| row.get(0))?;
        if usize::try_from(count).is_ok_and(|count| count >= max) {
            return Ok(false);
        }
        self.prepare(
            "INSERT INTO attachments (thread, id, kind, identity, payload, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((thread, &new.id, &new.kind, &new.identity, &new.payload, new.created_at_ms))?;
        Ok(true)
    }

    /// Removes an attachment and returns its id; none if there was none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn remove_attachment(
        &mut self,
        thread_id: &str,
        kind: &str,
        identity: &str,
    ) -> Result<Option<String>, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let removed = self
            .prepare(
                "DELETE FROM attachments WHERE thread = ?1 AND kind = ?2 AND identity = ?3 RETURNING id",
            )?
            .query_row((thread, kind, identity), |row| row.get(0))
            .optional()?;
        Ok(removed)
    }

    /// One page of a thread's attachments.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; [`StoreError::InvalidCursor`].
    pub fn attachments(
        &self,
        thread_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<AttachmentPage, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let cursor = cursor.map(|text| OrdinalCursor::parse(text, Scope::Attachments, thread_id));
        let (first, _) = OrdinalCursor::range(cursor.transpose()?, Direction::Ascending);
        let mut statement = self.prepare(&format!("{ATTACHMENT} AND key >= ?2 ORDER BY key LIMIT ?3"))?;
        let rows = statement.query_map((thread, first, i64::from(limit.max(1)) + 1), read_attachment)?;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let more = rows.len() > limit.max(1) as usize;
        rows.truncate(limit.max(1) as usize);
        let last = rows.last().filter(|_| more);
        let next_cursor = last.map(|(_, key)| OrdinalCursor::after(*key).text(Scope::Attachments, thread_id));
        Ok(AttachmentPage {
            attachments: rows.into_iter().map(|(attachment, _)| attachment).collect(),
            next_cursor,
        })
    }

    /// One page of the threads that have an attachment of this kind and identity: archived ones, others, or
    /// both.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`].
    pub fn attachment_owners(
        &self,
        kind: &str,
        identity: &str,
        archived: Option<bool>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<OwnerPage, StoreError> {
        let cursor = cursor.map(|text| OrdinalCursor::parse(text, Scope::Owners, identity));
        let (first, _) = OrdinalCursor::range(cursor.transpose()?, Direction::Ascending);
        let mut statement = self.prepare(
            "SELECT threads.id, threads.archived, threads.key
             FROM attachments JOIN threads ON threads.key = attachments.thread
             WHERE attachments.kind = ?1 AND attachments.identity = ?2 AND attachments.thread >= ?3
                 AND (?4 IS NULL OR threads.archived = ?4)
             ORDER BY attachments.thread LIMIT ?5",
        )?;
        let rows = statement
            .query_map((kind, identity, first, archived, i64::from(limit.max(1)) + 1), |row| {
                Ok(((row.get::<_, String>(0)?, row.get::<_, bool>(1)?), row.get::<_, i64>(2)?))
            })?;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let more = rows.len() > limit.max(1) as usize;
        rows.truncate(limit.max(1) as usize);
        let last = rows.last().filter(|_| more);
        let next_cursor = last.map(|(_, key)| OrdinalCursor::after(*key).text(Scope::Owners, identity));
        Ok(OwnerPage { owners: rows.into_iter().map(|(owner, _)| owner).collect(), next_cursor })
    }

    /// What of a thread is read.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn read_state(&self, thread_id: &str) -> Result<ReadState, StoreError> {
        let state = self
            .prepare("SELECT unread_turn, read_revision FROM threads WHERE id = ?1")?
            .query_row([thread_id], |row| Ok(ReadState { unread_turn: row.get(0)?, revision: row.get(1)? }))
            .optional()?;
        state.ok_or_else(|| StoreError::thread_not_found(thread_id))
    }

    /// Marks a thread as read, or its last turn as unread; returns the new state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn set_read(&mut self, thread_id: &str, is_read: bool) -> Result<ReadState, StoreError> {
        self.prepare(
            "UPDATE threads SET read_revision = read_revision + 1, unread_turn = CASE WHEN ?2 THEN NULL ELSE (
                 SELECT turns.id FROM turns WHERE turns.thread = threads.key ORDER BY ordinal DESC LIMIT 1
             ) END WHERE id = ?1",
        )?
        .execute((thread_id, is_read))?;
        self.read_state(thread_id)
    }
}
