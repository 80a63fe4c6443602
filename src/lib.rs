//! A synchronous app-server for coding-agent clients.

#![deny(unreachable_pub)]
#![warn(missing_docs)]

pub mod agent;
pub mod clock;
pub mod error;
pub mod limits;
pub mod model;
pub mod net;
pub mod proto;
pub mod queue;
pub mod rpc;
pub mod server;
pub mod store;
pub mod sync;
pub mod sys;
pub mod timer;
