//! Turns and items: how they are read, page by page or whole.

use rusqlite::{OptionalExtension, Row};

use super::cursor::{OrdinalCursor, Scope};
use super::database::Database;
use super::error::StoreError;
use super::records::{
    Direction, ItemPage, ItemQuery, ItemRecord, ItemsView, LatestCursors, TurnPage, TurnQuery, TurnRecord,
    TurnState,
};

const TURN_COLUMNS: &str = "turns.id, turns.state, turns.error, turns.started_at_ms, turns.completed_at_ms, \
    turns.ordinal, turns.key";
const ITEM_COLUMNS: &str = "items.id, turns.id, items.kind, items.body, items.started_at_ms, \
    items.completed_at_ms, items.ordinal";

/// The two kinds of item that make a summary.
const FIRST_OF_SUMMARY: &str = "userMessage";
const LAST_OF_SUMMARY: &str = "agentMessage";

fn read_turn(row: &Row<'_>) -> rusqlite::Result<(TurnRecord, i64)> {
    let state: i64 = row.get(1)?;
    let state = TurnState::from_code(state).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, state))?;
    let turn = TurnRecord {
        id: row.get(0)?,
        state,
        error: row.get(2)?,
        started_at_ms: row.get(3)?,
        completed_at_ms: row.get(4)?,
        ordinal: row.get(5)?,
    };
    Ok((turn, row.get(6)?))
}

fn read_item(row: &Row<'_>) -> rusqlite::Result<ItemRecord> {
    Ok(ItemRecord {
        id: row.get(0)?,
        turn_id: row.get(1)?,
        kind: row.get(2)?,
        body: row.get(3)?,
        started_at_ms: row.get(4)?,
        completed_at_ms: row.get(5)?,
        ordinal: row.get(6)?,
    })
}

fn order(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    }
}

/// Whose items a page holds.
#[derive(Clone, Copy)]
enum Owner {
    Thread,
    Turn,
}

/// A page of turns: thread, lowest and highest ordinal, limit.
fn turns_sql(direction: Direction) -> String {
    format!(
        "SELECT {TURN_COLUMNS} FROM turns WHERE thread = ?1 AND ordinal BETWEEN ?2 AND ?3
         ORDER BY ordinal {} LIMIT ?4",
        order(direction)
    )
}

/// A page of items: owner, lowest and highest ordinal, limit.
fn items_sql(owner: Owner, direction: Direction) -> String {
    let owner = match owner {
        Owner::Thread => "items.thread",
        Owner::Turn => "items.turn",
    };
    format!(
        "SELECT {ITEM_COLUMNS} FROM items JOIN turns ON turns.key = items.turn
         WHERE {owner} = ?1 AND items.ordinal BETWEEN ?2 AND ?3 ORDER BY items.ordinal {} LIMIT ?4",
        order(direction)
    )
}

/// The items of one turn; none when the view has none.
fn items_of_turn_sql(view: ItemsView) -> Option<String> {
    let which = match view {
        ItemsView::None => return None,
        ItemsView::Full => "items.turn = ?1".to_owned(),
        ItemsView::Summary => format!(
            "items.key IN (
                 (SELECT key FROM items WHERE turn = ?1 AND kind = '{FIRST_OF_SUMMARY}'
                  ORDER BY ordinal LIMIT 1),
                 (SELECT key FROM items WHERE turn = ?1 AND kind = '{LAST_OF_SUMMARY}'
                  ORDER BY ordinal DESC LIMIT 1))"
        ),
    };
    Some(format!(
        "SELECT {ITEM_COLUMNS} FROM items JOIN turns ON turns.key = items.turn
         WHERE {which} ORDER BY items.ordinal"
    ))
}

