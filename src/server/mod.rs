//! The server: one processor that owns all state, and the handlers of the methods.
//!
//! It is the only place that knows connections and agent threads both. The processor runs on the worker
//! `proc` and never blocks (but for a stdio outbox, whose only victim is its own client). It learns of the
//! outside by [`Event`]s and answers through outboxes; long work is done by the store and the turns.

mod agenda;
mod asks;
mod commands;
mod configuration;
mod dispatch;
mod ending;
mod event;
mod facts;
mod files;
mod handlers;
mod observe;
mod processor;
mod replay;
mod session;
mod threads;
mod unload;
mod view;

pub use configuration::{Configuration, Current};
#[cfg(test)]
pub(crate) use dispatch::served;
pub use event::{Event, EventSender, Events, QueueFull, StopCause};
pub use facts::{Facts, ProviderFacts};
pub use observe::add_metrics;
pub use processor::{Processor, Services, Step};

/// The release of the protocol that this server speaks. Clients parse it out of the user agent and switch
/// features on by it.
pub const PROTOCOL_RELEASE: &str = "0.169.0";

/// This program's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
