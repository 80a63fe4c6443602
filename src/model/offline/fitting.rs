//! Answers for turns that ask for JSON of a certain form (`outputSchema`).
//!
//! What it knows of JSON Schema is what such schemas use: types, properties, items, alternatives, references
//! inside the schema, and the usual bounds. What it does not know (`pattern`, `not` …) it does not heed.

use serde_json::{Map, Value, json};

use crate::limits::{OFFLINE_FITTING_CHARS, OFFLINE_FITTING_DEPTH, OFFLINE_FITTING_VALUES};

/// A value that fits `schema`, in which free texts are `words`.
pub(super) fn fitting(schema: &Value, words: &str) -> Value {
    Maker { root: schema, words, left: OFFLINE_FITTING_VALUES }.make(schema, /*depth*/ 0)
}

struct Maker<'a> {
    /// What references are relative to.
    root: &'a Value,
    words: &'a str,
    /// Values that may still be made.
    left: usize,
}

/// A schema, all that it refers to, and of alternatives the first; what comes first counts.
#[derive(Default)]
struct Layers<'a>(Vec<&'a Map<String, Value>>);

impl<'a> Layers<'a> {
    fn add(&mut self, root: &'a Value, schema: &'a Value) {
        let Some(schema) = schema.as_object() else { return };
        // A schema may refer to itself.
        if self.0.len() >= OFFLINE_FITTING_DEPTH {
            return;
        }
        self.0.push(schema);
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix('#'));
        if let Some(target) = target.and_then(|at| root.pointer(at)) {
            self.add(root, target);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.add(root, part);
        }
        for alternatives in ["anyOf", "oneOf"] {
            let first = schema.get(alternatives).and_then(Value::as_array).and_then(|all| all.first());
            if let Some(first) = first {
                self.add(root, first);
            }
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.iter().find_map(|layer| layer.get(key))
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Value::as_f64)
    }

    fn count(&self, key: &str) -> Option<usize> {
        self.get(key).and_then(Value::as_u64).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn kind(&self) -> &'a str {
        let named = match self.get("type") {
            Some(Value::Array(kinds)) => kinds.first(),
            kind => kind,
        };
        let has = |keys: &[&str]| keys.iter().any(|key| self.get(key).is_some());
        match named.and_then(Value::as_str) {
            Some(kind) => kind,
            None if has(&["properties", "required", "additionalProperties"]) => "object",
            None if has(&["items", "prefixItems", "minItems"]) => "array",
            None if has(&["minimum", "maximum", "multipleOf"]) => "number",
            None => "string",
        }
    }
}

impl<'a> Maker<'a> {
    fn make(&mut self, schema: &'a Value, depth: usize) -> Value {
        if self.left == 0 || depth > OFFLINE_FITTING_DEPTH {
            return Value::Null;
        }
        self.left -= 1;
        let mut layers = Layers::default();
        layers.add(self.root, schema);
        if let Some(only) = layers.get("const") {
            return only.clone();
        }
        if let Some(first) = layers.get("enum").and_then(Value::as_array).and_then(|all| all.first()) {
            return first.clone();
        }
        match layers.kind() {
            "object" => self.object(&layers, depth),
            "array" => self.array(&layers, depth),
            "integer" => number(&layers, /*whole*/ true),
            "number" => number(&layers, /*whole*/ false),
            "boolean" => Value::Bool(false),
            "null" => Value::Null,
            _ => self.text(&layers).into(),
        }
    }

    /// Whether what may be left out is there as well: further down it is not, so that what contains itself
    /// comes to an end.
    fn is_generous(depth: usize) -> bool {
        depth < OFFLINE_FITTING_DEPTH / 2
    }

