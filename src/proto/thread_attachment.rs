//! `thread/attachment/…`, `thread/readState/update`, `thread/inject_items`: what clients keep with a thread.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Notification;
use super::thread::ThreadReadState;
use super::thread_read::Paging;

/// Something that a client keeps with a thread.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachment {
    /// The server's name for it.
    pub id: String,
    /// What it is, in the client's words.
    pub attachment_type: String,
    /// Which one; a thread has one of a type and key.
    pub identity_key: String,
    /// What is kept.
    pub payload: Box<RawValue>,
    /// Unix seconds.
    pub created_at: i64,
}

/// Parameters of `thread/attachment/add`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachmentAddParams {
    /// The thread.
    pub thread_id: String,
    /// What it is.
    pub attachment_type: String,
    /// Which one.
    pub identity_key: String,
    /// What is kept.
    pub payload: Box<RawValue>,
}

/// Whether an attachment was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadAttachmentAddOutcome {
    /// It was.
    Created,
    /// There was one already, which stays as it is.
    Existing,
}

/// Answer to `thread/attachment/add`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadAttachmentAddResponse {
    /// The one that is there now.
    pub attachment: ThreadAttachment,
    /// Whether it is new.
    pub outcome: ThreadAttachmentAddOutcome,
}

/// Parameters of `thread/attachment/list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachmentListParams {
    /// The thread.
    pub thread_id: String,
    /// Which part of them.
    #[serde(flatten)]
    pub page: Paging,
}

/// Answer to `thread/attachment/list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachmentListResponse {
    /// Oldest first.
    pub data: Vec<ThreadAttachment>,
    /// Continues after the last one.
    pub next_cursor: Option<String>,
}

/// Parameters of `thread/attachmentOwner/list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachmentOwnerListParams {
    /// What it is.
    pub attachment_type: String,
    /// Which one.
    pub identity_key: String,
    /// Only archived threads, or only others; none means both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Which part of them.
    #[serde(flatten)]
    pub page: Paging,
}

/// A thread that has an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachmentOwner {
    /// The thread.
    pub thread_id: String,
    /// Whether a user put it away.
    pub archived: bool,
}

/// Answer to `thread/attachmentOwner/list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachmentOwnerListResponse {
    /// The threads.
    pub data: Vec<ThreadAttachmentOwner>,
    /// Continues after the last one.
    pub next_cursor: Option<String>,
}

/// Parameters of `thread/attachment/remove`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachmentRemoveParams {
    /// The thread.
    pub thread_id: String,
    /// What it is.
    pub attachment_type: String,
    /// Which one.
    pub identity_key: String,
}

/// What happened to an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadAttachmentOperation {
    /// It was made.
    Created,
    /// It was removed.
    Deleted,
}

/// `thread/attachment/updated`.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadAttachmentUpdated<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The server's name for it.
    pub attachment_id: &'a str,
    /// What it is.
    pub attachment_type: &'a str,
    /// Which one.
    pub identity_key: &'a str,
    /// What happened.
    pub operation: ThreadAttachmentOperation,
}

impl Notification for ThreadAttachmentUpdated<'_> {
    const METHOD: &'static str = "thread/attachment/updated";
}

/// What a user did with a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ThreadReadStateOperation {
    /// Read all of it.
    Read,
    /// Marked it as not read.
    Unread,
}

/// Parameters of `thread/readState/update`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadStateUpdateParams {
    /// The thread.
    pub thread_id: String,
    /// What the user did.
    pub operation: ThreadReadStateOperation,
    /// The state that the user saw.
    pub expected_revision: String,
}

/// Answer to `thread/readState/update`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadStateUpdateResponse {
    /// The state as it is now.
    pub read_state: ThreadReadState,
}

/// Parameters of `thread/inject_items`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadInjectItemsParams {
    /// The thread.
    pub thread_id: String,
    /// What the model is told from now on: items of the Responses API.
    pub items: Vec<Value>,
}
