//! `app-server status`: the numbers of a running server as a table, once or again and again.

use std::io::{BufRead, BufReader};

use rustix::process::Signal;
use serde_json::json;

use crate::support::home::Home;
use crate::support::process::{Launch, Output};
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

fn status(args: &[&str]) -> Output {
    Launch::new(&Home::new())
        .env("TOKEN", "a token of some length")
        .args(["status"])
        .args(args.to_vec())
        .run(b"")
}

fn url(server: &Server) -> String {
    format!("ws://{}", server.address().expect("it listens"))
}

#[test]
fn the_table_shows_what_runs() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = server.client();
    let thread = client.thread();
    client.turn(&thread, "hello");
    let running = client.start_turn(&thread, "slow: 30s\nnever said");
    let said = status(&[&url(&server)]);
    assert_eq!(said.status.code(), Some(0), "{}", said.stderr);
    assert!(said.stdout.starts_with("app-server "), "{}", said.stdout);
    let line = |name: &str| {
        let found = said.stdout.lines().find_map(|line| line.trim().strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name} in {}", said.stdout)).trim().to_owned()
    };
    // It counts itself.
    assert_eq!(line("connections"), "2 open, 0 refused, 0 cut off");
    assert_eq!(line("threads"), "1 loaded, 0 unloaded");
    assert_eq!(line("turns"), "1 running, 2 started, 0 failed");
    assert_eq!(line("commands"), "0 running, 0 started");
    assert!(line("queues").contains(" to clients") && line("process").contains(" MiB resident"));
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": running }));
    client.turn_end(&running);
    drop(client);
    server.stop();
}

#[test]
fn a_token_is_sent_and_a_refusal_told() {
    let home = Home::new();
    let token = home.path().join("token");
    std::fs::write(&token, "a token of some length").expect("a file");
    let args = ["--ws-auth", "capability-token", "--ws-token-file", &token.display().to_string()];
    let server = Server::start_with(Transport::WebSocket, &home, args);
    let refused = status(&[&url(&server)]);
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("401"), "{}", refused.stderr);
    let granted = status(&[&url(&server), "--token-env", "TOKEN"]);
    assert_eq!(granted.status.code(), Some(0), "{}", granted.stderr);
    server.stop();
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let said = status(&["ws://127.0.0.1:1"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stderr.contains("cannot connect to ws://127.0.0.1:1"), "{}", said.stderr);
}

#[test]
fn it_is_watched_over_a_unix_socket_until_it_ends_or_one_has_enough() {
    let home = Home::new();
    let socket = home.path().join("s.sock");
    let address = format!("unix://{}", socket.display());
    let watch = || {
        let mut process = Launch::new(&Home::new()).args(["status", &address, "--watch"]).start();
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut tables = stdout.lines().map_while(Result::ok).filter(|line| line.starts_with("app-server "));
        assert!(tables.next().is_some() && tables.next().is_some(), "it is told again");
        process
    };
    let mut server = Launch::new(&home).args(["--listen", &address]).start();
    server.says("the banner", |line| line.contains("listening on").then_some(()));
    let mut enough = watch();
    // As by Ctrl-C; but whoever runs the tests in the background may have SIGINT ignored in all of them.
    enough.signal(Signal::TERM);
    enough.exits_within(PATIENCE);
    let mut watching = watch();
    server.signal(Signal::TERM);
    assert_eq!(server.exits_within(PATIENCE).code(), Some(0));
    assert_eq!(watching.exits_within(PATIENCE).code(), Some(1));
    assert!(watching.stderr_at_end().contains("the server has ended"), "{}", watching.said());
}

#[test]
fn who_watches_ends_with_the_reader_of_its_output() {
    let server = Server::start(Transport::WebSocket);
    let mut process = Launch::new(&Home::new()).args(["status", &url(&server), "--watch"]).start();
    let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a table");
    assert!(line.starts_with("app-server "), "{line}");
    // As `head` does when it has its lines.
    drop(stdout);
    assert_eq!(process.exits_within(PATIENCE).code(), Some(0), "it is no failure");
    server.stop();
}
