//! The tools that a turn offers to the model, one file each.

mod apply_patch;
mod client;
mod exec;
mod goal;
mod image;
pub(super) mod mcp;
mod mcp_host;
mod permit;
mod plan;
mod report;
mod run;
mod user_input;

pub use client::client_tools;
pub(super) use exec::{begin_command, shown, user_command};
pub use run::ToolContext;
pub(super) use run::Toolbox;

use std::sync::Arc;

use super::stop::Stop;
use crate::config::{Feature, Features};
use crate::model::{Content, ToolCall, ToolInput, ToolSpec};

/// A tool that the model may call. It serves many calls, also at once.
pub trait Tool: Send + Sync {
    /// What the model is told of it.
    fn spec(&self) -> ToolSpec;

    /// True if it may run beside other calls of the same answer. All others run alone, in their order.
    fn is_parallel(&self) -> bool {
        false
    }

    /// Does what the call asks for. What goes wrong is said to the model; it may know better then.
    ///
    /// # Errors
    /// What ends the turn.
    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop>;
}

/// What a tool says to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// The words and pictures.
    pub content: Vec<Content>,
    /// False if it failed.
    pub success: bool,
}

impl ToolOutput {
    /// It worked.
    pub fn done(text: impl Into<String>) -> Self {
        Self { content: vec![Content::Text { text: text.into() }], success: true }
    }

    /// It did not work.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { content: vec![Content::Text { text: text.into() }], success: false }
    }
}

/// The tools of every turn, each with what it belongs to that can be switched off.
fn built_in(features: Features) -> impl Iterator<Item = Arc<dyn Tool>> {
    let all: [(Option<Feature>, Arc<dyn Tool>); 9] = [
        (Some(Feature::ShellTool), Arc::new(exec::ExecCommand)),
        (Some(Feature::ShellTool), Arc::new(exec::WriteStdin)),
        (None, Arc::new(apply_patch::ApplyPatch)),
        (None, Arc::new(plan::UpdatePlan)),
        (Some(Feature::ViewImage), Arc::new(image::ViewImage)),
        (None, Arc::new(user_input::RequestUserInput)),
        (Some(Feature::Goals), Arc::new(goal::GetGoal)),
        (Some(Feature::Goals), Arc::new(goal::CreateGoal)),
        (Some(Feature::Goals), Arc::new(goal::UpdateGoal)),
    ];
    let is_on = move |feature: Option<Feature>| feature.is_none_or(|feature| features.has(feature));
    all.into_iter().filter(move |(feature, _)| is_on(*feature)).map(|(_, tool)| tool)
}

/// Decodes a call's arguments; the refusal is for the model, in the words that models have seen.
///
/// # Errors
/// What is wrong with them.
fn arguments<T: serde::de::DeserializeOwned>(call: &ToolCall) -> Result<T, ToolOutput> {
    match &call.input {
        ToolInput::Arguments(json) => serde_json::from_str(json)
            .map_err(|error| ToolOutput::failed(format!("failed to parse function arguments: {error}"))),
        ToolInput::Freeform(_) => {
            Err(ToolOutput::failed(format!("{} takes JSON arguments, not free text", call.name)))
        }
    }
}
