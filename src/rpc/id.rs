//! Request ids: a string or a 64-bit integer, echoed with the type in which they came.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a request. Its debug form shows the type, so that `92` and `"92"` differ in a log.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A JSON integer in the range of `i64`.
    Integer(i64),
    /// A JSON string, which may be empty.
    String(Box<str>),
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::String(text) => write!(f, "{text:?}"),
        }
    }
}

impl From<i64> for RequestId {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}
