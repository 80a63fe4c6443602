//! The JSON Schema files.

use serde_json::{Map, Value};

use super::File;
use super::published::{Published, UNIONS};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";
/// All types in one file, under the name that it has elsewhere.
const BUNDLE: &str = "codex_app_server_protocol.v2.schemas.json";

/// A file for each union of messages and for each type that stands directly under a message, with the types
/// that it needs, and one with everything; laid out as `codex app-server generate-json-schema` does it.
///
/// # Errors
/// Never in a program whose tests passed.
pub fn json_files(experimental: bool) -> serde_json::Result<Vec<File>> {
    let published = Published::of(experimental)?;
    let mut names: Vec<&str> = published.roots().chain(UNIONS.iter().copied()).collect();
    names.sort_unstable();
    names.dedup();
    let mut files: Vec<File> = names
        .into_iter()
        .map(|name| {
            let definitions = published.reached_by(name);
            let mut schema = match &published.definitions[name] {
                Value::Object(schema) => schema.clone(),
                // `true`: anything.
                _ => Map::new(),
            };
            if !definitions.is_empty() {
                schema.insert("definitions".to_owned(), definitions.into());
            }
            file(format!("{}{name}.json", published.folder(name)), name, schema)
        })
        .collect();
    let mut all = Map::new();
    all.insert("definitions".to_owned(), published.definitions.into());
    files.push(file(BUNDLE.to_owned(), "AppServerProtocolV2", all));
    Ok(files)
}

fn file(path: String, title: &str, mut schema: Map<String, Value>) -> File {
    schema.insert("$schema".to_owned(), DRAFT.into());
    schema.insert("title".to_owned(), title.into());
    // The alternate form is the one for people.
    File { path, text: format!("{:#}\n", Value::Object(schema)) }
}
