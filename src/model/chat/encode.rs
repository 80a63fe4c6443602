//! A request as Chat Completions wants it.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::{Content, InputItem, ModelRequest, Role, ToolCall, ToolInput, ToolSpec, words};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonSchema { json_schema: Schema<'a> },
}

#[derive(Serialize)]
struct Schema<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a RawValue,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Message<'a> {
    System {
        content: String,
    },
    User {
        content: Words<'a>,
    },
    Assistant {
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Value>,
    },
    Tool {
        tool_call_id: &'a str,
        content: String,
    },
}

/// A plain text where that is enough, because not every server knows the list.
#[derive(Serialize)]
#[serde(untagged)]
enum Words<'a> {
    Text(String),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
}

/// The body of a request.
pub(in crate::model) fn body(request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
    let schema = request.output_schema.as_deref();
    serde_json::to_vec(&Body {
        model: &request.model,
        messages: messages(request),
        tools: request.tools.iter().map(tool).collect(),
        parallel_tool_calls: (!request.tools.is_empty()).then_some(true),
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        reasoning_effort: request.reasoning_effort.as_ref().map(|effort| effort.as_str()),
        service_tier: request.service_tier.as_deref(),
        response_format: schema.map(|schema| Format::JsonSchema {
            json_schema: Schema { name: "output_schema", strict: true, schema },
        }),
    })
}

/// Servers want a call and its output next to each other, and one message of the model with all its calls.
fn messages(request: &ModelRequest) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    if !request.instructions.is_empty() {
        messages.push(Message::System { content: request.instructions.clone() });
    }
    // A tool's message holds text only; its pictures follow as the user's, once all outputs are told.
    let mut pictures: Vec<Part<'_>> = Vec::new();
    for item in &request.input {
        if !matches!(item, InputItem::ToolOutput { .. } | InputItem::Reasoning { .. }) && !pictures.is_empty()
        {
            messages.push(Message::User { content: Words::Parts(std::mem::take(&mut pictures)) });
        }
        match item {
            InputItem::Message { role: Role::Developer, content, .. } => {
                messages.push(Message::System { content: words(content) });
            }
            InputItem::Message { role: Role::User, content, .. } => {
                messages.push(Message::User { content: user_words(content) });
            }
            InputItem::Message { role: Role::Assistant, content, .. } => {
                messages.push(Message::Assistant { content: Some(words(content)), tool_calls: Vec::new() });
            }
            InputItem::ToolCall(call) => match messages.last_mut() {
                Some(Message::Assistant { tool_calls, .. }) => tool_calls.push(tool_call(call)),
                _ => messages.push(Message::Assistant { content: None, tool_calls: vec![tool_call(call)] }),
            },
            InputItem::ToolOutput { call_id, content, .. } => {
                messages.push(Message::Tool { tool_call_id: call_id, content: words(content) });
                pictures.extend(content.iter().filter_map(|piece| match piece {
                    Content::Image { url } => Some(Part::ImageUrl { image_url: ImageUrl { url } }),
                    Content::Text { .. } => None,
                }));
            }
            InputItem::Reasoning { .. } => {}
            InputItem::Verbatim { item } => messages.extend(verbatim(item)),
        }
    }
    if !pictures.is_empty() {
        messages.push(Message::User { content: Words::Parts(pictures) });
    }
    messages
}

fn user_words(content: &[Content]) -> Words<'_> {
    if content.iter().all(|piece| matches!(piece, Content::Text { .. })) {
        return Words::Text(words(content));
    }
    Words::Parts(content.iter().map(part).collect())
}

fn part(piece: &Content) -> Part<'_> {
    match piece {
        Content::Text { text } => Part::Text { text },
        Content::Image { url } => Part::ImageUrl { image_url: ImageUrl { url } },
    }
}

fn tool_call(call: &ToolCall) -> Value {
    let arguments = match &call.input {
        ToolInput::Arguments(arguments) => arguments.clone(),
        ToolInput::Freeform(input) => json!({ "input": input }).to_string(),
    };
    let function = json!({ "name": call.name, "arguments": arguments });
    json!({ "id": call.call_id, "type": "function", "function": function })
}

/// An entry in the words of the Responses API: only a message has something that can be said here.
fn verbatim(item: &Value) -> Option<Message<'static>> {
    if item["type"] != "message" {
        return None;
    }
    let parts = item["content"].as_array()?;
    let content: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    let content = content.join("\n");
    Some(match item["role"].as_str()? {
        "assistant" => Message::Assistant { content: Some(content), tool_calls: Vec::new() },
        "user" => Message::User { content: Words::Text(content) },
        _ => Message::System { content },
    })
}

