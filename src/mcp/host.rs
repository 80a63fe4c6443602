//! What a server may want of whoever calls it: progress is shown, questions are answered. Knows the shape of
//! questions, not who answers them; runs on the OS thread of the call that the server works on.

use serde_json::{Map, Value};

use crate::proto::{Elicitation, ElicitationAction, ElicitationResponse};

/// Stands behind a call while a server works on it.
pub trait CallHost {
    /// The server tells how far it is.
    fn progress(&self, message: String);

    /// The server wants to know something. Blocks until somebody has answered; the call's timeout waits.
    fn elicit(&self, request: Elicitation) -> ElicitationResponse;
}

/// Method of the question that a server may ask.
pub(super) const ELICIT: &str = "elicitation/create";

/// What a call hears of its server before the answer.
#[derive(Debug)]
pub(super) enum Told {
    /// How far it is.
    Progress(String),
    /// It asks [`ELICIT`] with these parameters.
    Asked(Value),
}

/// Answers a question: by the host, or by saying no.
pub(super) fn answer(host: Option<&dyn CallHost>, params: Value) -> Value {
    let answer = match (host, elicitation(params)) {
        (Some(host), Some(request)) => host.elicit(request),
        (_, request) => {
            tracing::debug!(understood = request.is_some(), "a question of an MCP server is declined");
            ElicitationResponse { action: ElicitationAction::Decline, content: None, meta: None }
        }
    };
    let mut result = Map::new();
    result.insert("action".to_owned(), serde_json::to_value(answer.action).unwrap_or_default());
    let accepted = answer.action == ElicitationAction::Accept;
    if let Some(content) = answer.content.filter(|content| accepted && !content.is_null()) {
        result.insert("content".to_owned(), content);
    }
    Value::Object(result)
}

/// The text of a progress notification, with the token that says which call it is about.
pub(super) fn progress(params: &Value) -> Option<(u64, String)> {
    let token = params.get("progressToken")?.as_u64()?;
    let text = match params.get("message").and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None => {
            let done = params.get("progress")?.as_f64()?;
            match params.get("total").and_then(Value::as_f64) {
                Some(total) => format!("{done}/{total}"),
                None => done.to_string(),
            }
        }
    };
    Some((token, text))
}

/// Reads a question. Clients decode its form strictly, so what the protocol does not know is left out; a form
/// with a field of a kind that it does not know is no question.
fn elicitation(mut params: Value) -> Option<Elicitation> {
    let message = params.get("message")?.as_str()?.to_owned();
    let meta = params.get_mut("_meta").map(Value::take).filter(|meta| !meta.is_null());
    let text = |key: &str| params.get(key).and_then(Value::as_str).map(str::to_owned);
    if params.get("mode").and_then(Value::as_str) == Some("url") {
        let (url, elicitation_id) = (text("url")?, text("elicitationId")?);
        return Some(Elicitation::Url { meta, message, url, elicitation_id });
    }
    let mut requested_schema = params.get_mut("requestedSchema")?.take();
    let schema = requested_schema.as_object_mut()?;
    keep(schema, &["$schema", "type", "properties", "required"]);
    for field in schema.get_mut("properties")?.as_object_mut()?.values_mut() {
        field_of_form(field.as_object_mut()?)?;
    }
    Some(Elicitation::Form { meta, message, requested_schema })
}

/// Leaves only what the protocol knows of a form's field.
fn field_of_form(field: &mut Map<String, Value>) -> Option<()> {
    let kind = field.get("type")?.as_str()?.to_owned();
    let is_choice = ["enum", "oneOf"].iter().any(|key| field.contains_key(*key));
    let keys: &[&str] = match kind.as_str() {
        "string" if is_choice => &["enum", "enumNames", "oneOf"],
        "string" => &["format", "minLength", "maxLength"],
        "number" | "integer" => &["minimum", "maximum"],
        "boolean" => &[],
        "array" => &["items", "minItems", "maxItems"],
        _ => return None,
    };
    if let Some(format) = field.get("format").and_then(Value::as_str)
        && !["email", "uri", "date", "date-time"].contains(&format)
    {
        field.remove("format");
    }
    let common = ["type", "title", "description", "default"];
    keep(field, &[&common, keys].concat());
    Some(())
}

fn keep(object: &mut Map<String, Value>, keys: &[&str]) {
    object.retain(|key, _| keys.contains(&key.as_str()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Bob;

    impl CallHost for Bob {
        fn progress(&self, _: String) {}

        fn elicit(&self, request: Elicitation) -> ElicitationResponse {
            let content = serde_json::to_value(request).expect("JSON");
            ElicitationResponse { action: ElicitationAction::Accept, content: Some(content), meta: None }
        }
    }

    #[test]
    fn a_form_is_cut_to_what_clients_know() {
        let params = json!({
            "message": "who?",
            "requestedSchema": {
                "title": "Name", "type": "object", "required": ["name"],
                "properties": {
                    "name": { "type": "string", "title": "Name", "format": "odd", "pattern": "x" },
                },
            },
        });
        let answer = answer(Some(&Bob), params);
        assert_eq!(answer["action"], "accept");
        let schema = json!({
            "type": "object", "required": ["name"],
            "properties": { "name": { "type": "string", "title": "Name" } },
        });
        assert_eq!(answer["content"]["requestedSchema"], schema);
    }

    #[test]
    fn what_cannot_be_asked_is_declined() {
        let field = |field: Value| {
            json!({
                "message": "m", "requestedSchema": { "type": "object", "properties": { "f": field } },
            })
        };
        let declined = json!({ "action": "decline" });
        for params in [json!({}), json!(1), field(json!({ "type": "object" })), field(json!(1))] {
            assert_eq!(answer(Some(&Bob), params.clone()), declined, "{params}");
        }
        assert_eq!(answer(/*host*/ None, field(json!({ "type": "string" }))), declined);
        let url = json!({ "message": "m", "mode": "url", "url": "http://h", "elicitationId": "e" });
        assert_eq!(answer(Some(&Bob), url)["content"]["mode"], "url");
    }

    #[test]
    fn progress_has_words_or_numbers() {
        let read = |params: Value| progress(&params);
        assert_eq!(
            read(json!({ "progressToken": 3, "message": "m", "progress": 1 })),
            Some((3, "m".to_owned()))
        );
        let numbers = json!({ "progressToken": 3, "progress": 1, "total": 2.5 });
        assert_eq!(read(numbers), Some((3, "1/2.5".to_owned())));
        assert_eq!(read(json!({ "progressToken": "x", "message": "m" })), None);
    }
}
