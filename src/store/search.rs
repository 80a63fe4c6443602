//! Searching threads by what stands in their titles and messages.
//!
//! A term is found as a substring. The index answers which texts may have it; each hit is then compared with
//! its text. A rare term gives few candidates, which are sorted; a common one makes the page full after a few
//! threads of the list, which is walked then. A term of one or two characters is no matter for the index: the
//! list is walked as well. In every case a page has a budget, and one that runs out of it ends early, with a
//! cursor.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params_from_iter};

use super::cursor::{OccurrenceCursor, OrdinalCursor, Scope, ThreadCursor};
use super::database::Database;
use super::error::StoreError;
use super::list::{conditions, next_cursors, order_by};
use super::needle::{Needle, Snippet};
use super::records::{
    Occurrence, OccurrencePage, OccurrenceQuery, SearchPage, ThreadHit, ThreadQuery, ThreadRecord,
};
use super::threads::{COLUMNS, read_thread};
use crate::limits;

/// Bits of a message's number that say its place in its thread; schema step 2.
const PLACE_BITS: u32 = 24;

/// Which texts of a thread are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchIn {
    /// Its name and its preview.
    Titles,
    /// These, and what its user and its agent said.
    Everything,
}

/// The hits of a term that the index could give at once.
struct Candidates {
    /// Threads, sorted, each once.
    threads: Vec<i64>,
    /// Numbers of messages, sorted.
    messages: Vec<i64>,
}

/// A search while it runs.
struct Search<'a> {
    database: &'a Database,
    needle: Needle,
    /// For the index; none for a short term, or where there is no index.
    query: Option<String>,
    scope: SearchIn,
    budget: usize,
}

/// A thread in the order of the list.
struct Place {
    key: i64,
    at_ms: i64,
    id: String,
}

impl Database {
    /// One page of the threads that have turns and the query's search term.
    ///
    /// A page may be shorter than its limit, even empty, and still have a next cursor: it has cost enough.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`].
    pub fn search_threads(&self, query: &ThreadQuery, scope: SearchIn) -> Result<SearchPage, StoreError> {
        let cursor = query.cursor.as_deref().map(ThreadCursor::parse).transpose()?;
        let needle = Needle::new(query.search_term.as_deref().unwrap_or_default());
        let index = needle.query().filter(|_| self.has_search_index());
        let mut search =
            Search { database: self, needle, query: index, scope, budget: limits::SEARCH_TEXTS_MAX };
        let candidates = search.candidates()?;
        let (sql, values) = places_sql(query, cursor.as_ref(), candidates.as_ref());
        let mut statement = self.prepare(&sql)?;
        let places = statement.query_map(params_from_iter(values), |row| {
            Ok(Place { key: row.get(0)?, at_ms: row.get(1)?, id: row.get(2)? })
        })?;
        let limit = query.limit.max(1) as usize;
        let mut hits: Vec<ThreadHit> = Vec::new();
        // Where the page goes on if it ends before the list does.
        let mut last: Option<ThreadCursor> = None;
        let mut more = false;
        for place in places {
            let place = place?;
            if hits.len() == limit || search.budget == 0 {
                more = true;
                break;
            }
            if let Some(snippet) = search.look_at(place.key, candidates.as_ref())? {
                hits.push(ThreadHit { record: self.thread_by_key(place.key)?, snippet });
            }
            last = Some(ThreadCursor { at_ms: place.at_ms, id: place.id });
        }
        let (next_cursor, backwards_cursor) =
            next_cursors(query, hits.first().map(|hit| &hit.record), last.filter(|_| more));
        Ok(SearchPage { hits, next_cursor, backwards_cursor })
    }

