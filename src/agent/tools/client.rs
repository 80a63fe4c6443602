//! Tools that the client brought along and carries out itself: `item/tool/call`.

use std::sync::Arc;

use serde_json::Value;

use super::{Tool, ToolContext, ToolOutput, arguments};
use crate::agent::ask::Answered;
use crate::agent::stop::Stop;
use crate::model::{Content, ToolCall, ToolSpec};
use crate::proto::{
    DynamicToolCallItem, DynamicToolCallParams, DynamicToolCallResponse, DynamicToolContent, DynamicToolKind,
    DynamicToolSpec, ItemBody, ToolCallStatus,
};

/// What the model and the item are told when the client has no usable answer.
const FAILED: &str = "dynamic tool request failed";

/// One tool of a client.
struct ClientTool {
    /// As the model calls it.
    name: String,
    /// As the client calls it.
    namespace: Option<String>,
    tool: String,
    description: String,
    schema: Value,
}

/// The tools that a thread's client brought along. The model has flat names, so a namespace is a prefix.
#[must_use]
pub fn client_tools(specs: &[DynamicToolSpec]) -> Vec<Arc<dyn Tool>> {
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    for spec in specs {
        match spec.kind {
            DynamicToolKind::Function => tools.push(Arc::new(ClientTool::new(spec, /*namespace*/ None))),
            DynamicToolKind::Namespace => {
                for inner in &spec.tools {
                    tools.push(Arc::new(ClientTool::new(inner, Some(&spec.name))));
                }
            }
        }
    }
    tools
}

impl ClientTool {
    fn new(spec: &DynamicToolSpec, namespace: Option<&str>) -> Self {
        Self {
            name: namespace
                .map_or_else(|| spec.name.clone(), |namespace| format!("{namespace}__{}", spec.name)),
            namespace: namespace.map(str::to_owned),
            tool: spec.name.clone(),
            description: spec.description.clone(),
            schema: spec.input_schema.clone(),
        }
    }

    fn item(&self, call: &ToolCall, arguments: &Value) -> DynamicToolCallItem {
        DynamicToolCallItem {
            id: call.call_id.clone(),
            namespace: self.namespace.clone(),
            tool: self.tool.clone(),
            arguments: arguments.clone(),
            status: ToolCallStatus::InProgress,
            content_items: None,
            success: None,
            duration_ms: None,
        }
    }
}

impl Tool for ClientTool {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Function {
            name: self.name.clone(),
            description: self.description.clone(),
            parameters: self.schema.clone(),
            strict: false,
        }
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let arguments: Value = match arguments(call) {
            Ok(arguments) => arguments,
            Err(refusal) => return Ok(refusal),
        };
        let teller = &context.teller;
        let started_at_ms = teller.now_ms();
        let mut item = self.item(call, &arguments);
        teller.start_item(ItemBody::DynamicToolCall(item.clone()), started_at_ms)?;
        let request = DynamicToolCallParams {
            thread_id: teller.thread().to_owned(),
            turn_id: teller.turn().to_owned(),
            call_id: call.call_id.clone(),
            namespace: self.namespace.clone(),
            tool: self.tool.clone(),
            arguments,
        };
        let response = match context.asker.ask(&request, /*opening*/ None, &context.cancel) {
            Answered::Given(response) => response,
            Answered::Failed(reason) => {
                tracing::warn!(tool = self.tool, reason, "a client's tool failed");
                failed()
            }
            Answered::Undecided => failed(),
            Answered::Withdrawn => return Err(Stop::Interrupted),
        };
        let output = said(&response);
        item.status = if response.success { ToolCallStatus::Completed } else { ToolCallStatus::Failed };
        item.success = Some(response.success);
        item.content_items = Some(response.content_items);
        item.duration_ms = Some(teller.now_ms() - started_at_ms);
        teller.complete_item(ItemBody::DynamicToolCall(item), started_at_ms, &[])?;
        Ok(output)
    }
}

fn failed() -> DynamicToolCallResponse {
    let content_items = vec![DynamicToolContent::InputText { text: FAILED.to_owned() }];
    DynamicToolCallResponse { content_items, success: false }
}

/// What the model is told. It cannot hear, so of a sound it gets the address.
fn said(response: &DynamicToolCallResponse) -> ToolOutput {
    let content = response.content_items.iter().map(|part| match part {
        DynamicToolContent::InputText { text } => Content::Text { text: text.clone() },
        DynamicToolContent::InputImage { image_url } => Content::Image { url: image_url.clone() },
        DynamicToolContent::InputAudio { audio_url } => Content::Text { text: audio_url.clone() },
    });
    ToolOutput { content: content.collect(), success: response.success }
}
