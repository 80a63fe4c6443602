//! The embedded description: which messages there are, and the types that they consist of.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::proto::methods;

/// `types.json`, the messages and types with a line for each, deflated (RFC 1951): a sixth of the room.
pub(super) const TYPES: &[u8] = include_bytes!("types.deflate");
/// More than that is not in there.
const TYPES_BYTES_MAX: usize = 1 << 20;

/// Where a type refers to another one.
const REFERENCE: &str = "#/definitions/";

/// What goes over the wire.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Published {
    /// What clients ask, sorted by method.
    pub(super) requests: Vec<Message>,
    /// What clients are told.
    pub(super) notifications: Vec<Message>,
    /// What clients are asked.
    pub(super) server_requests: Vec<Message>,
    /// JSON Schemas by name.
    pub(super) definitions: Map<String, Value>,
}

/// A message by its method.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) method: String,
    /// JSON Schema of its parameters.
    pub(super) params: Value,
    /// JSON Schema of its answer; a notification has none.
    pub(super) result: Option<Value>,
}

impl Published {
    /// All of it, or what clients without the `experimentalApi` capability may know of.
    ///
    /// # Errors
    /// Never in a program whose tests passed: they read the embedded text.
    pub(super) fn of(experimental: bool) -> serde_json::Result<Self> {
        let mut all: Self = serde_json::from_slice(&types()?)?;
        if !experimental {
            all.requests
                .retain(|message| methods::find(&message.method).is_some_and(|method| !method.experimental));
            all.leave_out_experimental_fields();
        }
        all.add_envelopes();
        all.prune();
        Ok(all)
    }

    fn leave_out_experimental_fields(&mut self) {
        for message in &self.requests {
            let Some(name) = reference(&message.params) else { continue };
            let Some(schema) = self.definitions.get_mut(name) else { continue };
            methods::experimental_fields(&message.method).for_each(|field| leave_out(schema, field));
        }
        for (name, field) in methods::EXPERIMENTAL_PROPERTIES {
            if let Some(schema) = self.definitions.get_mut(*name) {
                leave_out(schema, field);
            }
        }
    }

    /// The unions of all messages of a kind, under the names that the reference gives them.
    fn add_envelopes(&mut self) {
        let asked = union("A request of a client.", &self.requests, /*has_id*/ true);
        let mut told = union("A notification of the server.", &self.notifications, /*has_id*/ false);
        let asking = union("A request of the server.", &self.server_requests, /*has_id*/ true);
        told["properties"] = json!({"emittedAtMs": {
            "description": "When it was sent, in Unix milliseconds.", "format": "int64", "type": "integer"
        }});
        let initialized = Message { method: "initialized".to_owned(), params: Value::Null, result: None };
        let telling = union("A notification of a client.", &[initialized], /*has_id*/ false);
        let id = json!({
            "description": "A request's id; the answer has the same.",
            "anyOf": [{"type": "string"}, {"type": "integer", "format": "int64"}]
        });
        for (name, schema) in [
            ("ClientRequest", asked),
            ("ClientNotification", telling),
            ("ServerNotification", told),
            ("ServerRequest", asking),
            ("RequestId", id),
        ] {
            self.definitions.insert(name.to_owned(), schema);
        }
    }

    /// Takes away the types that no message reaches.
    fn prune(&mut self) {
        let mut reached: BTreeSet<String> = UNIONS.iter().map(|name| (*name).to_owned()).collect();
        reached.extend(self.roots().map(str::to_owned));
        let mut open: Vec<String> = reached.iter().cloned().collect();
        while let Some(name) = open.pop() {
            for other in self.definitions.get(&name).into_iter().flat_map(references) {
                if reached.insert(other.to_owned()) {
                    open.push(other.to_owned());
                }
            }
        }
        self.definitions.retain(|name, _| reached.contains(name));
    }

    /// The types that stand directly under a message.
    pub(super) fn roots(&self) -> impl Iterator<Item = &str> {
        let all = self.requests.iter().chain(&self.notifications).chain(&self.server_requests);
        all.flat_map(|message| [Some(&message.params), message.result.as_ref()])
            .flatten()
            .filter_map(reference)
    }

    /// A type together with all that it reaches, without itself.
    pub(super) fn reached_by(&self, name: &str) -> Map<String, Value> {
        let mut reached = Map::new();
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            let Some(schema) = self.definitions.get(&name) else { continue };
            for other in references(schema) {
                if !reached.contains_key(other) && self.definitions.contains_key(other) {
                    reached.insert(other.to_owned(), self.definitions[other].clone());
                    open.push(other.to_owned());
                }
            }
        }
        reached
    }

    /// The folder in which the reference has a type, with a slash behind it: the unions, what clients are
    /// asked and the file search are at the top.
    pub(super) fn folder(&self, name: &str) -> &'static str {
        let is_asked = || {
            let asked =
                self.server_requests.iter().flat_map(|asked| [Some(&asked.params), asked.result.as_ref()]);
            asked.flatten().filter_map(reference).any(|asked| asked == name)
        };
        if name.starts_with("Initialize") {
            "v1/"
        } else if UNIONS.contains(&name) || name.starts_with("FuzzyFileSearch") || is_asked() {
            ""
        } else {
            "v2/"
        }
    }
}

/// The types that every client needs.
pub(super) const UNIONS: &[&str] =
    &["ClientNotification", "ClientRequest", "RequestId", "ServerNotification", "ServerRequest"];

/// The name of the type that a schema is a reference to.
pub(super) fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(REFERENCE)
}

/// The names of all types that a schema refers to directly.
pub(super) fn references(schema: &Value) -> Vec<&str> {
    let inside: Vec<&Value> = match schema {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(elements) => elements.iter().collect(),
        _ => Vec::new(),
    };
    reference(schema).into_iter().chain(inside.into_iter().flat_map(references)).collect()
}

/// The embedded text.
pub(super) fn types() -> serde_json::Result<Vec<u8>> {
    let inflated = miniz_oxide::inflate::decompress_to_vec_with_limit(TYPES, TYPES_BYTES_MAX);
    inflated.map_err(serde::de::Error::custom)
}

fn leave_out(schema: &mut Value, field: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(field);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != field);
    }
}

fn union(description: &str, messages: &[Message], has_id: bool) -> Value {
    let alternatives: Vec<Value> = messages.iter().map(|message| envelope(message, has_id)).collect();
    json!({"description": description, "oneOf": alternatives})
}

fn envelope(message: &Message, has_id: bool) -> Value {
    let mut properties = json!({"method": {"type": "string", "enum": [message.method]}});
    let mut required = vec!["method"];
    if has_id {
        properties["id"] = json!({"$ref": format!("{REFERENCE}RequestId")});
        required.insert(0, "id");
    }
    if !message.params.is_null() {
        properties["params"] = message.params.clone();
        if !takes_null(&message.params) {
            required.push("params");
        }
    }
    json!({"title": message.method, "type": "object", "properties": properties, "required": required})
}

/// Whether parameters may be left out.
fn takes_null(params: &Value) -> bool {
    params["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
}
