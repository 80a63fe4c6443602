//! MCP servers behind HTTP: what they are sent, sessions that end, streams in which they tell and ask, and
//! what a server that hangs or breaks costs. The server is the mock of `support`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, Seen, Step, refusing_url};
use crate::support::process::Launch;
use crate::support::server::Server;

/// The session that the mock knows now, by its number.
type Sessions = Arc<AtomicUsize>;

/// An MCP server behind HTTP.
fn service() -> (MockModel, Sessions) {
    let (mock, sessions) = (MockModel::start(), Sessions::default());
    let known = Arc::clone(&sessions);
    mock.respond(move |seen| Some(respond(seen, &known)));
    (mock, sessions)
}

fn respond(seen: &Seen, sessions: &AtomicUsize) -> Answer {
    let id = &seen.body["id"];
    let method = seen.body["method"].as_str().unwrap_or_default();
    if method == "initialize" {
        let session = sessions.fetch_add(1, Ordering::SeqCst) + 1;
        let hello = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {}, "resources": {} },
            "serverInfo": { "name": "web", "version": "1" },
        });
        return result(id, &hello).header("Mcp-Session-Id", &format!("s-{session}"));
    }
    let session = format!("s-{}", sessions.load(Ordering::SeqCst));
    if seen.header("mcp-session-id") != Some(&session) {
        return Answer::status(/*status*/ 404, "no such session");
    }
    let tool = |name: &str| {
        let hints = json!({ "readOnlyHint": name != "write" });
        json!({ "name": name, "inputSchema": { "type": "object" }, "annotations": hints })
    };
    match (seen.method.as_str(), method) {
        ("DELETE", _) => Answer::status(/*status*/ 204, ""),
        (_, "tools/list") => {
            let names = ["body", "stream", "write", "hang", "cut", "large", "refuse", "deny"];
            result(id, &json!({ "tools": names.map(tool) }))
        }
        (_, "resources/read") => result(id, &json!({ "contents": [{ "uri": "test://a", "text": "web" }] })),
        (_, "tools/call") => call(seen, id),
        _ => Answer::status(/*status*/ 202, ""),
    }
}

fn call(seen: &Seen, id: &Value) -> Answer {
    let said = json!({ "content": [{ "type": "text", "text": "said" }] });
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": said });
    let token = &seen.body["params"]["_meta"]["progressToken"];
    match seen.body["params"]["name"].as_str() {
        Some("body" | "write") => result(id, &said),
        Some("stream") => {
            let progress = |message: &str| {
                let params = json!({ "progressToken": token, "progress": 1, "message": message });
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
            };
            let fields = json!({ "name": { "type": "string", "title": "Name" } });
            let form =
                json!({ "title": "Form", "type": "object", "properties": fields, "required": ["name"] });
            let params = json!({ "message": "Who are you?", "requestedSchema": form });
            let asks =
                json!({ "jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params });
            let pings = json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" });
            let steps = [progress("half"), pings, asks].map(|message| Step::data(&message.to_string()));
            let end = [Step::Gate, Step::data(&answer.to_string())];
            Answer::stream(steps.into_iter().chain(end).collect())
        }
        Some("hang") => Answer::stream(vec![Step::data(": nothing"), Step::Stall]),
        Some("cut") => Answer::stream(vec![Step::data("{}")]),
        Some("large") => {
            let megabyte = vec![b'x'; 1 << 20];
            let piece = || Step::Bytes(megabyte.clone());
            Answer::stream(
                [vec![Step::Bytes(b"data: ".to_vec())], (0..20).map(|_| piece()).collect()].concat(),
            )
        }
        Some("deny") => {
            let error = json!({ "code": -7, "message": "no, secret-token" });
            let body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
            Answer::stream(vec![Step::data(&body.to_string())])
        }
        _ => Answer::status(/*status*/ 401, "who are you, secret-token?"),
    }
}

fn result(id: &Value, result: &Value) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    Answer::status(/*status*/ 200, &body.to_string())
        .header("content-type", "application/json; charset=utf-8")
}

/// The server's table, with further lines.
fn table(url: &str, more: &str) -> String {
    format!("[mcp_servers.web]\nurl = \"{url}\"\n{more}\n")
}

fn with(mock: &MockModel, more: &str) -> (Server, Client, String) {
    let home = Home::with_config(&table(&mock.base_url(), more));
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let thread = client.thread();
    (server, client, thread)
}

fn params(thread: &str, tool: &str) -> Value {
    json!({ "threadId": thread, "server": "web", "tool": tool, "arguments": {} })
}

/// A call in the name of a thread; the text of the answer.
fn ask(client: &mut Client, thread: &str, tool: &str) -> Result<String, String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match client.request("mcpServer/tool/call", params(thread, tool)) {
        Ok(answer) => Ok(text(&answer["content"][0]["text"])),
        Err(error) => Err(text(&error["message"])),
    }
}

