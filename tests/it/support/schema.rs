//! Checks what a server sends against the protocol's published JSON Schema.
//!
//! The schema is not part of this repository; without it the checks are skipped, visibly.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use jsonschema::error::{ValidationError, ValidationErrorKind};
use serde_json::{Map, Value, json};

/// Methods whose answer is not named after their parameters, or that have none.
const IRREGULAR_RESPONSES: &[(&str, &str)] = &[
    ("account/gatewayOAuth/cancel", "GatewayOAuthCancelResponse"),
    ("account/logout", "LogoutAccountResponse"),
    ("account/securitySetup/read", "GetAccountSecuritySetupResponse"),
    ("account/workspaceMessages/read", "GetWorkspaceMessagesResponse"),
    ("accountSession/list", "AccountSessionsResponse"),
    ("config/batchWrite", "ConfigWriteResponse"),
    ("config/mcpServer/reload", "McpServerRefreshResponse"),
    ("config/value/write", "ConfigWriteResponse"),
    ("configRequirements/read", "ConfigRequirementsReadResponse"),
    ("externalAgentConfig/import/readHistories", "ExternalAgentConfigImportHistoriesReadResponse"),
    // Published without answers; these are empty objects.
    ("fuzzyFileSearch/sessionStart", "FsUnwatchResponse"),
    ("fuzzyFileSearch/sessionStop", "FsUnwatchResponse"),
    ("fuzzyFileSearch/sessionUpdate", "FsUnwatchResponse"),
    ("memory/reset", "MemoryResetResponse"),
    ("remoteControl/status/read", "RemoteControlStatusReadResponse"),
    ("rollout/compress", "RolloutCompressResponse"),
    ("windowsSandbox/readiness", "WindowsSandboxReadinessResponse"),
];

/// Definitions that the bundle leaves out, by the file that has them.
const LONE_FILES: &[(&str, &str)] = &[
    ("FuzzyFileSearchResponse", "FuzzyFileSearchResponse.json"),
    ("InitializeResponse", "v1/InitializeResponse.json"),
    ("JSONRPCError", "JSONRPCError.json"),
];

/// Knows the published schema and tells whether a message fits it.
pub(crate) struct SchemaChecker {
    /// All definitions: of the experimental bundle, of server requests, of lone files.
    definitions: Map<String, Value>,
    /// Definition of the parameters, by notification method.
    notifications: BTreeMap<String, String>,
    /// Definition of the parameters, by method of server requests.
    server_requests: BTreeMap<String, String>,
    /// Definition of the answer, by method of client requests.
    responses: BTreeMap<String, String>,
    /// Compiled definitions; each costs milliseconds, so only those that are needed, once.
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

/// The folder that holds `schema/` and `wire/`, if there is one.
pub(crate) fn shared_dir() -> Option<PathBuf> {
    let dir = match std::env::var_os("APP_SERVER_SHARED") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    dir.join("schema").is_dir().then_some(dir)
}

impl SchemaChecker {
    /// The checker, or none (said once on stderr) where the schema is not there.
    pub(crate) fn get() -> Option<&'static Self> {
        static CHECKER: OnceLock<Option<SchemaChecker>> = OnceLock::new();
        CHECKER
            .get_or_init(|| {
                let Some(dir) = shared_dir() else {
                    let reason = "no ../shared/schema, and APP_SERVER_SHARED names no other place";
                    // Not through `eprintln`, which the test harness would hide from passing tests.
                    let _ = writeln!(std::io::stderr(), "SKIPPED schema checks: {reason}");
                    return None;
                };
                Some(Self::load(&dir.join("schema")))
            })
            .as_ref()
    }

