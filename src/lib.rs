//! A synchronous app-server for coding-agent clients.

#![deny(unreachable_pub)]
#![warn(missing_docs)]

pub mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod limits;
pub mod model;
pub mod net;
pub mod obs;
pub mod proto;
pub mod queue;
pub mod rpc;
pub mod run;
pub mod server;
pub mod store;
pub mod sync;
pub mod sys;
pub mod timer;
