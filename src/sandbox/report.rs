//! What the sandbox holds on this system, in words and flags.

use serde::Serialize;

use super::spec::Mounts;

/// What can be enforced here. Only what was tried and worked is told as held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The operating system.
    pub platform: &'static str,
    /// Landlock's version in force; 0 is none.
    pub landlock_abi: u8,
    /// How commands get mounts of their own.
    pub mounts: Mounts,
    /// What a confined command is kept from.
    pub held: Held,
    /// Whether the operator accepts less than a policy asks for.
    pub best_effort: bool,
    /// What becomes of each policy.
    pub policies: Vec<PolicyReport>,
    /// What does not hold, each with its reason.
    pub missing: Vec<String>,
}

/// What a confined command is kept from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Writing outside the writable places.
    pub files: bool,
    /// Writing existing `.git` and `.codex`, and the server's home, inside the writable places.
    pub protected_paths: bool,
    /// Changing modes, owners and times outside the writable places. Under `readOnly` that holds anyway.
    pub file_metadata: bool,
    /// Opening network sockets.
    pub network: bool,
    /// Sending signals to processes outside.
    pub signals: bool,
    /// Reaching abstract unix sockets of processes outside.
    pub abstract_sockets: bool,
}

/// What becomes of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyReport {
    /// Its name on the wire.
    pub policy: &'static str,
    /// `enforced`; `limited` is enforced unless something inside a writable folder has to be kept read-only;
    /// `unenforceable` is refused, unless the operator accepts less; `none` has nothing to enforce.
    pub state: &'static str,
}

pub(super) fn policies(confines: bool, covers: bool, filters: bool) -> Vec<PolicyReport> {
    let state = |holds: bool| if holds { "enforced" } else { "unenforceable" };
    let workspace = if confines && !covers { "limited" } else { state(confines) };
    vec![
        PolicyReport { policy: "readOnly", state: state(confines) },
        PolicyReport { policy: "workspaceWrite", state: workspace },
        PolicyReport { policy: "externalSandbox", state: state(filters) },
        PolicyReport { policy: "dangerFullAccess", state: "none" },
    ]
}
