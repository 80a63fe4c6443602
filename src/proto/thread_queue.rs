//! `thread/queue/…`: what a user wants said when the running turn has ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::input::UserInput;
use super::thread_read::Paging;
use super::turn::Turn;
use super::{Notification, null_is_default};

/// Something that waits for its turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct QueuedSubmission {
    /// The server's name for it.
    pub id: String,
    /// The client's name for the message.
    pub client_user_message_id: String,
    /// The message.
    pub input: Vec<UserInput>,
    /// What the client wants kept with it.
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
}

/// Parameters of `thread/queue/add`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueAddParams {
    /// The thread.
    pub thread_id: String,
    /// The client's name for the message; one name is queued once.
    pub client_user_message_id: String,
    /// The message.
    pub input: Vec<UserInput>,
    /// What the client wants kept with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
}

/// Parameters of `thread/queue/list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueListParams {
    /// The thread.
    pub thread_id: String,
    /// Which part of them.
    #[serde(flatten)]
    pub page: Paging,
}

/// Parameters of `thread/queue/update`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueUpdateParams {
    /// The thread.
    pub thread_id: String,
    /// Which one.
    pub queued_submission_id: String,
    /// The message from now on.
    pub input: Vec<UserInput>,
    /// Replaces what is kept with it, unless it is empty.
    #[serde(default, deserialize_with = "null_is_default")]
    #[cfg_attr(test, schemars(with = "Option<BTreeMap<String, String>>"))]
    pub responsesapi_client_metadata: BTreeMap<String, String>,
}

/// Parameters of `thread/queue/delete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueDeleteParams {
    /// The thread.
    pub thread_id: String,
    /// Which one.
    pub queued_submission_id: String,
}

/// Parameters of `thread/queue/reorder`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueReorderParams {
    /// The thread.
    pub thread_id: String,
    /// All of them, first to start first.
    pub queued_submission_ids: Vec<String>,
}

/// Parameters of `thread/queue/start`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueStartParams {
    /// The thread.
    pub thread_id: String,
    /// Which one; none means the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_submission_id: Option<String>,
}

/// Answer to `thread/queue/add` and `thread/queue/update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueuedResponse {
    /// The submission as it waits now.
    pub queued_submission: QueuedSubmission,
}

/// Answer to `thread/queue/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueListResponse {
    /// First to start first.
    pub data: Vec<QueuedSubmission>,
    /// Continues after the last one.
    pub next_cursor: Option<String>,
}

/// Answer to `thread/queue/delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadQueueDeleteResponse {
    /// False if it did not wait (any more).
    pub deleted: bool,
}

/// Answer to `thread/queue/start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadQueueStartResponse {
    /// The turn that takes it.
    pub turn: Turn,
}

/// `thread/queue/changed`: look again.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueChanged<'a> {
    /// The thread.
    pub thread_id: &'a str,
}

impl Notification for ThreadQueueChanged<'_> {
    const METHOD: &'static str = "thread/queue/changed";
}
