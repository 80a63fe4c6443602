//! What a JSON Schema allows, as far as two of them can be compared: kinds of values with their parts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Named schemas.
pub(super) type Definitions = Map<String, Value>;

/// One kind of value that a schema allows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Anything,
    Null,
    Bool,
    /// Whole numbers in a range, or any number.
    Number(Option<(i128, i128)>),
    /// These texts, or any.
    Text(Option<BTreeSet<String>>),
    /// Elements of this schema.
    List(Value),
    Object(Object),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Object {
    pub(super) fields: BTreeMap<String, Value>,
    pub(super) required: BTreeSet<String>,
    /// The schema of fields that are not named; none if anything may be there.
    pub(super) others: Option<Value>,
}

/// The name of the type that a schema is about, also where null is allowed instead.
pub(super) fn subject(schema: &Value) -> Option<&str> {
    let choices = schema["anyOf"].as_array().or_else(|| schema["allOf"].as_array());
    name(schema).or_else(|| {
        let mut named = choices?.iter().filter_map(name);
        named.next().filter(|_| named.next().is_none())
    })
}

/// The name of the type that a schema is a reference to.
pub(super) fn name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/definitions/")
}

/// The kinds of values that a schema allows.
pub(super) fn kinds(schema: &Value, all: &Definitions) -> Vec<Kind> {
    let Value::Object(words) = schema else { return vec![Kind::Anything] };
    if let Some(name) = name(schema) {
        return kinds(all.get(name).unwrap_or_else(|| panic!("no definition `{name}`")), all);
    }
    let mut found = own(words);
    for list in ["oneOf", "anyOf"] {
        if let Some(Value::Array(choices)) = words.get(list) {
            let choices: Vec<Kind> = choices.iter().flat_map(|one| kinds(one, all)).collect();
            found = both(&found, &choices);
        }
    }
    if let Some(Value::Array(parts)) = words.get("allOf") {
        for part in parts {
            found = both(&found, &kinds(part, all));
        }
    }
    found
}

/// What the words of a schema itself say, without those that combine others.
fn own(words: &Map<String, Value>) -> Vec<Kind> {
    let literals = words.get("const").map(std::slice::from_ref);
    let literals = literals.or_else(|| words.get("enum")?.as_array().map(Vec::as_slice));
    if let Some(literals) = literals {
        return literals
            .iter()
            .map(|literal| match literal {
                Value::String(text) => Kind::Text(Some([text.clone()].into())),
                Value::Null => Kind::Null,
                Value::Bool(_) => Kind::Bool,
                other => panic!("an unusual literal: {other}"),
            })
            .collect();
    }
    match words.get("type") {
        Some(Value::String(kind)) => vec![of_type(kind, words)],
        Some(Value::Array(types)) => {
            types.iter().filter_map(Value::as_str).map(|kind| of_type(kind, words)).collect()
        }
        _ if words.contains_key("properties") => vec![of_type("object", words)],
        _ => vec![Kind::Anything],
    }
}

fn of_type(kind: &str, words: &Map<String, Value>) -> Kind {
    match kind {
        "null" => Kind::Null,
        "boolean" => Kind::Bool,
        "number" => Kind::Number(None),
        "integer" => Kind::Number(Some(range(words))),
        "string" => Kind::Text(None),
        "array" => Kind::List(words.get("items").cloned().unwrap_or(Value::Bool(true))),
        "object" => {
            let fields = words.get("properties").and_then(Value::as_object);
            let required = words.get("required").and_then(Value::as_array);
            let required = required.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            Kind::Object(Object {
                fields: fields.cloned().unwrap_or_default().into_iter().collect(),
                required: required.collect(),
                others: words.get("additionalProperties").filter(|others| **others != true).cloned(),
            })
        }
        other => panic!("an unusual type: {other}"),
    }
}

fn range(words: &Map<String, Value>) -> (i128, i128) {
    let (least, most) = match words.get("format").and_then(Value::as_str) {
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint" | "uint64") => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    let least = words.get("minimum").and_then(Value::as_f64).map_or(least, |given| least.max(given as i128));
    (least, words.get("maximum").and_then(Value::as_f64).map_or(most, |given| most.min(given as i128)))
}

/// What both allow.
fn both(some: &[Kind], others: &[Kind]) -> Vec<Kind> {
    some.iter().flat_map(|one| others.iter().filter_map(move |other| overlap(one, other))).collect()
}

fn overlap(one: &Kind, other: &Kind) -> Option<Kind> {
    match (one, other) {
        (Kind::Anything, kind) | (kind, Kind::Anything) => Some(kind.clone()),
        (Kind::Object(one), Kind::Object(other)) => {
            let mut merged = one.clone();
            merged.fields.extend(other.fields.clone());
            merged.required.extend(other.required.iter().cloned());
            merged.others = merged.others.or_else(|| other.others.clone());
            Some(Kind::Object(merged))
        }
        (one, other) if one == other => Some(one.clone()),
        _ => None,
    }
}
