//! What the model said in the recorded sessions and no item shows: calls that were refused, answers that
//! broke off, failures. It is taken from the recorder's titles and notes.

use serde_json::{Value, json};

use super::model::completed;
use crate::support::mock_model::{Answer, SESSION, call, call_freeform, created, failed, incomplete, say};

/// Arguments of a command that its item does not show.
pub(crate) fn arguments(call: &str, mut arguments: Value) -> Value {
    let more = match (call, arguments["cmd"].as_str().unwrap_or_default()) {
        ("call_7_1", "echo session") => json!({ "sandbox_permissions": "require_escalated" }),
        ("call_16_0", "install -d sub9") => json!({ "prefix_rule": ["install"] }),
        ("call_9_1", "touch prefix.txt") => json!({ "prefix_rule": ["touch"] }),
        ("call_43_1", _) => json!({ "yield_time_ms": 250 }),
        ("call_47_0", "cat") => json!({ "tty": true, "yield_time_ms": 250 }),
        _ => return arguments,
    };
    for (key, value) in more.as_object().into_iter().flatten() {
        arguments[key] = value.clone();
    }
    arguments
}

/// The answers of turns of which the client heard nothing, by what the client said.
pub(crate) fn unseen(session: &str, said: &str) -> Option<Vec<Answer>> {
    match (session, said) {
        ("basic", "while unsubscribed") => Some(vec![response(say("msg_2_0", "unheard"))]),
        _ => None,
    }
}

fn response(events: impl IntoIterator<Item = Value>) -> Answer {
    Answer::events([created()].into_iter().chain(events).chain([completed()]))
}

fn exec(id: &str, arguments: &Value) -> Vec<Value> {
    call(id, "exec_command", arguments)
}

fn patch(id: &str, patch: &str) -> Vec<Value> {
    call_freeform(id, "apply_patch", patch)
}

/// The answers of the turns of a section, from those that could be made of its items.
pub(crate) fn answers(session: &str, section: &str, made: Vec<Answer>) -> Vec<Answer> {
    match session {
        "commands" => commands(section, made),
        "patches" => patches(section, made),
        "plans" => plans(section, made),
        "failures" => failures(section, made),
        "variants" if made.is_empty() => vec![response(say("msg_9_0", "summary"))],
        "steering" if section.starts_with("interrupt before") || section.starts_with("interrupt right") => {
            vec![Answer::silence()]
        }
        _ => made,
    }
}

/// The first answer said this as well.
fn with(made: Vec<Answer>, events: Vec<Value>) -> Vec<Answer> {
    let mut made = made.into_iter();
    let first = made.next().expect("an answer was made").before_end(events);
    [first].into_iter().chain(made).collect()
}

/// These came before those that left items.
fn after(first: impl IntoIterator<Item = Answer>, made: Vec<Answer>) -> Vec<Answer> {
    first.into_iter().chain(made).collect()
}

fn commands(section: &str, made: Vec<Answer>) -> Vec<Answer> {
    let escalated = json!({ "cmd": "echo x", "sandbox_permissions": "require_escalated" });
    match section {
        "on-request, sandboxed write outside the workspace" => {
            with(made, exec("call_19_1", &json!({ "cmd": "mkdir /etc/outside-demo-dir" })))
        }
        "never: require_escalated asked" => with(made, exec("call_31_1", &escalated)),
        "bad arguments JSON" => with(made, raw_call("call_37_1", "exec_command", "{bad")),
        "missing field" => with(made, raw_call("call_39_1", "exec_command", "{\"other\":1}")),
        "unknown tool" => with(made, raw_call("call_41_1", "no_such_tool", "{}")),
        "interactive: cat with tty, then write_stdin" => {
            let mut made = made;
            let last = made.pop().expect("the last answer");
            let typed = |id: &str, chars: &str| {
                // The number is put in when the answer is asked for.
                let arguments = format!("{{\"session_id\":{SESSION},\"chars\":{}}}", json!(chars));
                response(raw_call(id, "write_stdin", &arguments))
            };
            made.truncate(1);
            made.extend([typed("call_48_0", "typed\n"), typed("call_49_0", "\u{4}"), last]);
            made
        }
        _ => made,
    }
}

fn raw_call(id: &str, name: &str, arguments: &str) -> Vec<Value> {
    let item = json!({
        "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name, "arguments": arguments,
    });
    vec![json!({ "type": "response.output_item.done", "item": item })]
}