fn tool(tool: &ToolSpec) -> Value {
    let function = match tool {
        ToolSpec::Function { name, description, parameters, strict } => {
            let mut function = json!({ "name": name, "description": description, "parameters": parameters });
            if *strict {
                function["strict"] = json!(true);
            }
            function
        }
        ToolSpec::Freeform { name, description, lark } => {
            let text = format!("{description}\n\n`input` is text of this grammar (Lark):\n{lark}");
            let input = json!({ "type": "string", "description": "The whole text." });
            let parameters = json!({ "type": "object", "properties": { "input": input },
                "required": ["input"], "additionalProperties": false });
            json!({ "name": name, "description": text, "parameters": parameters })
        }
    };
    json!({ "type": "function", "function": function })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_tools_becomes_messages() {
        let text = |text: &str| Content::Text { text: text.to_owned() };
        let image = || Content::Image { url: "data:x".to_owned() };
        let call = |call_id: &str, input| {
            InputItem::ToolCall(ToolCall { call_id: call_id.to_owned(), name: "t".to_owned(), input })
        };
        let output = |call_id: &str, content| InputItem::ToolOutput {
            call_id: call_id.to_owned(),
            freeform: false,
            content,
            success: true,
        };
        let user = |content| InputItem::Message { role: Role::User, content, phase: None };
        let request = ModelRequest {
            model: "m".to_owned(),
            instructions: "be good".to_owned(),
            input: vec![
                InputItem::text(Role::Developer, "rules"),
                user(vec![text("a"), text("b")]),
                InputItem::text(Role::Assistant, "well"),
                call("c1", ToolInput::Arguments("{}".to_owned())),
                call("c2", ToolInput::Freeform("p".to_owned())),
                output("c1", vec![text("one"), image()]),
                output("c2", vec![text("two")]),
                user(vec![text("see"), image()]),
                call("c3", ToolInput::Arguments("{}".to_owned())),
                InputItem::Verbatim {
                    item: json!({ "type": "message", "role": "user",
                    "content": [{ "type": "input_text", "text": "v" }] }),
                },
            ],
            tools: vec![ToolSpec::Freeform {
                name: "p".to_owned(),
                description: "patches".to_owned(),
                lark: "start: x".to_owned(),
            }],
            reasoning_effort: Some("low".into()),
            output_schema: Some(RawValue::from_string("{}".to_owned()).expect("JSON")),
            conversation_id: "thread".to_owned(),
            ..ModelRequest::default()
        };
        let body: Value = serde_json::from_slice(&body(&request).expect("it encodes")).expect("JSON");
        let called = |id: &str, arguments: &str| {
            let function = json!({ "name": "t", "arguments": arguments });
            json!({ "id": id, "type": "function", "function": function })
        };
        let picture = json!({ "type": "image_url", "image_url": { "url": "data:x" } });
        assert_eq!(
            body["messages"],
            json!([
                { "role": "system", "content": "be good" },
                { "role": "system", "content": "rules" },
                { "role": "user", "content": "a\nb" },
                { "role": "assistant", "content": "well",
                  "tool_calls": [called("c1", "{}"), called("c2", r#"{"input":"p"}"#)] },
                { "role": "tool", "tool_call_id": "c1", "content": "one" },
                { "role": "tool", "tool_call_id": "c2", "content": "two" },
                { "role": "user", "content": [picture] },
                { "role": "user", "content": [{ "type": "text", "text": "see" }, picture] },
                { "role": "assistant", "content": null, "tool_calls": [called("c3", "{}")] },
                { "role": "user", "content": "v" },
            ])
        );
        assert_eq!(body["stream_options"], json!({ "include_usage": true }));
        assert_eq!((&body["reasoning_effort"], &body["parallel_tool_calls"]), (&json!("low"), &json!(true)));
        let schema = json!({ "name": "output_schema", "strict": true, "schema": {} });
        assert_eq!(body["response_format"], json!({ "type": "json_schema", "json_schema": schema }));
        let function = &body["tools"][0]["function"];
        assert_eq!(function["parameters"]["required"], json!(["input"]));
        assert!(function["description"].as_str().expect("text").contains("start: x"));
    }
}
