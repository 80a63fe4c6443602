//! Our types against the protocol's published schema, method by method: what the reference takes we take, and
//! what we send it could have sent. Where that is not so it stands in a table, with the reason.

mod compare;
mod reasons;
mod shape;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::generated_types::generated;
use crate::support::schema::{SchemaChecker, shared_dir};
use compare::{Comparison, Difference, Way};
use reasons::REASONS;
use shape::Definitions;

/// Set to write the table anew instead of comparing it.
const UPDATE: &str = "UPDATE_SCHEMA";
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/schema_differences/README.md");

/// Method and parameters of each message of a union.
fn messages(union: &Value) -> Vec<(String, Value)> {
    let alternatives = union["oneOf"].as_array().expect("a union of messages");
    let message = |one: &Value| {
        let method = one["properties"]["method"]["enum"][0].as_str().expect("a method");
        (method.to_owned(), one["properties"]["params"].clone())
    };
    alternatives.iter().map(message).collect()
}

fn parameters<'a>(messages: &'a [(String, Value)], method: &str) -> Option<&'a Value> {
    messages.iter().find(|(name, _)| name == method).map(|(_, params)| params)
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// What our schemas and the published ones allow differently, and how many methods were compared.
fn differences(ours: &Definitions, checker: &SchemaChecker) -> (BTreeSet<Difference>, usize) {
    let theirs = checker.definitions();
    let mut found = BTreeSet::new();
    let mut compared = 0;
    let mut comparison = Comparison::new(ours, theirs);

    let published = messages(&theirs["ClientRequest"]);
    for (method, params) in messages(&ours["ClientRequest"]) {
        let their_params = parameters(&published, &method).expect("a published method");
        found.extend(comparison.read(their_params, &params, &method));
        let name = checker.response_definition(&method).expect("a published answer");
        // Its name is the published one, unless the schema at hand has none.
        let own_name = their_params["$ref"].as_str().and_then(|name| name.strip_prefix("#/definitions/"));
        let own_name = own_name.map(|name| name.replace("Params", "Response"));
        let own_name = own_name.filter(|own| ours.contains_key(own)).unwrap_or_else(|| name.to_owned());
        found.extend(comparison.sent(&reference(&own_name), &reference(name), &method));
        compared += 1;
    }
    let published = messages(&theirs["ServerNotification"]);
    for (method, params) in messages(&ours["ServerNotification"]) {
        let their_params = parameters(&published, &method).expect("a published notification");
        found.extend(comparison.sent(&params, their_params, &method));
        compared += 1;
    }
    let published = messages(&theirs["ServerRequest"]);
    for (method, params) in messages(&ours["ServerRequest"]) {
        let their_params = parameters(&published, &method).expect("a published request");
        found.extend(comparison.sent(&params, their_params, &method));
        let name = params["$ref"].as_str().expect("named parameters");
        let answer = json!({ "$ref": name.replace("Params", "Response") });
        found.extend(comparison.read(&answer, &answer, &method));
        compared += 1;
    }
    (found, compared)
}

fn reason(difference: &Difference) -> Option<usize> {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => difference.place.starts_with(start),
        None => difference.place == pattern,
    };
    REASONS.iter().position(|(way, pattern, _)| *way == difference.way && matches(pattern))
}

fn table(found: &BTreeSet<Difference>, compared: usize) -> String {
    let mut text = format!(
        "# Where the types differ from the published schema\n\n\
         Made by the test beside it, which compares the parameters and answers of each served method, each\n\
         notification and each request of the server with the schema of release 0.169: {compared} messages.\n\
         `{UPDATE}=1 cargo test --test it schema_differences` writes it anew; reasons are in `reasons.rs`.\n\
         The names are those of the published types. Each one is named once, wherever it is used.\n\
         What this server adds around its types is not in them: `serverInfo` of `initialize`, the replay's\n\
         `seq` and `replay`, and what `server/diagnostics` tells beside the protocol.\n",
    );
    let sections = [
        (Way::Read, "What the reference takes and this server does not", "not taken"),
        (Way::Sent, "What this server sends and the reference does not", "sent"),
    ];
    for (way, heading, column) in sections {
        let _ = write!(text, "\n## {heading}\n\n| where | {column} | because |\n|---|---|---|\n");
        for one in found.iter().filter(|one| one.way == way) {
            let because = reason(one).map_or("?", |at| REASONS[at].2);
            let _ = writeln!(text, "| `{}` | {} | {because} |", one.place, one.what);
        }
    }
    text
}

