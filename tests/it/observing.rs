//! What operators see: numbers, JSON lines, and traces that join up from a client to its commands.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, call, completed, created, say};
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

const PARENT: &str = "00-11111111111111111111111111111111-2222222222222222-01";
const TRACE_ID: &str = "11111111111111111111111111111111";

fn get(server: &Server, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.address().expect("it listens")).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// Reads Prometheus' text format: every sample belongs to a family that was announced, and has a number.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut families = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(families.insert(name.to_owned(), kind.to_owned()), None, "announced twice: {name}");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().unwrap_or_default();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end).filter(|name| families.contains_key(*name)))
                .unwrap_or(name);
            assert!(families.contains_key(family), "not announced: {line}");
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert_eq!(samples.insert(series.to_owned(), value), None, "said twice: {series}");
        }
    }
    samples
}

#[test]
fn metrics_count_what_happened() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = server.client();
    let thread = client.thread();
    client.turn(&thread, "hello");
    client.refused("thread/read", json!({ "threadId": "nonsense" }));
    client.refused("no/such/method", json!({}));
    client
        .ok("command/exec", json!({ "command": ["true"], "sandboxPolicy": { "type": "dangerFullAccess" } }));
    let (head, body) = get(&server, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let found = parse(&body);
    let of = |method: &str, outcome: &str| {
        found[&format!("app_server_requests_total{{method=\"{method}\",outcome=\"{outcome}\"}}")]
    };
    assert_eq!((of("initialize", "result"), of("turn/start", "result")), (1.0, 1.0));
    assert_eq!((of("thread/read", "error"), of("other", "error")), (1.0, 1.0));
    assert_eq!(found["app_server_request_duration_seconds_count{method=\"turn/start\"}"], 1.0);
    // Also what takes less than a millisecond takes time.
    assert!(found["app_server_request_duration_seconds_sum{method=\"thread/read\"}"] > 0.0, "{body}");
    let inf = "app_server_request_duration_seconds_bucket{method=\"turn/start\",le=\"+Inf\"}";
    assert_eq!(found[inf], 1.0);
    assert_eq!((found["app_server_connections"], found["app_server_turns_started_total"]), (1.0, 1.0));
    let commands = ("app_server_commands_started_total", "app_server_commands_running");
    assert_eq!((found[commands.0], found[commands.1]), (1.0, 0.0));
    assert!(found["app_server_messages_received_total"] >= 6.0, "{body}");
    assert_eq!((found["app_server_turns_running"], found["app_server_threads_loaded"]), (0.0, 1.0));
    assert!(found["app_server_store_commit_duration_seconds_count"] >= 2.0, "{body}");
    assert!(found["process_resident_memory_bytes"] > 1e6 && found["process_os_threads"] >= 5.0, "{body}");
    // The asking connection is a socket as well.
    assert_eq!(found["app_server_listener_connections"], 2.0);
    let mut other = server.connect();
    other.initialize_with(json!({ "experimentalApi": true }));
    let told = other.ok("server/diagnostics", json!({}));
    assert_eq!(told["metrics"]["app_server_turns_started_total"], 1, "{told}");
    server.stop();
}

