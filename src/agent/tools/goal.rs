//! `get_goal`, `create_goal`, `update_goal`: the model looks at its thread's goal, begins one when it is told
//! to, and says when it is reached.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Tool, ToolContext, ToolOutput, arguments};
use crate::agent::goal::{GoalWish, ask};
use crate::agent::stop::Stop;
use crate::model::{ToolCall, ToolSpec};
use crate::proto::ThreadGoalStatus;

pub(super) struct GetGoal;
pub(super) struct CreateGoal;
pub(super) struct UpdateGoal;

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct NewGoal {
    objective: String,
    token_budget: Option<i64>,
}

#[derive(Deserialize)]
struct Mark {
    status: Status,
}

/// Where the model may say that a goal stands.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Complete,
    Blocked,
    Paused,
}

fn function(name: &str, description: &str, properties: Value, required: Value) -> ToolSpec {
    ToolSpec::Function {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }),
        strict: false,
    }
}

/// What the model is told: the goal as clients see it, and what is left of its budget.
fn wish(wish: GoalWish, context: &ToolContext) -> Result<ToolOutput, Stop> {
    let goal = match ask(wish, &context.teller, &context.cancel)? {
        Ok(goal) => goal,
        Err(refusal) => return Ok(ToolOutput::failed(refusal)),
    };
    let left = goal.as_ref().and_then(|goal| Some((goal.token_budget? - goal.tokens_used).max(0)));
    Ok(ToolOutput::done(serde_json::to_string(&json!({ "goal": goal, "remainingTokens": left }))?))
}

impl Tool for GetGoal {
    fn spec(&self) -> ToolSpec {
        let description = "Shows this thread's goal, if it has one: where it stands, what it has \
                           used, and what is left of its budget.";
        function("get_goal", description, json!({}), json!([]))
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        match arguments::<Nothing>(call) {
            Ok(Nothing {}) => wish(GoalWish::Read, context),
            Err(refusal) => Ok(refusal),
        }
    }
}

impl Tool for CreateGoal {
    fn spec(&self) -> ToolSpec {
        let budget = "Most tokens for it; only if the user names a number.";
        let properties = json!({
            "objective": { "type": "string", "description": "What is to be reached; it can be checked." },
            "token_budget": { "type": "integer", "description": budget },
        });
        let description = "Gives this thread a goal that is worked on turn after turn. Only when the user \
                           asks for a goal in so many words; an ordinary task is none. It needs a thread \
                           without a goal, or with one that is complete.";
        function("create_goal", description, properties, json!(["objective"]))
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        match arguments(call) {
            Ok(NewGoal { objective, token_budget }) => {
                wish(GoalWish::Begin { objective, token_budget }, context)
            }
            Err(refusal) => Ok(refusal),
        }
    }
}

impl Tool for UpdateGoal {
    fn spec(&self) -> ToolSpec {
        let when = "`complete` when the goal is reached and nothing of it is left to do; `blocked` when \
                    you cannot go on without the user; `paused` only when the user says so.";
        let status = ["complete", "blocked", "paused"];
        let properties = json!({
            "status": { "type": "string", "description": when, "enum": status },
        });
        let description =
            "Says where this thread's goal stands. No further turn begins for it by itself then.";
        function("update_goal", description, properties, json!(["status"]))
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let status = match arguments::<Mark>(call) {
            Ok(Mark { status: Status::Complete }) => ThreadGoalStatus::Complete,
            Ok(Mark { status: Status::Blocked }) => ThreadGoalStatus::Blocked,
            Ok(Mark { status: Status::Paused }) => ThreadGoalStatus::Paused,
            Err(refusal) => return Ok(refusal),
        };
        wish(GoalWish::Mark(status), context)
    }
}
