//! Lists of threads: keyset paging over one index, so that a page costs what it holds.

use std::cmp::Ordering;

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::cursor::ThreadCursor;
use super::database::Database;
use super::error::StoreError;
use super::records::{Direction, SortKey, ThreadPage, ThreadQuery, ThreadRecord};
use super::threads::{COLUMNS, read_thread};

impl SortKey {
    fn column(self) -> &'static str {
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
        let next_cursor = records.last().filter(|_| more);
        let next_cursor =
            next_cursor.map(|last| ThreadCursor { at_ms: key.of(last), id: last.id.clone() }.text());
        let backwards_cursor =
            records.first().map(|first| ThreadCursor::turning_at(key.of(first), query.direction).text());
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
    /// The statement, one row longer than the page to see whether there is more. Lists of filter values are
    /// one JSON text each, so there are few statements to prepare and no limit on their number.
    fn sql(&self) -> (String, Vec<Value>) {
        let query = self.query;
        let column = query.sort_key.column();
        let (beyond, order) = match query.direction {
            Direction::Ascending => (">", "ASC"),
            Direction::Descending => ("<", "DESC"),
        };
        let mut sql = format!("SELECT {COLUMNS} FROM threads WHERE archived = ? AND has_turns = ?");
        let mut values = vec![Value::from(query.archived), Value::from(self.has_turns)];
        if let Some(cursor) = self.cursor {
            sql.push_str(&format!(" AND ({column}, id) {beyond} (?, ?)"));
            values.push(cursor.at_ms.into());
            values.push(cursor.id.clone().into());
        }
        let filters = [
            ("cwd IN", &query.cwds),
            ("model_provider IN", &query.model_providers),
            ("source IN", &query.sources),
            ("originator IN", &query.originators),
            ("id NOT IN", &query.excluded_ids),
        ];
        for (filter, texts) in filters {
            if !texts.is_empty() {
                sql.push_str(&format!(" AND {filter} (SELECT value FROM json_each(?))"));
                values.push(serde_json::Value::from(texts.clone()).to_string().into());
            }
        }
        if let Some(term) = &query.search_term {
            // Two placeholders for one value: numbered ones would not mix with the others.
            sql.push_str(r" AND (name LIKE ? ESCAPE '\' OR preview LIKE ? ESCAPE '\')");
            let pattern = contains(term);
            values.push(pattern.clone().into());
            values.push(pattern.into());
        }
        sql.push_str(&format!(" ORDER BY {column} {order}, id {order} LIMIT ?"));
        values.push((i64::from(query.limit.max(1)) + 1).into());
        (sql, values)
    }
}

/// A LIKE pattern for "has this text somewhere".
fn contains(term: &str) -> String {
    let mut pattern = String::with_capacity(term.len() + 2);
    pattern.push('%');
    for character in term.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
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
                let query = ThreadQuery {
                    sort_key,
                    direction,
                    search_term: Some("x".to_owned()),
                    cwds: vec!["/".to_owned()],
                    ..ThreadQuery::default()
                };
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

    #[test]
    fn wildcards_of_a_search_are_escaped() {
        assert_eq!(contains(r"50%_\"), r"%50\%\_\\%");
    }
}
