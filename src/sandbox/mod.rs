//! The sandbox of commands: what a policy allows, and a helper stage that holds it.
//!
//! A command is started as this binary once more, with a hidden first argument ([`take_over`]). That helper
//! stage confines itself and becomes the program, under the same process id; nothing is done between fork
//! and exec, and no rule ever touches the server. Three means, each probed once at the start:
//!
//! * mounts of its own, in which everything but the writable places is read-only: the only way to keep
//!   `.git` inside a writable folder;
//! * landlock: the same places once more, and no signals and abstract sockets to the outside;
//! * a system call filter: no network, and none of the ways around the other two.
//!
//! What cannot be enforced is refused ([`SandboxError`]), unless the configuration accepts less, and
//! [`Report`] tells what holds. It may not know connections or the protocol's methods. [`Confinement::spawn`]
//! blocks for the millisecond that the stage takes, so it belongs on the worker that starts commands.

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
mod stage;

pub use probe::{Sandbox, Settings};
pub use report::{Held, PolicyReport, Report};
pub use shared::SharedSandbox;
pub use spawn::{Confinement, SpawnError};
pub use spec::{Mounts, Step};
pub use stage::take_over;

/// The first argument by which the binary knows that it is a helper stage.
const STAGE_WORD: &str = "--sandbox-stage";

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
