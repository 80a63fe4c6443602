//! Chat Completions: the older interface, for servers that have no other.
//!
//! It knows functions only, so a freeform tool is offered as a function with the one parameter `input`.
//! Thoughts are not given back to the model, because each server has its own way for that.

mod decode;
mod encode;

pub(super) use decode::Decoder;
pub(super) use encode::body;
