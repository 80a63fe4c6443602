//! `apply_patch`: planned, decided about, applied all or nothing, and shown as the turn's diff.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Tool, ToolContext, ToolOutput, arguments, permit};
use crate::agent::stop::Stop;
use crate::model::{ToolCall, ToolInput, ToolSpec};
use crate::patch::{Patch, Plan, real_path, spec};
use crate::proto::{FileChangeItem, ItemBody, PatchApplyStatus, SandboxPolicy, TurnDiffUpdated};
use crate::sync::lock;

pub(super) struct ApplyPatch;

#[derive(Deserialize)]
struct Arguments {
    input: String,
}

impl Tool for ApplyPatch {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Freeform {
            name: spec::NAME.to_owned(),
            description: spec::FREEFORM_DESCRIPTION.to_owned(),
            lark: spec::GRAMMAR.to_owned(),
        }
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let text = match &call.input {
            ToolInput::Freeform(text) => text.clone(),
            ToolInput::Arguments(_) => match arguments(call) {
                Ok(Arguments { input }) => input,
                Err(refusal) => return Ok(refusal),
            },
        };
        apply(&call.call_id, &text, Path::new(&context.settings.cwd), context)
    }
}

/// Applies a patch, however it came.
pub(super) fn apply(
    call_id: &str,
    text: &str,
    folder: &Path,
    context: &ToolContext,
) -> Result<ToolOutput, Stop> {
    let plan = match Patch::parse(text).and_then(|patch| Plan::new(&patch, folder)) {
        Ok(plan) => plan,
        Err(error) => return Ok(ToolOutput::failed(format!("apply_patch verification failed: {error}"))),
    };
    let item = FileChangeItem {
        id: call_id.to_owned(),
        changes: plan.changes().to_vec(),
        status: PatchApplyStatus::InProgress,
    };
    let inside = is_inside(&plan, &writable(&context.settings.sandbox, &context.settings.cwd));
    let permit = match permit::patch(&plan, inside, &item, context)? {
        Ok(permit) => permit,
        Err(refusal) => return Ok(refusal),
    };
    let begun = context.clock.now();
    let applied = plan.apply();
    let status = if applied.is_ok() { PatchApplyStatus::Completed } else { PatchApplyStatus::Failed };
    let started_at_ms = permit.shown_since_ms.unwrap_or_else(|| context.teller.now_ms());
    let body = ItemBody::FileChange(FileChangeItem { status, ..item });
    context.teller.complete_item(body, started_at_ms, &[])?;
    if let Err(error) = applied {
        return Ok(ToolOutput::failed(format!("apply_patch failed, nothing was changed: {error}")));
    }
    lock(&context.diff).record(&plan);
    tell_diff(context)?;
    let took = context.clock.now().since(begun).as_secs_f64();
    Ok(ToolOutput::done(format!("Exit code: 0\nWall time: {took:.1} seconds\nOutput:\n{}", plan.summary())))
}

/// Tells the turn's whole diff, if there ever was one.
pub(in crate::agent) fn tell_diff(context: &ToolContext) -> Result<(), Stop> {
    let diff = lock(&context.diff);
    if diff.is_untouched() {
        return Ok(());
    }
    let teller = &context.teller;
    let told = TurnDiffUpdated { thread_id: teller.thread(), turn_id: teller.turn(), diff: diff.text() };
    Ok(teller.notify(&told)?)
}

/// True if all of a patch's files lie where the sandbox lets commands write; it keeps the folders of version
/// control and of agents' settings even there.
fn is_inside(plan: &Plan, roots: &[PathBuf]) -> bool {
    let kept = roots.iter().flat_map(|root| [root.join(".git"), root.join(".codex")]);
    let kept: Vec<PathBuf> = kept.filter_map(|path| real_path(&path).ok()).collect();
    let is_kept = |path: &PathBuf| kept.iter().any(|kept| path.starts_with(kept));
    plan.outside(roots).is_empty() && !plan.touched().iter().any(is_kept)
}

/// The folders that a policy lets be written. Where there is no sandbox nobody asks for them.
fn writable(policy: &SandboxPolicy, cwd: &str) -> Vec<PathBuf> {
    let SandboxPolicy::WorkspaceWrite { writable_roots, exclude_tmpdir_env_var, exclude_slash_tmp, .. } =
        policy
    else {
        return Vec::new();
    };
    let mut roots: Vec<PathBuf> = vec![PathBuf::from(cwd)];
    roots.extend(writable_roots.iter().map(PathBuf::from));
    if !exclude_slash_tmp {
        roots.push(PathBuf::from("/tmp"));
    }
    let temporary = std::env::var_os("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
    roots.extend(temporary.filter(|_| !exclude_tmpdir_env_var));
    roots
}
