//! The polite stop of a network server, sentence by sentence: what goes on, what is refused, what ends it,
//! and what bounds it when something hangs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Client, said, text};
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, Step, completed, created, say};
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

/// What a forced end may take on a busy machine: less than a turn and the store's patience. The server holds
/// itself to a second, by exit code 1.
const FORCED: Duration = Duration::from_secs(5);

/// A server whose model answers only when its gate is opened, and a client with a turn that waits for that.
pub(crate) struct Held {
    pub(crate) mock: MockModel,
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) thread: String,
    pub(crate) turn: String,
}

impl Held {
    pub(crate) fn start() -> Self {
        Self::start_with([])
    }

    fn start_with<'a>(args: impl IntoIterator<Item = &'a str>) -> Self {
        let mock = MockModel::start();
        mock.respond(|_| {
            let rest = [say("m", "to the end"), vec![completed()]].concat();
            let begin = [Step::event(created()), Step::Gate];
            Some(Answer::stream(begin.into_iter().chain(rest.into_iter().map(Step::event)).collect()))
        });
        let home = Home::with_config(&mock.config(""));
        let launch = Launch::new(&home).env("RUST_LOG", "info").args(args);
        let mut server = Server::launch(Transport::WebSocket, launch);
        let mut client = server.client();
        let thread = client.thread();
        let turn = client.start_turn(&thread, "go");
        mock.wait_for_gates(/*count*/ 1);
        Self { mock, server, client, thread, turn }
    }
}

/// Until the first signal has arrived, work is granted.
fn wait_for_drain(client: &mut Client) {
    let refused = (0..10_000).find_map(|_| client.request("thread/start", json!({})).err());
    assert_eq!(refused.expect("new work is refused")["data"]["reason"], "serverShuttingDown");
}

fn readyz(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.address().expect("it listens")).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// The same for when nothing can be written: asks who need not.
fn wait_for_unreadiness(server: &Server) {
    assert!((0..10_000).any(|_| readyz(server) == "503"), "the drain begins");
}

/// The turns of a thread as the next server finds them.
fn turns_afterwards(home: &Arc<Home>, thread: &str) -> Vec<(String, String)> {
    let mut server = Server::start_in(Transport::Stdio, home);
    let mut client = server.client();
    let turns = client.read(thread)["turns"].take();
    client.close_input();
    server.ends_well_within(PATIENCE);
    let turns = turns.as_array().expect("turns").clone();
    turns.iter().map(|turn| (text(&turn["id"]), text(&turn["status"]))).collect()
}

#[test]
fn each_first_signal_waits_for_the_turn_and_delivers_all() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let Held { mock, mut server, mut client, thread, turn } = Held::start();
        assert_eq!(readyz(&server), "200");
        server.signal(signal);
        wait_for_drain(&mut client);
        assert_eq!(readyz(&server), "503", "{signal:?}");
        // Who comes now is served, but for new work.
        let mut late = server.client();
        late.ok("thread/list", json!({}));
        let refused = late.refused("turn/start", json!({ "threadId": thread, "input": said("more") }));
        assert_eq!(refused["message"], "Server is draining; retry after reconnecting");
        assert_eq!(refused["code"], -32600);
        mock.open_gate();
        assert_eq!(client.turn_end(&turn)["status"], "completed");
        for client in [&client, &late] {
            let ended = client.ended();
            assert!(ended.starts_with("closed: 1001 ") && ended.contains("shutting down"), "{ended}");
        }
        server.ends_well_within(PATIENCE);
    }
}

#[test]
fn hangups_never_force_the_end() {
    let Held { mock, mut server, mut client, turn, .. } = Held::start();
    server.signal(Signal::HUP);
    wait_for_drain(&mut client);
    for _ in 0..100 {
        server.signal(Signal::HUP);
        client.ok("account/read", json!({}));
    }
    mock.open_gate();
    assert_eq!(client.turn_end(&turn)["status"], "completed");
    server.ends_well_within(PATIENCE);
}

#[test]
fn a_second_signal_ends_it_within_a_second_with_commands_killed_and_the_turn_kept_as_interrupted() {
    for (first, second) in
        [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM), (Signal::HUP, Signal::INT)]
    {
        let home = Home::with_config("sandbox_mode = 'danger-full-access'\napproval_policy = 'never'");
        let mut server = Server::start_in(Transport::WebSocket, &home);
        let mut client = server.client();
        let thread = client.thread();
        // One that no polite signal ends, and its child.
        let stubborn = "$ trap '' TERM HUP INT; sleep 3600 & echo up; sleep 3600; true";
        let turn = client.start_turn(&thread, stubborn);
        client.next_notification("item/commandExecution/outputDelta");
        let mut onlooker = server.client();
        server.signal(first);
        wait_for_drain(&mut onlooker);
        server.signal(second);
        // Looks for processes that are left as well.
        server.ends_well_within(FORCED);
        assert_eq!(client.turn_end(&turn)["status"], "interrupted");
        assert!(client.ended().starts_with("closed: 1001 "));
        assert_eq!(turns_afterwards(&home, &thread), [(turn, "interrupted".to_owned())]);
    }
}

#[test]
fn a_turn_between_its_acceptance_and_its_start_is_waited_for() {
    let home = Home::new();
    let mut server = Server::start_in(Transport::WebSocket, &home);
    let mut client = server.client();
    let thread = client.thread();
    // Another process writes, so the turn's start has to wait.
    let database = rusqlite::Connection::open(home.database()).expect("the database");
    database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let id = client.send("turn/start", json!({ "threadId": thread, "input": said("hello") }));
    // Answered in the processor, so the request before it has been taken.
    client.ok("account/read", json!({}));
    server.signal(Signal::TERM);
    wait_for_unreadiness(&server);
    let mut other = server.client();
    assert!(other.ok("thread/loaded/list", json!({}))["data"].as_array().is_some_and(|ids| ids.len() == 1));
    database.execute_batch("COMMIT").expect("the lock is given back");
    let started = client.answer(&id).expect("it was accepted before the signal");
    assert_eq!(client.turn_end(&text(&started["turn"]["id"]))["status"], "completed");
    server.ends_well_within(PATIENCE);
}