/// The next question of a server.
fn question(client: &mut Client) -> Value {
    client.next_fitting("a question", |message| message["method"] == "mcpServer/elicitation/request")
}

/// What came for one method.
fn with_method(seen: Vec<Seen>, method: &str) -> Vec<Seen> {
    seen.into_iter().filter(|seen| seen.body["method"] == method).collect()
}

#[test]
fn a_service_is_sent_what_it_wants_and_its_session_is_ended() {
    let (mock, _sessions) = service();
    let more = "bearer_token_env_var = \"WEB_TOKEN\"\nhttp_headers = { X-Own = \"own\" }\n\
                env_http_headers = { X-Env = \"WEB_ENV\", X-None = \"WEB_NONE\" }";
    let home = Home::with_config(&table(&mock.base_url(), more));
    let launch = Launch::new(&home).env("WEB_TOKEN", "secret-token").env("WEB_ENV", "of the environment");
    let mut server = Server::launch(Transport::Stdio, launch);
    let mut client = server.client();
    let thread = client.thread();
    assert_eq!(ask(&mut client, &thread, "body").as_deref(), Ok("said"));
    let read = client.ok("mcpServer/resource/read", json!({ "server": "web", "uri": "test://a" }));
    assert_eq!(read["contents"][0]["text"], "web");
    let list = client.ok("mcpServerStatus/list", json!({}));
    let web = &list["data"][0];
    assert_eq!((&web["runtimeStatus"], &web["authStatus"]), (&json!("connected"), &json!("bearerToken")));
    assert_eq!(web["httpOrigin"], mock.base_url().trim_end_matches("/v1"));
    let told = ask(&mut client, &thread, "refuse").expect_err("it wants something else");
    assert!(told.contains("HTTP 401: who are you, [hidden]?; set `bearer_token_env_var`"), "{told}");
    let told = ask(&mut client, &thread, "deny").expect_err("it denies");
    assert_eq!(told, "the MCP server `web` failed: no, [hidden] (-7)");
    server.stop();

    // The server has said its last word; the mock may still be reading it.
    mock.wait_for_fitting(/*count*/ 1, |seen| seen.method == "DELETE");
    let seen = mock.seen();
    for seen in &seen {
        assert_eq!(seen.header("authorization"), Some("Bearer secret-token"));
        let own = [seen.header("x-own"), seen.header("x-env"), seen.header("x-none")];
        assert_eq!(own, [Some("own"), Some("of the environment"), None]);
        let is_first = seen.body["method"] == "initialize";
        let session = seen.header("mcp-session-id");
        assert_eq!(session, (!is_first).then_some("s-1"), "{}", seen.body);
        if seen.method == "POST" {
            assert_eq!(seen.header("accept"), Some("application/json, text/event-stream"));
        }
        let revision = seen.header("mcp-protocol-version");
        assert_eq!(revision, (!is_first).then_some("2025-06-18"), "{} {}", seen.method, seen.body);
    }
    assert_eq!(seen.last().map(|seen| seen.method.as_str()), Some("DELETE"), "the session's end");
}

#[test]
fn a_session_that_is_forgotten_is_opened_anew_once() {
    let (mock, sessions) = service();
    let (_server, mut client, thread) = with(&mock, "");
    assert!(ask(&mut client, &thread, "body").is_ok());
    // As if the service had been started again.
    sessions.fetch_add(1, Ordering::SeqCst);
    assert_eq!(ask(&mut client, &thread, "body").as_deref(), Ok("said"));
    let calls = with_method(mock.seen(), "tools/call");
    let asked: Vec<Option<&str>> = calls.iter().map(|seen| seen.header("mcp-session-id")).collect();
    assert_eq!(asked, [Some("s-1"), Some("s-1"), Some("s-3")]);
    assert_eq!(with_method(mock.seen(), "initialize").len(), 2);

    // A service that forgets each session at once is not asked for ever.
    mock.respond({
        let sessions = Arc::clone(&sessions);
        move |seen| {
            let answer = respond(seen, &sessions);
            if seen.body["method"] == "tools/list" {
                sessions.fetch_add(1, Ordering::SeqCst);
            }
            Some(answer)
        }
    });
    sessions.fetch_add(1, Ordering::SeqCst);
    let told = ask(&mut client, &thread, "body").expect_err("it forgets");
    assert!(told.contains("its session ended"), "{told}");
}

