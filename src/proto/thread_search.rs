//! `thread/search` and `thread/searchOccurrences`: what stands where.

use std::ops::Not;

use serde::{Deserialize, Serialize};

use super::null_is_default;
use super::thread::Thread;
use super::thread_read::{Paging, SortDirection, ThreadSortKey, ThreadSourceKind};

/// Parameters of `thread/search`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchParams {
    /// What to look for.
    pub search_term: String,
    /// Which part of them.
    #[serde(flatten)]
    pub page: Paging,
    /// What to sort by; none means creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_key: Option<ThreadSortKey>,
    /// The order; none means newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_direction: Option<SortDirection>,
    /// Only these kinds; none or empty means the interactive ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_kinds: Option<Vec<ThreadSourceKind>>,
    /// The archived ones instead of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Attached threads as well.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub include_attached_threads: bool,
    /// Only threads of the account that is signed in.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub current_account_only: bool,
}

/// A thread that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadSearchResult {
    /// The thread.
    pub thread: Thread,
    /// What stands around the first hit.
    pub snippet: String,
}

/// Answer to `thread/search`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchResponse {
    /// The threads.
    pub data: Vec<ThreadSearchResult>,
    /// Continues after the last one.
    pub next_cursor: Option<String>,
    /// Continues before the first one, in the opposite direction.
    pub backwards_cursor: Option<String>,
}

/// Parameters of `thread/searchOccurrences`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchOccurrencesParams {
    /// The thread.
    pub thread_id: String,
    /// A text of any case, no pattern.
    pub search_term: String,
    /// Which part of them.
    #[serde(flatten)]
    pub page: Paging,
}

/// One occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchOccurrence {
    /// The message's turn.
    pub turn_id: String,
    /// The message.
    pub item_id: String,
    /// Begins a page of `thread/turns/list` with that turn.
    pub turn_cursor: String,
    /// What stands around it.
    pub snippet: String,
    /// Where it is in the snippet.
    pub snippet_match_range: ThreadSearchTextRange,
}

/// A range of a text in UTF-16 code units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadSearchTextRange {
    /// The first.
    pub start: u32,
    /// Behind the last.
    pub end: u32,
}

/// Answer to `thread/searchOccurrences`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchOccurrencesResponse {
    /// Oldest first.
    pub data: Vec<ThreadSearchOccurrence>,
    /// Continues after the last one.
    pub next_cursor: Option<String>,
}
