//! `[app_server]`: the keys that the reference does not have.

use std::time::Duration;

use super::section::Section;
use crate::error::StartError;
use crate::limits::{
    APPROVAL_DEADLINE, CONNECTIONS_MAX, INBOX_BYTES, LOADED_THREADS_BYTES, LOADED_THREADS_BYTES_MIN,
    MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX_BEFORE_INITIALIZE, OUTBOX_BYTES, OUTBOX_BYTES_MIN, OUTBOX_MESSAGES,
    OUTBOX_MESSAGES_MIN, PAGE_BYTES_MAX,
};

/// The server's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// `max_connections`, or the flag: open network connections at once.
    pub max_connections: usize,
    /// `drain_timeout_secs`, or the flag: how long a stopping server waits for running turns; none is until
    /// they end.
    pub drain_timeout: Option<Duration>,
    /// `require_auth`, or the flag: no listener beyond loopback without authentication.
    pub require_auth: bool,
    /// `message_bytes_max`: bytes of one message from a client.
    pub message_bytes_max: usize,
    /// `outbox_bytes_max`: bytes that wait for one client.
    pub outbox_bytes_max: usize,
    /// `outbox_messages_max`: messages that wait for one client.
    pub outbox_messages_max: usize,
    /// `loaded_threads_bytes_max`: bytes of loaded threads; above it idle ones are unloaded before their
    /// time.
    pub loaded_threads_bytes_max: usize,
    /// `approval_deadline_secs`: a request to clients that nobody is there to decide counts as declined after
    /// this.
    pub approval_deadline: Duration,
}

impl ServerConfig {
    /// What holds if nothing is said.
    pub(super) fn usual() -> Self {
        Self {
            max_connections: CONNECTIONS_MAX,
            drain_timeout: None,
            require_auth: false,
            message_bytes_max: MESSAGE_BYTES_MAX,
            outbox_bytes_max: OUTBOX_BYTES,
            outbox_messages_max: OUTBOX_MESSAGES,
            loaded_threads_bytes_max: LOADED_THREADS_BYTES,
            approval_deadline: APPROVAL_DEADLINE,
        }
    }

    pub(super) fn read(mut section: Section<'_>, unknown: &mut Vec<String>) -> Result<Self, StartError> {
        let usual = Self::usual();
        // TOML has 64 bit signed numbers, so on no target a `usize` above that can be meant.
        let most = usize::try_from(i64::MAX).unwrap_or(usize::MAX);
        let server = Self {
            max_connections: section.integer("max_connections", 1..=most)?.unwrap_or(usual.max_connections),
            drain_timeout: section.seconds("drain_timeout_secs")?,
            require_auth: section.switch("require_auth")?.unwrap_or(usual.require_auth),
            // A message has to fit into the inbox, and a client has to be able to introduce itself.
            message_bytes_max: section
                .integer("message_bytes_max", MESSAGE_BYTES_MAX_BEFORE_INITIALIZE..=INBOX_BYTES)?
                .unwrap_or(usual.message_bytes_max),
            outbox_bytes_max: section
                .integer("outbox_bytes_max", OUTBOX_BYTES_MIN..=most)?
                .unwrap_or(usual.outbox_bytes_max),
            outbox_messages_max: section
                .integer("outbox_messages_max", OUTBOX_MESSAGES_MIN..=most)?
                .unwrap_or(usual.outbox_messages_max),
            loaded_threads_bytes_max: section
                .integer("loaded_threads_bytes_max", LOADED_THREADS_BYTES_MIN..=most)?
                .unwrap_or(usual.loaded_threads_bytes_max),
            approval_deadline: section.seconds("approval_deadline_secs")?.unwrap_or(usual.approval_deadline),
        };
        section.finish(unknown);
        Ok(server)
    }

    /// Bytes at which a page of history ends: two pages fit into an outbox.
    #[must_use]
    pub fn page_bytes_max(&self) -> usize {
        PAGE_BYTES_MAX.min(self.outbox_bytes_max / 2)
    }
}
