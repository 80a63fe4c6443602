//! The model's side of the recorded sessions, made from what the reference told of it: its items carry the
//! number of the request in their ids (`msg_REQUEST_OUTPUT`, `call_…`, `rs_…`). What left no item stands in
//! `by_hand`, as the recorder's notes say it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::mock_model::{Answer, MockModel, Step, call, call_freeform, created};
use crate::support::recordings::Told;

/// The `config.toml` of one process of a session.
pub(crate) fn config(session: &str, conn: &str, mock: &MockModel, more: &str) -> String {
    let provider = match (session, conn) {
        ("failures", "p1") => "stream_max_retries = 1\n",
        ("failures", "p2") => "request_max_retries = 1\n",
        ("failures", "p4") => "stream_max_retries = 1\nstream_idle_timeout_ms = 1500\n",
        ("failures", _) => "request_max_retries = 1\nstream_max_retries = 1\n",
        _ => "",
    };
    let mut base = mock.config(provider).replace("\"some-model\"", "\"gpt-5.5\"");
    if session == "failures" && conn.starts_with("p3") {
        // Nobody but root can listen there, and nobody does.
        base = base.replace(&mock.base_url(), "http://127.0.0.1:1/v1");
    }
    // Keys of the root come before tables.
    let (root, tables) = more.split_at(more.find('[').unwrap_or(more.len()));
    format!("{root}approval_policy = \"never\"\nsandbox_mode = \"danger-full-access\"\n{base}{tables}")
}

/// Makes the files that the recorder had made when this section began.
pub(crate) fn prepare(session: &str, section: &str, demo: &Path) {
    let write = |name: &str, text: &str| {
        let path = demo.join(name);
        if !path.exists() {
            std::fs::write(path, text).expect("a file of the recorder");
        }
    };
    if session == "plans" {
        let png = "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da636460\
                   f80f00010501012718e3660000000049454e44ae426082";
        let byte = |at: usize| u8::from_str_radix(&png[at..at + 2], 16).expect("a digit");
        let path = demo.join("p.png");
        std::fs::write(path, (0..png.len()).step_by(2).map(byte).collect::<Vec<u8>>()).expect("a picture");
    }
    if session == "patches" && section.starts_with("untrusted: update, accept") {
        write("a.txt", "one\ntwo\nthree\n");
        write("del.txt", "bye\n");
    }
}

/// What the model answers in the turns that this line of the client starts; none if it starts none.
pub(crate) fn answers(session: &str, lines: &[&Told], index: usize) -> Option<Vec<Answer>> {
    let starts = |line: &Told| {
        let method = line.message["method"].as_str().unwrap_or_default();
        !line.by_server && ["turn/start", "thread/compact/start", "review/start"].contains(&method)
    };
    if !starts(lines[index]) {
        return None;
    }
    // Its turns begin before the client starts the next ones.
    let next =
        lines[index + 1..].iter().position(|line| starts(line)).map_or(lines.len(), |at| index + 1 + at);
    let turns: Vec<&Value> = lines[index..next]
        .iter()
        .filter(|line| line.message["method"] == "turn/started")
        .map(|line| &line.message["params"]["turn"]["id"])
        .collect();
    if turns.is_empty() {
        let said = lines[index].message["params"]["input"][0]["text"].as_str().unwrap_or_default();
        return super::by_hand::unseen(session, said);
    }
    let mut requests: BTreeMap<u32, Vec<Output>> = BTreeMap::new();
    for line in &lines[index..] {
        let params = &line.message["params"];
        if line.by_server && (turns.contains(&&params["turnId"])) {
            note(&mut requests, &line.message["method"], params);
        }
        // The model goes on when the client has spoken.
        let last = requests.values_mut().last().and_then(|outputs| outputs.last_mut());
        let is_said = |output: &&mut Output| output.begun["type"] != "commandExecution";
        let steered = is_steering(line) && turns.contains(&&params["expectedTurnId"]);
        if let Some(output) = last.filter(is_said).filter(|_| steered) {
            output.gates.push(if output.done.is_some() { usize::MAX } else { output.deltas.len() });
        }
    }
    let made = requests.into_values().map(answer).collect();
    Some(super::by_hand::answers(session, &lines[index].section, made))
}