#[test]
fn an_approval_holds_the_drain_only_while_somebody_can_give_it() {
    let mut server = Server::start(Transport::WebSocket);
    let (mut asked, mut onlooker) = (server.client(), server.client());
    let thread = asked.thread();
    asked.start_turn(&thread, "ask: Which one? | this | that");
    asked.next_fitting("the question", |message| message["method"] == "item/tool/requestUserInput");
    server.signal(Signal::TERM);
    wait_for_drain(&mut onlooker);
    onlooker.ok("thread/loaded/list", json!({}));
    // Now nobody is left who could answer.
    drop(asked);
    assert!(onlooker.ended().starts_with("closed: 1001 "), "the onlooker is no subscriber");
    server.ends_well_within(PATIENCE);
    assert_eq!(turns_afterwards(&server.home, &thread)[0].1, "completed");
}

#[test]
fn a_turn_that_nobody_watches_is_waited_for_too() {
    let Held { mock, mut server, client, thread, turn, .. } = Held::start();
    drop(client);
    server.says("the end of the connection", |line| line.contains("connection closed").then_some(()));
    server.signal(Signal::TERM);
    server.says("the drain", |line| {
        (line.contains("draining") && line.contains("connections=0") && line.contains("running_turns=1"))
            .then_some(())
    });
    assert_eq!(readyz(&server), "503");
    mock.open_gate();
    server.ends_well_within(PATIENCE);
    assert_eq!(turns_afterwards(&server.home, &thread), [(turn, "completed".to_owned())]);
}

#[test]
fn counts_are_logged_once_for_each_change() {
    let Held { mock, mut server, mut client, turn, .. } = Held::start();
    let second_thread = client.thread();
    let second = client.start_turn(&second_thread, "go");
    mock.wait_for_gates(/*count*/ 2);
    server.signal(Signal::TERM);
    wait_for_drain(&mut client);
    // Each request wakes the processor, which has nothing new to say.
    for _ in 0..20 {
        client.ok("account/read", json!({}));
    }
    mock.open_gate();
    mock.open_gate();
    for turn in [turn, second] {
        client.wait_until("the end of a turn", |heard| {
            let fits = |m: &&Value| m["method"] == "turn/completed" && m["params"]["turn"]["id"] == *turn;
            heard.received.iter().find(fits).map(|_| ())
        });
    }
    server.ends_well_within(PATIENCE);
    let log = server.stderr_at_end();
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines("draining, new turns are refused connections=1 running_turns=2"), 1, "{log}");
    assert!(lines("waiting for running turns running_turns=1") <= 1, "{log}");
    assert_eq!(lines("waiting for running turns running_turns=2"), 0, "said with the signal: {log}");
}

#[test]
fn everything_queued_is_delivered_before_the_close() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = server.client();
    let thread = client.thread();
    // More than a socket holds, so that the end comes while it is still queued.
    let words = "word ".repeat(60_000);
    let turn = client.start_turn(&thread, &words);
    server.signal(Signal::TERM);
    let ended = client.turn_end(&turn);
    assert!(text(&ended["items"][0]["text"]).ends_with(words.trim_end()));
    assert!(client.ended().starts_with("closed: 1001 "));
    server.ends_well_within(PATIENCE);
}

#[test]
fn the_drain_timeout_bounds_a_turn_whose_model_is_silent() {
    let Held { mock: _mock, mut server, mut client, turn, thread } =
        Held::start_with(["--drain-timeout", "0.2"]);
    server.signal(Signal::TERM);
    assert_eq!(client.turn_end(&turn)["status"], "interrupted");
    server.ends_well_within(PATIENCE);
    assert_eq!(turns_afterwards(&server.home, &thread), [(turn, "interrupted".to_owned())]);
}

#[test]
fn the_handlers_are_in_place_before_the_banner() {
    for _ in 0..20 {
        let mut server = Server::start(Transport::WebSocket);
        // The banner has been read just now.
        server.signal(Signal::TERM);
        server.ends_well_within(PATIENCE);
    }
}

#[test]
fn who_holds_up_a_forced_end_is_named_and_left() {
    for transport in [Transport::WebSocket, Transport::Stdio] {
        let home = Home::new();
        let mut server = Server::start_in(transport, &home);
        let mut client = server.client();
        let thread = client.thread();
        let turn = client.start_turn(&thread, "slow: 30s\nnever said");
        client.next_fitting("the model is asked", |message| message["method"] == "item/completed");
        // Another process holds the database: the turn cannot write its end.
        let database = rusqlite::Connection::open(home.database()).expect("the database");
        database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        server.signal(Signal::TERM);
        if transport == Transport::WebSocket {
            wait_for_unreadiness(&server);
            server.signal(Signal::TERM);
        }
        let status = server.exits_within(FORCED);
        let log = server.stderr_at_end();
        assert_eq!(status.code(), Some(1), "{log}");
        let line = log.lines().find(|line| line.contains("the end takes too long")).expect("last words");
        assert!(line.contains("late=\"proc\"") && line.contains("store"), "{line}");
        database.execute_batch("COMMIT").expect("the lock is given back");
        assert_eq!(turns_afterwards(&home, &thread), [(turn, "interrupted".to_owned())]);
    }
}
