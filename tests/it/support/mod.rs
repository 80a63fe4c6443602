//! What the scenarios stand on.

pub(crate) mod recordings;
pub(crate) mod schema;