    /// One page of the places in one thread's messages where a text stands, oldest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the thread; [`StoreError::InvalidCursor`], also for a cursor of another
    /// thread.
    pub fn occurrences(
        &self,
        thread_id: &str,
        query: &OccurrenceQuery,
    ) -> Result<OccurrencePage, StoreError> {
        let thread = self.thread_key(thread_id)?;
        let cursor = query.cursor.as_deref().map(|text| OccurrenceCursor::parse(text, thread_id));
        let from = cursor.transpose()?.unwrap_or_default();
        let needle = Needle::new(&query.term);
        let mut statement = self.prepare(
            "SELECT message_texts.ordinal, message_texts.id, text, turns.id, turns.ordinal
             FROM message_texts JOIN turns ON turns.key = message_texts.turn
             WHERE message_texts.thread = ?1 AND message_texts.ordinal >= ?2 AND text IS NOT NULL
             ORDER BY message_texts.ordinal",
        )?;
        let mut rows = statement.query((thread, from.ordinal))?;
        let limit = query.limit.max(1) as usize;
        let mut page = OccurrencePage::default();
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            let ordinal: i64 = row.get(0)?;
            let text = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            let mut at = if ordinal == from.ordinal { from.byte } else { 0 };
            looked_at += 1;
            loop {
                let hit = needle.find(text, at);
                if page.occurrences.len() == limit || looked_at > limits::SEARCH_TEXTS_MAX {
                    // Only if there is more, or nobody knows whether there is.
                    if hit.is_some() || looked_at > limits::SEARCH_TEXTS_MAX {
                        let next = OccurrenceCursor { ordinal, byte: at };
                        page.next_cursor = Some(next.text(thread_id));
                        return Ok(page);
                    }
                    break;
                }
                let Some(hit) = hit else { break };
                at = hit.end;
                page.occurrences.push(Occurrence {
                    turn_id: row.get(3)?,
                    item_id: row.get(1)?,
                    turn_cursor: OrdinalCursor::from(row.get(4)?).text(Scope::Turns, thread_id),
                    snippet: Snippet::around(text, hit),
                });
            }
        }
        Ok(page)
    }

    fn thread_by_key(&self, key: i64) -> Result<ThreadRecord, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM threads WHERE key = ?1");
        Ok(self.prepare(&sql)?.query_row([key], read_thread)?)
    }

    /// A database in memory is not searched often enough to have one.
    fn has_search_index(&self) -> bool {
        self.leases.is_some()
    }

    /// True when everything of this kind is indexed.
    fn is_filled(&self, what: &str) -> Result<bool, StoreError> {
        let through: Option<i64> = self
            .prepare("SELECT through FROM search_fill WHERE what = ?1")?
            .query_row([what], |row| row.get(0))
            .optional()?;
        Ok(through.is_none())
    }

    /// Up to `max` rows of an index that have all of the query's trigrams, in order; none if there are more.
    fn matches(&self, table: &str, query: &str, max: usize) -> Result<Option<Vec<i64>>, StoreError> {
        let sql = format!("SELECT rowid FROM {table} WHERE {table} MATCH ?1 ORDER BY rowid LIMIT ?2");
        let mut statement = self.prepare(&sql)?;
        let rows =
            statement.query_map((query, i64::try_from(max).unwrap_or(i64::MAX) + 1), |row| row.get(0))?;
        let found = rows.collect::<Result<Vec<i64>, _>>()?;
        Ok((found.len() <= max).then_some(found))
    }
}

