//! Models behind HTTP: what is sent, what is told of it, and what becomes of failures.
//!
//! The failures are those that the reference was recorded with; message and error info are what it said.

use std::time::Duration;

use app_server::clock::Clock;
use serde_json::{Value, json};

use crate::support::client::{Client, methods_of, text};
use crate::support::home::Home;
use crate::support::mock_model::{
    Answer, MockModel, Seen, Step, call, completed, completed_with, created, failed, incomplete,
    refusing_url, say, think,
};
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

/// A server with the mock as its only provider, and a client.
fn server(mock: &MockModel, provider: &str) -> (Server, Client) {
    let mut server = Server::start_in(Transport::Stdio, &Home::with_config(&mock.config(provider)));
    let client = server.client();
    (server, client)
}

pub(crate) fn said(turn: &Value) -> &str {
    assert_eq!(turn["status"], "completed", "{turn}");
    turn["items"][0]["text"].as_str().expect("a message")
}

#[test]
fn a_request_says_what_the_api_wants_and_the_answer_is_told() {
    let answer = Answer::events(
        [
            vec![created()],
            think("rs_0", &["First.", "Second."]),
            say("msg_0", "two words"),
            vec![completed()],
        ]
        .concat(),
    );
    let mock = MockModel::with_script([answer.slow(Duration::from_millis(1))]);
    let provider = "http_headers = { x-own = 'header' }\nquery_params = { api-version = 'v 1' }\n\
                    [model_providers.other]\nname = 'Other'";
    let (server, mut client) = server(&mock, provider);
    let thread = client.thread();
    client.settle();
    let params = json!({ "threadId": thread, "input": [{ "type": "text", "text": "hello" }] });
    client.ok("turn/start", params);
    let messages = client.all_until("turn/completed");
    let deltas = messages.iter().filter(|message| message["method"] == "item/agentMessage/delta");
    let deltas: Vec<String> = deltas.map(|message| text(&message["params"]["delta"])).collect();
    assert_eq!(deltas, ["two ", "words"]);
    let usage = messages.iter().find(|message| message["method"] == "thread/tokenUsage/updated");
    let usage = &usage.expect("usage")["params"]["tokenUsage"];
    assert_eq!((&usage["last"]["inputTokens"], &usage["last"]["outputTokens"]), (&json!(20), &json!(5)));
    assert_eq!(usage["modelContextWindow"], 258_400);

    let seen = mock.seen();
    let [Seen { method, path, body, .. }] = &seen[..] else { panic!("one request: {seen:?}") };
    assert_eq!((method.as_str(), path.as_str()), ("POST", "/v1/responses?api-version=v%201"));
    let header = |name: &str| seen[0].header(name);
    assert_eq!((header("accept"), header("x-own")), (Some("text/event-stream"), Some("header")));
    assert_eq!((header("content-type"), header("authorization")), (Some("application/json"), None));
    assert!(header("user-agent").is_some_and(|agent| agent.starts_with("app-server/")));
    assert_eq!((&body["model"], &body["stream"]), (&json!("some-model"), &json!(true)));
    assert_eq!((&body["store"], &body["prompt_cache_key"]), (&json!(false), &json!(thread)));
    let asked = seen[0].input("message");
    let content = json!([{ "type": "input_text", "text": "hello" }]);
    let last = asked.last().expect("the user's message");
    assert_eq!((&last["role"], &last["content"]), (&json!("user"), &content));
    server.stop();
}