    fn object(&mut self, layers: &Layers<'a>, depth: usize) -> Value {
        let mut object = Map::new();
        let properties = |layer: &&'a Map<String, Value>| layer.get("properties").and_then(Value::as_object);
        let known: Vec<&'a Map<String, Value>> = layers.0.iter().filter_map(properties).collect();
        let required = |layer: &&'a Map<String, Value>| layer.get("required").and_then(Value::as_array);
        let required = layers.0.iter().filter_map(required).flatten().filter_map(Value::as_str);
        let mut names: Vec<&'a str> = required.collect();
        if Self::is_generous(depth) {
            names.extend(known.iter().flat_map(|properties| properties.keys().map(String::as_str)));
        }
        for name in names {
            if self.left == 0 {
                break;
            }
            if !object.contains_key(name) {
                let own = known.iter().find_map(|properties| properties.get(name));
                let schema = own.or_else(|| layers.get("additionalProperties")).unwrap_or(&Value::Null);
                object.insert(name.to_owned(), self.make(schema, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, layers: &Layers<'a>, depth: usize) -> Value {
        let first: &[Value] = layers.get("prefixItems").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        let others = layers.get("items").filter(|items| items.is_object());
        let usual = if Self::is_generous(depth) { first.len().max(usize::from(others.is_some())) } else { 0 };
        let count = layers.count("minItems").unwrap_or_default().max(usual);
        let count = count.min(layers.count("maxItems").unwrap_or(usize::MAX));
        let mut array = Vec::new();
        while array.len() < count && self.left > 0 {
            let schema = first.get(array.len()).or(others).unwrap_or(&Value::Null);
            array.push(self.make(schema, depth + 1));
        }
        Value::Array(array)
    }

    fn text(&self, layers: &Layers<'_>) -> String {
        // What RFC 3339 and its like say; a text of these is always of the same form.
        let example = match layers.get("format").and_then(Value::as_str) {
            Some("date-time") => Some("2000-01-01T00:00:00Z"),
            Some("date") => Some("2000-01-01"),
            Some("time") => Some("00:00:00Z"),
            Some("duration") => Some("P1D"),
            Some("email") => Some("offline@example.com"),
            Some("hostname") => Some("example.com"),
            Some("ipv4") => Some("192.0.2.1"),
            Some("ipv6") => Some("2001:db8::1"),
            Some("uri") => Some("https://example.com/"),
            Some("uuid") => Some("00000000-0000-4000-8000-000000000000"),
            _ => None,
        };
        if let Some(example) = example {
            return example.to_owned();
        }
        let most = layers.count("maxLength").unwrap_or(usize::MAX).min(OFFLINE_FITTING_CHARS);
        let least = layers.count("minLength").unwrap_or_default().min(most);
        let mut text: String = self.words.chars().take(most).collect();
        let has = text.chars().count();
        text.extend(std::iter::repeat_n('.', least.saturating_sub(has)));
        text
    }
}

/// The first of a few likely numbers that is within the bounds.
fn number(layers: &Layers<'_>, whole: bool) -> Value {
    let bound = |key| layers.number(key);
    let (least, above) = (bound("minimum"), bound("exclusiveMinimum"));
    let (most, below) = (bound("maximum"), bound("exclusiveMaximum"));
    let multiple = bound("multipleOf").filter(|step| *step > 0.0);
    let step = multiple.unwrap_or(1.0);
    let low = least.into_iter().chain(above).reduce(f64::max);
    let high = most.into_iter().chain(below).reduce(f64::min);
    let up = low.map(|low| (low / step).ceil() * step);
    let down = high.map(|high| (high / step).floor() * step);
    let middle = low.zip(high).map(|(low, high)| f64::midpoint(low, high));
    let fits = |number: &f64| {
        least.is_none_or(|bound| *number >= bound)
            && above.is_none_or(|bound| *number > bound)
            && most.is_none_or(|bound| *number <= bound)
            && below.is_none_or(|bound| *number < bound)
            && multiple.is_none_or(|step| (number / step - (number / step).round()).abs() < 1e-9)
            && !(whole && number.fract() != 0.0)
    };
    let likely =
        [Some(0.0), low, up, up.map(|up| up + step), high, down, down.map(|down| down - step), middle];
    let number = likely.into_iter().flatten().find(fits).unwrap_or_default();
    // Beyond this not every whole number is one of these.
    if number.fract() == 0.0 && number.abs() < 9e15 { json!(number as i64) } else { json!(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(schema: &Value, words: &str) -> Value {
        let value = fitting(schema, words);
        let validator = jsonschema::validator_for(schema).expect("a schema");
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{value} of {schema}: {errors:?}");
        value
    }

    #[test]
    fn texts_are_the_words_within_their_bounds() {
        let title = json!({ "type": "object", "required": ["title"], "additionalProperties": false,
            "properties": { "title": { "type": "string", "minLength": 1, "maxLength": 9 } } });
        assert_eq!(fits(&title, "tell me of whales"), json!({ "title": "tell me o" }));
        assert_eq!(fits(&title, "Wälder"), json!({ "title": "Wälder" }));
        assert_eq!(fits(&json!({ "minLength": 5 }), "abc"), json!("abc.."));
        assert_eq!(fits(&title, ""), json!({ "title": "." }));
        for format in ["date-time", "date", "time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"] {
            fits(&json!({ "type": "string", "format": format }), "words");
        }
    }

    #[test]
    fn what_schemas_are_made_of_fits() {
        let all = [
            json!({}),
            json!({ "type": ["integer", "null"] }),
            json!({ "enum": ["b", "a"] }),
            json!({ "const": { "a": [1] } }),
            json!({ "type": "boolean" }),
            json!({ "type": "null" }),
            json!({ "type": "array", "items": { "type": "integer", "minimum": 3 }, "minItems": 2 }),
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": 0 }),
            json!({ "prefixItems": [{ "type": "boolean" }, { "type": "null" }], "items": false }),
            json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }),
            json!({ "type": "object", "properties": { "a": { "type": "number" } }, "required": ["a", "b"] }),
            json!({ "required": ["x"], "additionalProperties": { "type": "integer" } }),
            json!({ "allOf": [
                { "properties": { "a": { "type": "integer" } }, "required": ["a"] },
                { "properties": { "b": { "type": "boolean" } }, "required": ["b"] } ] }),
            json!({ "$ref": "#/$defs/kind",
                "$defs": { "kind": { "oneOf": [{ "const": 7 }, { "const": 8 }] } } }),
        ];
        for schema in &all {
            fits(schema, "words");
        }
    }

    #[test]
    fn numbers_are_within_their_bounds() {
        let bounds = [
            json!({ "minimum": 3, "maximum": 3 }),
            json!({ "exclusiveMinimum": 3, "maximum": 4 }),
            json!({ "exclusiveMinimum": 0, "exclusiveMaximum": 1 }),
            json!({ "maximum": -2 }),
            json!({ "exclusiveMaximum": -2 }),
            json!({ "multipleOf": 5, "exclusiveMinimum": 10 }),
            json!({ "multipleOf": 0.5, "minimum": 0.3 }),
        ];
        for bounds in &bounds {
            for kind in ["number", "integer"] {
                let mut schema = bounds.clone();
                schema["type"] = kind.into();
                let between = kind == "integer" && bounds.get("exclusiveMaximum") == Some(&json!(1));
                if !between {
                    fits(&schema, "");
                }
            }
        }
    }

    #[test]
    fn what_contains_itself_comes_to_an_end() {
        let tree = json!({ "$ref": "#/$defs/node", "$defs": { "node": { "type": "object",
            "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] },
                "children": { "type": "array", "items": { "$ref": "#/$defs/node" } } },
            "required": ["children"] } } });
        fits(&tree, "words");
        assert_eq!(fitting(&json!({ "$ref": "#" }), "words"), json!("words"));
    }

    #[test]
    fn an_answer_has_a_bound() {
        let many = json!({ "type": "array", "minItems": 1_000_000_000, "items": { "type": "null" } });
        let made = fitting(&many, "");
        // The array itself is one of them.
        assert_eq!(made.as_array().map(Vec::len), Some(OFFLINE_FITTING_VALUES - 1));
        let long = fitting(&json!({ "type": "string", "minLength": 1_000_000_000 }), "a");
        assert_eq!(long.as_str().map(str::len), Some(OFFLINE_FITTING_CHARS));
        let deep = json!({ "type": "array", "items": { "$ref": "#" }, "minItems": 1 });
        let mut depth = 0;
        let mut made = &fitting(&deep, "");
        while let Some(inner) = made.get(0) {
            (made, depth) = (inner, depth + 1);
        }
        assert_eq!((made, depth), (&Value::Null, OFFLINE_FITTING_DEPTH + 1));
    }
}
