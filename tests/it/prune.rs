//! `app-server prune`: what goes, what stays, and what it says.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::client::{Client, column};
use crate::support::home::Home;
use crate::support::process::{Launch, Output};
use crate::support::server::Server;

fn prune(home: &Arc<Home>, args: &[&str]) -> Output {
    Launch::new(home).args(["prune"]).args(args.iter().copied()).run(b"")
}

fn ids(client: &mut Client) -> Vec<String> {
    let mut ids = column(&client.ok("thread/list", json!({}))["data"], "id");
    ids.sort();
    ids
}

/// Makes a thread look as if nothing had happened in it for some days.
fn age(home: &Home, thread: &str, days: i64) {
    let database = rusqlite::Connection::open(home.database()).expect("the database opens");
    let changed = database
        .execute(
            "UPDATE threads SET updated_at_ms = updated_at_ms - ?2 WHERE id = ?1",
            (thread, days * 24 * 3600 * 1000),
        )
        .expect("it is written");
    assert_eq!(changed, 1);
}

#[test]
fn old_threads_go_and_what_a_server_has_open_stays() {
    let home = Home::new();
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let threads: Vec<String> = (0..4)
        .map(|number| {
            let thread = client.thread();
            client.turn(&thread, &format!("prompt {number}"));
            thread
        })
        .collect();
    client.ok("thread/name/set", json!({ "threadId": threads[1], "name": "a\u{1b}[31m name" }));
    drop(client);
    server.stop();
    // A second server has one of the old ones open.
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    client.ok("thread/resume", json!({ "threadId": threads[0] }));
    for thread in &threads[..3] {
        age(&home, thread, /*days*/ 100);
    }
    let dry = prune(&home, &["--older-than", "90d", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{}", dry.stderr);
    assert!(dry.stdout.contains(&format!("would remove {}  100 days old", threads[1])), "{}", dry.stdout);
    assert!(
        dry.stdout.contains("would remove 2 threads") && !dry.stdout.contains('\u{1b}'),
        "{}",
        dry.stdout
    );
    assert_eq!(ids(&mut client).len(), 4, "a dry run changes nothing");

    let done = prune(&home, &["--older-than", "90d"]);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    for (thread, words) in
        [(&threads[0], "left, open in process"), (&threads[1], "removed"), (&threads[2], "removed")]
    {
        let line = done.stdout.lines().find(|line| line.contains(thread.as_str())).expect("it is named");
        assert!(line.starts_with(words), "{line}");
    }
    assert!(!done.stdout.contains(&threads[3]), "it is new");
    assert!(done.stdout.contains("left 1 threads that running servers have open"), "{}", done.stdout);
    let mut kept = [threads[0].clone(), threads[3].clone()];
    kept.sort();
    assert_eq!(ids(&mut client), kept);
    assert_eq!(client.ok("thread/search", json!({ "searchTerm": "prompt 2" }))["data"], json!([]));
    client.turn(&threads[0], "it goes on");
    server.stop();
}

#[test]
fn a_quota_removes_the_oldest_first_and_gives_room_back() {
    let home = Home::new();
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let threads: Vec<String> = (0..5)
        .map(|_| {
            let thread = client.thread();
            client.turn(&thread, &"many words ".repeat(30_000));
            thread
        })
        .collect();
    drop(client);
    server.stop();
    for (at, thread) in threads.iter().enumerate() {
        age(&home, thread, /*days*/ 10 - i64::try_from(at).expect("small"));
    }
    let size = || std::fs::metadata(home.database()).expect("a database").len();
    let before = size();
    let done = prune(&home, &["--max-bytes", "2MiB"]);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert!(size() <= 2 * 1024 * 1024 && before > 3 * 1024 * 1024, "{before} to {}: {}", size(), done.stdout);
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let left = column(&client.ok("thread/list", json!({ "sortDirection": "asc" }))["data"], "id");
    assert!(!left.is_empty() && threads.ends_with(&left), "the newest stay: {left:?} of {threads:?}");
    let read: Value = client.read(&left[0]);
    assert_eq!(read["turns"].as_array().map(Vec::len), Some(1));
    server.stop();
    let again = prune(&home, &["--max-bytes", "2MiB"]);
    assert!(again.stdout.contains("removed 0 threads"), "{}", again.stdout);
}

#[test]
fn without_a_measure_or_a_store_nothing_is_done() {
    let home = Home::new();
    let output = prune(&home, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.contains("--older-than AGE, --max-bytes SIZE"), "{}", output.stderr);
    let output = prune(&home, &["--older-than", "soon"]);
    assert!(output.stderr.contains("--older-than: found `soon`"), "{}", output.stderr);
    let output = prune(&home, &["--older-than", "90d"]);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("nothing to prune") && !home.database().exists(), "{}", output.stdout);
}