/// Decides where a page ends: at its limit, or before the row that would make it too large.
struct Room {
    rows: usize,
    rows_max: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Room {
    fn new(limit: u32, bytes_max: usize) -> Self {
        Self { rows: 0, rows_max: limit.max(1) as usize, bytes: 0, bytes_max }
    }

    /// True when a row of `bytes` still has its place; the first one always has.
    fn take(&mut self, bytes: usize) -> bool {
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.rows == 1 || (self.rows <= self.rows_max && self.bytes <= self.bytes_max)
    }
}

impl Database {
    /// One page of a thread's turns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; [`StoreError::InvalidCursor`], also for a cursor of another
    /// thread or of a list of items.
    pub fn turns_page(&self, thread_id: &str, query: &TurnQuery) -> Result<TurnPage, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let cursor = query.cursor.as_deref().map(|text| OrdinalCursor::parse(text, Scope::Turns, thread_id));
        let (low, high) = OrdinalCursor::range(cursor.transpose()?, query.direction);
        let sql = turns_sql(query.direction);
        let mut statement = self.prepare(&sql)?;
        let rows = statement.query_map((thread, low, high, i64::from(query.limit.max(1)) + 1), read_turn)?;
        let mut room = Room::new(query.limit, query.bytes_max);
        let mut turns = Vec::new();
        let mut more = false;
        for row in rows {
            // The row behind the last one is only there to tell that there is more; its items stay unread.
            let (turn, key) = row?;
            let items =
                if turns.len() < room.rows_max { self.items_of(key, query.items)? } else { Vec::new() };
            if !room.take(items.iter().map(|item| item.body.len()).sum()) {
                more = true;
                break;
            }
            turns.push((turn, items));
        }
        let at = |cursor: OrdinalCursor| cursor.text(Scope::Turns, thread_id);
        let next_cursor =
            turns.last().filter(|_| more).map(|(turn, _)| at(OrdinalCursor::after(turn.ordinal)));
        let backwards_cursor = turns.first().map(|(turn, _)| at(OrdinalCursor::from(turn.ordinal)));
        Ok(TurnPage { turns, next_cursor, backwards_cursor })
    }

