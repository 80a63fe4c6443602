//! The `fuzzyFileSearch` family. Its results are written with snake_case keys, unlike everything else.

use serde::{Deserialize, Serialize};

use super::Notification;

/// Parameters of `fuzzyFileSearch`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FuzzyFileSearchParams {
    /// What to look for.
    pub query: String,
    /// The folders to look in.
    pub roots: Vec<String>,
    /// A search with the same token as one that still runs takes its place.
    #[serde(default)]
    pub cancellation_token: Option<String>,
}

/// The answer to `fuzzyFileSearch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FuzzyFileSearchResponse {
    /// The best matches, best first.
    pub files: Vec<FuzzyFileSearchResult>,
}

/// A file or directory that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FuzzyFileSearchResult {
    /// The folder that it was found in, as it was asked for.
    pub root: String,
    /// The path below the folder.
    pub path: String,
    /// What it is.
    pub match_type: FuzzyFileSearchMatchType,
    /// The last part of the path.
    pub file_name: String,
    /// How well it matches; more is better.
    pub score: u32,
    /// The characters of the path that match, counted from 0.
    #[serde(default)]
    pub indices: Option<Vec<u32>>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FuzzyFileSearchMatchType {
    /// A file, or anything else that is no directory.
    File,
    /// A directory.
    Directory,
}

/// Parameters of `fuzzyFileSearch/sessionStart`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FuzzyFileSearchSessionStartParams {
    /// The client's name for the session.
    pub session_id: String,
    /// The folders to look in.
    pub roots: Vec<String>,
}

/// Parameters of `fuzzyFileSearch/sessionUpdate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FuzzyFileSearchSessionUpdateParams {
    /// The session.
    pub session_id: String,
    /// What to look for from now on.
    pub query: String,
}

/// Parameters of `fuzzyFileSearch/sessionStop`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FuzzyFileSearchSessionStopParams {
    /// The session.
    pub session_id: String,
}

/// `fuzzyFileSearch/sessionUpdated`: the best matches found so far.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FuzzyFileSearchSessionUpdated<'a> {
    /// The session.
    pub session_id: &'a str,
    /// The query that they match.
    pub query: &'a str,
    /// Best first; they replace those of earlier notifications.
    pub files: &'a [FuzzyFileSearchResult],
}

impl Notification for FuzzyFileSearchSessionUpdated<'_> {
    const METHOD: &'static str = "fuzzyFileSearch/sessionUpdated";
}

/// `fuzzyFileSearch/sessionCompleted`: everything was looked at; nothing follows until the next query.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FuzzyFileSearchSessionCompleted<'a> {
    /// The session.
    pub session_id: &'a str,
}

impl Notification for FuzzyFileSearchSessionCompleted<'_> {
    const METHOD: &'static str = "fuzzyFileSearch/sessionCompleted";
}
