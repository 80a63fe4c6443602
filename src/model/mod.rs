//! Models: a blocking client that streams what the model says.
//!
//! It knows neither threads nor connections. A turn's worker drives the stream; each call of
//! [`ModelStream::next`] blocks until there is something, and returns at once when the turn is cancelled.

mod cancel;
mod chat;
mod event;
mod failure;
mod http;
mod offline;
mod providers;
mod replay;
mod request;
mod responses;
mod sse;
mod stored_key;
mod usage;

pub use cancel::{Cancel, Canceller, OnCancel, cancellation};
pub use event::{ModelError, ModelEvent, ModelFailure, Retry, Usage};
pub use http::retry_pause;
/// How MCP servers are reached, too: an HTTP client whose blocking steps end when a call is cancelled.
pub(crate) use http::{Secrets, agent, can_reach, user_info, within, without_user_info, words_of};
pub use offline::{OFFLINE_MODEL, OFFLINE_PROVIDER, OfflineModel};
pub use providers::Providers;
pub use request::{Content, InputItem, ModelRequest, Role, ToolCall, ToolInput, ToolSpec, words};
pub use sse::{SseParser, TooLarge};
pub use stored_key::StoredKey;

/// A model that can be asked.
pub trait ModelClient: Send + Sync {
    /// Asks the model.
    ///
    /// # Errors
    /// If it cannot be asked, or the turn is cancelled.
    fn stream(&self, request: &ModelRequest, cancel: &Cancel) -> Result<Box<dyn ModelStream>, ModelError>;

    /// Tokens that fit into the context of `model`, if that is known.
    fn context_window(&self, model: &str) -> Option<i64>;

    /// Times that a turn may send a request again after a [`ModelFailure`] with a [`Retry`]: the answer broke
    /// off, or the provider was overloaded. What a client repeats before any answer began is its own business
    /// and not counted here.
    fn stream_retries_max(&self) -> u32 {
        0
    }
}

/// A model's answer while it comes.
pub trait ModelStream: Send {
    /// The next event; none after [`ModelEvent::Completed`].
    ///
    /// # Errors
    /// If the model fails or the turn is cancelled; the stream is over then.
    fn next(&mut self, cancel: &Cancel) -> Result<Option<ModelEvent>, ModelError>;
}
