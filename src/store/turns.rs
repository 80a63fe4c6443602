//! Turns and items: how they are written.

use rusqlite::{OptionalExtension, named_params};

use super::database::Database;
use super::error::StoreError;
use super::records::{ItemRecord, NewItem, NewTurn, TurnEnd, TurnRecord, TurnState};

impl Database {
    /// Adds a turn with its first items at the thread's end; returns its ordinal.
    ///
    /// The thread gets a preview if it has none, and the turn's start as the time of its last change; its
    /// times never go back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; [`StoreError::Exists`] when the thread has such a turn.
    pub fn start_turn(
        &mut self,
        thread_id: &str,
        turn: &NewTurn<'_>,
        items: &[NewItem],
    ) -> Result<i64, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let ordinal: i64 = self
            .prepare("SELECT COALESCE(MAX(ordinal), 0) + 1 FROM turns WHERE thread = ?1")?
            .query_row([thread], |row| row.get(0))?;
        self.prepare(
            "INSERT INTO turns (thread, ordinal, id, state, started_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((thread, ordinal, turn.id, TurnState::InProgress.code(), turn.started_at_ms))
        .map_err(|error| StoreError::of_insert(error, "turn", turn.id))?;
        self.prepare(
            "UPDATE threads SET
                 preview = CASE WHEN preview = '' THEN COALESCE(?2, '') ELSE preview END,
                 updated_at_ms = MAX(updated_at_ms, ?3),
                 recency_at_ms = MAX(recency_at_ms, ?3),
                 turn_count = turn_count + 1
             WHERE key = ?1",
        )?
        .execute((thread, turn.preview_if_first, turn.started_at_ms))?;
        if let Some(client_id) = turn.client_id {
            self.add_submission(thread_id, turn.id, client_id)?;
        }
        for item in items {
            self.put_item(thread_id, item)?;
        }
        Ok(ordinal)
    }

    /// Notes that a turn took what its client submitted under `client_id`, so that submitting it again can be
    /// told. The first turn keeps an id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread or the turn.
    pub fn add_submission(
        &mut self,
        thread_id: &str,
        turn_id: &str,
        client_id: &str,
    ) -> Result<(), StoreError> {
        let thread = self.thread_key(thread_id)?;
        let turn = self.turn_key(thread, turn_id)?;
        self.prepare("INSERT OR IGNORE INTO submissions (thread, client_id, turn) VALUES (?1, ?2, ?3)")?
            .execute((thread, client_id, turn))?;
        Ok(())
    }

    /// Adds an item at the thread's end, or, when its turn has an item with this id, replaces that one's
    /// kind, body and times and leaves it in its place. A time that is missing leaves the one that is
    /// there.
    ///
    /// Does not touch the thread's own row: a turn has many items.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread or the turn.
    pub fn put_item(&mut self, thread_id: &str, item: &NewItem) -> Result<(), StoreError> {
        let thread = self.thread_key(thread_id)?;
        let turn = self.turn_key(thread, &item.turn_id)?;
        self.prepare(
            "INSERT INTO items (turn, thread, ordinal, id, kind, started_at_ms, completed_at_ms, body)
             VALUES (:turn, :thread, (SELECT COALESCE(MAX(ordinal), 0) + 1 FROM items WHERE thread = :thread),
                 :id, :kind, :started_at_ms, :completed_at_ms, :body)
             ON CONFLICT (turn, id) DO UPDATE SET
                 kind = excluded.kind,
                 started_at_ms = COALESCE(excluded.started_at_ms, started_at_ms),
                 completed_at_ms = COALESCE(excluded.completed_at_ms, completed_at_ms),
                 body = excluded.body",
        )?
        .execute(named_params! {
            ":turn": turn,
            ":thread": thread,
            ":id": item.id,
            ":kind": item.kind,
            ":started_at_ms": item.started_at_ms,
            ":completed_at_ms": item.completed_at_ms,
            ":body": item.body,
        })?;
        Ok(())
    }

