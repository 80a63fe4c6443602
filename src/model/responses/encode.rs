//! A request as the Responses API wants it.
//!
//! The system prompt goes into `instructions` and not into a first developer message, as the reference sends
//! it: servers other than OpenAI's make a system message of it, while many chat templates of local models
//! know no role `developer`.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::{Content, InputItem, ModelRequest, Role, ToolCall, ToolInput, ToolSpec};
use crate::proto::{MessagePhase, ReasoningSummary};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    store: bool,
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    prompt_cache_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Reasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<ReasoningSummary>,
}

#[derive(Serialize)]
struct Text<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonSchema { name: &'static str, strict: bool, schema: &'a RawValue },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Own(OwnItem<'a>),
    Verbatim(&'a Value),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum OwnItem<'a> {
    Message {
        role: &'static str,
        content: Vec<Part<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<MessagePhase>,
    },
    Reasoning {
        id: &'a str,
        summary: Vec<Part<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Part<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<&'a str>,
    },
    FunctionCall {
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    CustomToolCall {
        call_id: &'a str,
        name: &'a str,
        input: &'a str,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: Output<'a>,
    },
    CustomToolCallOutput {
        call_id: &'a str,
        output: Output<'a>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    InputText { text: &'a str },
    OutputText { text: &'a str },
    InputImage { image_url: &'a str },
    SummaryText { text: &'a str },
    ReasoningText { text: &'a str },
}

/// What a tool answered; a plain text where that is enough, because not every server knows the list.
#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tool<'a> {
    Function { name: &'a str, description: &'a str, strict: bool, parameters: &'a Value },
    Custom { name: &'a str, description: &'a str, format: Grammar<'a> },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Grammar<'a> {
    Grammar { syntax: &'static str, definition: &'a str },
}

/// The body of a request.
pub(in crate::model) fn body(request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
    let reasoning = reasoning(request);
    let has_tools = !request.tools.is_empty();
    let schema = request.output_schema.as_deref();
    serde_json::to_vec(&Body {
        model: &request.model,
        instructions: &request.instructions,
        input: request.input.iter().filter_map(item).collect(),
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: has_tools.then_some("auto"),
        parallel_tool_calls: has_tools.then_some(true),
        // Nothing is stored at the provider, so thoughts have to be brought along. Models that do not reason
        // refuse to encrypt what they do not have.
        include: reasoning.iter().map(|_| "reasoning.encrypted_content").collect(),
        reasoning,
        store: false,
        stream: true,
        service_tier: request.service_tier.as_deref(),
        prompt_cache_key: &request.conversation_id,
        text: schema.map(|schema| Text {
            format: Format::JsonSchema { name: "output_schema", strict: true, schema },
        }),
    })
}

fn reasoning(request: &ModelRequest) -> Option<Reasoning<'_>> {
    let effort = request.reasoning_effort.as_ref().map(|effort| effort.as_str());
    let summary = request.reasoning_summary.filter(|summary| *summary != ReasoningSummary::None);
    (effort.is_some() || summary.is_some()).then_some(Reasoning { effort, summary })
}

fn item(item: &InputItem) -> Option<Item<'_>> {
    let own = match item {
        InputItem::Verbatim { item } => return Some(Item::Verbatim(item)),
        InputItem::Message { role, content, phase } => OwnItem::Message {
            role: match role {
                Role::Developer => "developer",
                Role::User => "user",
                Role::Assistant => "assistant",
            },
            content: content.iter().map(|piece| part(piece, *role == Role::Assistant)).collect(),
            phase: *phase,
        },
        // What the provider neither keeps nor gets back in full is an id without meaning to it.
        InputItem::Reasoning { encrypted: None, content, .. } if content.is_empty() => return None,
        InputItem::Reasoning { id, summary, content, encrypted } => OwnItem::Reasoning {
            id,
            summary: summary.iter().map(|text| Part::SummaryText { text }).collect(),
            content: content.iter().map(|text| Part::ReasoningText { text }).collect(),
            encrypted_content: encrypted.as_deref(),
        },
        InputItem::ToolCall(ToolCall { call_id, name, input }) => match input {
            ToolInput::Arguments(arguments) => OwnItem::FunctionCall { call_id, name, arguments },
            ToolInput::Freeform(input) => OwnItem::CustomToolCall { call_id, name, input },
        },
        InputItem::ToolOutput { call_id, freeform, content, .. } => {
            let output = match content.as_slice() {
                [Content::Text { text }] => Output::Text(text),
                pieces => Output::Parts(pieces.iter().map(|piece| part(piece, /*said*/ false)).collect()),
            };
            match freeform {
                false => OwnItem::FunctionCallOutput { call_id, output },
                true => OwnItem::CustomToolCallOutput { call_id, output },
            }
        }
    };
    Some(Item::Own(own))
}

fn part(piece: &Content, said: bool) -> Part<'_> {
    match piece {
        Content::Text { text } if said => Part::OutputText { text },
        Content::Text { text } => Part::InputText { text },
        Content::Image { url } => Part::InputImage { image_url: url },
    }
}

fn tool(tool: &ToolSpec) -> Tool<'_> {
    match tool {
        ToolSpec::Function { name, description, parameters, strict } => {
            Tool::Function { name, description, strict: *strict, parameters }
        }
        ToolSpec::Freeform { name, description, lark } => {
            let format = Grammar::Grammar { syntax: "lark", definition: lark };
            Tool::Custom { name, description, format }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn encoded(request: &ModelRequest) -> Value {
        serde_json::from_slice(&body(request).expect("it encodes")).expect("JSON")
    }

    #[test]
    fn a_small_request_says_no_more_than_it_must() {
        let request = ModelRequest {
            model: "m".to_owned(),
            input: vec![InputItem::text(Role::User, "hi")],
            ..ModelRequest::default()
        };
        let message = json!({ "type": "message", "role": "user",
            "content": [{ "type": "input_text", "text": "hi" }] });
        assert_eq!(
            encoded(&request),
            json!({ "model": "m", "input": [message], "store": false, "stream": true })
        );
    }

    #[test]
    fn a_full_request_says_all_in_the_api_s_words() {
        let call = |call_id: &str, input| {
            InputItem::ToolCall(ToolCall { call_id: call_id.to_owned(), name: "t".to_owned(), input })
        };
        let output = |call_id: &str, freeform, content| InputItem::ToolOutput {
            call_id: call_id.to_owned(),
            freeform,
            content,
            success: true,
        };
        let text = |text: &str| Content::Text { text: text.to_owned() };
        let image = Content::Image { url: "data:image/png;base64,AA==".to_owned() };
        let thought = |id: &str, content: &[&str], encrypted: Option<&str>| InputItem::Reasoning {
            id: id.to_owned(),
            summary: vec!["s".to_owned()],
            content: content.iter().map(|text| (*text).to_owned()).collect(),
            encrypted: encrypted.map(str::to_owned),
        };
        let request = ModelRequest {
            model: "m".to_owned(),
            instructions: "be good".to_owned(),
            input: vec![
                InputItem::text(Role::Developer, "rules"),
                InputItem::Message {
                    role: Role::User,
                    content: vec![text("see"), image.clone()],
                    phase: None,
                },
                thought("rs_1", &[], Some("e")),
                thought("rs_2", &[], None),
                thought("rs_3", &["raw"], None),
                InputItem::Message {
                    role: Role::Assistant,
                    content: vec![text("well")],
                    phase: Some(MessagePhase::Commentary),
                },
                call("c1", ToolInput::Arguments("{}".to_owned())),
                output("c1", false, vec![text("one")]),
                call("c2", ToolInput::Freeform("*** Begin Patch".to_owned())),
                output("c2", true, vec![text("done"), image]),
                InputItem::Verbatim { item: json!({ "type": "web_search_call", "id": "w" }) },
            ],
            tools: vec![
                ToolSpec::Function {
                    name: "t".to_owned(),
                    description: "does".to_owned(),
                    parameters: json!({ "type": "object" }),
                    strict: false,
                },
                ToolSpec::Freeform {
                    name: "p".to_owned(),
                    description: "patches".to_owned(),
                    lark: "start: x".to_owned(),
                },
            ],
            reasoning_effort: Some("high".into()),
            reasoning_summary: Some(ReasoningSummary::Auto),
            output_schema: Some(RawValue::from_string(r#"{"type":"object"}"#.to_owned()).expect("JSON")),
            service_tier: Some("flex".to_owned()),
            conversation_id: "thread".to_owned(),
            traceparent: None,
        };
        let message =
            |role: &str, content: Value| json!({ "type": "message", "role": role, "content": content });
        let mut well = message("assistant", json!([{ "type": "output_text", "text": "well" }]));
        well["phase"] = json!("commentary");
        let image = json!({ "type": "input_image", "image_url": "data:image/png;base64,AA==" });
        let summary = json!([{ "type": "summary_text", "text": "s" }]);
        assert_eq!(
            encoded(&request),
            json!({
                "model": "m",
                "instructions": "be good",
                "input": [
                    message("developer", json!([{ "type": "input_text", "text": "rules" }])),
                    message("user", json!([{ "type": "input_text", "text": "see" }, image])),
                    { "type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "e" },
                    { "type": "reasoning", "id": "rs_3", "summary": summary,
                      "content": [{ "type": "reasoning_text", "text": "raw" }] },
                    well,
                    { "type": "function_call", "call_id": "c1", "name": "t", "arguments": "{}" },
                    { "type": "function_call_output", "call_id": "c1", "output": "one" },
                    { "type": "custom_tool_call", "call_id": "c2", "name": "t", "input": "*** Begin Patch" },
                    { "type": "custom_tool_call_output", "call_id": "c2",
                      "output": [{ "type": "input_text", "text": "done" }, image] },
                    { "type": "web_search_call", "id": "w" },
                ],
                "tools": [
                    { "type": "function", "name": "t", "description": "does", "strict": false,
                      "parameters": { "type": "object" } },
                    { "type": "custom", "name": "p", "description": "patches",
                      "format": { "type": "grammar", "syntax": "lark", "definition": "start: x" } },
                ],
                "tool_choice": "auto",
                "parallel_tool_calls": true,
                "reasoning": { "effort": "high", "summary": "auto" },
                "store": false,
                "stream": true,
                "include": ["reasoning.encrypted_content"],
                "service_tier": "flex",
                "prompt_cache_key": "thread",
                "text": { "format": { "type": "json_schema", "name": "output_schema", "strict": true,
                                      "schema": { "type": "object" } } },
            })
        );
    }
}