/// What is answered, and what the turn then ends with.
fn failures() -> Vec<(&'static str, Answer, Value, &'static str)> {
    let busy = "We’re currently experiencing high demand, which may cause temporary errors.";
    let capacity = "Selected model is at capacity. Please try a different model.";
    let quota = "Quota exceeded. Check your plan and billing details.";
    let too_many = json!({ "responseTooManyFailedAttempts": { "httpStatusCode": 429 } });
    let limit = "exceeded retry limit, last status: 429 Too Many Requests";
    let closed = "stream disconnected before completion: stream closed before response.completed";
    let room = "Codex ran out of room in the model's context window. Start a new thread or clear earlier \
                history before retrying.";
    let refused = |status: u16| json!({ "httpConnectionFailed": { "httpStatusCode": status } });
    let failing = |code: &str, message: &str| Answer::events([created(), failed(code, message)]);
    let part = |end: Value| Answer::response(say("msg_0", "part")).broken(/*after*/ 3, Step::event(end));
    let bad = r#"{"error": {"message": "Bad thing", "type": "x", "code": "invalid_request_error"}}"#;
    let too_long = Answer::error(/*status*/ 400, "context_length_exceeded", "too long");
    let limited = Answer::error(/*status*/ 429, "rate_limit_exceeded", "slow");
    vec![
        ("500", Answer::status(/*status*/ 500, "oops"), json!("internalServerError"), busy),
        (
            "503",
            Answer::error(/*status*/ 503, "server_is_overloaded", "x"),
            json!("serverOverloaded"),
            capacity,
        ),
        ("429", limited.clone().header("retry-after", "0"), too_many.clone(), limit),
        ("429 plain", Answer::status(/*status*/ 429, "slow down"), too_many, limit),
        (
            "usage",
            Answer::error(/*status*/ 429, "usage_limit_reached", "Used up."),
            json!("usageLimitExceeded"),
            "Used up.",
        ),
        (
            "quota",
            Answer::error(/*status*/ 429, "insufficient_quota", "x"),
            json!("usageLimitExceeded"),
            quota,
        ),
        ("400", Answer::status(/*status*/ 400, bad), json!("other"), bad),
        (
            "401",
            Answer::error(/*status*/ 401, "x", "Incorrect API key"),
            refused(401),
            "unexpected status 401 Unauthorized: Incorrect API key, url: URL",
        ),
        (
            "403",
            Answer::status(/*status*/ 403, "forbidden"),
            refused(403),
            "unexpected status 403 Forbidden: forbidden, url: URL",
        ),
        (
            "404",
            Answer::error(/*status*/ 404, "model_not_found", "no such model"),
            json!("modelNotFound"),
            "no such model",
        ),
        (
            "302",
            Answer::status(/*status*/ 302, "").header("location", "/x"),
            refused(302),
            "unexpected status 302 Found: no reason given, url: URL",
        ),
        ("cut", Answer::text("a b c").broken(/*after*/ 3, Step::Cut), json!("other"), closed),
        ("cut at once", Answer::events([created()]).broken(/*after*/ 1, Step::Cut), json!("other"), closed),
        ("no end", Answer::events([vec![created()], say("m", "abc")].concat()), json!("other"), closed),
        ("no events", Answer::status(/*status*/ 200, "{\"ok\":true}"), json!("other"), closed),
        (
            "failed",
            failing("server_error", "it failed"),
            json!("other"),
            "stream disconnected before completion: it failed",
        ),
        ("failed quota", failing("insufficient_quota", "x"), json!("usageLimitExceeded"), quota),
        ("failed prompt", failing("invalid_prompt", "bad prompt"), json!("other"), "bad prompt"),
        ("failed capacity", failing("server_is_overloaded", "x"), json!("serverOverloaded"), capacity),
        ("failed context", failing("context_length_exceeded", "x"), json!("contextWindowExceeded"), room),
        (
            "incomplete",
            part(incomplete("max_output_tokens")),
            json!("other"),
            "Incomplete response returned, reason: max_output_tokens",
        ),
        ("400 context", too_long, json!("contextWindowExceeded"), room),
    ]
}

#[test]
fn each_failure_ends_the_turn_as_the_reference_ends_it() {
    let mock = MockModel::start();
    let (server, mut client) = server(&mock, "");
    let url = format!("{}/responses", mock.base_url());
    for (name, answer, info, message) in failures() {
        mock.script([answer]);
        let before = mock.seen().len();
        let thread = client.thread();
        client.settle();
        client.start_turn(&thread, name);
        let messages = client.all_until("turn/completed");
        let methods = methods_of(&messages);
        let told = |method: &str| {
            let found = messages.iter().rfind(|message| message["method"] == method);
            found.unwrap_or_else(|| panic!("{name}: no {method} in {methods:?}"))["params"].clone()
        };
        assert_eq!(told("thread/status/changed")["status"], json!({ "type": "systemError" }), "{name}");
        let error = told("error");
        assert_eq!(error["willRetry"], false, "{name}");
        assert_eq!(error["error"]["codexErrorInfo"], info, "{name}");
        assert_eq!(error["error"]["message"], message.replace("URL", &url), "{name}");
        let turn = &told("turn/completed")["turn"];
        assert_eq!((&turn["status"], &turn["error"]), (&json!("failed"), &error["error"]), "{name}");
        assert_eq!(mock.seen().len(), before + 1, "{name}: nothing is sent again");
    }
    // The thread of a failure is not lost.
    mock.script([Answer::status(/*status*/ 500, ""), Answer::text("recovered")]);
    let thread = client.thread();
    assert_eq!(client.turn(&thread, "first")["status"], "failed");
    assert_eq!(said(&client.turn(&thread, "second")), "recovered");
    assert_eq!(client.read(&thread)["status"], json!({ "type": "idle" }));
    server.stop();
}