fn patches(section: &str, made: Vec<Answer>) -> Vec<Answer> {
    let missing = "*** Begin Patch\n*** Update File: b.txt\n@@\n-nothing like this\n+x\n*** End Patch";
    let nowhere = "*** Begin Patch\n*** Update File: missing.txt\n@@\n-a\n+b\n*** End Patch";
    let added = "*** Begin Patch\n*** Add File: ro2.txt\n+ro\n*** End Patch";
    match section {
        "bad patch (context not found)" => after([response(patch("call_13_0", missing))], made),
        "malformed patch" => {
            let rubbish = "*** Begin Patch\nrubbish\n*** End Patch";
            after([response(patch("call_15_0", rubbish))], made)
        }
        "empty patch" => after([response(patch("call_17_0", ""))], made),
        "update of a missing file" => after([response(patch("call_19_0", nowhere))], made),
        "apply_patch through exec_command heredoc" => {
            let heredoc = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: via_shell.txt\n+shell\n\
                           *** End Patch\nEOF";
            let rest: Vec<Answer> = made.into_iter().skip(1).collect();
            after([response(exec("call_21_0", &json!({ "cmd": heredoc })))], rest)
        }
        "never read-only: rejected without asking" => after([response(patch("call_31_0", added))], made),
        _ => made,
    }
}

fn plans(section: &str, made: Vec<Answer>) -> Vec<Answer> {
    let plan = |id: &str, arguments: Value| response(call(id, "update_plan", &arguments));
    match section {
        "update_plan ok" => {
            let steps = json!([
                { "step": "one", "status": "completed" }, { "step": "two", "status": "in_progress" },
                { "step": "three", "status": "pending" },
            ]);
            after([plan("call_0_0", json!({ "explanation": "why", "plan": steps }))], made)
        }
        "update_plan empty plan, no explanation" => after([plan("call_2_0", json!({ "plan": [] }))], made),
        "update_plan bad status" => {
            let steps = json!([{ "step": "x", "status": "bogus" }]);
            after([plan("call_4_0", json!({ "plan": steps }))], made)
        }
        "update_plan two in_progress" => {
            let steps =
                json!([{ "step": "x", "status": "in_progress" }, { "step": "y", "status": "in_progress" }]);
            after([plan("call_6_0", json!({ "plan": steps }))], made)
        }
        "message that arrives only as output_item.done (no added, no deltas)" => {
            let content = json!([{ "type": "output_text", "text": "whole" }]);
            let item =
                json!({ "type": "message", "id": "m_only_done", "role": "assistant", "content": content });
            vec![response([json!({ "type": "response.output_item.done", "item": item })])]
        }
        "empty response (completed with no items)" => vec![response([])],
        "unknown SSE event and unknown item type" => {
            let unknown = [
                json!({ "type": "response.never_heard_of", "x": 1 }),
                json!({ "type": "response.output_item.done", "item": { "type": "strange", "id": "s" } }),
            ];
            with(made, unknown.to_vec())
        }
        "web_search_call item" => {
            let item = |status: &str| {
                let action = json!({ "type": "search", "query": "rust" });
                json!({ "type": "web_search_call", "id": "ws_1", "status": status, "action": action })
            };
            let events = [
                json!({ "type": "response.output_item.added", "item": item("in_progress") }),
                json!({ "type": "response.output_item.done", "item": item("completed") }),
            ];
            made.into_iter().map(|answer| answer.after_begin(events.clone())).collect()
        }
        "plan mode: request_user_input + proposed plan" => {
            let options = json!([
                { "label": "A (Recommended)", "description": "first" },
                { "label": "B", "description": "second" },
            ]);
            let question =
                json!({ "id": "q1", "header": "Pick", "question": "Which one?", "options": options });
            let ask = call("call_17_0", "request_user_input", &json!({ "questions": [question] }));
            let text = "Intro\n<proposed_plan>\n# Plan\n- step 1\n</proposed_plan>\nOutro";
            let item = |content: Value| {
                let id = "msg_18_0";
                json!({ "type": "message", "id": id, "role": "assistant", "content": content })
            };
            let mut events = vec![json!({ "type": "response.output_item.added", "item": item(json!([])) })];
            for line in text.split_inclusive('\n') {
                let kind = "response.output_text.delta";
                events.push(json!({ "type": kind, "item_id": "msg_18_0", "delta": line }));
            }
            let content = json!([{ "type": "output_text", "text": text }]);
            events.push(json!({ "type": "response.output_item.done", "item": item(content) }));
            vec![response(ask), response(events)]
        }
        _ => made,
    }
}

