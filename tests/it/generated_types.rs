//! `generate-json-schema` and `generate-ts`: what they write, and how they fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use app_server::proto::methods;
use serde_json::Value;

use crate::support::home::Home;
use crate::support::process::{Launch, Output};
use crate::support::recordings::recorded;

const BUNDLE: &str = "codex_app_server_protocol.v2.schemas.json";

fn run(home: &Arc<Home>, args: &[&str]) -> Output {
    Launch::new(home).args(args.iter().copied()).run(b"")
}

/// The files that a command writes, by their path below its folder.
pub(crate) fn generated(command: &str, flags: &[&str]) -> BTreeMap<String, String> {
    let home = Home::new();
    let out = home.path().join("made/here");
    let args: Vec<&str> =
        [command, "--out", out.to_str().expect("a path")].into_iter().chain(flags.iter().copied()).collect();
    let output = run(&home, &args);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let mut files = BTreeMap::new();
    read_all(&out, "", &mut files);
    files
}

fn read_all(folder: &Path, below: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_all(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read_to_string(entry.path()).expect("a text"));
        }
    }
}

/// The methods that a union of messages has.
fn methods_of(union: &Value) -> BTreeSet<&str> {
    let alternatives = union["oneOf"].as_array().expect("a union of messages");
    alternatives.iter().filter_map(|one| one["properties"]["method"]["enum"][0].as_str()).collect()
}

#[test]
fn every_schema_is_one_and_stands_by_itself() {
    let files = generated("generate-json-schema", &["--experimental"]);
    for name in ["ClientRequest", "ClientNotification", "ServerNotification", "ServerRequest", "RequestId"] {
        assert!(files.contains_key(&format!("{name}.json")), "{name} is not among {:?}", files.keys());
    }
    for name in ["v1/InitializeParams", "v2/TurnStartParams", "v2/ThreadStartedNotification"] {
        assert!(files.contains_key(&format!("{name}.json")), "{name} is not among {:?}", files.keys());
    }
    for (name, text) in &files {
        let schema: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#", "{name}");
        // Compiling fails at a reference that leads nowhere.
        jsonschema::draft7::new(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_is_experimental_is_left_out_unless_it_is_asked_for() {
    let parse = |files: &BTreeMap<String, String>, name: &str| -> Value {
        serde_json::from_str(&files[name]).expect("JSON")
    };
    let (stable, all) =
        (generated("generate-json-schema", &[]), generated("generate-json-schema", &["--experimental"]));
    let (requests, more) = (parse(&stable, "ClientRequest.json"), parse(&all, "ClientRequest.json"));
    let is_experimental = |name: &&str| methods::find(name).is_some_and(|method| method.experimental);
    assert!(!methods_of(&requests).iter().any(is_experimental));
    let (known, left): (BTreeSet<&str>, BTreeSet<&str>) =
        methods_of(&more).into_iter().partition(|name| !is_experimental(name));
    assert_eq!(known, methods_of(&requests));
    assert!(left.contains("thread/search"));
    assert!(
        all.contains_key("v2/ThreadSearchParams.json") && !stable.contains_key("v2/ThreadSearchParams.json")
    );

    let has = |schema: &Value, field: &str| schema["properties"].get(field).is_some();
    for (file, field) in
        [("v2/ThreadStartParams.json", "historyMode"), ("v2/ThreadStartResponse.json", "multiAgentMode")]
    {
        assert!(has(&parse(&all, file), field) && !has(&parse(&stable, file), field), "{file}: {field}");
    }
    assert!(has(&parse(&stable, "v2/ThreadStartParams.json"), "cwd"));
    let thread = &parse(&stable, BUNDLE)["definitions"]["Thread"];
    assert!(has(thread, "preview") && !has(thread, "environments"));
}

#[test]
fn typescript_has_the_same_types() {
    for flags in [&[][..], &["--experimental"]] {
        let (schemas, scripts) = (generated("generate-json-schema", flags), generated("generate-ts", flags));
        let bundle: Value = serde_json::from_str(&schemas[BUNDLE]).expect("JSON");
        let types: BTreeSet<&str> =
            bundle["definitions"].as_object().expect("types").keys().map(String::as_str).collect();
        let written: BTreeSet<&str> = scripts
            .keys()
            .filter_map(|path| path.rsplit('/').next()?.strip_suffix(".ts"))
            .filter(|name| !["index", "JsonValue"].contains(name))
            .collect();
        assert_eq!(written, types);
        for (path, text) in &scripts {
            for import in text.lines().filter(|line| line.starts_with("import ")) {
                let from = import.split('"').nth(1).expect("a path");
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let target = match (from.strip_prefix("../"), from.strip_prefix("./")) {
                    (Some(above), _) => above.to_owned(),
                    (None, Some(beside)) if folder.is_empty() => beside.to_owned(),
                    (None, Some(beside)) => format!("{folder}/{beside}"),
                    (None, None) => panic!("{path}: {import}"),
                };
                assert!(scripts.contains_key(&format!("{target}.ts")), "{path}: {import}");
            }
        }
    }
    let scripts = generated("generate-ts", &[]);
    assert!(scripts["v2/TurnSteerParams.ts"].contains("  threadId: string;\n"));
    assert!(scripts["v2/ThreadStartParams.ts"].contains("  cwd?: string | null;\n"));
    assert!(scripts["ClientRequest.ts"].contains("method: \"turn/start\";\n  params: TurnStartParams;\n"));
    assert!(scripts["v2/index.ts"].contains("export type { Thread } from \"./Thread\";\n"));
}

#[test]
fn recorded_requests_of_clients_fit() {
    let all = recorded();
    if all.is_empty() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there are no recordings");
        return;
    }
    let files = generated("generate-json-schema", &["--experimental"]);
    let schema: Value = serde_json::from_str(&files["ClientRequest.json"]).expect("JSON");
    let known = methods_of(&schema);
    let validator = jsonschema::draft7::new(&schema).expect("a schema");
    let mut checked = 0;
    let mut misfits = Vec::new();
    for (at, request) in
        all.iter().enumerate().filter(|(_, one)| !one.by_server && one.message.get("id").is_some())
    {
        let is_served = request.method().is_some_and(|method| known.contains(method));
        // What the reference refused need not fit.
        let is_answered =
            all.iter().any(|one| one.request == Some(at) && one.message.get("result").is_some());
        if is_served && is_answered {
            checked += 1;
            if !validator.is_valid(&request.message) {
                misfits.push(format!("{}: {}", request.place, request.text));
            }
        }
    }
    assert!(misfits.is_empty(), "{}", misfits.join("\n"));
    assert!(checked >= 200, "only {checked} requests checked");
}

#[test]
fn what_cannot_be_done_is_said() {
    let home = Home::new();
    for command in ["generate-json-schema", "generate-ts"] {
        let output = run(&home, &[command]);
        assert_eq!((output.status.code(), output.stdout.as_str()), (Some(2), ""));
        assert!(output.stderr.contains(&format!("{command}: say with --out DIR")), "{}", output.stderr);

        let file = home.path().join("taken");
        fs::write(&file, "not a folder").expect("a file");
        let inside = file.join("types");
        let output = run(&home, &[command, "-o", inside.to_str().expect("a path")]);
        assert_eq!((output.status.code(), output.stdout.as_str()), (Some(1), ""));
        assert!(output.stderr.contains("cannot make the folder"), "{}", output.stderr);
        assert!(output.stderr.contains(file.to_str().expect("a path")), "{}", output.stderr);
    }
    let output = run(&home, &["--experimental"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.contains("--experimental does not belong to `serve`"), "{}", output.stderr);
}
