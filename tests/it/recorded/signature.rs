//! What of a message is compared: a line of text without ids, times and paths.

use serde_json::{Map, Value};

/// Fields that differ from run to run.
const VOLATILE: &[&str] = &[
    "threadId",
    "turnId",
    "startedAtMs",
    "completedAtMs",
    "startedAt",
    "completedAt",
    "durationMs",
    "processId",
    "revision",
    "readState",
    "requestId",
    "environments",
    "environmentId",
    "cwd",
    "tokenUsage",
    "rateLimits",
    "rootTurnId",
    "threadSettings",
    "thread",
    "osPid",
];

/// A message as it is compared. `asked` is the method of the request that an answer answers.
pub(crate) fn signature(message: &Value, asked: Option<&str>) -> String {
    let Some(method) = message["method"].as_str() else {
        let asked = asked.unwrap_or("nothing");
        let error = &message["error"];
        return match error {
            Value::Null => format!("answer {asked} {}", keys(&message["result"])),
            error => format!("answer {asked} {} {}", error["code"], plain(&text(&error["message"]))),
        };
    };
    let mut params = message["params"].clone();
    if method == "thread/status/changed" {
        return format!("{method} {}", params["status"]);
    }
    // One chunk of output or several is a matter of time.
    if method == "item/commandExecution/outputDelta" {
        return format!("{method} {}", plain(&params["itemId"].to_string()));
    }
    strip(&mut params);
    format!("{method} {}", plain(&params.to_string()))
}

fn keys(result: &Value) -> String {
    let mut keys: Vec<&str> = result.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    format!("{keys:?}")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Takes out what differs from run to run, and nulls, which are the schema tests' matter.
fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let own =
                object.get("type").is_some_and(|kind| kind == "userMessage" || kind == "contextCompaction");
            let said = object.get("type").is_some_and(|kind| kind == "agentMessage" || kind == "reasoning");
            let shell = object.get("source").is_some_and(|source| source == "userShell");
            let kept = |key: &str| !VOLATILE.contains(&key) && !((own || said || shell) && key == "id");
            let old = std::mem::take(object);
            let mut new: Map<String, Value> =
                old.into_iter().filter(|(key, value)| kept(key) && !value.is_null()).collect();
            new.values_mut().for_each(strip);
            *object = new;
        }
        Value::Array(array) => array.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The same without UUIDs, and without the numbers of messages and thoughts: here they have ids of their own,
/// since models number per answer and begin again.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        if ["msg_", "rs_"].iter().any(|kind| out.ends_with(kind)) {
            out.push_str("<id>");
            rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '_');
            continue;
        }
        let length = after.find(|c: char| !c.is_ascii_hexdigit() && c != '-').unwrap_or(after.len());
        let (word, next) = after.split_at(length);
        match is_uuid(word) {
            true => out.push_str("<id>"),
            false if word.len() > 36 && is_uuid(&word[..36]) => out.extend(["<id>", &word[36..]]),
            false => out.push_str(word),
        }
        rest = next;
    }
    out.push_str(rest);
    without_ports(&out)
}

/// Without the ports of mocks.
fn without_ports(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + "127.0.0.1:" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

pub(crate) fn is_uuid(word: &str) -> bool {
    word.is_ascii() && word.len() == 36 && [8, 13, 18, 23].iter().all(|&at| word.as_bytes()[at] == b'-')
}

#[test]
fn ids_and_times_are_not_compared() {
    let id = "01a1f96b-c90c-7c73-ab17-19f87c56a4b7";
    let message = serde_json::json!({ "method": "x", "params": {
        "threadId": id, "item": { "id": format!("{id}-plan"), "startedAtMs": 1, "text": null, "status": "s" },
    }});
    assert_eq!(signature(&message, /*asked*/ None), r#"x {"item":{"id":"<id>-plan","status":"s"}}"#);
    let answer =
        serde_json::json!({ "id": 1, "error": { "code": -1, "message": format!("no `{id}` here") } });
    assert_eq!(signature(&answer, Some("m")), "answer m -1 no `<id>` here");
}
