//! Schemas of types, gathered under their published names.

use std::any::type_name;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::proto::{Notification, ServerRequest};

/// What crosses the wire, so far.
///
/// A type is described as it is read where clients send it, and as it is written where only the server sends
/// it. What goes both ways is described as it is read: that is the laxer of the two.
pub(super) struct Collected {
    read: SchemaGenerator,
    written: SchemaGenerator,
    roots: Map<String, Value>,
    requests: Vec<Value>,
    notifications: Vec<Value>,
    server_requests: Vec<Value>,
    /// The requests' methods with the names of their types as the compiler has them.
    pub(super) types: Vec<(&'static str, &'static str, &'static str)>,
}

type Name = Option<&'static str>;

impl Collected {
    pub(super) fn new() -> Self {
        Self {
            read: SchemaSettings::draft07().for_deserialize().into_generator(),
            written: SchemaSettings::draft07().for_serialize().into_generator(),
            roots: Map::new(),
            requests: Vec::new(),
            notifications: Vec::new(),
            server_requests: Vec::new(),
            types: Vec::new(),
        }
    }

    pub(super) fn request<P: JsonSchema, R: JsonSchema>(
        &mut self,
        method: &'static str,
        params: Name,
        result: Name,
    ) {
        self.types.push((method, type_name::<P>(), type_name::<R>()));
        let params = self.root::<P>(Way::Read, params);
        let result = self.root::<R>(Way::Written, result);
        self.requests.push(json!({ "method": method, "params": params, "result": result }));
    }

    pub(super) fn notification<N: Notification + JsonSchema>(&mut self, params: Name) {
        let params = self.root::<N>(Way::Written, params);
        self.notifications.push(json!({ "method": N::METHOD, "params": params }));
    }

    pub(super) fn server_request<P: ServerRequest + JsonSchema>(&mut self, params: Name, answer: Name)
    where
        P::Answer: JsonSchema,
    {
        let params = self.root::<P>(Way::Written, params);
        let result = self.root::<P::Answer>(Way::Read, answer);
        self.server_requests.push(json!({ "method": P::METHOD, "params": params, "result": result }));
    }

    /// Adds a type that stands directly under a message, and refers to it. One without a name of its own is
    /// small: it is put in place.
    fn root<T: JsonSchema>(&mut self, way: Way, name: Name) -> Value {
        let generator = match way {
            Way::Read => &mut self.read,
            Way::Written => &mut self.written,
        };
        let mut schema: Schema = T::json_schema(generator);
        generator.transforms_mut().for_each(|transform| transform.transform(&mut schema));
        let schema = schema.to_value();
        let own_name = T::schema_name();
        let name = match name {
            Some(name) => name,
            None if T::inline_schema() => return schema,
            None => &own_name,
        };
        if let Some(known) = self.roots.insert(name.to_owned(), schema.clone()) {
            assert_eq!(known, schema, "two types are published as {name}");
        }
        json!({ "$ref": format!("#/definitions/{name}") })
    }

    /// All of it as the published file has it: a line for each message and each type.
    pub(super) fn into_text(mut self) -> String {
        let mut definitions = self.written.take_definitions(/*apply_transforms*/ true);
        definitions.extend(self.read.take_definitions(/*apply_transforms*/ true));
        definitions.extend(self.roots);
        let list = |messages: Vec<Value>| {
            let mut lines: Vec<String> = messages.iter().map(Value::to_string).collect();
            lines.sort();
            lines.join(",\n")
        };
        let definitions: Vec<String> =
            definitions.iter().map(|(name, schema)| format!("{}:{schema}", json!(name))).collect();
        format!(
            "{{\"requests\":[\n{}\n],\"notifications\":[\n{}\n],\"serverRequests\":[\n{}\n],\"definitions\":{{\n{}\n}}}}\n",
            list(self.requests),
            list(self.notifications),
            list(self.server_requests),
            definitions.join(",\n"),
        )
    }
}

enum Way {
    Read,
    Written,
}
