//! `request_user_input`: questions of the model to the user.

use serde::Deserialize;
use serde_json::json;

use super::{Tool, ToolContext, ToolOutput, arguments};
use crate::agent::ask::Answered;
use crate::agent::stop::Stop;
use crate::limits;
use crate::model::{ToolCall, ToolSpec};
use crate::proto::{UserInputOption, UserInputParams, UserInputQuestion};

pub(super) struct RequestUserInput;

#[derive(Deserialize)]
struct Arguments {
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    header: String,
    question: String,
    #[serde(default)]
    options: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    label: String,
    #[serde(default)]
    description: String,
}

impl Tool for RequestUserInput {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Function {
            name: "request_user_input".to_owned(),
            description:
                "Asks the user one to three short questions and waits for the answers. Only for what \
                          you cannot find out or decide yourself."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "questions": {
                        "type": "array",
                        "description": "One to three questions.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "id": {
                                    "type": "string",
                                    "description": "A name for the answer, in snake_case.",
                                },
                                "header": {
                                    "type": "string",
                                    "description": "A label of at most 12 characters.",
                                },
                                "question": {
                                    "type": "string",
                                    "description": "The question, one sentence.",
                                },
                                "options": {
                                    "type": "array",
                                    "description": "Two or three choices, the one you recommend first. \
                                        The user can always answer something else.",
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "label": {
                                                "type": "string",
                                                "description": "One to five words.",
                                            },
                                            "description": {
                                                "type": "string",
                                                "description": "What choosing it means.",
                                            },
                                        },
                                        "required": ["label", "description"],
                                        "additionalProperties": false,
                                    },
                                },
                            },
                            "required": ["id", "header", "question", "options"],
                            "additionalProperties": false,
                        },
                    },
                },
                "required": ["questions"],
                "additionalProperties": false,
            }),
            strict: false,
        }
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let Arguments { questions } = match arguments(call) {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(refusal),
        };
        if questions.is_empty() || questions.len() > limits::QUESTIONS_MAX {
            let max = limits::QUESTIONS_MAX;
            return Ok(ToolOutput::failed(format!("request_user_input takes one to {max} questions")));
        }
        let questions = questions.into_iter().map(|question| {
            let options: Vec<UserInputOption> = question
                .options
                .into_iter()
                .map(|Choice { label, description }| UserInputOption { label, description })
                .collect();
            UserInputQuestion {
                id: question.id,
                header: question.header,
                question: question.question,
                is_other: true,
                is_secret: false,
                options: (!options.is_empty()).then_some(options),
            }
        });
        let request = UserInputParams {
            thread_id: context.teller.thread().to_owned(),
            turn_id: context.teller.turn().to_owned(),
            item_id: call.call_id.clone(),
            questions: questions.collect(),
            is_blocking: true,
            auto_resolution_ms: None,
        };
        match context.asker.ask(&request, /*opening*/ None, &context.cancel) {
            Answered::Given(answers) => Ok(ToolOutput::done(serde_json::to_string(&answers)?)),
            Answered::Withdrawn => Err(Stop::Interrupted),
            Answered::Undecided => Ok(ToolOutput::failed("nobody is there to answer; decide yourself")),
            Answered::Failed(why) => {
                tracing::warn!(why, "questions to the user failed");
                Ok(ToolOutput::failed("the questions could not be put to the user"))
            }
        }
    }
}
