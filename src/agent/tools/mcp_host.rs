//! Who stands behind a turn's call of an MCP server: permission for it, its progress, and the server's
//! questions, all of which go to the thread's clients. Runs on the OS thread of the call.

use serde_json::{Map, Value, json};

use super::ToolContext;
use crate::agent::approvals::is_confining;
use crate::agent::ask::Answered;
use crate::config::ToolApproval;
use crate::limits::MCP_PROGRESS_CHARS;
use crate::mcp::{CallHost, QualifiedTool, ServerTool};
use crate::proto::{
    AskForApproval, Elicitation, ElicitationAction, ElicitationParams, ElicitationResponse,
    McpToolCallProgress, SandboxPolicy,
};

/// A turn behind its call of a server.
pub(super) struct TurnHost<'a> {
    pub(super) context: &'a ToolContext,
    pub(super) server: &'a str,
    pub(super) item_id: &'a str,
}

/// Whether a call is made.
pub(super) enum Permission {
    Granted,
    /// It is not, and the model and the item say why, in the reference's words.
    Refused(&'static str),
    /// The turn was interrupted meanwhile.
    Withdrawn,
}

/// What becomes of a call before anybody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Run,
    /// `lasting`: the answer may count for longer.
    Ask {
        lasting: bool,
    },
    Refuse,
}

const NOBODY_TO_ASK: &str = "MCP tool call requires approval, but approval policy is never";
const REJECTED: &str = "user rejected MCP tool call";
const CANCELLED: &str = "user cancelled MCP tool call";

/// Decides about a call; where nobody may be asked and there is no sandbox to leave, everything runs.
fn judge(mode: ToolApproval, tool: &ServerTool, policy: AskForApproval, sandbox: &SandboxPolicy) -> Verdict {
    let asks = match mode {
        ToolApproval::Approve => false,
        ToolApproval::Prompt => true,
        ToolApproval::Writes => tool.read_only_hint() != Some(true),
        ToolApproval::Auto => tool.may_matter(),
    };
    match policy {
        _ if !asks => Verdict::Run,
        AskForApproval::Never if !is_confining(sandbox) => Verdict::Run,
        AskForApproval::Never => Verdict::Refuse,
        AskForApproval::Granular(switches) if !switches.mcp_elicitations => Verdict::Refuse,
        _ => Verdict::Ask { lasting: mode != ToolApproval::Prompt },
    }
}

/// Asks the clients whether a call may be made, if they have to be asked.
pub(super) fn permission(tool: &QualifiedTool, arguments: &Value, host: &TurnHost<'_>) -> Permission {
    let QualifiedTool { server, tool, approval, .. } = tool;
    let settings = &host.context.settings;
    let lasting = match judge(*approval, tool, settings.approval_policy, &settings.sandbox) {
        Verdict::Run => return Permission::Granted,
        Verdict::Refuse => return Permission::Refused(NOBODY_TO_ASK),
        Verdict::Ask { lasting: true } if host.context.approvals.allows_tool(server, &tool.name) => {
            return Permission::Granted;
        }
        Verdict::Ask { lasting } => lasting,
    };
    let request = Elicitation::Form {
        meta: Some(described(tool, arguments, lasting)),
        message: format!("Allow the {server} MCP server to run tool \"{}\"?", tool.name),
        requested_schema: json!({ "type": "object", "properties": {} }),
    };
    let Some(answer) = host.ask(request) else { return Permission::Withdrawn };
    match answer.action {
        ElicitationAction::Accept => {
            let persist = answer.meta.as_ref().and_then(|meta| meta.get("persist"));
            if lasting && persist.is_some_and(|persist| persist == "session" || persist == "always") {
                host.context.approvals.allow_tool(server, &tool.name);
            }
            Permission::Granted
        }
        ElicitationAction::Decline => Permission::Refused(REJECTED),
        ElicitationAction::Cancel => Permission::Refused(CANCELLED),
    }
}

/// What clients show of a call, under the reference's keys.
fn described(tool: &ServerTool, arguments: &Value, lasting: bool) -> Value {
    let mut meta = Map::new();
    let mut set = |key: &str, value: Value| drop(meta.insert(key.to_owned(), value));
    set("codex_approval_kind", json!("mcp_tool_call"));
    if lasting {
        set("persist", json!(["session"]));
    }
    set("tool_name", json!(tool.name));
    if let Some(annotations) = tool.annotations() {
        set("tool_annotations", annotations.clone());
    }
    set("tool_description", json!(tool.description()));
    set("tool_params", arguments.clone());
    let shown = arguments.as_object().into_iter().flatten();
    let shown = shown.map(|(name, value)| json!({ "name": name, "value": value, "display_name": name }));
    set("tool_params_display", shown.collect());
    Value::Object(meta)
}

