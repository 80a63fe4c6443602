//! Tests of the store, by concern, and what they share.

mod conversation;
mod leases;
mod paging;
mod searching;
mod sharing;
mod worker;
mod writing;

use std::path::{Path, PathBuf};

use super::*;
pub(super) use crate::scratch::Folder;

pub(super) fn memory() -> Database {
    Database::open_in_memory().expect("a database in memory opens")
}

/// A thread whose three times are `at_ms`.
pub(super) fn thread(id: &str, at_ms: i64) -> ThreadRecord {
    ThreadRecord {
        id: id.to_owned(),
        session_id: id.to_owned(),
        model_provider: "offline".to_owned(),
        model: "m".to_owned(),
        cwd: "/work".to_owned(),
        source: "exec".to_owned(),
        cli_version: "1".to_owned(),
        settings: "{}".to_owned(),
        created_at_ms: at_ms,
        updated_at_ms: at_ms,
        recency_at_ms: at_ms,
        ..ThreadRecord::default()
    }
}

pub(super) fn item(turn_id: &str, id: &str, kind: &str) -> NewItem {
    NewItem {
        id: id.to_owned(),
        turn_id: turn_id.to_owned(),
        kind: kind.to_owned(),
        body: format!("{{\"id\":\"{id}\"}}"),
        ..NewItem::default()
    }
}

/// Adds a thread with one turn `t1` that holds one user message `u1`.
pub(super) fn insert(database: &mut Database, record: &ThreadRecord) {
    database.insert_thread(record).expect("it is new");
    start(database, &record.id, "t1", record.created_at_ms, &[item("t1", "u1", "userMessage")]);
}

pub(super) fn start(database: &mut Database, thread: &str, id: &str, at_ms: i64, items: &[NewItem]) -> i64 {
    let turn = NewTurn { id, started_at_ms: at_ms, ..NewTurn::default() };
    database.start_turn(thread, &turn, items).expect("the turn is new")
}

pub(super) fn ids(records: &[ThreadRecord]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

pub(super) fn turn_ids(page: &TurnPage) -> Vec<&str> {
    page.turns.iter().map(|(turn, _)| turn.id.as_str()).collect()
}

pub(super) fn item_ids(items: &[ItemRecord]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

/// The open database's answer to a pragma.
pub(super) fn pragma(database: &Database, name: &str) -> rusqlite::types::Value {
    database.connection.pragma_query_value(None, name, |row| row.get(0)).expect("the pragma answers")
}