impl Search<'_> {
    /// All threads that may have the term. None if the index cannot say, or they are many.
    fn candidates(&self) -> Result<Option<Candidates>, StoreError> {
        let Some(query) = &self.query else { return Ok(None) };
        let database = self.database;
        if !database.is_filled("threads")? {
            return Ok(None);
        }
        let Some(mut threads) = database.matches("thread_search", query, limits::SEARCH_CANDIDATES_MAX)?
        else {
            return Ok(None);
        };
        let messages = match self.scope {
            SearchIn::Titles => Vec::new(),
            SearchIn::Everything => {
                match database.matches("message_search", query, limits::SEARCH_HITS_MAX)? {
                    Some(messages) => messages,
                    None => return Ok(None),
                }
            }
        };
        threads.extend(messages.iter().map(|number| number >> PLACE_BITS));
        threads.sort_unstable();
        threads.dedup();
        Ok((threads.len() <= limits::SEARCH_CANDIDATES_MAX).then_some(Candidates { threads, messages }))
    }

    /// What of a thread has the term, if anything.
    fn look_at(
        &mut self,
        thread: i64,
        candidates: Option<&Candidates>,
    ) -> Result<Option<String>, StoreError> {
        self.spend(/*texts*/ 1);
        let mut statement =
            self.database.prepare("SELECT COALESCE(name, ''), preview FROM threads WHERE key = ?1")?;
        let titles: [String; 2] = statement.query_row([thread], |row| Ok([row.get(0)?, row.get(1)?]))?;
        if let Some(snippet) = titles.iter().find_map(|title| self.needle.snippet(title)) {
            return Ok(Some(snippet.text));
        }
        if self.scope == SearchIn::Titles {
            return Ok(None);
        }
        let first = thread << PLACE_BITS;
        let last = first + (1 << PLACE_BITS) - 1;
        match (candidates, &self.query) {
            (Some(candidates), _) => {
                let from = candidates.messages.partition_point(|number| *number < first);
                let own = candidates.messages[from..].iter().take_while(|number| **number <= last);
                self.first_of(thread, own.copied())
            }
            (None, Some(query)) => {
                let mut statement = self.database.prepare(
                    "SELECT rowid FROM message_search
                     WHERE message_search MATCH ?1 AND rowid BETWEEN ?2 AND ?3
                     ORDER BY rowid",
                )?;
                let rows = statement.query_map((query, first, last), |row| row.get(0))?;
                let own = rows.collect::<Result<Vec<i64>, _>>()?;
                self.spend(limits::SEARCH_PROBE_TEXTS);
                self.first_of(thread, own.into_iter())
            }
            (None, None) => self.first_of_all(thread),
        }
    }

    /// The snippet of the first of these messages that really has the term.
    fn first_of(
        &mut self,
        thread: i64,
        messages: impl Iterator<Item = i64>,
    ) -> Result<Option<String>, StoreError> {
        let mut statement =
            self.database.prepare("SELECT text FROM message_texts WHERE thread = ?1 AND ordinal = ?2")?;
        for number in messages {
            self.spend(/*texts*/ 1);
            let place = number & ((1 << PLACE_BITS) - 1);
            let text =
                statement.query_row((thread, place), |row| row.get::<_, Option<String>>(0)).optional()?;
            if let Some(snippet) = text.flatten().and_then(|text| self.needle.snippet(&text)) {
                return Ok(Some(snippet.text));
            }
        }
        Ok(None)
    }

    /// The same for all messages of a thread, as far as the budget goes.
    fn first_of_all(&mut self, thread: i64) -> Result<Option<String>, StoreError> {
        let mut statement = self.database.prepare(
            "SELECT text FROM message_texts WHERE thread = ?1 AND text IS NOT NULL ORDER BY ordinal",
        )?;
        let mut rows = statement.query([thread])?;
        while let Some(row) = rows.next()? {
            if self.budget == 0 {
                break;
            }
            self.spend(/*texts*/ 1);
            let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            if let Some(snippet) = self.needle.snippet(text) {
                return Ok(Some(snippet.text));
            }
        }
        Ok(None)
    }

    fn spend(&mut self, texts: usize) {
        self.budget = self.budget.saturating_sub(texts);
    }
}

/// The threads to look at in the list's order: the candidates, or all.
fn places_sql(
    query: &ThreadQuery,
    cursor: Option<&ThreadCursor>,
    candidates: Option<&Candidates>,
) -> (String, Vec<Value>) {
    let column = query.sort_key.column();
    let mut sql = format!("SELECT threads.key, {column}, threads.id FROM ");
    let mut values = Vec::new();
    match candidates {
        // Said in this order, so that each candidate is one look by its key.
        Some(candidates) => {
            sql.push_str("json_each(?) AS candidate CROSS JOIN threads ON threads.key = candidate.value");
            values.push(serde_json::Value::from(candidates.threads.clone()).to_string().into());
        }
        None => sql.push_str("threads"),
    }
    conditions(query, cursor, /*has_turns*/ true, &mut sql, &mut values);
    sql.push_str(&order_by(query));
    (sql, values)
}
