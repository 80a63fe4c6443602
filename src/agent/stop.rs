//! Why a turn stops before its time.

use super::event::ListenerGone;
use crate::model::ModelFailure;
use crate::proto::{CodexErrorInfo, TurnError};
use crate::store::StoreError;

/// Why a turn stops before its time.
#[derive(Debug)]
pub enum Stop {
    /// Somebody stopped it, or nobody listens any more.
    Interrupted,
    /// It cannot go on.
    Failed(Box<TurnError>),
}

impl Stop {
    /// A failure of this server's own.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::Failed(Box::new(TurnError {
            message: message.into(),
            codex_error_info: Some(CodexErrorInfo::InternalServerError),
            ..TurnError::default()
        }))
    }

    /// A failure that is nobody's fault in particular.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::Failed(Box::new(TurnError {
            message: message.into(),
            codex_error_info: Some(CodexErrorInfo::Other),
            ..TurnError::default()
        }))
    }
}

impl From<ListenerGone> for Stop {
    fn from(_: ListenerGone) -> Self {
        Self::Interrupted
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::other(format!("the turn could not be written to the store: {error}"))
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("an item could not be encoded: {error}"))
    }
}

impl From<ModelFailure> for Stop {
    fn from(failure: ModelFailure) -> Self {
        Self::Failed(Box::new(TurnError {
            message: failure.message,
            codex_error_info: Some(failure.info),
            additional_details: failure.details,
            ..TurnError::default()
        }))
    }
}
