//! Tools that the client brought along: it carries them out itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Tool, ToolContext, ToolOutput};
use crate::agent::ask::Answered;
use crate::agent::stop::Stop;
use crate::model::{Content, ToolCall, ToolInput, ToolSpec};
use crate::proto::{
    DynamicToolCallItem, DynamicToolCallParams, DynamicToolContent, ItemBody, ToolCallStatus,
};

/// A tool of the client, as it was declared with the thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicTool {
    /// Its name.
    pub name: String,
    /// A name for it and its kind together.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What it does, for the model.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
}

/// The declared tools, ready to be offered.
pub(in crate::agent) fn tools(declared: &[DynamicTool]) -> Vec<Arc<dyn Tool>> {
    declared.iter().map(|tool| Arc::new(tool.clone()) as Arc<dyn Tool>).collect()
}

impl Tool for DynamicTool {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Function {
            name: self.name.clone(),
            description: self.description.clone(),
            parameters: self.input_schema.clone(),
            strict: false,
        }
    }

    fn is_parallel(&self) -> bool {
        true
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let ToolInput::Arguments(json) = &call.input else {
            return Ok(ToolOutput::failed(format!("{} takes JSON arguments, not free text", call.name)));
        };
        let arguments: Value = match serde_json::from_str(json) {
            Ok(arguments) => arguments,
            Err(error) => {
                return Ok(ToolOutput::failed(format!("failed to parse function arguments: {error}")));
            }
        };
        let teller = &context.teller;
        let item = DynamicToolCallItem {
            id: call.call_id.clone(),
            namespace: self.namespace.clone(),
            tool: self.name.clone(),
            arguments: arguments.clone(),
            status: ToolCallStatus::InProgress,
            content_items: None,
            success: None,
            duration_ms: None,
        };
        let started_at_ms = teller.now_ms();
        teller.start_item(ItemBody::DynamicToolCall(item.clone()), started_at_ms)?;
        let request = DynamicToolCallParams {
            thread_id: teller.thread().to_owned(),
            turn_id: teller.turn().to_owned(),
            call_id: call.call_id.clone(),
            namespace: self.namespace.clone(),
            tool: self.name.clone(),
            arguments,
        };
        let answered = context.asker.ask(&request, /*opening*/ None, &context.cancel);
        let (content, success, stop) = match answered {
            Answered::Given(answer) => (answer.content_items, answer.success, None),
            Answered::Withdrawn => (Vec::new(), false, Some(Stop::Interrupted)),
            Answered::Failed(_) | Answered::Undecided => {
                let text = "dynamic tool request failed".to_owned();
                (vec![DynamicToolContent::InputText { text }], false, None)
            }
        };
        let status = if success { ToolCallStatus::Completed } else { ToolCallStatus::Failed };
        let said: Vec<Content> = content.iter().map(said).collect();
        let done = DynamicToolCallItem {
            status,
            content_items: Some(content),
            success: Some(success),
            duration_ms: Some((teller.now_ms() - started_at_ms).max(0)),
            ..item
        };
        teller.complete_item(ItemBody::DynamicToolCall(done), started_at_ms, &[])?;
        stop.map_or(Ok(ToolOutput { content: said, success }), Err)
    }
}

fn said(content: &DynamicToolContent) -> Content {
    match content {
        DynamicToolContent::InputText { text } => Content::Text { text: text.clone() },
        DynamicToolContent::InputImage { image_url } => Content::Image { url: image_url.clone() },
        DynamicToolContent::InputAudio { .. } => {
            Content::Text { text: "[a sound, which this server cannot pass on]".to_owned() }
        }
    }
}
