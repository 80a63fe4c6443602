//! The TypeScript files, made from the same JSON Schemas.
//!
//! A small generator for what our own types become: references, unions, objects, maps, lists and literals. It
//! is not one for any JSON Schema.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::File;
use super::published::{Published, reference, references};

/// The first line of each file.
const HEAD: &str = "// Made by app-server generate-ts. Changes to this file will be lost.\n";
const JSON_VALUE: &str = "JsonValue";

/// A file for each type and an index for each folder, laid out as `codex app-server generate-ts` does it.
///
/// # Errors
/// Never in a program whose tests passed.
pub fn typescript_files(experimental: bool) -> serde_json::Result<Vec<File>> {
    let published = Published::of(experimental)?;
    let mut files = vec![File {
        path: format!("{JSON_VALUE}.ts"),
        text: format!(
            "{HEAD}\nexport type {JSON_VALUE} =\n  | number\n  | string\n  | boolean\n  \
             | Array<{JSON_VALUE}>\n  | {{ [key in string]?: {JSON_VALUE} }}\n  | null;\n"
        ),
    }];
    files.extend(published.definitions.iter().map(|(name, schema)| type_file(&published, name, schema)));
    for folder in ["", "v1/", "v2/"] {
        files.push(index(folder, &files));
    }
    Ok(files)
}

fn type_file(published: &Published, name: &str, schema: &Value) -> File {
    let folder = published.folder(name);
    let mut text = HEAD.to_owned();
    let body = written(schema, /*depth*/ 0);
    let mut used: BTreeSet<(&str, &str)> =
        references(schema).into_iter().map(|used| (published.folder(used), used)).collect();
    if body.contains(JSON_VALUE) {
        used.insert(("", JSON_VALUE));
    }
    for (from, used) in used.into_iter().filter(|(_, used)| *used != name) {
        let way = match (folder, from) {
            (own, from) if own == from => "./".to_owned(),
            ("", from) => format!("./{from}"),
            (_, from) => format!("../{from}"),
        };
        let _ = writeln!(text, "import type {{ {used} }} from \"{way}{used}\";");
    }
    text.push('\n');
    text.push_str(&comment(schema, /*depth*/ 0));
    let _ = writeln!(text, "export type {name} = {body};");
    File { path: format!("{folder}{name}.ts"), text }
}

fn index(folder: &str, files: &[File]) -> File {
    let mut text = format!("{HEAD}\n");
    for file in files {
        let name = file.path.strip_prefix(folder).and_then(|path| path.strip_suffix(".ts"));
        let Some(name) = name.filter(|name| !name.contains('/') && *name != "index") else { continue };
        let _ = writeln!(text, "export type {{ {name} }} from \"./{name}\";");
    }
    if folder.is_empty() {
        text.push_str("export * from \"./v1\";\nexport * as v2 from \"./v2\";\n");
    }
    File { path: format!("{folder}index.ts"), text }
}

/// What a schema allows, as a TypeScript type.
fn written(schema: &Value, depth: usize) -> String {
    let Value::Object(fields) = schema else { return JSON_VALUE.to_owned() };
    if let Some(name) = reference(schema) {
        return name.to_owned();
    }
    if let Some(literal) = fields.get("const") {
        return literal.to_string();
    }
    if let Some(Value::Array(literals)) = fields.get("enum") {
        return literals.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    // What has to hold all at once.
    let mut parts = Vec::new();
    for list in ["oneOf", "anyOf"] {
        if let Some(Value::Array(alternatives)) = fields.get(list) {
            let choice = choice(alternatives.iter().map(|one| written(one, depth)));
            parts.push(choice);
        }
    }
    if let Some(Value::Array(all)) = fields.get("allOf") {
        parts.extend(all.iter().map(|one| written(one, depth)));
    }
    if parts.is_empty() || fields.contains_key("properties") {
        parts.insert(0, own(fields, depth));
    }
    match parts.as_slice() {
        [part] => part.clone(),
        parts => parts
            .iter()
            .map(|part| if part.contains(" | ") { format!("({part})") } else { part.clone() })
            .collect::<Vec<_>>()
            .join(" & "),
    }
}

/// What the keywords of the schema itself say, without those that combine others.
fn own(fields: &Map<String, Value>, depth: usize) -> String {
    match fields.get("type") {
        Some(Value::String(kind)) => of_kind(kind, fields, depth),
        Some(Value::Array(kinds)) => {
            choice(kinds.iter().filter_map(Value::as_str).map(|kind| of_kind(kind, fields, depth)))
        }
        _ if fields.contains_key("properties") => object(fields, depth),
        _ => JSON_VALUE.to_owned(),
    }
}

fn of_kind(kind: &str, fields: &Map<String, Value>, depth: usize) -> String {
    match kind {
        "integer" | "number" => "number".to_owned(),
        "array" => match fields.get("items") {
            Some(Value::Array(items)) => {
                let items: Vec<_> = items.iter().map(|item| written(item, depth)).collect();
                format!("[{}]", items.join(", "))
            }
            Some(items) => format!("Array<{}>", written(items, depth)),
            None => format!("Array<{JSON_VALUE}>"),
        },
        "object" => object(fields, depth),
        // `string`, `boolean` and `null` are called the same.
        other => other.to_owned(),
    }
}

fn object(fields: &Map<String, Value>, depth: usize) -> String {
    let Some(Value::Object(properties)) = fields.get("properties") else {
        return match fields.get("additionalProperties") {
            None | Some(Value::Bool(false)) => "Record<string, never>".to_owned(),
            Some(values) => format!("{{ [key in string]?: {} }}", written(values, depth)),
        };
    };
    let required: Vec<&str> = match fields.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let inner = "  ".repeat(depth + 1);
    let mut text = "{\n".to_owned();
    for (name, schema) in properties {
        text.push_str(&comment(schema, depth + 1));
        let mark = if required.contains(&name.as_str()) { "" } else { "?" };
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        let name = if is_plain { name.clone() } else { Value::from(name.as_str()).to_string() };
        let _ = writeln!(text, "{inner}{name}{mark}: {};", written(schema, depth + 1));
    }
    let _ = write!(text, "{}}}", "  ".repeat(depth));
    text
}

/// The alternatives, each once.
fn choice(alternatives: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for one in alternatives {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen.join(" | ")
}

fn comment(schema: &Value, depth: usize) -> String {
    let Some(text) = schema.get("description").and_then(Value::as_str) else { return String::new() };
    let indent = "  ".repeat(depth);
    let text = text.replace("*/", "* /");
    let lines: Vec<&str> = text.lines().collect();
    match lines.as_slice() {
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let lines: String =
                lines.iter().map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n").collect();
            format!("{indent}/**\n{lines}{indent} */\n")
        }
    }
}