#[test]
fn a_request_is_sent_again_in_silence_as_often_as_configured() {
    let mock = MockModel::start();
    let (server, mut client) = server(&mock, "request_max_retries = 2");
    let thread = client.thread();
    client.settle();
    let busy = || Answer::status(/*status*/ 500, "");
    mock.script([busy(), busy().header("retry-after-ms", "1"), Answer::text("at last")]);
    client.start_turn(&thread, "twice");
    let messages = client.all_until("turn/completed");
    assert!(!methods_of(&messages).contains(&"error".to_owned()));
    let turn = &messages.last().expect("the end")["params"]["turn"];
    assert_eq!((said(turn), mock.seen().len()), ("at last", 3));

    mock.script([busy(), busy(), busy()]);
    assert_eq!(client.turn(&thread, "too often")["error"]["codexErrorInfo"], "internalServerError");
    assert_eq!(mock.seen().len(), 6);
    // The provider says that it makes no sense.
    mock.script([busy().header("x-should-retry", "false")]);
    assert_eq!(client.turn(&thread, "firm")["status"], "failed");
    assert_eq!(mock.seen().len(), 7);
    server.stop();
}

#[test]
fn a_refused_connection_is_tried_a_bounded_number_of_times() {
    let config = format!(
        "model = 'm'\nmodel_provider = 'x'\n[model_providers.x]\nbase_url = '{}'\nrequest_max_retries = 1\n\
         stream_max_retries = 0",
        refusing_url()
    );
    let mut server = Server::start_in(Transport::Stdio, &Home::with_config(&config));
    let mut client = server.client();
    let thread = client.thread();
    let turn = client.turn(&thread, "refused");
    assert_eq!(turn["status"], "failed");
    assert_eq!(
        turn["error"]["codexErrorInfo"],
        json!({ "httpConnectionFailed": { "httpStatusCode": null } })
    );
    let message = text(&turn["error"]["message"]);
    assert!(
        message.starts_with("Connection failed: connection refused; is the server running?"),
        "{message}"
    );
    server.stop();
}

#[test]
fn a_connection_is_used_again_and_a_stale_one_is_no_failure() {
    let mock = MockModel::with_script([Answer::text("a"), Answer::text("b")]);
    let (server, mut client) = server(&mock, "");
    let thread = client.thread();
    for expected in ["a", "b"] {
        assert_eq!(said(&client.turn(&thread, "hello")), expected);
    }
    assert_eq!(mock.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 0]);
    // The provider hangs up on the kept connection when the next request comes.
    mock.script([Answer::hang_up(), Answer::text("c")]);
    assert_eq!(said(&client.turn(&thread, "hello")), "c");
    assert_eq!(mock.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 0, 0, 1]);
    server.stop();
}

