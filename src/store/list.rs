//! Lists of threads: keyset paging over one index, so that a page costs what it holds.

use std::cmp::Ordering;

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::cursor::ThreadCursor;
use super::database::Database;
use super::error::StoreError;
use super::records::{Direction, SortKey, ThreadPage, ThreadQuery, ThreadRecord};
use super::search::SearchIn;
use super::threads::{COLUMNS, read_thread};

impl SortKey {
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at_ms",
            Self::UpdatedAt => "updated_at_ms",
            Self::RecencyAt => "recency_at_ms",
        }
    }

    fn of(self, thread: &ThreadRecord) -> i64 {
        match self {
            Self::CreatedAt => thread.created_at_ms,
            Self::UpdatedAt => thread.updated_at_ms,
            Self::RecencyAt => thread.recency_at_ms,
        }
    }
}

impl Database {
    /// One page of threads.
    ///
    /// A thread that is inserted while a client pages is seen if its place is still ahead; no thread is seen
    /// twice and none is missed, unless its own sort key changes meanwhile.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`].
    pub fn list_threads(&self, query: &ThreadQuery) -> Result<ThreadPage, StoreError> {
        if query.search_term.is_some() {
            let page = self.search_threads(query, SearchIn::Titles)?;
            return Ok(ThreadPage {
                records: page.hits.into_iter().map(|hit| hit.record).collect(),
                next_cursor: page.next_cursor,
                backwards_cursor: page.backwards_cursor,
            });
        }
        let cursor = query.cursor.as_deref().map(ThreadCursor::parse).transpose()?;
        let limit = query.limit.max(1) as usize;
        // The index is ordered only among threads with turns, and among those without: two walks, one merge.
        let mut records = self.walk(&Walk { query, cursor: cursor.as_ref(), has_turns: true })?;
        if !query.with_turns_only {
            records.extend(self.walk(&Walk { query, cursor: cursor.as_ref(), has_turns: false })?);
            records.sort_by(|left, right| order(query, left, right));
        }
        let more = records.len() > limit;
        records.truncate(limit);
        let key = query.sort_key;
        let last = records.last().filter(|_| more);
        let last = last.map(|last| ThreadCursor { at_ms: key.of(last), id: last.id.clone() });
        let (next_cursor, backwards_cursor) = next_cursors(query, records.first(), last);
        Ok(ThreadPage { records, next_cursor, backwards_cursor })
    }

    fn walk(&self, walk: &Walk<'_>) -> Result<Vec<ThreadRecord>, StoreError> {
        let (sql, values) = walk.sql();
        let mut statement = self.prepare(&sql)?;
        let rows = statement.query_map(params_from_iter(values), read_thread)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The order of the list, as SQLite's BINARY collation has it.
fn order(query: &ThreadQuery, left: &ThreadRecord, right: &ThreadRecord) -> Ordering {
    let key = query.sort_key;
    let order = (key.of(left), &left.id).cmp(&(key.of(right), &right.id));
    match query.direction {
        Direction::Ascending => order,
        Direction::Descending => order.reverse(),
    }
}

/// One walk along an index.
struct Walk<'a> {
    query: &'a ThreadQuery,
    cursor: Option<&'a ThreadCursor>,
    has_turns: bool,
}

impl Walk<'_> {
    /// The statement, one row longer than the page to see whether there is more.
    fn sql(&self) -> (String, Vec<Value>) {
        let mut sql = format!("SELECT {COLUMNS} FROM threads");
        let mut values = Vec::new();
        conditions(self.query, self.cursor, self.has_turns, &mut sql, &mut values);
        sql.push_str(&order_by(self.query));
        sql.push_str(" LIMIT ?");
        values.push((i64::from(self.query.limit.max(1)) + 1).into());
        (sql, values)
    }
}

/// The cursors of a page: after its last place, if there is more, and back from its first thread.
pub(super) fn next_cursors(
    query: &ThreadQuery,
    first: Option<&ThreadRecord>,
    last: Option<ThreadCursor>,
) -> (Option<String>, Option<String>) {
    let key = query.sort_key;
    let turning = |first| ThreadCursor::turning_at(key.of(first), query.direction).text();
    (last.map(|last| last.text()), first.map(turning))
}

/// Which threads, without the search term. Lists of filter values are one JSON text each, so there are few
/// statements to prepare and no limit on their number.
pub(super) fn conditions(
    query: &ThreadQuery,
    cursor: Option<&ThreadCursor>,
    has_turns: bool,
    sql: &mut String,
    values: &mut Vec<Value>,
) {
    sql.push_str(" WHERE archived = ? AND has_turns = ?");
    values.extend([Value::from(query.archived), Value::from(has_turns)]);
    if let Some(cursor) = cursor {
        let beyond = match query.direction {
            Direction::Ascending => '>',
            Direction::Descending => '<',
        };
        sql.push_str(&format!(" AND ({}, threads.id) {beyond} (?, ?)", query.sort_key.column()));
        values.push(cursor.at_ms.into());
        values.push(cursor.id.clone().into());
    }
    let filters = [
        ("cwd IN", &query.cwds),
        ("model_provider IN", &query.model_providers),
        ("source IN", &query.sources),
        ("originator IN", &query.originators),
        ("threads.id NOT IN", &query.excluded_ids),
    ];
    for (filter, texts) in filters {
        if !texts.is_empty() {
            sql.push_str(&format!(" AND {filter} (SELECT value FROM json_each(?))"));
            values.push(serde_json::Value::from(texts.clone()).to_string().into());
        }
    }
}

/// The order of the list.
pub(super) fn order_by(query: &ThreadQuery) -> String {
    let order = match query.direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    };
    format!(" ORDER BY {} {order}, threads.id {order}", query.sort_key.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How SQLite would run a statement, one line per step.
    fn plan(database: &Database, walk: &Walk<'_>) -> Vec<String> {
        let (sql, values) = walk.sql();
        let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("it is valid SQL");
        let lines = statement.query_map(params_from_iter(values), |row| row.get(3)).expect("it explains");
        lines.collect::<Result<_, _>>().expect("every line is text")
    }

    #[test]
    fn every_list_walks_its_index_from_the_cursor_and_sorts_nothing() {
        let database = Database::open_in_memory().expect("memory");
        let cursor = ThreadCursor { at_ms: 1, id: "a".to_owned() };
        for (sort_key, index, column) in [
            (SortKey::CreatedAt, "threads_by_creation", "created_at_ms"),
            (SortKey::UpdatedAt, "threads_by_update", "updated_at_ms"),
            (SortKey::RecencyAt, "threads_by_recency", "recency_at_ms"),
        ] {
            for (direction, beyond) in [(Direction::Ascending, '>'), (Direction::Descending, '<')] {
                let query =
                    ThreadQuery { sort_key, direction, cwds: vec!["/".to_owned()], ..ThreadQuery::default() };
                for has_turns in [true, false] {
                    let steps = plan(&database, &Walk { query: &query, cursor: Some(&cursor), has_turns });
                    let expected = format!(
                        "SEARCH threads USING INDEX {index} (archived=? AND has_turns=? AND ({column},id){beyond}(?,?))"
                    );
                    assert!(steps.contains(&expected), "{steps:#?} has not {expected}");
                    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:#?}");
                }
            }
        }
    }
}
