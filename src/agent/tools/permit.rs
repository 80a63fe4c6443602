//! Whether a command or a patch may be run: decided by the thread's policies, or by the clients.

use std::sync::Arc;

use super::exec::Arguments;
use super::{ToolContext, ToolOutput};
use crate::agent::approvals::{Decided, Verdict, WantedCommand, judge_command, judge_patch, proposed_rule};
use crate::agent::ask::Opening;
use crate::agent::stop::Stop;
use crate::patch::Plan;
use crate::proto::{
    CommandApprovalKind, CommandApprovalParams, CommandDecision, CommandExecutionItem,
    CommandExecutionStatus, FileChangeApprovalParams, FileChangeItem, ItemBody, ItemStarted,
    PatchApplyStatus, ThreadItem,
};

/// A command or a patch may be run.
pub(super) struct Permit {
    /// Without the sandbox.
    pub(super) unconfined: bool,
    /// When its item began, if it is shown already: with the question about it.
    pub(super) shown_since_ms: Option<i64>,
}

/// Decides about a command; may wait for clients. What it may not is a word to the model.
pub(super) fn command(
    wanted: &Arguments,
    escalated: bool,
    item: &CommandExecutionItem,
    context: &ToolContext,
) -> Result<Result<Permit, ToolOutput>, Stop> {
    let settings = &context.settings;
    let key = WantedCommand { command: wanted.cmd.clone(), cwd: item.cwd.clone(), escalated };
    let allowed = context.approvals.allowed(&key);
    let unconfined = match judge_command(settings.approval_policy, &settings.sandbox, escalated, allowed) {
        Verdict::Run { unconfined } => return Ok(Ok(Permit { unconfined, shown_since_ms: None })),
        Verdict::Refuse(why) => return Ok(Err(ToolOutput::failed(why))),
        Verdict::Ask { unconfined } => unconfined,
    };
    let started_at_ms = context.teller.now_ms();
    let opening = opening(ItemBody::CommandExecution(item.clone()), started_at_ms, context);
    let rule = proposed_rule(&wanted.cmd, wanted.prefix_rule.as_deref());
    let for_good = rule
        .clone()
        .map(|rule| CommandDecision::AcceptWithExecpolicyAmendment { execpolicy_amendment: rule });
    let decisions =
        [Some(CommandDecision::Accept), for_good, Some(CommandDecision::Cancel)].into_iter().flatten();
    let request = CommandApprovalParams {
        kind: CommandApprovalKind::Command,
        thread_id: context.teller.thread().to_owned(),
        turn_id: context.teller.turn().to_owned(),
        item_id: item.id.clone(),
        started_at_ms,
        approval_id: None,
        environment_id: Some("local".to_owned()),
        reason: wanted.justification.clone(),
        command: Some(item.command.clone()),
        cwd: Some(item.cwd.clone()),
        command_actions: Some(item.command_actions.clone()),
        proposed_execpolicy_amendment: rule,
        available_decisions: Some(decisions.collect()),
    };
    let answered = context.asker.ask(&request, Some(opening), &context.cancel);
    let decided = context.approvals.decide_command(key, unconfined, answered);
    if let Decided::Run { unconfined } = decided {
        return Ok(Ok(Permit { unconfined, shown_since_ms: Some(started_at_ms) }));
    }
    let status = match decided {
        Decided::Failed => CommandExecutionStatus::Failed,
        _ => CommandExecutionStatus::Declined,
    };
    let body = ItemBody::CommandExecution(CommandExecutionItem { status, ..item.clone() });
    context.teller.complete_item(body, started_at_ms, &[])?;
    refusal(decided, "exec_command failed: ").map(Err)
}

/// Completes an item that is shown and whose command was not even taken.
pub(super) fn fail_shown(
    item: CommandExecutionItem,
    shown_since_ms: Option<i64>,
    context: &ToolContext,
) -> Result<(), Stop> {
    let Some(started_at_ms) = shown_since_ms else { return Ok(()) };
    let failed = CommandExecutionItem { status: CommandExecutionStatus::Failed, ..item };
    context.teller.complete_item(ItemBody::CommandExecution(failed), started_at_ms, &[]).map(|_| ())
}

/// Decides about a patch; may wait for clients.
pub(super) fn patch(
    plan: &Plan,
    inside: bool,
    item: &FileChangeItem,
    context: &ToolContext,
) -> Result<Result<Permit, ToolOutput>, Stop> {
    let settings = &context.settings;
    let paths: Vec<String> = plan.touched().iter().map(|path| path.display().to_string()).collect();
    let allowed = context.approvals.allow_files(&paths);
    let verdict = judge_patch(settings.approval_policy, &settings.sandbox, inside, allowed);
    let started_at_ms = context.teller.now_ms();
    let body = ItemBody::FileChange(item.clone());
    let unconfined = match verdict {
        Verdict::Run { unconfined } => {
            context.teller.start_item(body, started_at_ms)?;
            return Ok(Ok(Permit { unconfined, shown_since_ms: Some(started_at_ms) }));
        }
        Verdict::Refuse(why) => return Ok(Err(ToolOutput::failed(why))),
        Verdict::Ask { unconfined } => unconfined,
    };
    // A patch is shown before the thread is said to wait.
    context.teller.start_item(body, started_at_ms)?;
    let request = FileChangeApprovalParams {
        thread_id: context.teller.thread().to_owned(),
        turn_id: context.teller.turn().to_owned(),
        item_id: item.id.clone(),
        started_at_ms,
        reason: None,
        grant_root: None,
    };
    let answered = context.asker.ask(&request, /*opening*/ None, &context.cancel);
    let decided = context.approvals.decide_patch(&paths, unconfined, answered);
    if let Decided::Run { unconfined } = decided {
        return Ok(Ok(Permit { unconfined, shown_since_ms: Some(started_at_ms) }));
    }
    let status = match decided {
        Decided::Failed => PatchApplyStatus::Failed,
        _ => PatchApplyStatus::Declined,
    };
    let body = ItemBody::FileChange(FileChangeItem { status, ..item.clone() });
    context.teller.complete_item(body, started_at_ms, &[])?;
    refusal(decided, "patch ").map(Err)
}

fn opening(body: ItemBody, started_at_ms: i64, context: &ToolContext) -> Opening {
    let item = ThreadItem { body, started_at_ms: Some(started_at_ms), completed_at_ms: None };
    let notification = context.teller.encode(&ItemStarted {
        item: &item,
        thread_id: context.teller.thread(),
        turn_id: context.teller.turn(),
        started_at_ms,
    });
    Opening { item: Arc::new(item), notification }
}

/// What the model is told, or the end of the turn.
fn refusal(decided: Decided, what: &str) -> Result<ToolOutput, Stop> {
    match decided {
        Decided::Cancelled | Decided::Interrupted => Err(Stop::Interrupted),
        Decided::Failed => Ok(ToolOutput::failed(format!("{what}approval request failed"))),
        Decided::Declined | Decided::Run { .. } => Ok(ToolOutput::failed(format!("{what}rejected by user"))),
    }
}
