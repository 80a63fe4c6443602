//! `thread/goal/…`: what a thread works towards by itself.

use serde::{Deserialize, Serialize};

use super::{Notification, present};

/// Where a goal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadGoalStatus {
    /// It is worked on: one turn follows the other.
    Active,
    /// A user stopped it.
    Paused,
    /// It cannot go on by itself.
    Blocked,
    /// The account's limit is reached.
    UsageLimited,
    /// Its own budget is used up.
    BudgetLimited,
    /// It is reached.
    Complete,
}

/// Who changes a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadGoalMutationOrigin {
    /// A user.
    User,
    /// A program.
    Automatic,
}

/// A thread's goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoal {
    /// The thread.
    pub thread_id: String,
    /// What is to be reached.
    pub objective: String,
    /// Where it stands.
    pub status: ThreadGoalStatus,
    /// Tokens that it may use.
    pub token_budget: Option<i64>,
    /// Tokens that it has used.
    pub tokens_used: i64,
    /// Seconds that its turns took.
    pub time_used_seconds: i64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// Parameters of `thread/goal/set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalSetParams {
    /// The thread.
    pub thread_id: String,
    /// Another one begins the goal anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Where it stands from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ThreadGoalStatus>,
    /// Tokens that it may use; null takes the budget away, absent keeps it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<Option<i64>>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ThreadGoalMutationOrigin>,
}

/// Parameters of `thread/goal/clear`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalClearParams {
    /// The thread.
    pub thread_id: String,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ThreadGoalMutationOrigin>,
}

/// Answer to `thread/goal/set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadGoalSetResponse {
    /// The goal as it is now.
    pub goal: ThreadGoal,
}

/// Answer to `thread/goal/get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadGoalGetResponse {
    /// The goal, if there is one.
    pub goal: Option<ThreadGoal>,
}

/// Answer to `thread/goal/clear`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadGoalClearResponse {
    /// False if there was none.
    pub cleared: bool,
}

/// `thread/goal/updated`.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalUpdated<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn that changed it.
    pub turn_id: Option<&'a str>,
    /// The goal as it is now.
    pub goal: &'a ThreadGoal,
}

impl Notification for ThreadGoalUpdated<'_> {
    const METHOD: &'static str = "thread/goal/updated";
}

/// `thread/goal/cleared`.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalCleared<'a> {
    /// The thread.
    pub thread_id: &'a str,
}

impl Notification for ThreadGoalCleared<'_> {
    const METHOD: &'static str = "thread/goal/cleared";
}
