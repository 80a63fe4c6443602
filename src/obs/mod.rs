//! What the server tells about itself: logs.
//!
//! It may not know the protocol. stdout belongs to the protocol; everything here goes to stderr.

pub mod log;
