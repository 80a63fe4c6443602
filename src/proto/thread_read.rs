//! The `thread/…` methods that read, list, name, file away and delete threads.

use std::collections::BTreeMap;
use std::ops::Not;

use serde::{Deserialize, Serialize};

use super::item::ThreadItem;
use super::thread::{Thread, ThreadReadState};
use super::turn::{Turn, TurnItemsView};
use super::{null_is_default, present};

/// Parameters of `thread/read`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadParams {
    /// The thread.
    pub thread_id: String,
    /// Fill `thread.turns`.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub include_turns: bool,
}

/// Answer to `thread/read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadResponse {
    /// The thread.
    pub thread: Thread,
    /// What was read of it.
    pub read_state: Option<ThreadReadState>,
}

/// Answer to `thread/unarchive` and `thread/metadata/update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadResponse {
    /// The thread as it is now.
    pub thread: Thread,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Paging {
    /// A cursor of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Parameters of `thread/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadListParams {
    /// Which part of them.
    #[serde(flatten)]
    pub page: Paging,
    /// What to sort by; none means creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_key: Option<ThreadSortKey>,
    /// The order; none means newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_direction: Option<SortDirection>,
    /// Only these providers; empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_providers: Option<Vec<String>>,
    /// Only these kinds; none or empty means the interactive ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_kinds: Option<Vec<ThreadSourceKind>>,
    /// Only these clients; a non-empty list is for hosted servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originators: Option<Vec<String>>,
    /// The archived ones instead of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Only these working directories, compared exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<OneOrMany>,
    /// Only threads whose title contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_term: Option<String>,
    /// Only this section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_id: Option<String>,
    /// Only this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Only direct children of this thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_thread_id: Option<String>,
    /// Only descendants of this thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ancestor_thread_id: Option<String>,
    /// Only threads attached to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached_to_thread_id: Option<String>,
    /// Attached threads as well.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub include_attached_threads: bool,
    /// Not these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_thread_ids: Option<Vec<String>>,
    /// Only threads of the account that is signed in.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub current_account_only: bool,
    /// Answer from the index, do not look for files.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub use_state_db_only: bool,
}

/// One string or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Any of these.
    Many(Vec<String>),
}

/// What threads are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ThreadSortKey {
    /// Creation.
    #[default]
    CreatedAt,
    /// Last change.
    UpdatedAt,
    /// Last use.
    RecencyAt,
    /// Their place in the section.
    SectionPosition,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SortDirection {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

/// Kinds of sources that a list can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadSourceKind {
    /// The terminal UI.
    Cli,
    /// Editors.
    #[serde(rename = "vscode")]
    VsCode,
    /// Scripts.
    Exec,
    /// App-server clients.
    AppServer,
    /// Sub-agents of any kind.
    SubAgent,
    /// Reviewing sub-agents.
    SubAgentReview,
    /// Compacting sub-agents.
    SubAgentCompact,
    /// Sub-agents with an own thread.
    SubAgentThreadSpawn,
    /// Other sub-agents.
    SubAgentOther,
    /// Not known.
    Unknown,
}

/// Answer to `thread/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadListResponse {
    /// The page.
    pub data: Vec<Thread>,
    /// What was read, by thread id.
    #[serde(default, deserialize_with = "null_is_default")]
    pub read_states: BTreeMap<String, ThreadReadState>,
    /// The next page; none at the end.
    pub next_cursor: Option<String>,
    /// The same place, seen in the other direction.
    pub backwards_cursor: Option<String>,
}

/// Parameters of `thread/loaded/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadLoadedListParams {
    /// Which part of them.
    #[serde(flatten)]
    pub page: Paging,
}

/// Answer to `thread/loaded/list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadLoadedListResponse {
    /// Ids of loaded threads.
    pub data: Vec<String>,
    /// The next page; none at the end.
    pub next_cursor: Option<String>,
}

/// Parameters of `thread/turns/list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadTurnsListParams {
    /// The thread.
    pub thread_id: String,
    /// Which part of them.
    #[serde(flatten)]
    pub page: Paging,
    /// The order; none means newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_direction: Option<SortDirection>,
    /// How much of each turn's items; none means the summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_view: Option<TurnItemsView>,
}

/// A page of turns; also the answer to `thread/turns/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnsPage {
    /// The page.
    pub data: Vec<Turn>,
    /// The next page; none at the end.
    pub next_cursor: Option<String>,
    /// The same place, seen in the other direction.
    pub backwards_cursor: Option<String>,
}

/// Answer to `thread/turns/list`.
pub type ThreadTurnsListResponse = TurnsPage;

/// Parameters of `thread/items/list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemsListParams {
    /// The thread.
    pub thread_id: String,
    /// Only this turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// Where to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<ThreadItemsListCursor>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The order; none means oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_direction: Option<SortDirection>,
    /// Which long outputs to leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defer_output: Option<ThreadItemOutputDeferral>,
}

