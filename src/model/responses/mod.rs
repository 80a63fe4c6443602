//! The Responses API: what a request says, and what the events of its answer mean.

mod decode;
mod encode;

pub(super) use decode::Decoder;
pub(super) use encode::body;