/// The client speaks in the middle of a turn.
pub(crate) fn is_steering(line: &Told) -> bool {
    let params = &line.message["params"];
    let is_good =
        params["expectedTurnId"].as_str().is_some_and(|id| !id.is_empty() && !id.starts_with("0000"));
    line.message["method"] == "turn/steer" && is_good && params["input"] != json!([])
}

/// One output of the model.
struct Output {
    id: String,
    /// As it was when it began.
    begun: Value,
    /// As it was at its end, if it came to it.
    done: Option<Value>,
    /// What was streamed of it: the event's type, its text, and the number of the part.
    deltas: Vec<(&'static str, String, Value)>,
    /// Where the client spoke in between: after so many deltas, or after the end.
    gates: Vec<usize>,
    /// The approval's reason: the model asked to leave the sandbox.
    reason: Option<String>,
}

/// Number of the request in an item's id.
fn request_of(id: &str) -> Option<u32> {
    let mut parts = id.split('_');
    let kind = parts.next()?;
    ["msg", "call", "rs"].contains(&kind).then(|| parts.next()?.parse().ok())?
}

fn note(requests: &mut BTreeMap<u32, Vec<Output>>, method: &Value, params: &Value) {
    let method = method.as_str().unwrap_or_default();
    let item = &params["item"];
    let id = item["id"].as_str().or_else(|| params["itemId"].as_str()).unwrap_or_default();
    let Some(outputs) = request_of(id).map(|request| requests.entry(request).or_default()) else { return };
    if method == "item/started" && outputs.iter().all(|output| output.id != id) {
        let (id, begun) = (id.to_owned(), item.clone());
        outputs.push(Output { id, begun, done: None, deltas: Vec::new(), gates: Vec::new(), reason: None });
    }
    let Some(output) = outputs.iter_mut().find(|output| output.id == id) else { return };
    let delta = || params["delta"].as_str().unwrap_or_default().to_owned();
    let part = || params["summaryIndex"].clone();
    match method {
        "item/completed" => output.done = Some(item.clone()),
        "item/agentMessage/delta" => {
            output.deltas.push(("response.output_text.delta", delta(), Value::Null));
        }
        "item/reasoning/summaryPartAdded" => {
            output.deltas.push(("response.reasoning_summary_part.added", String::new(), part()));
        }
        "item/reasoning/summaryTextDelta" => {
            output.deltas.push(("response.reasoning_summary_text.delta", delta(), part()));
        }
        "item/reasoning/textDelta" => {
            let part = params["contentIndex"].clone();
            output.deltas.push(("response.reasoning_text.delta", delta(), part));
        }
        "item/commandExecution/requestApproval" => {
            output.reason = params["reason"].as_str().map(ToOwned::to_owned);
        }
        _ => {}
    }
}

/// The answer that makes these outputs. What never came to its end is not ended by the model either.
fn answer(mut outputs: Vec<Output>) -> Answer {
    outputs.sort_by_key(|output| {
        let number = output.id.rsplit('_').next().and_then(|number| number.parse::<u32>().ok());
        number.unwrap_or(u32::MAX)
    });
    let mut steps = vec![Step::event(created())];
    let mut whole = true;
    for output in &outputs {
        let (events, ended) = events_of(output);
        let mut events: Vec<Step> = events.into_iter().map(Step::event).collect();
        for &gate in &output.gates {
            // Behind the event with which the item began.
            let at = gate.saturating_add(1).min(events.len());
            events.insert(at, Step::Gate);
        }
        steps.extend(events);
        whole &= ended;
    }
    steps.push(if whole { Step::event(completed()) } else { Step::Stall });
    Answer::stream(steps)
}

/// The usage that the recorder's model told each time.
pub(crate) fn completed() -> Value {
    let usage = json!({
        "input_tokens": 100, "input_tokens_details": { "cached_tokens": 40 }, "output_tokens": 20,
        "output_tokens_details": { "reasoning_tokens": 5 }, "total_tokens": 120,
    });
    json!({ "type": "response.completed", "response": { "id": "resp_0", "usage": usage } })
}

fn events_of(output: &Output) -> (Vec<Value>, bool) {
    let (id, item) = (&output.id, output.done.as_ref().unwrap_or(&output.begun));
    match item["type"].as_str().unwrap_or_default() {
        "agentMessage" | "reasoning" => {
            let mut events = Vec::new();
            if !output.deltas.is_empty() || output.done.is_none() {
                let item = raw(id, &output.begun);
                events.push(json!({ "type": "response.output_item.added", "item": item }));
            }
            for (kind, delta, part) in &output.deltas {
                let mut event = json!({ "type": kind, "item_id": id, "delta": delta });
                if !part.is_null() {
                    event["summary_index"] = part.clone();
                    event["content_index"] = part.clone();
                }
                events.push(event);
            }
            if let Some(done) = &output.done {
                events.push(json!({ "type": "response.output_item.done", "item": raw(id, done) }));
            }
            (events, output.done.is_some())
        }
        "commandExecution" => (call(id, "exec_command", &exec_arguments(output)), true),
        "fileChange" => (call_freeform(id, "apply_patch", &patch(&item["changes"])), true),
        "imageView" => (call(id, "view_image", &json!({ "path": item["path"] })), true),
        "dynamicToolCall" => (call(id, item["tool"].as_str().unwrap_or_default(), &item["arguments"]), true),
        other => panic!("nobody knows how the model made {other}"),
    }
}

/// An item as the API has it.
fn raw(id: &str, item: &Value) -> Value {
    if item["type"] == "reasoning" {
        let parts = |list: &Value, kind: &str| -> Vec<Value> {
            let texts = list.as_array().cloned().unwrap_or_default();
            texts.into_iter().map(|text| json!({ "type": kind, "text": text })).collect()
        };
        return json!({
            "type": "reasoning", "id": id, "encrypted_content": "ZW5jcnlwdGVk",
            "summary": parts(&item["summary"], "summary_text"),
            "content": parts(&item["content"], "reasoning_text"),
        });
    }
    let content = match item["text"].as_str().unwrap_or_default() {
        "" => json!([]),
        text => json!([{ "type": "output_text", "text": text }]),
    };
    let mut raw = json!({ "type": "message", "id": id, "role": "assistant", "content": content });
    if !item["phase"].is_null() {
        raw["phase"] = item["phase"].clone();
    }
    raw
}

fn exec_arguments(output: &Output) -> Value {
    let shown = output.begun["command"].as_str().unwrap_or_default();
    let words = shlex::split(shown).unwrap_or_default();
    let [_, flags, command] = &words[..] else { panic!("no command of a shell: {shown}") };
    let mut arguments = json!({ "cmd": command });
    if flags == "-c" {
        arguments["login"] = json!(false);
    }
    if output.begun["cwd"] != "/srv/demo" {
        arguments["workdir"] = output.begun["cwd"].clone();
    }
    if let Some(reason) = &output.reason {
        arguments["sandbox_permissions"] = json!("require_escalated");
        arguments["justification"] = json!(reason);
    }
    super::by_hand::arguments(&output.id, arguments)
}

/// The patch that makes these changes.
pub(crate) fn patch(changes: &Value) -> String {
    let mut patch = String::from("*** Begin Patch\n");
    for change in changes.as_array().into_iter().flatten() {
        let path = change["path"].as_str().unwrap_or_default();
        let diff = change["diff"].as_str().unwrap_or_default();
        match change["kind"]["type"].as_str().unwrap_or_default() {
            "add" => {
                patch.push_str(&format!("*** Add File: {path}\n"));
                diff.lines().for_each(|line| patch.push_str(&format!("+{line}\n")));
            }
            "delete" => patch.push_str(&format!("*** Delete File: {path}\n")),
            _ => {
                patch.push_str(&format!("*** Update File: {path}\n"));
                if let Some(to) = change["kind"]["move_path"].as_str() {
                    patch.push_str(&format!("*** Move to: {to}\n"));
                }
                for line in diff.lines().take_while(|line| !line.is_empty()) {
                    patch.push_str(if line.starts_with("@@") { "@@" } else { line });
                    patch.push('\n');
                }
            }
        }
    }
    patch.push_str("*** End Patch\n");
    patch
}