    /// One page of a thread's items, or of one turn's. A cursor is good for both.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread or the turn; [`StoreError::InvalidCursor`], also for a cursor
    /// of another thread or of a list of turns.
    pub fn items_page(&self, thread_id: &str, query: &ItemQuery) -> Result<ItemPage, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let turn = query.turn_id.as_deref().map(|id| self.turn_key(thread, id)).transpose()?;
        let cursor = query.cursor.as_deref().map(|text| OrdinalCursor::parse(text, Scope::Items, thread_id));
        let (low, high) = OrdinalCursor::range(cursor.transpose()?, query.direction);
        let (owner, key) = turn.map_or((Owner::Thread, thread), |turn| (Owner::Turn, turn));
        let sql = items_sql(owner, query.direction);
        let mut statement = self.prepare(&sql)?;
        let rows = statement.query_map((key, low, high, i64::from(query.limit.max(1)) + 1), read_item)?;
        let mut room = Room::new(query.limit, query.bytes_max);
        let mut items = Vec::new();
        let mut more = false;
        for row in rows {
            let item = row?;
            if !room.take(item.body.len()) {
                more = true;
                break;
            }
            items.push(item);
        }
        let at = |cursor: OrdinalCursor| cursor.text(Scope::Items, thread_id);
        let next_cursor = items.last().filter(|_| more).map(|item| at(OrdinalCursor::after(item.ordinal)));
        let backwards_cursor = items.first().map(|item| at(OrdinalCursor::from(item.ordinal)));
        Ok(ItemPage { items, next_cursor, backwards_cursor })
    }

    /// The items of a turn with these ids, oldest first; ids that the turn does not have are left out.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread or the turn.
    pub fn items_by_id(
        &self,
        thread_id: &str,
        turn_id: &str,
        ids: &[&str],
    ) -> Result<Vec<ItemRecord>, StoreError> {
        let turn = self.turn_key(self.thread_key(thread_id)?, turn_id)?;
        let sql = format!(
            "SELECT {ITEM_COLUMNS} FROM items JOIN turns ON turns.key = items.turn
             WHERE items.turn = ?1 AND items.id IN (SELECT value FROM json_each(?2)) ORDER BY items.ordinal"
        );
        let mut statement = self.prepare(&sql)?;
        let rows = statement.query_map((turn, serde_json::Value::from(ids).to_string()), read_item)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The turn with this id; none when the thread has no such turn.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn turn(&self, thread_id: &str, turn_id: &str) -> Result<Option<TurnRecord>, StoreError> {
        let sql = format!("SELECT {TURN_COLUMNS} FROM turns WHERE thread = ?1 AND id = ?2");
        self.one_turn(&sql, thread_id, turn_id)
    }

    /// The turn that took what the client submitted under this id; none when there was no such submission.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn turn_by_client_id(
        &self,
        thread_id: &str,
        client_id: &str,
    ) -> Result<Option<TurnRecord>, StoreError> {
        let sql = format!(
            "SELECT {TURN_COLUMNS} FROM submissions JOIN turns ON turns.key = submissions.turn
             WHERE submissions.thread = ?1 AND submissions.client_id = ?2"
        );
        self.one_turn(&sql, thread_id, client_id)
    }

    fn one_turn(&self, sql: &str, thread_id: &str, id: &str) -> Result<Option<TurnRecord>, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let turn = self.prepare(sql)?.query_row((thread, id), read_turn).optional()?;
        Ok(turn.map(|(turn, _)| turn))
    }

    /// Every turn with all its items, oldest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn all_turns(&self, thread_id: &str) -> Result<Vec<(TurnRecord, Vec<ItemRecord>)>, StoreError> {
        let everything = TurnQuery {
            cursor: None,
            limit: u32::MAX,
            direction: Direction::Ascending,
            items: ItemsView::Full,
            bytes_max: usize::MAX,
        };
        Ok(self.turns_page(thread_id, &everything)?.turns)
    }

    /// Cursors at the newest turn and the newest item.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread.
    pub fn latest_cursors(&self, thread_id: &str) -> Result<LatestCursors, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let newest = |sql: &str, scope| -> Result<Option<String>, StoreError> {
            let ordinal: Option<i64> = self.prepare(sql)?.query_row([thread], |row| row.get(0))?;
            Ok(ordinal.map(|ordinal| OrdinalCursor::from(ordinal).text(scope, thread_id)))
        };
        Ok(LatestCursors {
            turns: newest("SELECT MAX(ordinal) FROM turns WHERE thread = ?1", Scope::Turns)?,
            items: newest("SELECT MAX(ordinal) FROM items WHERE thread = ?1", Scope::Items)?,
        })
    }

    /// The items of one turn, oldest first.
    fn items_of(&self, turn: i64, view: ItemsView) -> Result<Vec<ItemRecord>, StoreError> {
        let Some(sql) = items_of_turn_sql(view) else { return Ok(Vec::new()) };
        let mut statement = self.prepare(&sql)?;
        let rows = statement.query_map([turn], read_item)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How SQLite would run a statement.
    fn plan(sql: &str) -> String {
        let database = Database::open_in_memory().expect("memory");
        let mut statement =
            database.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("it is valid SQL");
        let unbound = vec![0; statement.parameter_count()];
        let steps = statement.query_map(rusqlite::params_from_iter(unbound), |row| row.get::<_, String>(3));
        steps.expect("it explains").collect::<Result<Vec<_>, _>>().expect("every step is text").join("; ")
    }

    #[test]
    fn every_page_walks_an_index_and_sorts_nothing() {
        for direction in [Direction::Ascending, Direction::Descending] {
            for (sql, index) in [
                (turns_sql(direction), "(thread=? AND ordinal>? AND ordinal<?)"),
                (items_sql(Owner::Thread, direction), "(thread=? AND ordinal>? AND ordinal<?)"),
                (items_sql(Owner::Turn, direction), "items_by_turn (turn=? AND ordinal>? AND ordinal<?)"),
            ] {
                let steps = plan(&sql);
                assert!(steps.contains(index), "{sql}: {steps}");
                assert!(!steps.contains("SCAN") && !steps.contains("TEMP B-TREE"), "{sql}: {steps}");
            }
        }
    }

    #[test]
    fn the_items_of_a_turn_are_found_by_its_index() {
        let full = plan(&items_of_turn_sql(ItemsView::Full).expect("there are items"));
        assert!(full.contains("items_by_turn (turn=?)") && !full.contains("SCAN"), "{full}");
        // A summary looks for its two items in the index alone and reads the bodies of no others.
        let summary = plan(&items_of_turn_sql(ItemsView::Summary).expect("there are items"));
        assert_eq!(summary.matches("COVERING INDEX items_by_turn (turn=?)").count(), 2, "{summary}");
        assert!(!summary.contains("SCAN"), "{summary}");
    }
}
