//! What a thread is to do next: its goal, and what waits in its queue.

use rusqlite::{OptionalExtension, Row};

use super::cursor::{OrdinalCursor, Scope};
use super::database::Database;
use super::error::StoreError;
use super::records::Direction;

/// What a thread works towards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoalRecord {
    /// In the user's words.
    pub objective: String,
    /// Where it stands; a word of the protocol.
    pub status: String,
    /// Tokens that it may use.
    pub token_budget: Option<i64>,
    /// Tokens that it has used.
    pub tokens_used: i64,
    /// How long its turns took.
    pub time_used_ms: i64,
    /// When it was set.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
}

/// A message that waits for the end of a turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuedRecord {
    /// Unique in its thread.
    pub id: String,
    /// The client's id for it; unique in its thread.
    pub client_id: String,
    /// The message as JSON.
    pub input: String,
    /// What a client wants kept with it, as JSON.
    pub metadata: Option<String>,
}

/// A page of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuePage {
    /// First to start first.
    pub queued: Vec<QueuedRecord>,
    /// Continues after the last one; none at the end.
    pub next_cursor: Option<String>,
}

/// What is to be done with a thread that is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgendaRecord {
    /// What it works towards.
    pub goal: Option<GoalRecord>,
    /// How many messages wait.
    pub queued: usize,
}

const QUEUED: &str = "SELECT id, client_id, input, metadata, position FROM queued WHERE thread = ?1";

fn read_queued(row: &Row<'_>) -> rusqlite::Result<(QueuedRecord, i64)> {
    let queued =
        QueuedRecord { id: row.get(0)?, client_id: row.get(1)?, input: row.get(2)?, metadata: row.get(3)? };
    Ok((queued, row.get(4)?))
}

