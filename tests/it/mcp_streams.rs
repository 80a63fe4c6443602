//! Streams of MCP servers behind HTTP that break off, and what a server may say at most.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use app_server::clock::Clock;
use app_server::limits::{
    MCP_CALL_NEWS, MCP_MESSAGE_BYTES_MAX, MCP_PROGRESS_CHARS, MCP_RESTART_PAUSE, MCP_RESUMES, MCP_TELLS,
};
use serde_json::{Value, json};

use crate::mcp_server::{QUESTIONS, table};
use crate::support::Transport;
use crate::support::client::{Client, text};
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, Seen, Step};
use crate::support::process::Launch;
use crate::support::server::Server;

/// A server that knows the tool `t`; each call of it, each GET and each word that a call is over is answered
/// by `answer`.
fn service(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> MockModel {
    service_with(&json!({ "tools": {} }), answer)
}

/// The same, of a server that has these capabilities.
fn service_with(capabilities: &Value, answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> MockModel {
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": capabilities });
    let mock = MockModel::start();
    mock.respond(move |seen| {
        let result = |result: Value| {
            let body = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": result });
            Answer::status(/*status*/ 200, &body.to_string()).header("content-type", "application/json")
        };
        Some(match (seen.method.as_str(), seen.body["method"].as_str()) {
            (_, Some("initialize")) => result(hello.clone()).header("mcp-session-id", "s-1"),
            (_, Some("tools/list")) => {
                let hints = json!({ "readOnlyHint": true });
                result(json!({ "tools": [{ "name": "t", "inputSchema": {}, "annotations": hints }] }))
            }
            ("GET", _) | (_, Some("tools/call" | "notifications/cancelled")) => answer(seen),
            _ => Answer::status(/*status*/ 202, ""),
        })
    });
    mock
}

fn with(mock: &MockModel, more: &str) -> (Server, Client, String) {
    let config = format!("[mcp_servers.web]\nurl = \"{}\"\n{more}\n", mock.base_url());
    let launch = Launch::new(&Home::with_config(&config)).env("RUST_LOG", "debug");
    let mut server = Server::launch(Transport::Stdio, launch);
    let mut client = server.client();
    let thread = client.thread();
    (server, client, thread)
}

fn call(client: &mut Client, thread: &str) -> Result<String, String> {
    let params = json!({ "threadId": thread, "server": "web", "tool": "t", "arguments": {} });
    match client.request("mcpServer/tool/call", params) {
        Ok(answer) => Ok(text(&answer["content"][0]["text"])),
        Err(error) => Err(text(&error["message"])),
    }
}

/// An answer to the call with this id.
fn said(id: &Value) -> String {
    let result = json!({ "content": [{ "type": "text", "text": "said" }] });
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

fn piece(text: &str) -> Step {
    Step::Bytes(text.as_bytes().to_vec())
}

/// A server that says that its tools may change, with a tool that works; each GET is answered by `answer`,
/// which is told how many came before.
fn with_news(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> MockModel {
    let gets = AtomicUsize::new(0);
    service_with(&json!({ "tools": { "listChanged": true } }), move |seen| match seen.method.as_str() {
        "GET" => answer(gets.fetch_add(1, Ordering::SeqCst)),
        _ => Answer::stream(vec![Step::data(&said(&seen.body["id"]))]),
    })
}

fn wait_for_gets(mock: &MockModel, count: usize) {
    mock.wait_for_fitting(count, |seen| seen.method == "GET");
}

#[test]
fn a_stream_that_breaks_off_is_taken_up_after_its_last_event() {
    let asked = Mutex::new(Value::Null);
    let mock = service(move |seen| match seen.header("last-event-id") {
        None => {
            *asked.lock().expect("no panic") = seen.body["id"].clone();
            // A number that belongs to no whole event does not count.
            Answer::stream(vec![piece("retry: 1\nid: e-1\ndata:\n\nid: e-9\nda"), Step::Cut])
        }
        // This one ends as it should, just too early.
        Some("e-1") => Answer::stream(vec![piece("id: e-2\ndata: {}\n\n")]),
        Some("e-2") => {
            let said = said(&asked.lock().expect("no panic"));
            Answer::stream(vec![piece(&format!("data: {said}\n\n"))])
        }
        Some(other) => panic!("{other}"),
    });
    let (server, mut client, thread) = with(&mock, "");
    assert_eq!(call(&mut client, &thread).as_deref(), Ok("said"));
    let gets: Vec<Seen> = mock.seen().into_iter().filter(|seen| seen.method == "GET").collect();
    let of = |at: usize, name: &str| gets[at].header(name).map(str::to_owned);
    assert_eq!((gets.len(), of(0, "last-event-id").as_deref()), (2, Some("e-1")));
    assert_eq!(of(1, "last-event-id").as_deref(), Some("e-2"));
    assert_eq!(of(0, "mcp-session-id").as_deref(), Some("s-1"));
    assert_eq!(of(0, "accept").as_deref(), Some("text/event-stream"));
    let calls = mock.seen().iter().filter(|seen| seen.body["method"] == "tools/call").count();
    assert_eq!(calls, 1, "the call is not made twice");
    server.stop();
}

#[test]
fn a_stream_is_taken_up_a_bounded_number_of_times() {
    let ended = Err("the MCP server `web` failed: its stream ended before the answer".to_owned());
    for (number, status, gets) in
        [("id: 1\n", 500, MCP_RESUMES as usize), ("id: 1\n", 405, 1), ("", 500, 0), ("id\n", 500, 0)]
    {
        let mock = service(move |seen| match seen.method.as_str() {
            "GET" => Answer::status(status, ""),
            _ => Answer::stream(vec![piece(&format!("retry: 1\n{number}data: {{}}\n\n"))]),
        });
        let (server, mut client, thread) = with(&mock, "");
        assert_eq!(call(&mut client, &thread), ended);
        let seen = mock.seen().iter().filter(|seen| seen.method == "GET").count();
        assert_eq!(seen, gets, "{number:?} {status}");
        server.stop();
    }
}

#[test]
fn what_a_server_tells_of_its_progress_is_cut() {
    let mock = service(|seen| {
        let token = &seen.body["params"]["_meta"]["progressToken"];
        let params =
            json!({ "progressToken": token, "progress": 1, "message": "ä".repeat(3 * MCP_PROGRESS_CHARS) });
        let told = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        Answer::stream(vec![Step::data(&told.to_string()), Step::data(&said(&seen.body["id"]))])
    });
    let (server, mut client, thread) = with(&mock, "");
    let turn = client.start_turn(&thread, "call: mcp__web__t {}");
    let progress = client.next_notification("item/mcpToolCall/progress");
    assert_eq!(progress["message"], "ä".repeat(MCP_PROGRESS_CHARS));
    assert_eq!(client.turn_end(&turn)["status"], "completed");
    server.stop();
}

#[test]
fn a_server_that_does_not_listen_is_told_a_bounded_number_of_things() {
    const CALLS: usize = 30;
    let mock = service(|seen| match seen.body["method"].as_str() {
        Some("tools/call") => Answer::stream(vec![Step::Stall]),
        _ => Answer::stream(vec![Step::Gate]),
    });
    let (server, mut client, thread) = with(&mock, "tool_timeout_sec = 0.3");
    let params = json!({ "threadId": thread, "server": "web", "tool": "t", "arguments": {} });
    let mut fail = |count: usize| {
        let calls: Vec<Value> =
            (0..count).map(|_| client.send("mcpServer/tool/call", params.clone())).collect();
        for call in &calls {
            let error = client.answer(call).expect_err("nobody answers");
            assert!(text(&error["message"]).contains("no answer to"), "{error}");
        }
    };
    // The first is on its way, and does not arrive; so many of the others wait.
    fail(1);
    mock.wait_for_method(/*count*/ 1, "notifications/cancelled");
    fail(CALLS);
    let most = 1 + MCP_TELLS;
    for _ in 0..CALLS {
        mock.open_gate();
    }
    mock.wait_for_method(most, "notifications/cancelled");
    server.stop();
    let told = mock.seen().iter().filter(|seen| seen.body["method"] == "notifications/cancelled").count();
    // One that is given up in the meantime makes room for another.
    assert!((most..1 + CALLS).contains(&told), "{told} of {}", 1 + CALLS);
}

#[test]
fn a_server_that_asks_too_much_at_once_is_declined() {
    let config = format!("{}\n", table("usual", "usual", ""));
    let mut server = Server::start_in(Transport::Stdio, &Home::with_config(&config));
    let mut client = server.client();
    let thread = client.thread();
    client.start_turn(&thread, "call: mcp__usual__pester {}");
    let mut asked = 0;
    let item = loop {
        let message = client.next_fitting("a question or the end", |message| {
            let ended =
                message["params"]["item"]["type"] == "mcpToolCall" && message["method"] == "item/completed";
            ended || message["method"] == "mcpServer/elicitation/request"
        });
        if message["method"] == "item/completed" {
            break message["params"]["item"].clone();
        }
        asked += 1;
        let answer = json!({ "action": "accept", "content": { "name": "Bob" } });
        client.send_raw(&json!({ "id": message["id"], "result": answer }).to_string());
    };
    let answers = text(&item["result"]["content"][0]["text"]);
    let count = |action: &str| answers.split(' ').filter(|said| *said == action).count();
    assert_eq!((count("accept"), count("accept") + count("decline")), (asked, QUESTIONS));
    assert!(asked >= MCP_CALL_NEWS, "{asked} are asked");
    assert!(count("decline") >= QUESTIONS / 2, "{answers}");
    server.stop();
}

#[test]
fn a_server_without_a_stream_of_news_serves_all_the_same() {
    let mock = with_news(|_| Answer::status(/*status*/ 404, "not found"));
    let (server, mut client, thread) = with(&mock, "");
    assert_eq!(call(&mut client, &thread).as_deref(), Ok("said"));
    says_that_there_are_no_news(&server);
    for _ in 0..3 {
        assert_eq!(call(&mut client, &thread).as_deref(), Ok("said"));
    }
    let count = |method: &str| mock.seen().iter().filter(|seen| seen.body["method"] == method).count();
    assert_eq!((count("initialize"), count("tools/call")), (1, 4), "its session has not ended");
    server.stop();
}

fn says_that_there_are_no_news(server: &Server) {
    server.says("no news", |line| line.contains("an MCP server has no stream of news").then_some(()));
}

#[test]
fn news_that_break_off_at_once_are_taken_up_after_pauses_that_grow() {
    let (clock, times) = (Clock::real(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&times);
    let mock = with_news(move |before| {
        noted.lock().expect("no panic").push(clock.now());
        match before {
            0 => Answer::status(/*status*/ 503, "not now"),
            1 => Answer::stream(Vec::new()),
            _ => Answer::stream(vec![Step::Stall]),
        }
    });
    let (server, mut client, thread) = with(&mock, "");
    assert_eq!(call(&mut client, &thread).as_deref(), Ok("said"));
    mock.wait_for_gates(/*count*/ 1);
    let times = times.lock().expect("no panic").clone();
    let pauses = [times[1].since(times[0]), times[2].since(times[1])];
    assert!(pauses[1] > MCP_RESTART_PAUSE * 3 / 2, "the second is twice as long as the first: {pauses:?}");
    server.stop();
}

#[test]
fn an_event_that_is_too_large_does_not_end_the_news_for_good() {
    let mock = with_news(|before| match before {
        0 => {
            let piece = Step::Bytes(vec![b'x'; MCP_MESSAGE_BYTES_MAX / 8]);
            Answer::stream([vec![Step::Bytes(b"data: ".to_vec())], vec![piece; 9]].concat())
        }
        1 => Answer::status(/*status*/ 429, "not so often"),
        _ => Answer::status(/*status*/ 200, "<p>Hello").header("content-type", "text/html"),
    });
    let (server, mut client, thread) = with(&mock, "");
    assert_eq!(call(&mut client, &thread).as_deref(), Ok("said"));
    wait_for_gets(&mock, /*count*/ 3);
    // A page is no stream, and that does not change.
    says_that_there_are_no_news(&server);
    assert_eq!(call(&mut client, &thread).as_deref(), Ok("said"));
    server.stop();
}