impl TurnHost<'_> {
    /// None if the turn was interrupted.
    fn ask(&self, request: Elicitation) -> Option<ElicitationResponse> {
        let params = ElicitationParams {
            thread_id: self.context.teller.thread().to_owned(),
            turn_id: Some(self.context.teller.turn().to_owned()),
            server_name: self.server.to_owned(),
            request,
        };
        match self.context.asker.ask(&params, /*opening*/ None, &self.context.cancel) {
            Answered::Given(answer) => Some(answer),
            Answered::Failed(reason) => {
                tracing::warn!(server = self.server, reason, "a question of an MCP server failed");
                Some(without_content(ElicitationAction::Cancel))
            }
            Answered::Undecided => Some(without_content(ElicitationAction::Decline)),
            Answered::Withdrawn => None,
        }
    }
}

impl CallHost for TurnHost<'_> {
    fn progress(&self, message: String) {
        let end = message.char_indices().nth(MCP_PROGRESS_CHARS).map_or(message.len(), |(at, _)| at);
        let teller = &self.context.teller;
        // A turn that is over learns of it where it cannot go on.
        let _ = teller.notify(&McpToolCallProgress {
            thread_id: teller.thread(),
            turn_id: teller.turn(),
            item_id: self.item_id,
            message: &message[..end],
        });
    }

    fn elicit(&self, request: Elicitation) -> ElicitationResponse {
        let may_ask = match self.context.settings.approval_policy {
            AskForApproval::Never => false,
            AskForApproval::Granular(switches) => switches.mcp_elicitations,
            AskForApproval::UnlessTrusted | AskForApproval::OnRequest => true,
        };
        if !may_ask {
            return without_content(ElicitationAction::Decline);
        }
        self.ask(request).unwrap_or_else(|| without_content(ElicitationAction::Cancel))
    }
}

fn without_content(action: ElicitationAction) -> ElicitationResponse {
    ElicitationResponse { action, content: None, meta: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::GranularApproval;

    #[test]
    fn calls_are_judged_by_the_table() {
        use ToolApproval::{Approve, Auto, Prompt, Writes};
        let tool = |annotations: Value| {
            let definition = json!({ "name": "t", "inputSchema": {}, "annotations": annotations });
            ServerTool::from_definition(definition).expect("a tool")
        };
        let (says_nothing, reads) = (tool(Value::Null), tool(json!({ "readOnlyHint": true })));
        let tame = tool(json!({ "destructiveHint": false, "openWorldHint": false }));
        let both = tool(json!({ "readOnlyHint": true, "destructiveHint": true }));
        let confined = SandboxPolicy::ReadOnly { network_access: false };
        let granular = |mcp_elicitations| {
            AskForApproval::Granular(GranularApproval {
                sandbox_approval: true,
                rules: true,
                skill_approval: false,
                request_permissions: false,
                mcp_elicitations,
            })
        };
        let (ask, once) = (Verdict::Ask { lasting: true }, Verdict::Ask { lasting: false });
        let (run, refuse) = (Verdict::Run, Verdict::Refuse);
        // on-request, untrusted, granular with and without mcp_elicitations, never
        let table = [
            (Auto, &says_nothing, [ask, ask, ask, refuse, refuse]),
            (Auto, &reads, [run; 5]),
            (Auto, &tame, [run; 5]),
            (Auto, &both, [ask, ask, ask, refuse, refuse]),
            (Writes, &reads, [run; 5]),
            (Writes, &tame, [ask, ask, ask, refuse, refuse]),
            (Prompt, &reads, [once, once, once, refuse, refuse]),
            (Approve, &says_nothing, [run; 5]),
        ];
        for (mode, tool, verdicts) in table {
            let policies = [
                AskForApproval::OnRequest,
                AskForApproval::UnlessTrusted,
                granular(/*mcp_elicitations*/ true),
                granular(/*mcp_elicitations*/ false),
                AskForApproval::Never,
            ];
            for (policy, verdict) in policies.into_iter().zip(verdicts) {
                assert_eq!(judge(mode, tool, policy, &confined), verdict, "{mode:?} {policy:?}");
            }
            let free = judge(mode, tool, AskForApproval::Never, &SandboxPolicy::DangerFullAccess);
            assert_eq!(free, run, "{mode:?}");
        }
    }
}