impl Database {
    /// A thread's goal and the length of its queue.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn agenda(&self, thread_id: &str) -> Result<AgendaRecord, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let queued = self
            .prepare("SELECT COUNT(*) FROM queued WHERE thread = ?1")?
            .query_row([thread], |row| row.get::<_, i64>(0))?;
        Ok(AgendaRecord { goal: self.goal(thread_id)?, queued: usize::try_from(queued).unwrap_or(0) })
    }

    /// A thread's goal.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn goal(&self, thread_id: &str) -> Result<Option<GoalRecord>, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let mut statement = self.prepare(
            "SELECT objective, status, token_budget, tokens_used, time_used_ms, created_at_ms, updated_at_ms
             FROM goals WHERE thread = ?1",
        )?;
        let goal = statement.query_row([thread], |row| {
            Ok(GoalRecord {
                objective: row.get(0)?,
                status: row.get(1)?,
                token_budget: row.get(2)?,
                tokens_used: row.get(3)?,
                time_used_ms: row.get(4)?,
                created_at_ms: row.get(5)?,
                updated_at_ms: row.get(6)?,
            })
        });
        Ok(goal.optional()?)
    }

    /// Gives a thread a goal in place of the one that it had.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn put_goal(&mut self, thread_id: &str, goal: &GoalRecord) -> Result<(), StoreError> {
        let thread = self.thread_key(thread_id)?;
        self.prepare(
            "INSERT OR REPLACE INTO goals (thread, objective, status, token_budget, tokens_used, time_used_ms,
                 created_at_ms, updated_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            thread,
            &goal.objective,
            &goal.status,
            goal.token_budget,
            goal.tokens_used,
            goal.time_used_ms,
            goal.created_at_ms,
            goal.updated_at_ms,
        ))?;
        Ok(())
    }

    /// Takes a thread's goal away; false if it had none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn clear_goal(&mut self, thread_id: &str) -> Result<bool, StoreError> {
        let thread = self.thread_key(thread_id)?;
        Ok(self.prepare("DELETE FROM goals WHERE thread = ?1")?.execute([thread])? > 0)
    }

    /// Puts a message at the end of a thread's queue. If one with the client's id waits, that is returned and
    /// nothing is added. None if `max` wait already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn queue_add(
        &mut self,
        thread_id: &str,
        new: &QueuedRecord,
        max: usize,
    ) -> Result<Option<QueuedRecord>, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let known = self
            .prepare(&format!("{QUEUED} AND client_id = ?2"))?
            .query_row((thread, &new.client_id), read_queued)
            .optional()?;
        if let Some((known, _)) = known {
            return Ok(Some(known));
        }
        if self.agenda(thread_id)?.queued >= max {
            return Ok(None);
        }
        self.prepare(
            "INSERT INTO queued (thread, position, id, client_id, input, metadata) VALUES (?1,
                 (SELECT COALESCE(MAX(position), 0) + 1 FROM queued WHERE thread = ?1), ?2, ?3, ?4, ?5)",
        )?
        .execute((thread, &new.id, &new.client_id, &new.input, &new.metadata))?;
        Ok(Some(new.clone()))
    }

    /// One page of a thread's queue.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; [`StoreError::InvalidCursor`].
    pub fn queue_page(
        &self,
        thread_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QueuePage, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let cursor = cursor.map(|text| OrdinalCursor::parse(text, Scope::Queue, thread_id)).transpose()?;
        let (first, _) = OrdinalCursor::range(cursor, Direction::Ascending);
        let mut statement =
            self.prepare(&format!("{QUEUED} AND position >= ?2 ORDER BY position LIMIT ?3"))?;
        let rows = statement.query_map((thread, first, i64::from(limit.max(1)) + 1), read_queued)?;
        let limit = limit.max(1) as usize;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next_cursor =
            last.map(|(_, position)| OrdinalCursor::after(*position).text(Scope::Queue, thread_id));
        Ok(QueuePage { queued: rows.into_iter().map(|(queued, _)| queued).collect(), next_cursor })
    }

    /// The message with this id in a thread's queue, or the first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn queued(&self, thread_id: &str, id: Option<&str>) -> Result<Option<QueuedRecord>, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let sql = format!("{QUEUED} AND (?2 IS NULL OR id = ?2) ORDER BY position LIMIT 1");
        let found = self.prepare(&sql)?.query_row((thread, id), read_queued).optional()?;
        Ok(found.map(|(queued, _)| queued))
    }

    /// Replaces a message that waits, and what is kept with it if that is given; none if it does not wait.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn queue_update(
        &mut self,
        thread_id: &str,
        id: &str,
        input: &str,
        metadata: Option<&str>,
    ) -> Result<Option<QueuedRecord>, StoreError> {
        let thread = self.thread_key(thread_id)?;
        self.prepare(
            "UPDATE queued SET input = ?3, metadata = COALESCE(?4, metadata) WHERE thread = ?1 AND id = ?2",
        )?
        .execute((thread, id, input, metadata))?;
        self.queued(thread_id, Some(id))
    }

    /// Takes a message out of a thread's queue; false if it did not wait.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn queue_delete(&mut self, thread_id: &str, id: &str) -> Result<bool, StoreError> {
        let thread = self.thread_key(thread_id)?;
        Ok(self.prepare("DELETE FROM queued WHERE thread = ?1 AND id = ?2")?.execute((thread, id))? > 0)
    }

    /// Takes the message out of a thread's queue that a client submitted under this id; false if there is
    /// none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn queue_take(&mut self, thread_id: &str, client_id: &str) -> Result<bool, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let sql = "DELETE FROM queued WHERE thread = ?1 AND client_id = ?2";
        Ok(self.prepare(sql)?.execute((thread, client_id))? > 0)
    }

    /// Puts a thread's queue into this order; false, and nothing changes, unless these are the ids of all
    /// that wait.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn queue_reorder(&mut self, thread_id: &str, ids: &[String]) -> Result<bool, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let mut waiting: Vec<String> = {
            let mut statement = self.prepare("SELECT id FROM queued WHERE thread = ?1")?;
            let rows = statement.query_map([thread], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        let mut asked: Vec<&String> = ids.iter().collect();
        waiting.sort_unstable();
        asked.sort_unstable();
        if !waiting.iter().eq(asked) {
            return Ok(false);
        }
        let mut statement = self.prepare("UPDATE queued SET position = ?3 WHERE thread = ?1 AND id = ?2")?;
        for (position, id) in (1_i64..).zip(ids) {
            statement.execute((thread, id, position))?;
        }
        Ok(true)
    }
}