#[test]
fn numbers_follow_what_they_count() {
    let mock = MockModel::start();
    mock.script([
        Answer::error(/*status*/ 500, "server_error", "try again"),
        Answer::text("at last"),
        Answer::error(/*status*/ 400, "bad", "no"),
    ]);
    let config = mock.config("request_max_retries = 1");
    let home = Home::with_config(&format!("thread_unload_delay_secs = 0.05\n{config}"));
    let mut server = Server::start_in(Transport::WebSocket, &home);
    let number = |server: &Server, name: &str| {
        // The connection of the question before may still be there.
        let granted = |(head, body): (String, String)| head.starts_with("HTTP/1.1 200 ").then_some(body);
        let page = (0..1_000).find_map(|_| granted(get(server, "/metrics"))).expect("room for a reader");
        *parse(&page).get(name).unwrap_or_else(|| panic!("no {name}"))
    };
    let (mut client, mut other) = (server.client(), server.client());
    let thread = client.thread();
    assert_eq!(client.turn(&thread, "hello")["status"], "completed");
    assert_eq!(number(&server, "app_server_model_retries_total"), 1.0);
    assert_eq!(client.turn(&thread, "hello")["status"], "failed");
    assert_eq!(number(&server, "app_server_turns_failed_total"), 1.0);
    assert_eq!(number(&server, "app_server_turn_duration_seconds_count"), 2.0);
    let run = json!({ "command": ["sleep", "3600"], "processId": "p", "streamStdin": true,
        "sandboxPolicy": { "type": "dangerFullAccess" } });
    let command = client.send("command/exec", run);
    server.wait_for_children(/*at_least*/ 1);
    assert_eq!(number(&server, "app_server_commands_running"), 1.0);
    client.ok("command/exec/terminate", json!({ "processId": "p" }));
    client.answer(&command).expect("it has ended");
    assert_eq!(number(&server, "app_server_commands_running"), 0.0);
    assert_eq!(number(&server, "app_server_thread_unloads_total"), 0.0);
    client.ok("thread/unsubscribe", json!({ "threadId": thread }));
    other.next_notification("thread/closed");
    assert_eq!(number(&server, "app_server_thread_unloads_total"), 1.0);
    let told = other.ok("server/diagnostics", json!({}));
    for name in ["app_server_inbox_messages", "app_server_worker_events", "app_server_store_jobs"] {
        assert!(told["metrics"][name].is_u64(), "{name}: {told}");
    }
    assert!(told["metrics"]["app_server_outbox_bytes"].is_u64(), "{told}");
    drop((client, other));
    server.stop();
    // The one place is taken, so the reader of the numbers is turned away.
    let mut small = Server::start_with(Transport::WebSocket, &home, ["--max-connections", "1"]);
    let client = small.client();
    assert!(get(&small, "/metrics").0.starts_with("HTTP/1.1 503 "));
    drop(client);
    assert!(number(&small, "app_server_connections_refused_total") >= 1.0);
    small.stop();
}

#[test]
fn a_scrape_costs_little() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = server.client();
    let thread = client.thread();
    client.turn(&thread, "hello");
    // Each with a connection of its own. What it costs the server, however busy the machine is; a build
    // without optimisation may cost more.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 100 });
    let before = server.cpu_time();
    for _ in 0..100 {
        assert!(get(&server, "/metrics").0.starts_with("HTTP/1.1 200 "));
    }
    let cost = server.cpu_time() - before;
    assert!(cost <= most, "a hundred scrapes cost {cost:?}");
    server.stop();
}

#[test]
fn metrics_are_for_those_who_may_connect() {
    let home = Home::new();
    let token = home.path().join("token");
    std::fs::write(&token, "a token of some length").expect("a file");
    let token = token.display().to_string();
    let args = ["--ws-auth", "capability-token", "--ws-token-file", &token];
    let server = Server::start_with(Transport::WebSocket, &home, args);
    assert!(get(&server, "/metrics").0.starts_with("HTTP/1.1 401 "));
    let authorized = "/metrics HTTP/1.1\r\nAuthorization: Bearer a token of some length\r\nX-Rest:";
    assert!(get(&server, authorized).0.starts_with("HTTP/1.1 200 "));
    assert!(get(&server, "/readyz").0.starts_with("HTTP/1.1 200 "), "probes need no token");
    server.stop();
}

