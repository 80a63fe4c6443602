//! Models: a blocking client that streams what the model says.
//!
//! It knows neither threads nor connections. A turn's worker drives the stream; each call of
//! [`ModelStream::next`] blocks until there is something, and returns at once when the turn is cancelled.

mod cancel;
mod offline;

pub use cancel::{Cancel, Canceller, cancellation};
pub use offline::{OFFLINE_MODEL, OFFLINE_PROVIDER, OfflineModel};

/// What a model is asked.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// The model's name.
    pub model: String,
    /// The conversation, oldest first.
    pub input: Vec<InputItem>,
}

/// One entry of the conversation as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputItem {
    /// What the user said.
    User(String),
    /// What the model said.
    Assistant(String),
}

/// What a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelEvent {
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
    },
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
    /// The model could not be asked or failed; the text is for the user.
    #[error("{0}")]
    Failed(String),
}

/// A model that can be asked.
pub trait ModelClient: Send + Sync {
    /// Asks the model.
    ///
    /// # Errors
    /// If it cannot be asked, or the turn is cancelled.
    fn stream(&self, request: &ModelRequest, cancel: &Cancel) -> Result<Box<dyn ModelStream>, ModelError>;

    /// Tokens that fit into the model's context, if that is known.
    fn context_window(&self) -> Option<i64>;
}

/// A model's answer while it comes.
pub trait ModelStream: Send {
    /// The next event; none after [`ModelEvent::Completed`].
    ///
    /// # Errors
    /// If the model fails or the turn is cancelled; the stream is over then.
    fn next(&mut self, cancel: &Cancel) -> Result<Option<ModelEvent>, ModelError>;
}
