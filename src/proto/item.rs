//! Items: what a turn consists of.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::input::UserInput;
use super::item_tool::{
    CollabAgentToolCallItem, CommandExecutionItem, DynamicToolCallItem, FileChangeItem, ImageGenerationItem,
    ImageViewItem, McpToolCallItem, SubAgentActivityItem, WebSearchItem,
};
use super::null_is_default;

/// An item: what it is, and when it began and ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadItem {
    /// What it is; on the wire its fields come first, in the same object.
    #[serde(flatten)]
    pub body: ItemBody,
    /// When it began, in Unix milliseconds.
    #[serde(default)]
    pub started_at_ms: Option<i64>,
    /// When it ended, in Unix milliseconds; none while it goes on.
    #[serde(default)]
    pub completed_at_ms: Option<i64>,
}

impl ThreadItem {
    /// The item's id, unique within its thread.
    #[must_use]
    pub fn id(&self) -> &str {
        self.body.id()
    }

    /// The item's kind as it is called on the wire, for example `agentMessage`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.body.kind()
    }
}

/// The kinds of items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ItemBody {
    /// The user said something.
    UserMessage(UserMessageItem),
    /// Hooks said something.
    HookPrompt(HookPromptItem),
    /// The agent said something.
    AgentMessage(AgentMessageItem),
    /// A tool outside of the conversation said something.
    FunctionCallOutput(FunctionCallOutputItem),
    /// The agent proposes a plan.
    Plan(PlanItem),
    /// The model thought.
    Reasoning(ReasoningItem),
    /// A command.
    CommandExecution(CommandExecutionItem),
    /// A patch.
    FileChange(FileChangeItem),
    /// A tool of an MCP server.
    McpToolCall(McpToolCallItem),
    /// A tool of the client.
    DynamicToolCall(DynamicToolCallItem),
    /// A tool that steers sub-agents.
    CollabAgentToolCall(CollabAgentToolCallItem),
    /// Something happened to a sub-agent.
    SubAgentActivity(SubAgentActivityItem),
    /// A search in the web.
    WebSearch(WebSearchItem),
    /// The model looked at a picture.
    ImageView(ImageViewItem),
    /// The agent waits.
    Sleep(SleepItem),
    /// The model made a picture.
    ImageGeneration(ImageGenerationItem),
    /// A review begins.
    EnteredReviewMode(ReviewModeItem),
    /// A review ends.
    ExitedReviewMode(ReviewModeItem),
    /// The history was shortened.
    ContextCompaction(ContextCompactionItem),
}

impl ItemBody {
    /// The item's id, unique within its thread.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::UserMessage(item) => &item.id,
            Self::HookPrompt(item) => &item.id,
            Self::AgentMessage(item) => &item.id,
            Self::FunctionCallOutput(item) => &item.id,
            Self::Plan(item) => &item.id,
            Self::Reasoning(item) => &item.id,
            Self::CommandExecution(item) => &item.id,
            Self::FileChange(item) => &item.id,
            Self::McpToolCall(item) => &item.id,
            Self::DynamicToolCall(item) => &item.id,
            Self::CollabAgentToolCall(item) => &item.id,
            Self::SubAgentActivity(item) => &item.id,
            Self::WebSearch(item) => &item.id,
            Self::ImageView(item) => &item.id,
            Self::Sleep(item) => &item.id,
            Self::ImageGeneration(item) => &item.id,
            Self::EnteredReviewMode(item) => &item.id,
            Self::ExitedReviewMode(item) => &item.id,
            Self::ContextCompaction(item) => &item.id,
        }
    }

    /// The kind as it is called on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UserMessage(_) => "userMessage",
            Self::HookPrompt(_) => "hookPrompt",
            Self::AgentMessage(_) => "agentMessage",
            Self::FunctionCallOutput(_) => "functionCallOutput",
            Self::Plan(_) => "plan",
            Self::Reasoning(_) => "reasoning",
            Self::CommandExecution(_) => "commandExecution",
            Self::FileChange(_) => "fileChange",
            Self::McpToolCall(_) => "mcpToolCall",
            Self::DynamicToolCall(_) => "dynamicToolCall",
            Self::CollabAgentToolCall(_) => "collabAgentToolCall",
            Self::SubAgentActivity(_) => "subAgentActivity",
            Self::WebSearch(_) => "webSearch",
            Self::ImageView(_) => "imageView",
            Self::Sleep(_) => "sleep",
            Self::ImageGeneration(_) => "imageGeneration",
            Self::EnteredReviewMode(_) => "enteredReviewMode",
            Self::ExitedReviewMode(_) => "exitedReviewMode",
            Self::ContextCompaction(_) => "contextCompaction",
        }
    }
}

/// A message of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserMessageItem {
    /// UUIDv7.
    pub id: String,
    /// The client's own id for it.
    pub client_id: Option<String>,
    /// What the user sent.
    pub content: Vec<UserInput>,
}

/// What hooks said to the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HookPromptItem {
    /// The item's id.
    pub id: String,
    /// One for each hook.
    pub fragments: Vec<HookPromptFragment>,
}

/// What one hook said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HookPromptFragment {
    /// The words.
    pub text: String,
    /// The run of the hook.
    pub hook_run_id: String,
}

/// A message of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentMessageItem {
    /// How it was moderated; opaque.
    pub moderation: Option<Value>,
    /// The model's id for it.
    pub id: String,
    /// The words so far.
    pub text: String,
    /// Whether it is the answer or said on the way.
    pub phase: Option<MessagePhase>,
    /// Memories that it draws on; opaque.
    pub memory_citation: Option<Value>,
    /// How it is delivered, if not as usual.
    pub delivery: Option<AgentMessageDelivery>,
    /// Questions to be answered later; opaque.
    pub questions: Option<Vec<Value>>,
}

