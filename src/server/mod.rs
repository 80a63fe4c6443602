//! The server: one processor that owns all state, and the handlers of the methods.
//!
//! It is the only place that knows connections and agent threads both. The processor runs on the worker
//! `proc` and never blocks (but for a stdio outbox, whose only victim is its own client). It learns of the
//! outside by [`Event`]s and answers through outboxes; long work is done by the store and the turns.

mod agenda;
mod asks;
mod commands;
mod dispatch;
mod ending;
mod event;
mod files;
mod handlers;
mod observe;
mod processor;
mod replay;
mod session;
mod threads;
mod unload;
mod view;

pub use dispatch::served;
pub use event::{Event, EventSender, Events, QueueFull, StopCause};
pub use observe::add_metrics;
pub use processor::{Processor, Services, Step};

use crate::agent::Defaults;
use crate::proto::SessionSource;

/// What the server tells its clients about itself and its configuration.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The home folder.
    pub home: String,
    /// Tokens that the model's context holds, where the configuration says so.
    pub context_window: Option<i64>,
    /// Tokens at which conversations are made shorter, where the configuration says so.
    pub compact_at_tokens: Option<i64>,
    /// What threads use where their clients ask for nothing else.
    pub defaults: Defaults,
    /// Where new threads are said to come from.
    pub source: SessionSource,
    /// The configuration as it was at the start, with its sources.
    pub sources: std::sync::Arc<crate::config::Config>,
    /// Providers beside the built-in ones: id, name, base URL.
    pub providers: Vec<ProviderFacts>,
    /// A thread without subscribers and turn is unloaded after this, unless it was started with its own
    /// delay.
    pub unload_delay: std::time::Duration,
    /// A request to clients that nobody is there to decide counts as declined after this.
    pub approval_deadline: std::time::Duration,
    /// Bytes of loaded threads above which idle ones are unloaded before their time.
    pub loaded_bytes_max: usize,
    /// Commands running at once for one client.
    pub commands_per_connection_max: usize,
    /// What one command may use.
    pub command_limits: crate::exec::ResourceLimits,
    /// The operating system as `initialize` names it, for example `Linux 6.1.0; x86_64`.
    pub system: String,
}

/// A configured provider.
#[derive(Debug, Clone)]
pub struct ProviderFacts {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Where it is.
    pub base_url: Option<String>,
}

/// The release of the protocol that this server speaks. Clients parse it out of the user agent and switch
/// features on by it.
pub const PROTOCOL_RELEASE: &str = "0.169.0";

/// This program's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