#[test]
fn the_differences_from_the_published_schema_are_known() {
    if SchemaChecker::get().is_none() {
        return;
    }
    let dir = shared_dir().expect("the shared folder").join("schema");
    let files = generated("generate-json-schema", &["--experimental"]);
    let bundle: Value =
        serde_json::from_str(&files["codex_app_server_protocol.v2.schemas.json"]).expect("JSON");
    let ours = bundle["definitions"].as_object().expect("types");
    let checker = SchemaChecker::with_answers(&dir, &messages(&ours["ServerRequest"]));
    let (found, compared) = differences(ours, &checker);
    assert!(compared >= 130, "only {compared} messages compared");

    let text = table(&found, compared);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(TABLE, &text).expect("the table is written");
    }
    let unknown: Vec<String> =
        found.iter().filter(|one| reason(one).is_none()).map(|one| format!("{one:?}")).collect();
    assert!(
        unknown.is_empty(),
        "{} differences without a reason; mend the types, or say why in reasons.rs:\n{}",
        unknown.len(),
        unknown.join("\n")
    );
    let used: BTreeSet<usize> = found.iter().filter_map(reason).collect();
    let stale: Vec<_> = REASONS.iter().enumerate().filter(|(at, _)| !used.contains(at)).collect();
    assert!(stale.is_empty(), "reasons for what does not differ: {stale:?}");
    let kept = std::fs::read_to_string(Path::new(TABLE)).expect("the table");
    let known = found.len();
    let _ = writeln!(std::io::stderr(), "schema: {compared} messages compared, {known} known differences");
    assert!(kept == text, "the table is old: `{UPDATE}=1 cargo test --test it schema_differences` writes it");
}

/// The comparison itself finds what there is to find.
#[test]
fn a_difference_is_found_in_each_form() {
    let theirs = json!({
        "T": {"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string"}, "count": {"type": "integer", "format": "int64"},
            "mode": {"enum": ["a", "b"], "type": "string"}, "next": {"$ref": "#/definitions/T"},
            "list": {"type": ["array", "null"], "items": {"type": "string"}}, "new": {"type": "boolean"}
        }},
    });
    let ours = json!({
        "T": {"type": "object", "required": ["id", "count"], "properties": {
            "id": {"type": "string"}, "count": {"type": "integer", "format": "uint32", "minimum": 0},
            "mode": {"enum": ["a"], "type": "string"}, "next": {"$ref": "#/definitions/T"},
            "list": {"type": "array", "items": {"$ref": "#/definitions/T"}}
        }},
    });
    let (theirs, ours) = (theirs.as_object().expect("types"), ours.as_object().expect("types"));
    let found = Comparison::new(ours, theirs).read(&reference("T"), &reference("T"), "m");
    let mut found: Vec<String> = found.iter().map(|one| format!("{}: {}", one.place, one.what)).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "T.count: may be left out",
            "T.count: numbers from -9223372036854775808 to 9223372036854775807",
            "T.list: null",
            "T.list[]: a text",
            "T.mode: `b`",
            "T.new: is not read",
        ]
    );
    let found = Comparison::new(theirs, theirs).sent(&reference("T"), &reference("T"), "m");
    assert_eq!(found, []);
    // The other way round more is given than taken, except where it is less.
    let found = Comparison::new(ours, theirs).sent(&reference("T"), &reference("T"), "m");
    let found: Vec<String> = found.iter().map(|one| format!("{}: {}", one.place, one.what)).collect();
    assert_eq!(found, ["T.list[]: an object"]);
}