    /// Knows what this server itself publishes; there everywhere.
    pub(crate) fn own() -> &'static Self {
        static CHECKER: OnceLock<SchemaChecker> = OnceLock::new();
        CHECKER.get_or_init(|| {
            let types = include_str!("../../../src/schema/types.json");
            let mut types: Value = serde_json::from_str(types).expect("JSON");
            let Value::Object(mut definitions) = types["definitions"].take() else {
                panic!("no definitions")
            };
            let id = json!({"type": ["string", "integer"]});
            let error = json!({"type": "object", "required": ["code", "message"], "properties": {
                "code": {"type": "integer"}, "message": {"type": "string"}
            }});
            let refusal = json!({"type": "object", "required": ["error", "id"], "properties": {
                "error": error, "id": {"type": ["string", "integer", "null"]}
            }});
            definitions.extend([("RequestId".to_owned(), id), ("JSONRPCError".to_owned(), refusal)]);
            let by_method = |kind: &str, part: &str| -> BTreeMap<String, String> {
                let messages = types[kind].as_array().expect("messages").iter();
                let named = messages.map(|message| {
                    let name = reference(&message[part]).expect("a named type");
                    (message["method"].as_str().expect("a method").to_owned(), name.to_owned())
                });
                named.collect()
            };
            Self {
                notifications: by_method("notifications", "params"),
                server_requests: by_method("serverRequests", "params"),
                responses: by_method("requests", "result"),
                definitions,
                compiled: Mutex::default(),
            }
        })
    }

    fn load(dir: &Path) -> Self {
        let read = |file: &str| -> Value {
            let path = dir.join(file);
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let mut bundle = read("experimental.v2.schemas.json");
        let Value::Object(mut definitions) = bundle["definitions"].take() else { panic!("no definitions") };

        let requests = read("ServerRequest.json");
        let lone = LONE_FILES.iter().map(|(name, file)| ((*name).to_owned(), read(file)));
        for (name, schema) in lone.chain([("ServerRequest".to_owned(), requests)]) {
            adopt(&mut definitions, &name, schema);
        }
        // A refusal of something that had no readable id carries null; the published shape forgets that.
        definitions["JSONRPCError"]["properties"]["id"] =
            json!({"anyOf": [{"$ref": "#/definitions/RequestId"}, {"type": "null"}]});

        let notifications = params_by_method(&definitions["ServerNotification"]);
        let server_requests = params_by_method(&definitions["ServerRequest"]);
        let responses = responses_by_method(&definitions);
        let compiled = Mutex::default();
        Self { definitions, notifications, server_requests, responses, compiled }
    }

    /// Whether the message fits the schema; `response_to` is the method of the request that a response
    /// answers. The error names the definition, the JSON pointer and what is wrong there.
    pub(crate) fn check(&self, message: &Value, response_to: Option<&str>) -> Result<(), String> {
        let Some(object) = message.as_object() else { return Err("not a JSON object".into()) };
        if object.contains_key("jsonrpc") {
            return Err("`jsonrpc`: the protocol leaves this key out".into());
        }
        let has = |key: &str| object.contains_key(key);
        let expect_only =
            |kind: &str, keys: &[&str]| match object.keys().find(|key| !keys.contains(&key.as_str())) {
                Some(key) => Err(format!("{kind}: unexpected key `{key}`")),
                None => Ok(()),
            };
        match (object.get("method"), has("id")) {
            (Some(method), false) => {
                expect_only("notification", &["method", "params", "emittedAtMs"])?;
                if object.get("emittedAtMs").is_some_and(|at| !at.is_i64()) {
                    return Err("notification: `emittedAtMs` is not an integer".into());
                }
                self.check_params(&self.notifications, "notification", method, object)
            }
            (Some(method), true) => {
                expect_only("server request", &["method", "id", "params", "trace"])?;
                self.check_against("RequestId", &message["id"])?;
                self.check_params(&self.server_requests, "server request", method, object)
            }
            (None, true) if has("result") => {
                expect_only("response", &["id", "result"])?;
                self.check_against("RequestId", &message["id"])?;
                let method = response_to.ok_or("a response, but no request is known for it")?;
                let definition = self.response_definition(method)?;
                self.check_against(definition, &message["result"])
            }
            (None, true) if has("error") => {
                expect_only("error", &["error", "id"])?;
                self.check_against("JSONRPCError", message)
            }
            _ => Err("neither a notification nor a request nor a response".into()),
        }
    }

    /// All definitions.
    pub(crate) fn definitions(&self) -> &Map<String, Value> {
        &self.definitions
    }

    /// The same, with the answers to these requests of the server, which are in files of their own.
    pub(crate) fn with_answers(dir: &Path, requests: &[(String, Value)]) -> Self {
        let mut checker = Self::load(dir);
        for (_, params) in requests {
            let name = reference(params).expect("named parameters").replace("Params", "Response");
            let text = fs::read_to_string(dir.join(format!("{name}.json"))).expect("the answer's schema");
            adopt(&mut checker.definitions, &name, serde_json::from_str(&text).expect("JSON"));
        }
        checker
    }

    /// The definition of the answer to a client's request.
    pub(crate) fn response_definition(&self, method: &str) -> Result<&str, String> {
        let definition =
            self.responses.get(method).ok_or_else(|| format!("no schema for answers to `{method}`"))?;
        Ok(definition)
    }

    fn check_params(
        &self,
        known: &BTreeMap<String, String>,
        kind: &str,
        method: &Value,
        message: &Map<String, Value>,
    ) -> Result<(), String> {
        let method = method.as_str().ok_or_else(|| format!("{kind}: `method` is not a string"))?;
        let definition = known.get(method).ok_or_else(|| format!("no schema for {kind} `{method}`"))?;
        let params = message.get("params").ok_or_else(|| format!("{kind} `{method}`: no `params`"))?;
        self.check_against(definition, params)
    }

    fn check_against(&self, definition: &str, value: &Value) -> Result<(), String> {
        let validator = self.validator(definition);
        let wrong: Vec<String> = validator.iter_errors(value).map(|error| explain(&error)).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{definition}: {}", wrong.join("; "))) }
    }

    fn validator(&self, definition: &str) -> Arc<Validator> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = compiled.get(definition) {
            return Arc::clone(validator);
        }
        // Only what the definition reaches: the compiler walks everything that it is given.
        let mut reached = Map::new();
        let mut open = vec![definition.to_owned()];
        while let Some(name) = open.pop() {
            if reached.contains_key(&name) {
                continue;
            }
            let schema = self.definitions.get(&name).unwrap_or_else(|| panic!("no definition `{name}`"));
            open.extend(references(schema));
            reached.insert(name, schema.clone());
        }
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": reached,
            "allOf": [{"$ref": format!("#/definitions/{definition}")}],
        });
        let validator = jsonschema::draft7::new(&schema).unwrap_or_else(|e| panic!("{definition}: {e}"));
        let validator = Arc::new(validator);
        compiled.insert(definition.to_owned(), Arc::clone(&validator));
        validator
    }
}

