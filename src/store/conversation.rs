//! The conversation of a thread as the model sees it: entries in their order, opaque JSON each.

use rusqlite::OptionalExtension;

use super::database::Database;
use super::error::StoreError;
use super::records::{Conversation, ConversationEntry, HistoryItem};

impl Database {
    /// Adds entries at the conversation's end. With `starts_over` the model is told nothing of what came
    /// before the first of them any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread or the turn.
    pub fn append_conversation(
        &mut self,
        thread_id: &str,
        turn_id: Option<&str>,
        starts_over: bool,
        bodies: &[String],
    ) -> Result<(), StoreError> {
        if bodies.is_empty() {
            return Ok(());
        }
        let thread = self.thread_key(thread_id)?;
        let turn = turn_id.map(|id| self.turn_key(thread, id)).transpose()?;
        let mut statement = self.prepare(
            "INSERT INTO conversation (thread, turn, ordinal, starts_over, body)
             VALUES (?1, ?2,
                 (SELECT COALESCE(MAX(ordinal), 0) + 1 FROM conversation WHERE thread = ?1), ?3, ?4)",
        )?;
        for (at, body) in bodies.iter().enumerate() {
            statement.execute((thread, turn, starts_over && at == 0, body))?;
        }
        Ok(())
    }

    /// What the model is told of a thread: the entries since the last one that starts over, and before them
    /// the items of turns that are older than the table of entries.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn conversation(&self, thread_id: &str) -> Result<Conversation, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let start: Option<i64> = self
            .prepare(
                "SELECT ordinal FROM conversation WHERE thread = ?1 AND starts_over = 1
                 ORDER BY ordinal DESC LIMIT 1",
            )?
            .query_row([thread], |row| row.get(0))
            .optional()?;
        let items = if start.is_none() { self.items_without_entries(thread)? } else { Vec::new() };
        let mut statement = self
            .prepare("SELECT body FROM conversation WHERE thread = ?1 AND ordinal >= ?2 ORDER BY ordinal")?;
        let entries = statement.query_map((thread, start.unwrap_or(0)), |row| row.get(0))?;
        Ok(Conversation { items, entries: entries.collect::<Result<_, _>>()? })
    }

    /// All entries of a thread, for a copy of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn conversation_entries(&self, thread_id: &str) -> Result<Vec<ConversationEntry>, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let mut statement = self.prepare(
            "SELECT turns.id, starts_over, body FROM conversation LEFT JOIN turns ON turns.key = turn
             WHERE conversation.thread = ?1 ORDER BY conversation.ordinal",
        )?;
        let rows = statement.query_map([thread], |row| {
            Ok(ConversationEntry { turn_id: row.get(0)?, starts_over: row.get(1)?, body: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds copies of another thread's entries, up to the first that belongs to a turn that this thread does
    /// not have.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn copy_conversation(
        &mut self,
        thread_id: &str,
        entries: &[ConversationEntry],
    ) -> Result<(), StoreError> {
        let thread = self.thread_key(thread_id)?;
        for entry in entries {
            let turn = entry.turn_id.as_deref().map(|id| self.turn_key(thread, id));
            match turn.transpose() {
                Err(StoreError::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) => self.append_conversation(
                    thread_id,
                    entry.turn_id.as_deref(),
                    entry.starts_over,
                    std::slice::from_ref(&entry.body),
                )?,
            }
        }
        Ok(())
    }

    /// Forgets the entries of the turns from `first_ordinal` on, and what was put in after them.
    pub(super) fn forget_conversation_from(
        &mut self,
        thread: i64,
        first_ordinal: i64,
    ) -> Result<(), StoreError> {
        self.prepare(
            "DELETE FROM conversation WHERE thread = ?1 AND ordinal >= (
                 SELECT MIN(conversation.ordinal) FROM conversation JOIN turns ON turns.key = turn
                 WHERE turns.thread = ?1 AND turns.ordinal >= ?2)",
        )?
        .execute((thread, first_ordinal))?;
        Ok(())
    }

    fn items_without_entries(&self, thread: i64) -> Result<Vec<HistoryItem>, StoreError> {
        let mut statement = self.prepare(
            "SELECT items.kind, items.body FROM items JOIN turns ON turns.key = items.turn
             WHERE turns.thread = ?1
                 AND NOT EXISTS (SELECT 1 FROM conversation WHERE conversation.turn = turns.key)
             ORDER BY items.ordinal",
        )?;
        let rows =
            statement.query_map([thread], |row| Ok(HistoryItem { kind: row.get(0)?, body: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
