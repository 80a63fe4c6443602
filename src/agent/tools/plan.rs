//! `update_plan`: the model's list of steps, shown to the user.

use serde::Deserialize;
use serde_json::json;

use super::{Tool, ToolContext, ToolOutput, arguments};
use crate::agent::stop::Stop;
use crate::model::{ToolCall, ToolSpec};
use crate::proto::{TurnPlanStep, TurnPlanStepStatus, TurnPlanUpdated};

pub(super) struct UpdatePlan;

#[derive(Deserialize)]
struct Plan {
    explanation: Option<String>,
    plan: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    InProgress,
    Completed,
}

impl Tool for UpdatePlan {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Function {
            name: "update_plan".to_owned(),
            description: "Shows the user your list of steps and how far each is. Send the whole list each \
                          time; at most one step should be in progress."
                .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "explanation": { "type": "string", "description": "Why the plan changed." },
                    "plan": {
                        "type": "array",
                        "description": "The steps in order.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "step": { "type": "string", "description": "What is to be done." },
                                "status": {
                                    "type": "string",
                                    "enum": ["pending", "in_progress", "completed"],
                                },
                            },
                            "required": ["step", "status"],
                            "additionalProperties": false,
                        },
                    },
                },
                "required": ["plan"],
                "additionalProperties": false,
            }),
            strict: false,
        }
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let Plan { explanation, plan } = match arguments(call) {
            Ok(plan) => plan,
            Err(refusal) => return Ok(refusal),
        };
        let steps: Vec<TurnPlanStep> = plan
            .into_iter()
            .map(|Step { step, status }| TurnPlanStep {
                step,
                status: match status {
                    Status::Pending => TurnPlanStepStatus::Pending,
                    Status::InProgress => TurnPlanStepStatus::InProgress,
                    Status::Completed => TurnPlanStepStatus::Completed,
                },
            })
            .collect();
        context.teller.notify(&TurnPlanUpdated {
            thread_id: context.teller.thread(),
            turn_id: context.teller.turn(),
            explanation: explanation.as_deref(),
            plan: &steps,
        })?;
        Ok(ToolOutput::done("Plan updated"))
    }
}