/// Which part of the answer a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessagePhase {
    /// Said on the way.
    Commentary,
    /// A part of the answer.
    PartialAnswer,
    /// The answer.
    FinalAnswer,
}

/// How a message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AgentMessageDelivery {
    /// Outside of the turn's flow.
    Async,
}

/// The output of a tool outside of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FunctionCallOutputItem {
    /// The item's id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The tool's namespace.
    pub namespace: Option<String>,
    /// A string, or a list of content parts.
    pub output: Value,
}

/// A plan that the agent proposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlanItem {
    /// The item's id.
    pub id: String,
    /// The plan in Markdown.
    pub text: String,
}

/// What the model thought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReasoningItem {
    /// The model's id for it.
    pub id: String,
    /// Summaries, part by part.
    #[serde(default, deserialize_with = "null_is_default")]
    pub summary: Vec<String>,
    /// Raw thoughts, where the model shows them.
    #[serde(default, deserialize_with = "null_is_default")]
    pub content: Vec<String>,
}

/// The agent waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SleepItem {
    /// The model's id of the call.
    pub id: String,
    /// Milliseconds.
    pub duration_ms: u64,
}

/// A review begins or ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReviewModeItem {
    /// The item's id.
    pub id: String,
    /// What is reviewed, or what the review says.
    pub review: String,
}

/// The history was shortened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ContextCompactionItem {
    /// The item's id.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each recorded kind, as the reference sends it.
    const RECORDED: &[&str] = &[
        r#"{"type":"userMessage","id":"01a1f96e-1175-7032-9406-21f05488340d","clientId":"steer-1","content":[{"type":"text","text":"steered text","text_elements":[]}],"startedAtMs":1795186102646,"completedAtMs":1795186102646}"#,
        r#"{"type":"agentMessage","moderation":null,"id":"msg_0_0","text":"running it","phase":"commentary","memoryCitation":null,"delivery":null,"questions":null,"startedAtMs":1795185853092,"completedAtMs":1795185853093}"#,
        r#"{"type":"reasoning","id":"rs_8_0","summary":["**First** part","**Second** part"],"content":["raw thought"],"startedAtMs":1795185954707,"completedAtMs":1795185954707}"#,
        r#"{"type":"commandExecution","id":"call_51_1","pluginId":null,"scriptPath":null,"command":"/bin/bash -lc 'echo two'","cwd":"/srv/demo","processId":"96887","source":"unifiedExecStartup","status":"completed","commandActions":[{"type":"unknown","command":"echo two"}],"aggregatedOutput":"two\n","exitCode":0,"durationMs":0,"startedAtMs":1795185868859,"completedAtMs":1795185868860}"#,
        r#"{"type":"contextCompaction","id":"01a1f968-a40f-7d43-9492-6cb0d49e9f2c","startedAtMs":1795185746959,"completedAtMs":1795185746994}"#,
        r#"{"type":"fileChange","id":"call_11_0","changes":[{"path":"/srv/out/x.txt","kind":{"type":"add"},"diff":"out\n"}],"status":"completed","startedAtMs":1795185912628,"completedAtMs":1795185912676}"#,
        r#"{"type":"webSearch","id":"ws_1","query":"rust","action":{"type":"search","query":"rust","queries":null},"results":null,"startedAtMs":1795185956856,"completedAtMs":1795185956857}"#,
        r#"{"type":"imageView","id":"call_15_0","path":"/srv/demo/p.png","startedAtMs":1795185957226,"completedAtMs":1795185957226}"#,
        r##"{"type":"plan","id":"01a1f96b-dabc-7483-bf1b-40d47d50cad2-plan","text":"# Plan\n- step 1\n","startedAtMs":1795185957644,"completedAtMs":1795185957644}"##,
        r#"{"type":"dynamicToolCall","id":"call_21_0","namespace":null,"tool":"lookup","arguments":{"key":"k"},"status":"failed","contentItems":[{"type":"inputText","text":"nope"}],"success":false,"durationMs":0,"startedAtMs":1795185958436,"completedAtMs":1795185958437}"#,
        r#"{"type":"enteredReviewMode","id":"01a1f989-0940-79f1-91fb-39ad274f855f","review":"review it","startedAtMs":1795187870016,"completedAtMs":1795187870016}"#,
        r#"{"type":"exitedReviewMode","id":"01a1f989-09a1-7842-bc39-bafc3506ad83","review":"ok","startedAtMs":1795187870113,"completedAtMs":1795187870113}"#,
        r#"{"type":"functionCallOutput","id":"fco_01a1f969-8dd0-7fe0-b68c-000d9d39ab13","name":"mailer","namespace":null,"output":"you have mail","startedAtMs":1795185806806,"completedAtMs":1795185806806}"#,
    ];

    #[test]
    fn recorded_items_round_trip() {
        for json in RECORDED {
            let item: ThreadItem = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&item).unwrap(), *json);
            assert!(json.contains(&format!(r#""type":"{}""#, item.kind())), "{json}");
            assert!(json.contains(&format!(r#""id":"{}""#, item.id())), "{json}");
        }
    }

    #[test]
    fn an_item_without_times_decodes() {
        let item: ThreadItem = serde_json::from_str(r#"{"type":"sleep","id":"s","durationMs":5}"#).unwrap();
        assert_eq!(item.body, ItemBody::Sleep(SleepItem { id: "s".into(), duration_ms: 5 }));
        assert_eq!((item.started_at_ms, item.completed_at_ms), (None, None));
    }
}