/// Time from the interrupt to the end of the turn.
pub(crate) fn interrupt(client: &mut Client, thread: &str, turn: &str) -> Duration {
    let clock = Clock::real();
    let began = clock.now();
    client.send("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
    let ended = client.turn_end(turn);
    let took = clock.now().since(began);
    assert_eq!((&ended["status"], &ended["error"]), (&json!("interrupted"), &Value::Null));
    took
}

#[test]
fn an_interrupt_reaches_a_blocked_read_and_leaves_nothing_behind() {
    let mock = MockModel::start();
    let (server, mut client) = server(&mock, "");
    let thread = client.thread();
    let before_answer = || Answer::silence();
    let in_the_middle = || Answer::text("said this").broken(/*after*/ 3, Step::Stall);
    let mut left = Vec::new();
    // Before and in the middle of the answer.
    let mut quickest = [PATIENCE; 2];
    for (round, answer) in
        [before_answer(), in_the_middle(), before_answer(), in_the_middle()].iter().enumerate()
    {
        mock.script([answer.clone()]);
        let turn = client.start_turn(&thread, "wait");
        mock.wait_for_gates(round + 1);
        if round % 2 == 1 {
            client.next_notification("item/agentMessage/delta");
        }
        quickest[round % 2] = quickest[round % 2].min(interrupt(&mut client, &thread, &turn));
        mock.wait_for_open_connections(/*count*/ 0);
        server.until_gone("turn-");
        // What the first two rounds opened for good may stay.
        match left.get(1) {
            Some(before) => server.shrinks_to(*before),
            None => left.push(server.footprint()),
        }
    }
    // Of several, because the machine may be busy; without the interrupt the read would go on for minutes.
    assert!(quickest.iter().all(|quickest| *quickest < PATIENCE / 4), "{quickest:?}");
    mock.script([Answer::text("alive")]);
    assert_eq!(said(&client.turn(&thread, "and now?")), "alive");
    server.stop();
}

#[test]
fn an_interrupt_ends_the_pause_before_a_retry() {
    let busy = Answer::status(/*status*/ 500, "").header("retry-after", "60");
    let mock = MockModel::with_script([busy]);
    let (server, mut client) = server(&mock, "request_max_retries = 4");
    let thread = client.thread();
    let turn = client.start_turn(&thread, "wait");
    mock.wait_for_requests(/*count*/ 1);
    assert!(interrupt(&mut client, &thread, &turn) < PATIENCE);
    server.stop();
}

#[test]
fn a_silent_stream_is_given_up() {
    let stalled = Answer::text("one two").broken(/*after*/ 3, Step::Stall);
    let mock = MockModel::with_script([stalled]);
    // The words before the silence have to come in time as well.
    let (server, mut client) = server(&mock, "stream_idle_timeout_ms = 2000");
    let thread = client.thread();
    let turn = client.turn(&thread, "idle");
    let text = "stream disconnected before completion: idle timeout waiting for SSE";
    assert_eq!(
        (&turn["error"]["message"], &turn["error"]["codexErrorInfo"]),
        (&json!(text), &json!("other"))
    );
    mock.wait_for_open_connections(/*count*/ 0);
    server.stop();
}

#[test]
fn keys_reach_the_provider_and_nobody_else() {
    const KEY: &str = "sk-canary-0123456789";
    const HEADER: &str = "header-canary-0123456789";
    let echo = format!("Incorrect API key provided: {KEY}, and {HEADER}");
    let mock = MockModel::with_script([
        Answer::error(/*status*/ 401, "invalid_api_key", &echo),
        Answer::status(/*status*/ 400, &echo),
        Answer::events([created(), failed("server_error", &echo)]),
    ]);
    let provider =
        "env_key = 'CANARY_KEY'\nenv_http_headers = { x-team = 'CANARY_HEADER', x-none = 'NOT_SET' }";
    let home = Home::with_config(&mock.config(provider));
    let launch =
        Launch::new(&home).env("CANARY_KEY", KEY).env("CANARY_HEADER", HEADER).env("RUST_LOG", "trace");
    let mut server = Server::launch(Transport::Stdio, launch);
    let mut client = server.client();
    let thread = client.thread();
    for prompt in ["401", "400", "failed"] {
        assert_eq!(client.turn(&thread, prompt)["status"], "failed");
    }
    client.ok("config/read", json!({}));
    client.ok("modelProvider/list", json!({}));
    client.read(&thread);
    let [first, ..] = &mock.seen()[..] else { panic!("a request came") };
    assert_eq!(first.header("authorization"), Some("Bearer sk-canary-0123456789"));
    assert_eq!((first.header("x-team"), first.header("x-none")), (Some(HEADER), None));
    let told = Value::from(client.received()).to_string();
    let database = std::fs::read(home.database()).expect("the database");
    drop(client);
    server.ends_well_within(PATIENCE);
    let logged = server.stderr_at_end();
    assert!(logged.contains("TRACE") || logged.contains("DEBUG"), "something was logged: {logged}");
    assert!(told.contains("[hidden]"));
    for secret in [KEY, HEADER] {
        assert!(!told.contains(secret), "clients were told {secret}");
        assert!(!logged.contains(secret), "{secret} was logged");
        assert!(
            !database.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()),
            "{secret} was stored"
        );
    }
}

