//! Errors that a client sees: a code, a text that says what to do, and a reason that a program can match on.

use serde::Serialize;
use serde_json::{Value, json};

/// The codes of the protocol (JSON-RPC 2.0, section 5.1, and the reference's own -32001).
pub mod code {
    /// The message was not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// The request was refused: shape, state, unknown thread; the reference uses it for nearly everything.
    pub const INVALID_REQUEST: i64 = -32600;
    /// The method exists in the protocol or not, but not here.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// A parameter has a value that makes no sense.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Something failed that the client could not know.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// A queue or a limit is full; the same request may succeed later.
    pub const OVERLOADED: i64 = -32001;
}

/// Machine-readable reasons, sent as `error.data.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The message was not JSON, or not UTF-8.
    ParseError,
    /// A batch array was sent.
    BatchUnsupported,
    /// The id is neither a string nor an integer.
    InvalidId,
    /// The message is larger than the limit.
    MessageTooLarge,
    /// No such method in the protocol.
    UnknownMethod,
    /// The protocol has the method, this server does not.
    UnsupportedMethod,
    /// The parameters do not have the method's shape.
    InvalidParams,
    /// `initialize` has to come first.
    NotInitialized,
    /// `initialize` came twice.
    AlreadyInitialized,
    /// The method or field needs the `experimentalApi` capability.
    ExperimentalApi,
    /// A queue is full.
    Overloaded,
    /// A named limit of the server is reached.
    LimitReached,
    /// No such thread.
    ThreadNotFound,
    /// Another process writes to the thread.
    ActiveWriter,
    /// The server is going down and takes no new work.
    ServerShuttingDown,
    /// The operating system refused something with a file.
    FileSystem,
    /// The database refused.
    Store,
    /// The server's own fault.
    Internal,
}

impl Reason {
    /// The text on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ParseError => "parseError",
            Self::BatchUnsupported => "batchUnsupported",
            Self::InvalidId => "invalidId",
            Self::MessageTooLarge => "messageTooLarge",
            Self::UnknownMethod => "unknownMethod",
            Self::UnsupportedMethod => "unsupportedMethod",
            Self::InvalidParams => "invalidParams",
            Self::NotInitialized => "notInitialized",
            Self::AlreadyInitialized => "alreadyInitialized",
            Self::ExperimentalApi => "experimentalApi",
            // The Python SDK takes an error with this text in its data for one that may be retried.
            Self::Overloaded => "server_overloaded",
            Self::LimitReached => "limitReached",
            Self::ThreadNotFound => "threadNotFound",
            Self::ActiveWriter => "activeWriter",
            Self::ServerShuttingDown => "serverShuttingDown",
            Self::FileSystem => "fileSystem",
            Self::Store => "store",
            Self::Internal => "internal",
        }
    }
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of [`code`].
    pub code: i64,
    /// For people.
    pub message: String,
    /// For programs; absent if there is nothing to add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The usual refusal, -32600.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_REQUEST, message)
    }

    /// A value that makes no sense, -32602.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// The server's own fault, -32603.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(code::INTERNAL_ERROR, message).with(Reason::Internal)
    }

    /// No room now, -32001, with the reference's text.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::new(code::OVERLOADED, "Server overloaded; retry later.").with(Reason::Overloaded)
    }

    /// A named limit is reached; `message` names it.
    #[must_use]
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(code::OVERLOADED, message).with(Reason::LimitReached)
    }

    /// The same error with a machine-readable reason.
    #[must_use]
    pub fn with(mut self, reason: Reason) -> Self {
        self.data = Some(json!({ "reason": reason.as_str() }));
        self
    }

    /// The same error with data of its own.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}
