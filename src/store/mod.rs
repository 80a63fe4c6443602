//! The store: threads, turns and items in one SQLite database, `<dir>/store.sqlite`.
//!
//! It keeps what was acknowledged, also through `kill -9`, and answers lists, pages and searches by queries
//! that cost what the page costs, not what the database holds. Several processes may share one database.
//!
//! Items, settings, errors and usage are opaque JSON text to it. It may not know the protocol, connections
//! or the model; all of the protocol that it knows are the two kinds of item that make a turn's summary, and
//! where these have their text, which is searched.
//!
//! All of it runs on one worker, named `store` ([`StoreWorker`]): whatever is queued when the worker looks is
//! done in one transaction, so the price of a commit is shared under load and nobody waits for a timer.
//! [`StoreHandle`] is how the others reach it.

mod agenda;
mod attachments;
mod conversation;
mod cursor;
mod database;
mod error;
mod fill;
mod lease;
mod list;
mod needle;
mod pages;
mod prune;
mod records;
mod schema;
mod search;
mod threads;
mod turns;
mod worker;

#[cfg(test)]
mod tests;

pub use agenda::{AgendaRecord, GoalRecord, QueuePage, QueuedRecord};
pub use attachments::{AttachmentPage, AttachmentRecord, OwnerPage, ReadState};
pub use database::{Database, FILE_NAME};
pub use error::{StoreError, StoreFull};
pub use needle::Snippet;
pub use prune::{AgedThread, OldThread, Pruned, Room};
pub use records::{
    Conversation, ConversationEntry, Direction, HistoryItem, ItemPage, ItemQuery, ItemRecord, ItemsView,
    LatestCursors, NewItem, NewTurn, Occurrence, OccurrencePage, OccurrenceQuery, SearchPage, SettingsUpdate,
    SortKey, ThreadHit, ThreadPage, ThreadQuery, ThreadRecord, TurnEnd, TurnPage, TurnQuery, TurnRecord,
    TurnState,
};
pub use search::SearchIn;
pub use worker::{StoreHandle, StoreWorker};