#[test]
fn a_service_that_hangs_costs_its_own_calls_only() {
    let (mock, _sessions) = service();
    // Enough for the call beside it on a busy machine.
    let (_server, mut client, thread) = with(&mock, "tool_timeout_sec = 5");
    let hangs = client.send("mcpServer/tool/call", params(&thread, "hang"));
    assert!(ask(&mut client, &thread, "body").is_ok(), "beside the one that hangs");
    let told = client.answer(&hangs).expect_err("nobody answers");
    let expected = "the MCP server `web` failed: no answer to `tools/call` within 5 seconds";
    assert_eq!(told["message"], expected);
    assert!(ask(&mut client, &thread, "body").is_ok(), "after it");
    // It is told that nobody waits for the first call.
    let mut calls = with_method(mock.seen(), "tools/call").into_iter();
    let hung = calls.find(|seen| seen.body["params"]["name"] == "hang").expect("the call");
    let cancelled = mock.wait_for_method(/*count*/ 1, "notifications/cancelled");
    assert_eq!(cancelled[0].body["params"]["requestId"], hung.body["id"]);
}

#[test]
fn a_service_that_breaks_costs_its_own_calls_only() {
    let (mock, _sessions) = service();
    let (_server, mut client, thread) = with(&mock, "");
    for (tool, expected) in [
        ("cut", "the MCP server `web` failed: its stream ended before the answer"),
        ("large", "the MCP server `web` failed: it broke the protocol: a line of more than 16777216 bytes"),
    ] {
        assert_eq!(ask(&mut client, &thread, tool), Err(expected.to_owned()));
        assert!(ask(&mut client, &thread, "body").is_ok(), "after {tool}");
    }
}

#[test]
fn a_service_that_is_not_there_says_so() {
    let home = Home::with_config(&table(&refusing_url(), "bearer_token_env_var = \"NOT_SET_HERE\""));
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let list = client.ok("mcpServerStatus/list", json!({}));
    let told = list["data"][0]["toolsError"].as_str().expect("an error");
    assert!(told.contains("set the environment variable `NOT_SET_HERE` to its token"), "{told}");
    let refused = client.refused("mcpServer/oauth/login", json!({ "name": "web" }));
    assert!(
        refused["message"].as_str().is_some_and(|text| text.contains("bearer_token_env_var")),
        "{refused}"
    );
    let refused = client.refused("mcpServer/oauth/login", json!({ "name": "nope" }));
    assert_eq!(refused["message"], "No MCP server named 'nope' found.");
    std::fs::write(home.path().join("config.toml"), table(&refusing_url(), "")).expect("written");
    client.ok("config/mcpServer/reload", Value::Null);
    let list = client.ok("mcpServerStatus/list", json!({}));
    let told = list["data"][0]["toolsError"].as_str().expect("an error");
    assert!(told.contains("connection refused; is the server running?"), "{told}");
    let thread = client.thread();
    client.turn(&thread, "and turns run");
}

#[test]
fn in_a_turn_progress_is_shown_and_questions_are_answered_by_the_client() {
    let (mock, _sessions) = service();
    let (_server, mut client, thread) = with(&mock, "");
    let turn = client.start_turn(&thread, "call: mcp__web__stream {}");
    let progress = client.next_notification("item/mcpToolCall/progress");
    assert_eq!((&progress["message"], &progress["turnId"]), (&json!("half"), &json!(turn)));
    let question = question(&mut client);
    let asked = &question["params"];
    assert_eq!((&asked["serverName"], &asked["mode"]), (&json!("web"), &json!("form")));
    assert_eq!((&asked["turnId"], &asked["message"]), (&json!(turn), &json!("Who are you?")));
    let schema = &asked["requestedSchema"];
    assert_eq!((&schema["title"], &schema["required"]), (&Value::Null, &json!(["name"])));
    let answer = json!({ "action": "accept", "content": { "name": "Bob" }, "_meta": null });
    client.send_raw(&json!({ "id": question["id"], "result": answer }).to_string());
    client.next_notification("serverRequest/resolved");
    let said = mock.wait_for_fitting(/*count*/ 2, |seen| seen.body.get("result").is_some());
    let said: Vec<Value> = said.into_iter().map(|seen| seen.body).collect();
    let answer = json!({ "action": "accept", "content": { "name": "Bob" } });
    assert_eq!((&said[0]["id"], &said[0]["result"]), (&json!("p"), &json!({})));
    assert_eq!((&said[1]["id"], &said[1]["result"]), (&json!("q"), &answer));
    mock.open_gate();
    let ended = client.turn_end(&turn);
    assert_eq!(ended["status"], "completed");
}

