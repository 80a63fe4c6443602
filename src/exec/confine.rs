//! From a sandbox policy to what is really started: the one place where a policy is turned into deeds.

use std::ffi::OsString;

use super::{CommandSpec, SpawnError};
use crate::proto::SandboxPolicy;

/// The program, its arguments and its changes of the environment under the command's policy.
pub(super) struct Confined {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, Option<OsString>)>,
}

/// Makes the command one that is confined as its policy says.
///
/// # Errors
/// [`SpawnError::Sandbox`] if the policy cannot be enforced: it is never dropped in silence.
pub(super) fn confine(spec: &CommandSpec) -> Result<Confined, SpawnError> {
    match check(&spec.sandbox) {
        Ok(()) => {
            Ok(Confined { program: spec.program.clone(), args: spec.args.clone(), env: spec.env.clone() })
        }
        Err(why) => Err(SpawnError::Sandbox(why)),
    }
}

/// Whether a policy can be enforced here; if not, why, and what to do.
///
/// # Errors
/// The text for whoever asked for the policy.
pub(super) fn check(policy: &SandboxPolicy) -> Result<(), String> {
    let name = match policy {
        SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. } => return Ok(()),
        SandboxPolicy::ReadOnly { .. } => "readOnly",
        SandboxPolicy::WorkspaceWrite { .. } => "workspaceWrite",
    };
    Err(format!(
        "{name} cannot be enforced by this server yet; \
         send dangerFullAccess, or externalSandbox if something else confines this server"
    ))
}