/// All lines of stderr at the end, which have to be JSON objects.
fn lines(server: &mut Server) -> Vec<Value> {
    let text = server.stderr_at_end();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

fn json_log(home: &std::sync::Arc<Home>) -> Launch {
    Launch::new(home).env("LOG_FORMAT", " JSON ").env("RUST_LOG", "info")
}

#[test]
fn a_trace_goes_from_the_client_to_the_model_and_to_commands() {
    let run = json!({ "cmd": "echo $TRACEPARENT", "login": false });
    let mock = MockModel::with_script([
        Answer::events([vec![created()], call("c1", "exec_command", &run), vec![completed()]].concat()),
        Answer::events([vec![created()], say("m", "done"), vec![completed()]].concat()),
    ]);
    let config =
        format!("sandbox_mode = 'danger-full-access'\napproval_policy = 'never'\n{}", mock.config(""));
    let home = Home::with_config(&config);
    let mut server = Server::launch(Transport::Stdio, json_log(&home));
    let mut client = server.client();
    let thread = client.thread();
    let params = json!({ "threadId": thread, "input": [{ "type": "text", "text": "go" }] });
    let request = json!({ "id": "traced", "method": "turn/start", "params": params,
        "trace": { "traceparent": PARENT, "tracestate": "vendor=1" } });
    client.expect_answer_to("traced", "turn/start");
    client.send_raw(&request.to_string());
    let answer = client.answer(&json!("traced")).expect("it starts");
    client.turn_end(answer["turn"]["id"].as_str().expect("an id"));
    let output = mock.seen()[1].tool_output("c1").expect("an output").to_string();
    assert!(output.contains(&format!("00-{TRACE_ID}-")), "the command knows its trace: {output}");
    let asked: Vec<String> =
        mock.seen().iter().filter_map(|seen| seen.header("traceparent").map(str::to_owned)).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|header| header.starts_with(&format!("00-{TRACE_ID}-"))), "{asked:?}");
    assert_ne!(asked[0], asked[1], "each call is a span of its own");
    client.close_input();
    server.ends_well_within(PATIENCE);

    let lines = lines(&mut server);
    let new = |name: &str, method: Option<&str>| {
        let fits = |line: &&Value| {
            line["span"]["name"] == name
                && line["fields"]["message"] == "new"
                && method.is_none_or(|method| line["span"]["rpc.method"] == method)
        };
        lines.iter().find(fits).unwrap_or_else(|| panic!("no span {name} in {lines:#?}")).clone()
    };
    let close = lines
        .iter()
        .find(|line| line["fields"]["message"] == "close" && line["span"]["rpc.request_id"] == "\"traced\"");
    let request = &close.unwrap_or_else(|| panic!("the request's span is closed: {lines:#?}"))["span"];
    assert_eq!(
        (&request["trace_id"], &request["parent_span_id"]),
        (&json!(TRACE_ID), &json!("2222222222222222"))
    );
    assert_eq!((&request["otel.kind"], &request["rpc.system"]), (&json!("server"), &json!("jsonrpc")));
    assert_eq!(request["rpc.transport"], "stdio");
    assert!(request["app_server.client_name"].is_string() && request["turn.id"] == answer["turn"]["id"]);
    // A span is new before its ids are recorded, so they are looked for at its end.
    let ended = |name: &str| {
        let fits = |line: &&Value| line["span"]["name"] == name && line["fields"]["message"] == "close";
        lines.iter().find(fits).unwrap_or_else(|| panic!("no end of {name}")).clone()
    };
    let (turn, model) = (ended("app_server.turn"), ended("app_server.model_call"));
    assert_eq!((&turn["trace_id"], &turn["parent_span_id"]), (&json!(TRACE_ID), &request["span_id"]));
    assert_eq!((&model["trace_id"], &model["parent_span_id"]), (&json!(TRACE_ID), &turn["span_id"]));
    let tool = ended("app_server.tool");
    assert_eq!((&tool["trace_id"], &tool["parent_span_id"]), (&json!(TRACE_ID), &turn["span_id"]));
    assert_eq!(tool["span"]["tool.name"], "exec_command");
    assert_eq!(ended("app_server.command")["parent_span_id"], tool["span_id"]);
    new("app_server.request", Some("initialize"));
}

#[test]
fn every_tool_is_a_span_below_its_turn_and_requests_about_a_turn_name_it() {
    let home = Home::new();
    let mut server = Server::launch(Transport::Stdio, json_log(&home));
    let mut client = server.client();
    let tool = json!({ "name": "lookup", "description": "Look up", "inputSchema": { "type": "object" } });
    let thread = client.thread_with(json!({ "dynamicTools": [tool] }));
    let turn = client.start_turn(&thread, "plan: a; b\ncall: lookup {}\nask: Which? | this");
    let call = client.next_fitting("the call", |message| message["method"] == "item/tool/call");
    let answer = json!({ "success": true, "contentItems": [] });
    client.send_raw(&json!({ "id": call["id"], "result": answer }).to_string());
    client.next_fitting("the question", |message| message["method"] == "item/tool/requestUserInput");
    let input = json!([{ "type": "text", "text": "also" }]);
    client.ok("turn/start", json!({ "threadId": thread, "input": input }));
    client.ok("turn/steer", json!({ "threadId": thread, "expectedTurnId": turn, "input": input }));
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
    client.turn_end(&turn);
    client.close_input();
    server.ends_well_within(PATIENCE);
    let lines = lines(&mut server);
    let closed = |key: &str, value: &str| -> Vec<&Value> {
        let fits = |line: &&Value| line["span"][key] == value && line["fields"]["message"] == "close";
        lines.iter().filter(fits).collect()
    };
    let turn_span = closed("name", "app_server.turn")[0];
    let tools: Vec<&str> = closed("name", "app_server.tool")
        .iter()
        .map(|line| {
            assert_eq!(
                (&line["trace_id"], &line["parent_span_id"]),
                (&turn_span["trace_id"], &turn_span["span_id"])
            );
            line["span"]["tool.name"].as_str().expect("a name")
        })
        .collect();
    assert_eq!(tools, ["update_plan", "lookup", "request_user_input"]);
    for (method, count) in [("turn/start", 2), ("turn/steer", 1), ("turn/interrupt", 1)] {
        let spans = closed("rpc.method", method);
        assert_eq!(spans.len(), count, "{method}");
        assert!(spans.iter().all(|line| line["span"]["turn.id"] == *turn), "{method}: {spans:?}");
    }
}

