//! What the server tells about itself: logs, numbers, traces.
//!
//! It may not know the protocol. stdout belongs to the protocol; everything here goes to stderr.

pub mod log;
pub mod metrics;
pub mod trace;