    /// Ends a turn that is in progress; false when there is none with this id, so the second end of a turn
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn end_turn(
        &mut self,
        thread_id: &str,
        turn_id: &str,
        end: &TurnEnd<'_>,
    ) -> Result<bool, StoreError> {
        debug_assert_ne!(end.state, TurnState::InProgress, "that is no end");
        let thread = self.thread_key(thread_id)?;
        let ended = self
            .prepare(
                "UPDATE turns SET state = ?3, error = ?4, completed_at_ms = ?5
                 WHERE thread = ?1 AND id = ?2 AND state = 0",
            )?
            .execute((thread, turn_id, end.state.code(), end.error, end.completed_at_ms))?;
        // Who interrupted a turn knows of it.
        let is_news = end.state != TurnState::Interrupted;
        if ended > 0 {
            self.prepare(
                "UPDATE threads SET updated_at_ms = MAX(updated_at_ms, ?2),
                     token_usage = COALESCE(?3, token_usage),
                     unread_turn = CASE WHEN ?5 THEN COALESCE(unread_turn, ?4) ELSE unread_turn END,
                     read_revision = read_revision + ?5
                 WHERE key = ?1",
            )?
            .execute((thread, end.completed_at_ms, end.token_usage, turn_id, is_news))?;
        }
        Ok(ended > 0)
    }

    /// Ends the turns that a dead process left in progress, as interrupted; returns how many there were.
    ///
    /// The store cannot know whether the process is dead: the caller must not run a turn of this thread.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn interrupt_open_turns(&mut self, thread_id: &str, at_ms: i64) -> Result<usize, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let interrupted = self
            .prepare("UPDATE turns SET state = ?2, completed_at_ms = ?3 WHERE thread = ?1 AND state = 0")?
            .execute((thread, TurnState::Interrupted.code(), at_ms))?;
        Ok(interrupted)
    }

    /// Adds ended copies of turns of some thread, with their items and ids, to the end of this one: what was
    /// in progress is interrupted at `now_ms`. The other thread may be in another database.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; [`StoreError::Exists`] when it has one of the turns.
    pub fn append_turns(
        &mut self,
        thread_id: &str,
        turns: &[(TurnRecord, Vec<ItemRecord>)],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        for (turn, items) in turns {
            let new = NewTurn {
                id: &turn.id,
                started_at_ms: turn.started_at_ms.unwrap_or(now_ms),
                preview_if_first: None,
                client_id: None,
            };
            let items: Vec<NewItem> = items.iter().map(ItemRecord::to_new).collect();
            self.start_turn(thread_id, &new, &items)?;
            let state = match turn.state {
                TurnState::InProgress => TurnState::Interrupted,
                ended => ended,
            };
            let completed_at_ms = turn.completed_at_ms.unwrap_or(now_ms);
            let end = TurnEnd { state, error: turn.error.as_deref(), completed_at_ms, token_usage: None };
            self.end_turn(thread_id, &turn.id, &end)?;
        }
        Ok(())
    }

    /// Removes the turns after `turn_id` with their items, or, with `inclusive`, that turn as well; returns
    /// how many.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread or the turn.
    pub fn remove_turns_after(
        &mut self,
        thread_id: &str,
        turn_id: &str,
        inclusive: bool,
    ) -> Result<usize, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let first = self.turn_ordinal(thread, turn_id)?.saturating_add(i64::from(!inclusive));
        self.forget_conversation_from(thread, first)?;
        let removed = self
            .prepare("DELETE FROM turns WHERE thread = ?1 AND ordinal >= ?2")?
            .execute((thread, first))?;
        self.count_turns(thread)?;
        self.prepare(
            "UPDATE threads SET unread_turn = NULL, read_revision = read_revision + 1
             WHERE key = ?1 AND unread_turn NOT IN (SELECT id FROM turns WHERE thread = ?1)",
        )?
        .execute([thread])?;
        Ok(removed)
    }

    fn turn_ordinal(&self, thread: i64, turn_id: &str) -> Result<i64, StoreError> {
        let ordinal = self
            .prepare("SELECT ordinal FROM turns WHERE thread = ?1 AND id = ?2")?
            .query_row((thread, turn_id), |row| row.get(0))
            .optional()?;
        ordinal.ok_or_else(|| StoreError::turn_not_found(turn_id))
    }

    fn count_turns(&mut self, thread: i64) -> Result<(), StoreError> {
        self.prepare(
            "UPDATE threads SET turn_count = (SELECT COUNT(*) FROM turns WHERE thread = ?1) WHERE key = ?1",
        )?
        .execute([thread])?;
        Ok(())
    }
}
