//! What a model says, and why it may stop.

use std::time::Duration;

use super::request::ToolCall;
use crate::proto::{CodexErrorInfo, MessagePhase};

/// What a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelEvent {
    /// The message `id` began. Not every model says so: a message may as well begin with its first text, or
    /// be told only when it is done.
    MessageStarted {
        /// The message's id, given by the model.
        id: String,
        /// Whether it is the answer, if the model says.
        phase: Option<MessagePhase>,
    },
    /// The message `id` grew by this text.
    TextDelta {
        /// The message's id, given by the model.
        id: String,
        /// The new text.
        delta: String,
    },
    /// The message `id` is complete.
    MessageDone {
        /// The message's id.
        id: String,
        /// The whole text.
        text: String,
        /// Whether it is the answer, if the model says.
        phase: Option<MessagePhase>,
    },
    /// The thought `id` began.
    ReasoningStarted {
        /// The thought's id, given by the model.
        id: String,
    },
    /// The summary of the thought `id` has a new part.
    SummaryPartAdded {
        /// The thought's id.
        id: String,
        /// The part, from 0.
        index: i64,
    },
    /// The summary of the thought `id` grew.
    SummaryDelta {
        /// The thought's id.
        id: String,
        /// The part, from 0.
        index: i64,
        /// The new text.
        delta: String,
    },
    /// The thought `id` itself grew.
    ReasoningDelta {
        /// The thought's id.
        id: String,
        /// The part, from 0.
        index: i64,
        /// The new text.
        delta: String,
    },
    /// The thought `id` is complete.
    ReasoningDone {
        /// The thought's id.
        id: String,
        /// The summary, part by part.
        summary: Vec<String>,
        /// The thoughts, as far as the model shows them.
        content: Vec<String>,
        /// The thoughts as only the provider can read them.
        encrypted: Option<String>,
    },
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// The model is done with this request.
    Completed {
        /// What it cost.
        usage: Usage,
    },
}

/// Tokens of one model request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the conversation.
    pub input: i64,
    /// Those of them that the provider had cached.
    pub cached_input: i64,
    /// Tokens that the model said.
    pub output: i64,
    /// Those of them that were reasoning.
    pub reasoning_output: i64,
}

/// Why a model gives no (more) answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The turn was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The model could not be asked or failed.
    #[error("{0}")]
    Failed(Box<ModelFailure>),
}

/// A model's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelFailure {
    /// What happened, for the user.
    pub message: String,
    /// The same, for programs.
    pub info: CodexErrorInfo,
    /// The cause in more detail, for the user.
    pub details: Option<String>,
    /// Set if the same request may succeed when it is sent again.
    pub retry: Option<Retry>,
}

/// How a failed request may be sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retry {
    /// The provider asked to wait this long.
    pub after: Option<Duration>,
}

impl ModelFailure {
    /// A failure that trying again does not mend.
    #[must_use]
    pub fn lasting(message: impl Into<String>, info: CodexErrorInfo) -> ModelError {
        ModelError::Failed(Box::new(Self { message: message.into(), info, details: None, retry: None }))
    }

    /// The HTTP status that the failure is about, if it is one: what the protocol wants to know of each
    /// failed attempt.
    #[must_use]
    pub fn http_status_code(&self) -> Option<u16> {
        match self.info {
            CodexErrorInfo::HttpConnectionFailed { http_status_code }
            | CodexErrorInfo::ResponseStreamConnectionFailed { http_status_code }
            | CodexErrorInfo::ResponseStreamDisconnected { http_status_code }
            | CodexErrorInfo::ResponseTooManyFailedAttempts { http_status_code } => http_status_code,
            _ => None,
        }
    }
}
