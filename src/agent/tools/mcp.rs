//! Tools of MCP servers: each call is an item, and what the server answers is said to the model.

use std::sync::Arc;

use serde_json::Value;

use super::mcp_host::{Permission, TurnHost, permission};
use super::{Tool, ToolContext, ToolOutput, arguments};
use crate::agent::stop::Stop;
use crate::mcp::{Mcp, QualifiedTool, ToolResult};
use crate::model::{Cancel, Content, ToolCall, ToolSpec};
use crate::proto::{ItemBody, McpToolCallError, McpToolCallItem, ToolCallStatus};

/// One tool of one server.
struct McpTool {
    mcp: Mcp,
    tool: QualifiedTool,
}

/// The tools of the servers that can be used now; starts them if this is the first turn that needs them.
pub(in crate::agent) fn tools(mcp: &Mcp, cancel: &Cancel) -> Vec<Arc<dyn Tool>> {
    let tools = mcp.tools(cancel).into_iter();
    tools.map(|tool| Arc::new(McpTool { mcp: mcp.clone(), tool }) as Arc<dyn Tool>).collect()
}

impl Tool for McpTool {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Function {
            name: self.tool.name.clone(),
            description: self.tool.tool.description().to_owned(),
            parameters: self.tool.tool.input_schema().clone(),
            strict: false,
        }
    }

    /// Only what says that it changes nothing.
    fn is_parallel(&self) -> bool {
        self.tool.tool.read_only_hint() == Some(true)
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let given: Value = match arguments(call) {
            Ok(given) => given,
            Err(refusal) => return Ok(refusal),
        };
        let (server, tool) = (self.tool.server.as_str(), self.tool.tool.name.as_str());
        let mut item = McpToolCallItem {
            id: call.call_id.clone(),
            server: server.to_owned(),
            tool: tool.to_owned(),
            status: ToolCallStatus::InProgress,
            arguments: given.clone(),
            app_context: None,
            mcp_app_resource_uri: None,
            mcp_app_ui: None,
            plugin_id: None,
            read_only_hint: self.tool.tool.read_only_hint(),
            result: None,
            error: None,
            duration_ms: None,
        };
        let started_at_ms = context.teller.now_ms();
        context.teller.start_item(ItemBody::McpToolCall(item.clone()), started_at_ms)?;
        let host = TurnHost { context, server, item_id: &item.id };
        let called_at_ms = context.teller.now_ms();
        let answer = match permission(&self.tool, &given, &host) {
            Permission::Granted => self
                .mcp
                .call(server, tool, Some(&given), /*meta*/ None, Some(&host), &context.cancel)
                .map_err(|error| error.to_string()),
            Permission::Refused(why) => Err(why.to_owned()),
            Permission::Withdrawn => return Err(Stop::Interrupted),
        };
        item.duration_ms = Some(context.teller.now_ms() - called_at_ms);
        item.status = match &answer {
            Ok(ToolResult { is_error: false, .. }) => ToolCallStatus::Completed,
            _ => ToolCallStatus::Failed,
        };
        match &answer {
            Ok(answer) => item.result = Some(shown(&answer.result)),
            Err(message) => item.error = Some(McpToolCallError { message: message.clone() }),
        }
        context.teller.complete_item(ItemBody::McpToolCall(item), started_at_ms, &[])?;
        Ok(said(answer))
    }
}

/// The result as items have it.
fn shown(result: &Value) -> Value {
    let part = |key: &str| result.get(key).cloned().unwrap_or_default();
    serde_json::json!({
        "content": part("content"),
        "structuredContent": part("structuredContent"),
        "_meta": part("_meta"),
    })
}

/// What the model is told.
fn said(answer: Result<ToolResult, String>) -> ToolOutput {
    let answer = match answer {
        Ok(answer) => answer,
        Err(message) => return ToolOutput::failed(message),
    };
    let pieces = answer.result.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut content: Vec<Content> = pieces.iter().map(piece).collect();
    // Servers that answer for programs alone.
    if content.is_empty()
        && let Some(structured) = answer.result.get("structuredContent").filter(|value| !value.is_null())
    {
        content.push(Content::Text { text: structured.to_string() });
    }
    ToolOutput { content, success: !answer.is_error }
}

/// A piece of an answer; what is neither words nor a picture is shown as it is.
fn piece(piece: &Value) -> Content {
    let text = |key: &str| piece.get(key).and_then(Value::as_str);
    match (text("type"), text("text"), text("data"), text("mimeType")) {
        (Some("text"), Some(text), ..) => Content::Text { text: text.to_owned() },
        (Some("image"), _, Some(data), Some(kind)) => {
            Content::Image { url: format!("data:{kind};base64,{data}") }
        }
        _ => Content::Text { text: piece.to_string() },
    }
}