#[test]
fn a_traceparent_of_the_environment_that_is_none_is_warned_about_once() {
    let home = Home::new();
    let mut server = Server::launch(Transport::Stdio, json_log(&home).env("TRACEPARENT", "nonsense"));
    let mut client = server.client();
    for _ in 0..3 {
        client.ok("account/read", json!({}));
    }
    client.close_input();
    server.ends_well_within(PATIENCE);
    let said = "TRACEPARENT in the environment is ignored";
    let lines = lines(&mut server);
    let warnings = lines.iter().filter(|line| line["fields"]["message"] == said && line["level"] == "WARN");
    assert_eq!(warnings.count(), 1);
}

#[test]
fn an_invalid_carrier_is_warned_about_and_the_request_is_answered() {
    let home = Home::new();
    let mut server = Server::launch(Transport::Stdio, json_log(&home).env("TRACEPARENT", PARENT));
    let mut client = server.client();
    let request = json!({ "id": "bad", "method": "thread/loaded/list", "params": {},
        "trace": { "traceparent": "nonsense" } });
    client.expect_answer_to("bad", "thread/loaded/list");
    client.send_raw(&request.to_string());
    client.answer(&json!("bad")).expect("it is answered all the same");
    client.close_input();
    server.ends_well_within(PATIENCE);
    let lines = lines(&mut server);
    let warned =
        |line: &&Value| line["fields"]["message"] == "ignoring invalid inbound request trace carrier";
    let warning = lines.iter().find(warned).expect("a warning");
    assert_eq!(
        (&warning["level"], &warning["fields"]["rpc_method"]),
        (&json!("WARN"), &json!("thread/loaded/list"))
    );
    let trace_of = |method: &str| {
        let closed =
            |line: &&Value| line["fields"]["message"] == "close" && line["span"]["rpc.method"] == method;
        lines.iter().find(closed).unwrap_or_else(|| panic!("no end of {method}"))["trace_id"].clone()
    };
    assert_eq!(trace_of("initialize"), TRACE_ID, "without a carrier the environment's counts");
    assert_ne!(trace_of("thread/loaded/list"), TRACE_ID, "a bad carrier begins a trace");
}

#[test]
fn every_line_is_json_the_banner_and_the_last_error_too() {
    let home = Home::new();
    let process = json_log(&home).args(["--listen", "ws://127.0.0.1:0"]).start();
    process.says("the address", |line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        line["fields"]["message"].as_str().filter(|text| text.contains("ws://127.0.0.1:")).map(str::to_owned)
    });
    let bad = json_log(&home).args(["--listen", "ws://127.0.0.1:x"]).run(b"");
    assert_eq!(bad.status.code(), Some(2));
    let said: Vec<Value> = bad
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let is_error = |line: &Value| {
        line["fields"]["message"].as_str().is_some_and(|text| text.starts_with("app-server: "))
    };
    assert!(said.iter().any(is_error), "{said:?}");
}

#[test]
fn the_log_goes_to_a_file_if_asked() {
    let home = Home::new();
    let path = home.path().join("log");
    let launch = Launch::new(&home).env("RUST_LOG", "info").env("LOG_FILE", &path.display().to_string());
    let mut server = Server::launch(Transport::Stdio, launch);
    let mut client = server.client();
    client.close_input();
    server.ends_well_within(PATIENCE);
    assert_eq!(server.stderr_at_end(), "");
    let text = std::fs::read_to_string(path).expect("a file");
    assert!(text.contains("client initialized"), "{text}");
}