#[test]
fn a_missing_key_is_named() {
    let mock = MockModel::start();
    let (server, mut client) = server(&mock, "env_key = 'NOT_SET_ANYWHERE'");
    let thread = client.thread();
    let error = client.turn(&thread, "hello")["error"].take();
    assert!(text(&error["message"]).contains("set the environment variable `NOT_SET_ANYWHERE`"), "{error}");
    assert!(mock.seen().is_empty());
    server.stop();
}

#[test]
fn a_server_with_chat_completions_only_is_spoken_to_in_its_words() {
    let delta =
        |delta: Value| Step::data(&json!({ "choices": [{ "index": 0, "delta": delta }] }).to_string());
    let finish = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } });
    let steps = vec![
        Step::Bytes(b": keep alive\n\n".to_vec()),
        delta(json!({ "role": "assistant", "content": "" })),
        delta(json!({ "reasoning_content": "hm" })),
        delta(json!({ "content": "hello " })),
        delta(json!({ "content": "you" })),
        Step::data(&finish.to_string()),
        Step::data(&usage.to_string()),
        Step::data("[DONE]"),
    ];
    let cut = Answer::stream(steps[..4].to_vec());
    let mock = MockModel::with_script([Answer::stream(steps), cut]);
    let (server, mut client) = server(&mock, "wire_api = 'chat'");
    let thread = client.thread();
    assert_eq!(said(&client.turn(&thread, "hi")), "hello you");
    let seen = mock.seen();
    assert_eq!(seen[0].path, "/v1/chat/completions");
    let last = seen[0].body["messages"].as_array().and_then(|messages| messages.last().cloned());
    assert_eq!(last, Some(json!({ "role": "user", "content": "hi" })));
    let turn = client.turn(&thread, "again");
    let closed = "stream disconnected before completion: stream closed before response.completed";
    assert_eq!(turn["error"]["message"], closed);
    server.stop();
}

#[test]
fn a_recording_is_played_answer_by_answer_in_each_thread() {
    let event = |event: Value| format!("event: x\ndata: {event}\n\n");
    let answer = |text: &str| {
        let events =
            [vec![created()], say("m", text), vec![completed_with(/*input*/ 1, /*output*/ 2)]].concat();
        events.into_iter().map(event).collect::<String>()
    };
    let failure = event(failed("invalid_prompt", "as recorded"));
    let recording = [": by hand\n".to_owned(), answer("one"), failure, answer("three")].join(": ---\n");
    let config =
        "model = 'm'\nmodel_provider = 'tape'\n[model_providers.tape]\nkind = 'replay'\nfile = 'tape.sse'";
    let home = Home::with_config(config);
    std::fs::write(home.path().join("tape.sse"), recording).expect("the recording is written");
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    for _ in 0..2 {
        let thread = client.thread();
        assert_eq!(said(&client.turn(&thread, "a")), "one");
        assert_eq!(client.turn(&thread, "b")["error"]["message"], "as recorded");
        assert_eq!(said(&client.turn(&thread, "c")), "three");
        let over = client.turn(&thread, "d");
        assert!(text(&over["error"]["message"]).contains("is over: it has 3 answers"), "{over}");
    }
    server.stop();
}

#[test]
fn it_does_not_matter_where_the_network_cuts_the_stream() {
    let whole = Answer::response(say("msg_0", "über 𝄞 words")).in_pieces(/*bytes*/ 7);
    let mock = MockModel::with_script([whole]);
    mock.respond(|_| Some(Answer::response(call("c", "unknown_tool", &json!({})))));
    let (server, mut client) = server(&mock, "");
    let thread = client.thread();
    assert_eq!(said(&client.turn(&thread, "hello")), "über 𝄞 words");
    server.stop();
}
