//! Indexing what was written before there was an index, a little at a time, newest first. Runs on the store's
//! worker while that has nothing else to do.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::database::{Access, Database};
use super::error::StoreError;
use crate::limits;

/// What is indexed, as `search_fill` names it: the table, where it has its texts, and the index.
struct Kind {
    table: &'static str,
    /// About how many bytes a row has.
    bytes: &'static str,
    insert: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        table: "threads",
        bytes: "length(preview)",
        insert: "INSERT INTO thread_search (rowid, text)
                 SELECT key, text FROM thread_texts WHERE key BETWEEN ?1 AND ?2
                 AND key NOT IN (SELECT rowid FROM thread_search WHERE rowid BETWEEN ?1 AND ?2)",
    },
    Kind {
        table: "items",
        bytes: "length(body)",
        insert: "INSERT INTO message_search (rowid, text)
                 SELECT number, text FROM message_texts WHERE key BETWEEN ?1 AND ?2 AND text IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM message_search WHERE message_search.rowid = number)",
    },
];

impl Database {
    /// Indexes some rows; true while there are more. Waits for nobody.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process writes; SQLite's.
    pub(super) fn fill_search(&mut self) -> Result<bool, StoreError> {
        let what = |database: &Self| -> Result<Option<(String, i64)>, StoreError> {
            let first = database
                .prepare("SELECT what, through FROM search_fill ORDER BY what DESC LIMIT 1")?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(first)
        };
        // A look without a lock: after the first time there is never anything to do.
        if what(self)?.is_none() {
            return Ok(false);
        }
        self.connection.busy_timeout(Duration::ZERO)?;
        let begun = self.begin(Access::Write);
        self.connection.busy_timeout(limits::STORE_BUSY_TIMEOUT)?;
        begun?;
        let Some((what, through)) = what(self)? else { return Ok(false) };
        if let Some(kind) = KINDS.iter().find(|kind| kind.table == what) {
            self.fill_kind(kind, through)?;
        }
        self.commit()?;
        Ok(true)
    }

    fn fill_kind(&mut self, kind: &Kind, through: i64) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT key, {} FROM {} WHERE key <= ?1 ORDER BY key DESC LIMIT ?2",
            kind.bytes, kind.table
        );
        let mut from = None;
        {
            let mut statement = self.prepare(&sql)?;
            let mut rows = statement.query((through, limits::SEARCH_FILL_ROWS))?;
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                from = Some(row.get::<_, i64>(0)?);
                bytes += row.get::<_, i64>(1)?;
                if bytes > limits::SEARCH_FILL_BYTES {
                    break;
                }
            }
        }
        match from {
            Some(from) => {
                self.prepare(kind.insert)?.execute((from, through))?;
                self.prepare("UPDATE search_fill SET through = ?2 WHERE what = ?1")?
                    .execute((kind.table, from - 1))?;
            }
            None => {
                self.prepare("DELETE FROM search_fill WHERE what = ?1")?.execute([kind.table])?;
            }
        }
        Ok(())
    }
}