/// Puts a schema file among the definitions, and those that it brings unless they are known already.
fn adopt(definitions: &mut Map<String, Value>, name: &str, mut schema: Value) {
    if let Value::Object(own) = schema["definitions"].take() {
        for (name, definition) in own {
            definitions.entry(name).or_insert(definition);
        }
    }
    let Value::Object(mut schema) = schema else { panic!("{name} is not an object") };
    schema.remove("definitions");
    definitions.insert(name.to_owned(), Value::Object(schema));
}

/// The name of the definition that a schema refers to, also where null is allowed instead.
fn reference(schema: &Value) -> Option<&str> {
    let direct = schema["$ref"].as_str();
    let target = direct.or_else(|| schema["anyOf"].as_array()?.iter().find_map(|one| one["$ref"].as_str()));
    target?.strip_prefix("#/definitions/")
}

/// All definitions that a schema refers to directly.
fn references(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Object(object) => {
            let own =
                object.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/definitions/"));
            object.values().flat_map(references).chain(own.map(str::to_owned)).collect()
        }
        Value::Array(array) => array.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// Method and parameter schema of each alternative of a union of messages.
fn methods(union: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let alternatives = union["oneOf"].as_array().expect("a union of messages");
    alternatives.iter().map(|one| {
        let method = one["properties"]["method"]["enum"][0].as_str().expect("a method");
        (method, &one["properties"]["params"])
    })
}

fn params_by_method(union: &Value) -> BTreeMap<String, String> {
    let named = methods(union).map(|(method, params)| {
        let definition = reference(params).unwrap_or_else(|| panic!("no parameters for `{method}`"));
        (method.to_owned(), definition.to_owned())
    });
    named.collect()
}

fn responses_by_method(definitions: &Map<String, Value>) -> BTreeMap<String, String> {
    let irregular = |method: &str| IRREGULAR_RESPONSES.iter().find(|(name, _)| *name == method);
    let named = methods(&definitions["ClientRequest"]).filter_map(|(method, params)| {
        let definition = match irregular(method) {
            Some((_, definition)) => (*definition).to_owned(),
            None => format!("{}Response", reference(params)?.strip_suffix("Params")?),
        };
        definitions.contains_key(&definition).then(|| (method.to_owned(), definition))
    });
    named.collect()
}

/// Where the value is wrong and why. A union says only that no alternative fits; the alternative that was
/// most likely meant says more.
fn explain(error: &ValidationError<'_>) -> String {
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) =
        error.kind()
    else {
        let what: String = error.to_string().chars().take(300).collect();
        return format!("{}: {what}", pointer(error));
    };
    // The tag tells which alternative was meant: one that refuses the tag itself was not.
    let refuses_the_tag = |branch: &[ValidationError<'_>]| {
        branch.iter().any(|inner| {
            let at = inner.instance_path().as_str();
            matches!(inner.kind(), ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. })
                && at.strip_prefix(error.instance_path().as_str()) == Some("/type")
        })
    };
    let depth = |branch: &[ValidationError<'_>]| {
        branch.iter().map(|inner| inner.instance_path().as_str().matches('/').count()).max()
    };
    let meant = context
        .iter()
        .filter(|branch| !branch.is_empty() && !refuses_the_tag(branch))
        .max_by_key(|branch| (depth(branch), std::cmp::Reverse(branch.len())));
    match meant {
        Some(branch) => branch.iter().map(explain).collect::<Vec<_>>().join("; "),
        None => format!("{}: fits none of {} alternatives", pointer(error), context.len()),
    }
}

fn pointer(error: &ValidationError<'_>) -> String {
    let at = error.instance_path().as_str();
    if at.is_empty() { "/".to_owned() } else { at.to_owned() }
}
