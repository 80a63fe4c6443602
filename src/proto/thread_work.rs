//! What a thread can be told to do beside turns: compaction, commands of the user, reviews, background
//! terminals.

use serde::{Deserialize, Serialize};

use super::turn::Turn;

/// Parameters of `thread/shellCommand`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadShellCommandParams {
    /// The thread.
    pub thread_id: String,
    /// For the shell.
    pub command: String,
    /// Milliseconds after which it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
}

/// Parameters of `review/start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReviewStartParams {
    /// The thread.
    pub thread_id: String,
    /// What is reviewed.
    pub target: ReviewTarget,
    /// Where; none means inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<ReviewDelivery>,
}

/// What is reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ReviewTarget {
    /// The working tree.
    UncommittedChanges,
    /// What differs from a branch.
    BaseBranch {
        /// The branch.
        branch: String,
    },
    /// A commit.
    Commit {
        /// Its id.
        sha: String,
        /// Its subject, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// Whatever the words say.
    Custom {
        /// The words.
        instructions: String,
    },
}

/// Where a review takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ReviewDelivery {
    /// In the thread itself.
    Inline,
    /// In a new thread that knows the conversation so far. The published schema of this release has no such
    /// value any more; earlier ones had.
    Detached,
}

/// Answer to `review/start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReviewStartResponse {
    /// The turn, just begun.
    pub turn: Turn,
    /// The thread in which it runs.
    pub review_thread_id: String,
}

/// Parameters of `thread/backgroundTerminals/list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BackgroundTerminalsListParams {
    /// The thread.
    pub thread_id: String,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Terminals on the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer to `thread/backgroundTerminals/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BackgroundTerminalsListResponse {
    /// The terminals.
    pub data: Vec<ThreadBackgroundTerminal>,
    /// Continues after the last one.
    pub next_cursor: Option<String>,
}

/// A command that has outlived its call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadBackgroundTerminal {
    /// The item that shows it.
    pub item_id: String,
    /// By which it is stopped.
    pub process_id: String,
    /// The command line.
    pub command: String,
    /// Where it runs.
    pub cwd: String,
    /// The operating system's number; not told here.
    pub os_pid: Option<u32>,
    /// Processor time in percent; not told here.
    pub cpu_percent: Option<f64>,
    /// Memory; not told here.
    pub rss_kb: Option<u64>,
}

/// Parameters of `thread/backgroundTerminals/terminate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BackgroundTerminalsTerminateParams {
    /// The thread.
    pub thread_id: String,
    /// The terminal.
    pub process_id: String,
}

/// Answer to `thread/backgroundTerminals/terminate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BackgroundTerminalsTerminateResponse {
    /// Whether there was one.
    pub terminated: bool,
}
