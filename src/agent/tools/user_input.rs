//! `request_user_input`: the model asks the user: `item/tool/requestUserInput`.

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
struct Questions {
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    header: String,
    question: String,
    #[serde(default)]
    options: Vec<UserInputOption>,
}

impl Tool for RequestUserInput {
    fn spec(&self) -> ToolSpec {
        let option = json!({
            "type": "object",
            "properties": {
                "label": { "type": "string", "description": "The choice in a few words." },
                "description": { "type": "string", "description": "What choosing it means." },
            },
            "required": ["label", "description"],
            "additionalProperties": false,
        });
        let question = json!({
            "type": "object",
            "properties": {
                "id": { "type": "string", "description": "Names the question in the answer." },
                "header": { "type": "string", "description": "A word or two as its title." },
                "question": { "type": "string", "description": "The question in one sentence." },
                "options": {
                    "type": "array",
                    "description": "Choices that exclude each other, the one you would take first. The user \
                                    can always answer freely.",
                    "items": option,
                },
            },
            "required": ["id", "header", "question", "options"],
            "additionalProperties": false,
        });
        ToolSpec::Function {
            name: "request_user_input".to_owned(),
            description: "Asks the user and waits for the answer. Only for what you cannot find out and \
                          should not decide yourself."
                .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "questions": { "type": "array", "description": "One to three.", "items": question },
                },
                "required": ["questions"],
                "additionalProperties": false,
            }),
            strict: false,
        }
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let Questions { questions } = match arguments(call) {
            Ok(questions) => questions,
            Err(refusal) => return Ok(refusal),
        };
        if questions.is_empty() || questions.len() > limits::USER_QUESTIONS_MAX {
            let most = limits::USER_QUESTIONS_MAX;
            return Ok(ToolOutput::failed(format!("request_user_input takes one to {most} questions")));
        }
        let request = UserInputParams {
            thread_id: context.teller.thread().to_owned(),
            turn_id: context.teller.turn().to_owned(),
            item_id: call.call_id.clone(),
            questions: questions.into_iter().map(asked).collect(),
            is_blocking: true,
            auto_resolution_ms: None,
        };
        match context.asker.ask(&request, /*opening*/ None, &context.cancel) {
            Answered::Given(answer) => Ok(ToolOutput::done(serde_json::to_string(&answer)?)),
            Answered::Failed(reason) => {
                tracing::warn!(reason, "a question to the user failed");
                Ok(ToolOutput::failed("the user could not be asked"))
            }
            Answered::Undecided => Ok(ToolOutput::failed("nobody is there to answer")),
            Answered::Withdrawn => Err(Stop::Interrupted),
        }
    }
}

fn asked(question: Question) -> UserInputQuestion {
    UserInputQuestion {
        id: question.id,
        header: question.header,
        question: question.question,
        is_other: true,
        is_secret: false,
        options: (!question.options.is_empty()).then_some(question.options),
    }
}
