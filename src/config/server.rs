//! `[app_server]`: the keys that the reference does not have.

use std::time::Duration;

use super::section::Section;
use crate::error::StartError;
use crate::limits::{
    APPROVAL_DEADLINE, COMMANDS_PER_CONNECTION_MAX, COMMANDS_RUNNING_MAX, CONNECTIONS_MAX, INBOX_BYTES,
    LOADED_THREADS_BYTES, LOADED_THREADS_BYTES_MIN, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX_BEFORE_INITIALIZE,
    OUTBOX_BYTES, OUTBOX_BYTES_MIN, OUTBOX_MESSAGES, OUTBOX_MESSAGES_MIN, PAGE_BYTES_MAX,
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
    /// `commands_max`: commands running at once, for all clients and agents.
    pub commands_max: usize,
    /// `commands_per_connection_max`: commands running at once for one client.
    pub commands_per_connection_max: usize,
    /// `sandbox_best_effort`: commands run with what can be enforced of their sandbox, not only with all of
    /// it.
    pub sandbox_best_effort: bool,
    /// `[app_server.command_limits]`: what one command may use.
    pub command_limits: CommandLimits,
    /// `loaded_threads_bytes_max`: bytes of loaded threads; above it idle ones are unloaded before their
    /// time.
    pub loaded_threads_bytes_max: usize,
    /// `approval_deadline_secs`: a request to clients that nobody is there to decide counts as declined after
    /// this.
    pub approval_deadline: Duration,
}

/// What one command may use; none is what the server itself may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommandLimits {
    /// `cpu_secs`: seconds of processor time.
    pub cpu_secs: Option<u64>,
    /// `address_space_bytes`: bytes of address space.
    pub address_space_bytes: Option<u64>,
    /// `open_files`: open descriptors.
    pub open_files: Option<u64>,
    /// `processes`: processes of the server's user, all together.
    pub processes: Option<u64>,
}

impl CommandLimits {
    fn read(mut section: Section<'_>, unknown: &mut Vec<String>) -> Result<Self, StartError> {
        let mut number = |key| section.integer(key, 1..=i64::MAX.unsigned_abs());
        let limits = Self {
            cpu_secs: number("cpu_secs")?,
            address_space_bytes: number("address_space_bytes")?,
            open_files: number("open_files")?,
            processes: number("processes")?,
        };
        section.finish(unknown);
        Ok(limits)
    }
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
            commands_max: COMMANDS_RUNNING_MAX,
            commands_per_connection_max: COMMANDS_PER_CONNECTION_MAX,
            sandbox_best_effort: false,
            command_limits: CommandLimits::default(),
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
            commands_max: section
                .integer("commands_max", 1..=COMMANDS_RUNNING_MAX)?
                .unwrap_or(usual.commands_max),
            commands_per_connection_max: section
                .integer("commands_per_connection_max", 1..=COMMANDS_RUNNING_MAX)?
                .unwrap_or(usual.commands_per_connection_max),
            sandbox_best_effort: section.switch("sandbox_best_effort")?.unwrap_or(usual.sandbox_best_effort),
            command_limits: match section.table("command_limits")? {
                Some(section) => CommandLimits::read(section, unknown)?,
                None => usual.command_limits,
            },
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
