//! JSON-RPC as the protocol speaks it: one JSON object per message, without a `jsonrpc` key.
//!
//! It knows the envelope, ids, errors and the duty to answer; it knows no method. Decoding runs in the
//! connection's reader, encoding wherever the message is made.

mod encode;
mod error;
mod id;
mod message;
mod reply;
mod spliced;

pub use encode::{error_response, notification, request, response, with_seq};
pub use error::{Reason, RpcError, code};
pub use id::RequestId;
pub use message::{Incoming, Params, Request, Undecodable, decode, decode_text};
pub use reply::{Answer, OpenRequests, Reply, Watch};
pub use spliced::{Filling, LongArray};
