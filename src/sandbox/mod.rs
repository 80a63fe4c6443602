//! The sandbox of commands: what a policy allows, and a child that holds itself to it.
//!
//! The server makes the rules ready; the command's process applies them to itself after it was made and
//! before it becomes the program, by system calls alone (`sys::child`), and no rule ever touches the server.
//! Starting a binary in between to do that would cost another millisecond. Three means, each probed once at
//! the start:
//!
//! * mounts of its own, in which everything but the writable places is read-only: the only way to keep
//!   `.git` inside a writable folder;
//! * landlock: the same places once more, and no signals and abstract sockets to the outside;
//! * a system call filter: no network, and none of the ways around the other two.
//!
//! What cannot be enforced is refused ([`SandboxError`]), unless the configuration accepts less, and
//! [`Report`] tells what holds. It may not know connections or the protocol's methods. [`Confinement::spawn`]
//! waits until the program has begun, so it belongs on the worker that starts commands.

#[cfg(target_os = "linux")]
mod enforce;
#[cfg(not(target_os = "linux"))]
#[path = "enforce_elsewhere.rs"]
mod enforce;
#[cfg(target_os = "linux")]
mod filter;
mod plan;
mod probe;
mod report;
#[cfg(target_os = "linux")]
mod rules;
mod shared;
mod spawn;
mod spec;

pub use probe::{Sandbox, Settings};
pub use report::{Held, PolicyReport, Report};
pub use shared::SharedSandbox;
pub use spawn::{Confinement, SpawnError};
pub use spec::{Mounts, Step};

/// The key by which an operator accepts less than a policy asks for.
pub const BEST_EFFORT_KEY: &str = "app_server.sandbox_best_effort";

/// A policy that cannot be enforced on this system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sandbox policy {policy} cannot be enforced on this system: {}; \
     ask for dangerFullAccess, or set {BEST_EFFORT_KEY} = true to run commands with what can be enforced",
    missing.join("; ")
)]
pub struct SandboxError {
    /// The policy's name on the wire.
    pub policy: &'static str,
    /// What would not hold, each with its reason.
    pub missing: Vec<String>,
}
