//! A script's pipe: everything that came before the end of input is answered; signals and a closed output end
//! the process soon.

use std::io::Write;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::client::{Client, column, said, text};
use crate::support::home::Home;
use crate::support::process::{Launch, Output, write_until_stuck};
use crate::support::server::Server;

/// A debug build on a busy machine; far below what the turn of the test would take.
const BUSY: Duration = Duration::from_secs(10);
/// The same where the server promises a second. It holds itself to that by exit code 1, so a good end is one
/// in time.
const SOON: Duration = BUSY;

const SLOW: &str = "slow: 30s\nnever said";

fn initialize() -> String {
    let params = json!({ "clientInfo": { "name": "script", "version": "1" } });
    json!({ "id": "init", "method": "initialize", "params": params }).to_string()
}

fn pipe(lines: &[String]) -> Output {
    Launch::new(&Home::new()).run(lines.concat().as_bytes())
}

fn messages(output: &Output) -> Vec<Value> {
    assert!(output.stdout.ends_with('\n'));
    output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn sixty_lines_get_sixty_answers() {
    let mut lines = vec![initialize() + "\n"];
    let methods =
        ["thread/list", "model/list", "thread/start", "config/read", "no/such", "thread/loaded/list"];
    for number in 1..60 {
        let method = methods[number % methods.len()];
        lines.push(json!({ "id": number, "method": method, "params": {} }).to_string() + "\n");
    }
    let output = pipe(&lines);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    let mut answered: Vec<String> = messages(&output)
        .iter()
        .filter(|message| message["method"].is_null())
        .map(|message| message["id"].to_string())
        .collect();
    answered.sort();
    let mut expected: Vec<String> = (1..60).map(|number| number.to_string()).collect();
    expected.push("\"init\"".to_owned());
    expected.sort();
    assert_eq!(answered, expected);
    assert_eq!(output.stderr, "", "silent when all is well");
}

#[test]
fn a_last_line_without_newline_is_answered() {
    let output = pipe(&[initialize() + "\n", json!({ "id": 7, "method": "thread/list" }).to_string()]);
    assert_eq!(output.status.code(), Some(0));
    let messages = messages(&output);
    assert_eq!(messages.len(), 2);
    assert_eq!((&messages[1]["id"], &messages[1]["result"]["data"]), (&json!(7), &json!([])));
}

#[test]
fn no_input_at_all_is_a_quiet_end() {
    let output = Launch::new(&Home::new()).run(b"");
    assert_eq!((output.status.code(), output.stdout.as_str(), output.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn ten_thousand_requests_in_one_go_are_all_answered_and_none_is_refused() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    let requests: Vec<String> = (0..10_000)
        .map(|number| json!({ "id": format!("r{number}"), "method": "account/read" }).to_string())
        .collect();
    client.send_all(&requests);
    client.close_input();
    let ended = client.ended();
    assert_eq!(ended, "the output has ended");
    client.wait_until("every answer", |heard| (heard.answered == 10_001).then_some(()));
    assert!(client.received().iter().all(|message| message["error"].is_null()));
    server.ends_well_within(BUSY);
}

#[test]
fn a_running_turn_is_finished_after_the_end_of_input() {
    let home = Home::new();
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let thread = client.thread();
    client.send("turn/start", json!({ "threadId": thread, "input": said("slow: 20ms\nto the end") }));
    client.close_input();
    assert_eq!(client.next_notification("turn/completed")["turn"]["status"], "completed");
    assert_eq!(client.ended(), "the output has ended");
    server.ends_well_within(BUSY);
    let kept = read_in_a_new_process(&home, &thread);
    assert_eq!(kept["turns"][0]["status"], "completed");
    assert!(text(&kept["turns"][0]["items"][1]["text"]).ends_with("to the end"));
}

#[test]
fn the_drain_timeout_cuts_a_turn_short_after_the_end_of_input() {
    let home = Home::new();
    let mut server = Server::start_with(Transport::Stdio, &home, ["--drain-timeout", "0.2"]);
    let mut client = server.client();
    let thread = client.thread();
    client.start_turn(&thread, SLOW);
    client.close_input();
    assert_eq!(client.next_notification("turn/completed")["turn"]["status"], "interrupted");
    server.ends_well_within(BUSY);
    assert_eq!(read_in_a_new_process(&home, &thread)["turns"][0]["status"], "interrupted");
}

#[test]
fn a_whole_session_from_a_file_works() {
    // Without waiting for answers a script cannot know the thread's id; `exec` is for that. What it can do:
    let lines: Vec<String> = [
        initialize(),
        json!({ "id": 1, "method": "thread/start", "params": { "cwd": "/srv/demo" } }).to_string(),
        json!({ "id": 2, "method": "turn/start", "params": { "threadId": "x", "input": [] } }).to_string(),
        json!({ "method": "initialized" }).to_string(),
        "not json".to_owned(),
    ]
    .map(|line| line + "\r\n")
    .to_vec();
    let output = pipe(&lines);
    let messages = messages(&output);
    let by_id =
        |id: Value| messages.iter().find(|message| message["id"] == id && message["method"].is_null());
    assert_eq!(by_id(json!(1)).expect("an answer")["result"]["cwd"], "/srv/demo");
    assert!(by_id(json!(2)).expect("an answer")["error"].is_object());
    assert_eq!(by_id(Value::Null).expect("an answer")["error"]["code"], -32700);
}

#[test]
fn a_closed_output_ends_the_process() {
    let home = Home::new();
    let mut process = Launch::new(&home).start();
    let mut stdin = process.stdin.take().expect("stdin");
    drop(process.stdout.take());
    // Nothing is written to the closed pipe before there is something to say.
    stdin.write_all((initialize() + "\n").as_bytes()).expect("the server reads");
    let status = process.exits_within(SOON);
    assert_eq!(status.code(), Some(0), "{}", process.stderr_at_end());
}

#[test]
fn a_closed_output_interrupts_a_running_turn() {
    let home = Home::new();
    let mut process = Launch::new(&home).start();
    let mut stdin = process.stdin.take().expect("stdin");
    let stdout = process.stdout.take().expect("stdout");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
    let mut next = |id: &str| loop {
        let line = lines.next().expect("an answer comes").expect("it can be read");
        let message: Value = serde_json::from_str(&line).expect("JSON");
        if message["id"] == id {
            break message;
        }
    };
    let start = json!({ "id": "thread", "method": "thread/start" }).to_string();
    write!(stdin, "{}\n{start}\n", initialize()).expect("the server reads");
    let thread = text(&next("thread")["result"]["thread"]["id"]);
    // Fast enough to find out soon that nobody reads, and far from its end by then.
    let params = json!({ "threadId": thread, "input": said("slow: 500ms\nhello") });
    let turn = json!({ "id": "turn", "method": "turn/start", "params": params });
    writeln!(stdin, "{turn}").expect("the server reads");
    next("turn");
    drop(lines);
    let status = process.exits_within(SOON);
    assert_eq!(status.code(), Some(0), "{}", process.stderr_at_end());
    assert_eq!(read_in_a_new_process(&home, &thread)["turns"][0]["status"], "interrupted");
}

#[test]
fn signals_end_the_process_soon_and_the_turn_is_kept_as_interrupted() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let home = Home::new();
        let mut server = Server::start_in(Transport::Stdio, &home);
        let mut client = server.client();
        let thread = client.thread();
        client.start_turn(&thread, SLOW);
        client.next_fitting("the model is asked", |message| message["method"] == "item/completed");
        server.signal(signal);
        server.ends_well_within(SOON);
        // The last words were written.
        assert_eq!(client.next_notification("turn/completed")["turn"]["status"], "interrupted");
        let kept = read_in_a_new_process(&home, &thread);
        assert_eq!(kept["turns"][0]["status"], "interrupted", "{signal:?}");
        assert_eq!(kept["turns"][0]["items"][0]["type"], "userMessage");
    }
}

/// What the Python SDK does at its end.
#[test]
fn sigterm_right_after_closing_the_input_is_a_good_end() {
    for running in [false, true] {
        let mut server = Server::start(Transport::Stdio);
        let mut client = server.client();
        if running {
            let thread = client.thread();
            client.start_turn(&thread, SLOW);
        }
        client.close_input();
        server.signal(Signal::TERM);
        server.ends_well_within(SOON);
    }
}

#[test]
fn a_signal_at_once_is_a_good_or_an_unheard_end() {
    for _ in 0..10 {
        let mut process = Launch::new(&Home::new()).start();
        process.signal(Signal::TERM);
        let status = process.exits_within(SOON);
        let unheard = std::os::unix::process::ExitStatusExt::signal(&status) == Some(Signal::TERM.as_raw());
        assert!(status.code() == Some(0) || unheard, "{status}: {}", process.stderr_at_end());
    }
}

#[test]
fn a_client_that_does_not_read_does_not_keep_a_signal_waiting() {
    // Most of the second that the server allows itself it waits for such a client, so on a busy machine it
    // may cut itself short; not each time.
    assert!((0..5).any(|_| ends_in_time_with_nobody_reading()), "the server always cuts itself short");
}

/// Whether the server ended well, and not by its own bound.
fn ends_in_time_with_nobody_reading() -> bool {
    let mut process = Launch::new(&Home::new()).start();
    let mut stdin = process.stdin.take().expect("stdin");
    // Nobody reads the output, so the answers pile up until the server waits for its client.
    let request = json!({ "id": "x".repeat(1000), "method": "config/read" }).to_string() + "\n";
    let flood = request.repeat(30_000);
    stdin.write_all((initialize() + "\n").as_bytes()).expect("the server reads");
    let taken = write_until_stuck(&mut stdin, flood.as_bytes());
    assert!(taken < flood.len(), "the server has a bound");
    process.signal(Signal::TERM);
    let status = process.exits_within(SOON);
    let log = process.stderr_at_end();
    let is_cut_short = status.code() == Some(1) && log.contains("the end takes too long");
    assert!(status.code() == Some(0) || is_cut_short, "{status}: {log}");
    !is_cut_short
}

fn read_in_a_new_process(home: &std::sync::Arc<Home>, thread: &str) -> Value {
    let mut server = Server::start_in(Transport::Stdio, home);
    let mut client: Client = server.client();
    let thread_ids = column(&client.ok("thread/list", json!({}))["data"], "id");
    assert!(thread_ids.contains(&thread.to_owned()));
    client.read(thread)
}