fn failures(section: &str, made: Vec<Answer>) -> Vec<Answer> {
    let error = |status: u16, code: &str, message: &str| Answer::error(status, code, message);
    let internal = || error(500, "server_error", "boom");
    // Cut where the recording has no more of them.
    let cut = |made: Vec<Answer>, count: usize| -> Vec<Answer> {
        let cut = |(at, answer): (usize, Answer)| match at < count {
            true => answer.cut_off(),
            false => answer,
        };
        made.into_iter().enumerate().map(cut).collect()
    };
    let fails = |code: &str, message: &str| Answer::events([created(), failed(code, message)]);
    let full = "Your input exceeds the context window of this model.";
    match section {
        "500 then 500" | "request_max_retries=1: 500 twice" => vec![internal(), internal()],
        "500 then ok" | "request_max_retries=1: 500 then ok (no notification for request retries?)" => {
            after([internal()], made)
        }
        "503 server_is_overloaded" => vec![error(503, "server_is_overloaded", "busy")],
        "429 rate_limit_exceeded with retry-after 1" => {
            let limited = || error(429, "rate_limit_exceeded", "slow down").header("retry-after", "1");
            vec![limited(), limited()]
        }
        "429 plain text" => vec![Answer::status(/*status*/ 429, "slow down")],
        "429 usage_limit_reached" => {
            let body = json!({ "error": {
                "type": "usage_limit_reached", "message": "The usage limit has been reached",
                "plan_type": "plus",
                "resets_at": 1_900_000_000,
            }});
            vec![Answer::status(/*status*/ 429, &body.to_string())]
        }
        "429 insufficient_quota" => vec![error(429, "insufficient_quota", "no quota")],
        "400 bad request" => {
            let body = r#"{"error": {"message": "Bad thing", "type": "x", "code": "invalid_request_error"}}"#;
            vec![Answer::status(/*status*/ 400, body)]
        }
        "401" => {
            let refused = || error(401, "invalid_api_key", "Incorrect API key");
            vec![refused(), refused()]
        }
        "403" => after([error(403, "forbidden", "forbidden")], made),
        "404" => vec![error(404, "model_not_found", "no such model")],
        "stream cut after some deltas, twice" => cut(made, 2),
        "stream cut once, then ok" | "stream ends cleanly without response.completed" => cut(made, 1),
        "stream closed right after response.created" => after([Answer::events([created()])], made),
        "response.failed server_error" => {
            let made: Vec<Answer> =
                made.into_iter().map(|answer| answer.ended_by(failed("server_error", "it failed"))).collect();
            made.into_iter().chain([fails("server_error", "it failed again")]).collect()
        }
        "response.failed insufficient_quota" => vec![fails("insufficient_quota", "no quota")],
        "response.failed rate_limit_exceeded (try again in 1s)" => {
            let message = "Rate limit reached. Please try again in 1s.";
            after([fails("rate_limit_exceeded", message)], made)
        }
        "response.failed invalid_prompt" => vec![fails("invalid_prompt", "bad prompt")],
        "response.failed server_is_overloaded" => vec![fails("server_is_overloaded", "busy")],
        "response.incomplete max_output_tokens" => {
            made.into_iter().map(|answer| answer.ended_by(incomplete("max_output_tokens"))).collect()
        }
        "response.incomplete content_filter" => {
            let mut made = made.into_iter();
            let first = made.next().expect("an answer").ended_by(incomplete("content_filter"));
            after([first], made.collect())
        }
        "200 with a non-SSE body" => {
            after(
                [Answer::status(/*status*/ 200, "{\"hello\": 1}").header("content-type", "application/json")],
                made,
            )
        }
        "response.failed context_length_exceeded" => vec![fails("context_length_exceeded", full)],
        "400 context_length_exceeded" => vec![error(400, "context_length_exceeded", full)],
        "turn after context_length_exceeded (compaction first)" => {
            after([response(say("msg_23_0", "summary"))], made)
        }
        "stream_max_retries=0: cut" => cut(made, 1),
        "idle timeout 1500 ms" => {
            let mut made = made.into_iter();
            let first = made.next().expect("an answer").stalled();
            after([first], made.collect())
        }
        _ => made,
    }
}
