//! The operating system: workers, signals, pipes, limits of the process.
//!
//! It may not know the protocol.

pub mod signals;
pub mod worker;
