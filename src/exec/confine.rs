//! From a sandbox policy to a running child: the one place where a policy is turned into deeds.

use super::{CommandSpec, SpawnError, TerminalSize};
use crate::proto::SandboxPolicy;
use crate::sandbox::{self, SandboxError, SharedSandbox};
use crate::sys::child::{self, Child, ChildSpec};
use crate::sys::lineage::Mark;

/// Starts a command, confined as its policy says.
///
/// # Errors
/// It did not start; [`SpawnError::Sandbox`] if its policy cannot be enforced: it is never dropped in
/// silence.
pub(super) fn start(
    spec: &CommandSpec,
    size: Option<TerminalSize>,
    mark: Mark,
    sandbox: &SharedSandbox,
) -> Result<Child, SpawnError> {
    let child = ChildSpec {
        program: &spec.program,
        args: &spec.args,
        cwd: &spec.cwd,
        env: &spec.env,
        stdin: spec.stdin,
        terminal: size.map(|TerminalSize { rows, columns }| (rows, columns)),
        limits: spec.limits,
        mark: Some(mark),
    };
    if is_free(&spec.sandbox) {
        return Ok(child::start(&child)?);
    }
    let confinement = sandbox.confine(&spec.sandbox, &spec.cwd)?;
    confinement.spawn(&child).map_err(|error| match error {
        sandbox::SpawnError::Command(error) => SpawnError::Os(error),
        other => SpawnError::Rules(other.to_string()),
    })
}

/// Whether a policy can be enforced here, as far as that is known; if it is not, that is found out when a
/// command is started. It looks at no file.
///
/// # Errors
/// What cannot be enforced, and what to do.
pub(super) fn check(spec: &CommandSpec, sandbox: &SharedSandbox) -> Result<(), SandboxError> {
    match sandbox.get() {
        Some(sandbox) if !is_free(&spec.sandbox) => sandbox.check(&spec.sandbox),
        _ => Ok(()),
    }
}

/// True if there is nothing to enforce, and nothing to find out.
fn is_free(policy: &SandboxPolicy) -> bool {
    matches!(policy, SandboxPolicy::DangerFullAccess)
}