#[test]
fn an_interrupted_call_ends_at_once_and_the_service_is_told() {
    let (mock, _sessions) = service();
    let (_server, mut client, thread) = with(&mock, "");
    let turn = client.start_turn(&thread, "call: mcp__web__hang {}");
    mock.wait_for_gates(/*count*/ 1);
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
    assert_eq!(client.turn_end(&turn)["status"], "interrupted");
    mock.wait_for_method(/*count*/ 1, "notifications/cancelled");
    assert!(ask(&mut client, &thread, "body").is_ok());
}

#[test]
fn a_call_that_may_change_something_is_asked_about() {
    let (mock, _sessions) = service();
    let (_server, mut client, thread) = with(&mock, "");
    let decided = |client: &mut Client, answer: Value| {
        let turn = client.start_turn(&thread, "call: mcp__web__write {\"a\": 1}");
        let request = question(client);
        client.send_raw(&json!({ "id": request["id"], "result": answer }).to_string());
        let item = client.next_fitting("the call's end", |message| {
            message["method"] == "item/completed" && message["params"]["item"]["type"] == "mcpToolCall"
        });
        assert_eq!(client.turn_end(&turn)["status"], "completed");
        (request["params"].clone(), item["params"]["item"].clone())
    };
    let (asked, item) = decided(&mut client, json!({ "action": "decline", "content": null, "_meta": null }));
    assert_eq!(asked["message"], "Allow the web MCP server to run tool \"write\"?");
    assert_eq!(asked["requestedSchema"], json!({ "type": "object", "properties": {} }));
    let meta = json!({
        "codex_approval_kind": "mcp_tool_call", "persist": ["session"], "tool_name": "write",
        "tool_annotations": { "readOnlyHint": false }, "tool_description": "", "tool_params": { "a": 1 },
        "tool_params_display": [{ "name": "a", "value": 1, "display_name": "a" }],
    });
    assert_eq!(asked["_meta"], meta);
    assert_eq!(
        (&item["status"], &item["error"]["message"]),
        (&json!("failed"), &json!("user rejected MCP tool call"))
    );
    let (_, item) = decided(&mut client, json!({ "action": "cancel" }));
    assert_eq!(item["error"]["message"], "user cancelled MCP tool call");
    assert!(with_method(mock.seen(), "tools/call").is_empty());
    let (_, item) = decided(&mut client, json!({ "action": "accept", "_meta": { "persist": "session" } }));
    assert_eq!(
        (&item["status"], &item["result"]["content"][0]["text"]),
        (&json!("completed"), &json!("said"))
    );
    // It counts for the thread; nobody is asked again.
    client.turn(&thread, "call: mcp__web__write {\"a\": 2}");
    let asked = client.heard().into_iter().filter(|method| method == "mcpServer/elicitation/request").count();
    assert_eq!((asked, with_method(mock.seen(), "tools/call").len()), (3, 2));

    let silent = client.thread_with(json!({ "approvalPolicy": "never" }));
    client.turn(&silent, "call: mcp__web__write {}");
    assert_eq!(with_method(mock.seen(), "tools/call").len(), 2, "nobody may be asked, so it is not done");
}

#[test]
fn changes_of_its_tools_are_heard_on_a_stream_of_their_own() {
    let (mock, sessions) = service();
    mock.respond(move |seen| {
        let id = &seen.body["id"];
        if seen.method == "GET" {
            let change = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
            return Some(Answer::stream(vec![Step::Gate, Step::data(&change.to_string()), Step::Stall]));
        }
        let has_changed = seen.body["method"] == "tools/list" && sessions.load(Ordering::SeqCst) > 1;
        match seen.body["method"].as_str() {
            Some("initialize") => {
                sessions.store(1, Ordering::SeqCst);
                let capabilities = json!({ "tools": { "listChanged": true } });
                let hello = json!({ "protocolVersion": "2025-03-26", "capabilities": capabilities });
                Some(result(id, &hello))
            }
            Some("tools/list") => {
                let name = if has_changed { "after" } else { "before" };
                Some(result(id, &json!({ "tools": [{ "name": name, "inputSchema": {} }] })))
            }
            _ => Some(Answer::status(/*status*/ 202, "")),
        }
        .inspect(|_| {
            if seen.body["method"] == "tools/list" {
                sessions.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let (_server, mut client, _thread) = with(&mock, "");
    let tools = |client: &mut Client| {
        let list = client.ok("mcpServerStatus/list", json!({}));
        list["data"][0]["tools"].as_object().expect("tools").keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(tools(&mut client), ["before"]);
    mock.wait_for_gates(/*count*/ 1);
    let listening = mock.seen().into_iter().find(|seen| seen.method == "GET").expect("it listens");
    assert_eq!(listening.header("mcp-protocol-version"), Some("2025-03-26"), "the one that was agreed on");
    mock.open_gate();
    mock.wait_for_gates(/*count*/ 2);
    while tools(&mut client) != ["after"] {}
}