/// Where `thread/items/list` starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ThreadItemsListCursor {
    /// A cursor of an earlier answer.
    Cursor(String),
    /// At an item.
    Anchor(ThreadItemsListAnchor),
}

/// An item as a starting point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ThreadItemsListAnchor {
    /// The item with this id.
    Item {
        /// The item.
        item_id: String,
    },
}

/// Which outputs `thread/items/list` leaves out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemOutputDeferral {
    /// Those of commands.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub command_execution: bool,
    /// Those of MCP tools.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub mcp_tool_call: bool,
}

/// An item with its turn. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemEntry {
    /// The turn.
    pub turn_id: String,
    /// The item.
    pub item: ThreadItem,
    /// When it began.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub completed_at_ms: Option<i64>,
    /// Whether its output was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "bool"))]
    pub output_deferred: Option<bool>,
}

/// Answer to `thread/items/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemsListResponse {
    /// The page.
    pub data: Vec<ThreadItemEntry>,
    /// The next page; none at the end.
    pub next_cursor: Option<String>,
    /// The same place, seen in the other direction.
    pub backwards_cursor: Option<String>,
}

/// Parameters of `thread/items/read`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemsReadParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The items.
    pub item_ids: Vec<String>,
}

/// Answer to `thread/items/read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemsReadResponse {
    /// The items that exist.
    pub data: Vec<ThreadItemEntry>,
}

/// Parameters of `thread/name/set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSetNameParams {
    /// The thread.
    pub thread_id: String,
    /// The new name.
    pub name: String,
}

/// Parameters of `thread/unsubscribe`, `thread/archive`, `thread/unarchive` and `thread/delete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadIdParams {
    /// The thread.
    pub thread_id: String,
}

/// Answer to `thread/unsubscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadUnsubscribeResponse {
    /// What there was to end.
    pub status: ThreadUnsubscribeStatus,
}

/// What `thread/unsubscribe` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadUnsubscribeStatus {
    /// The thread is not loaded.
    NotLoaded,
    /// The connection had no subscription.
    NotSubscribed,
    /// The subscription has ended.
    Unsubscribed,
}

/// Parameters of `thread/metadata/update`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadMetadataUpdateParams {
    /// The thread.
    pub thread_id: String,
    /// Changes of the checkout's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_info: Option<GitInfoUpdate>,
    /// The new project; empty takes it out of its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Whether the access programme is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daybreak_enabled: Option<bool>,
}

/// Changes of a checkout's state: a left-out field stays, null clears, a string sets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GitInfoUpdate {
    /// Commit.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub sha: Option<Option<String>>,
    /// Branch.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub branch: Option<Option<String>>,
    /// URL of the remote called origin.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub origin_url: Option<Option<String>>,
}

/// Parameters of `thread/revert`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadRevertParams {
    /// The thread.
    pub thread_id: String,
    /// The first turn that is taken back.
    pub before_turn_id: String,
}

/// Answer to `thread/revert`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadRevertResponse {
    /// The thread.
    pub thread: Thread,
    /// Where to page its turns from, newest first.
    pub turns_backwards_cursor: Option<String>,
    /// Where to page its items from, newest first.
    pub items_backwards_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_params_decode() {
        let params: ThreadListParams = serde_json::from_str(
            r#"{"limit":2,"sortKey":"updated_at","sortDirection":"desc","cwd":["/a","/b"],"sourceKinds":["vscode","appServer"],"archived":null}"#,
        )
        .unwrap();
        assert_eq!(params.cwd, Some(OneOrMany::Many(vec!["/a".into(), "/b".into()])));
        assert_eq!(params.source_kinds.unwrap(), [ThreadSourceKind::VsCode, ThreadSourceKind::AppServer]);
        let error = serde_json::from_value::<ThreadListParams>(serde_json::json!({"limit": -1})).unwrap_err();
        assert_eq!(error.to_string(), "invalid value: integer `-1`, expected u32");
    }

    #[test]
    fn a_git_update_tells_null_from_absent() {
        let params: ThreadMetadataUpdateParams =
            serde_json::from_str(r#"{"threadId":"t","gitInfo":{"branch":null,"sha":"abc"}}"#).unwrap();
        assert!(params.project_id.is_none());
        let git = params.git_info.unwrap();
        assert_eq!((git.sha, git.branch, git.origin_url), (Some(Some("abc".into())), Some(None), None));
    }

    #[test]
    fn items_start_at_a_cursor_or_an_item() {
        let params: ThreadItemsListParams =
            serde_json::from_str(r#"{"threadId":"t","cursor":{"type":"item","itemId":"i"}}"#).unwrap();
        let anchor = ThreadItemsListAnchor::Item { item_id: "i".into() };
        assert_eq!(params.cursor, Some(ThreadItemsListCursor::Anchor(anchor)));
    }
}
