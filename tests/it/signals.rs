//! Signals at random moments of a busy server: every client's transcript is whole or ends in a visible
//! interruption, the process is gone in time and leaves nothing behind, and what it told is in the store.

use std::collections::HashMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::kill::{Random, Told};
use crate::support::client::{Client, said, text};
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

/// Rounds in one run; `APP_SERVER_SIGNALS` may ask for more.
const ROUNDS: u64 = 12;
const CLIENTS: usize = 3;

/// What a forced end may take on a busy machine. The server holds itself to a second, by exit code 1.
const FORCED: Duration = Duration::from_secs(5);

/// What is sent, and whether it forces the end.
const WAYS: [(&[Signal], bool); 7] = [
    (&[Signal::TERM], false),
    (&[Signal::INT], false),
    (&[Signal::HUP], false),
    (&[Signal::HUP, Signal::HUP, Signal::HUP], false),
    (&[Signal::TERM, Signal::INT], true),
    (&[Signal::INT, Signal::HUP, Signal::INT], true),
    (&[Signal::HUP, Signal::TERM], true),
];

#[test]
fn a_signal_at_any_moment_leaves_whole_transcripts() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("APP_SERVER_IT_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = Random(seed);
    let home = Home::with_config("sandbox_mode = 'danger-full-access'\napproval_policy = 'never'");
    let mut told = Told::default();
    let mut ends: HashMap<&str, usize> = HashMap::new();
    let rounds = number("APP_SERVER_SIGNALS").unwrap_or(ROUNDS);
    for round in 0..rounds {
        let when = format!("APP_SERVER_IT_SEED={seed}, round {round}");
        let transport = if random.below(/*end*/ 4) == 0 { Transport::Stdio } else { Transport::WebSocket };
        let mut server = Server::start_in(transport, &home);
        let count = if transport == Transport::Stdio { 1 } else { CLIENTS };
        let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
        // Now and then, so that not every thread is read in each round.
        if round % 20 == 19 {
            told.assert_kept(&mut clients[0], &when);
            told = Told::default();
        }
        let (signals, is_forced) = WAYS[random.below(WAYS.len())];
        let is_forced = is_forced || transport == Transport::Stdio;
        for client in &mut clients {
            make_busy(client, &mut random, is_forced);
        }
        for signal in signals {
            await_moment(&clients[0], random.below(/*end*/ 120));
            server.signal(*signal);
        }
        server.ends_well_within(if is_forced { FORCED } else { 2 * PATIENCE });
        for client in &clients {
            let ended = client.ended();
            let says_so = match transport {
                Transport::Stdio => ended == "the output has ended",
                Transport::WebSocket => ended.starts_with("closed: 1001 "),
            };
            assert!(says_so, "{when}: {ended}");
            for status in check_transcript(&client.received(), &when) {
                assert!(status == "completed" || (is_forced && status == "interrupted"), "{when}: {status}");
                *ends.entry(if status == "completed" { "completed" } else { "interrupted" }).or_default() +=
                    1;
            }
            told.hear(&client.received());
        }
    }
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    told.assert_kept(&mut client, &format!("APP_SERVER_IT_SEED={seed}, at the end"));
    client.close_input();
    server.ends_well_within(PATIENCE);
    // In a few rounds every turn may have been quick enough.
    assert!(rounds < 10 * ROUNDS || ends.len() == 2, "both kinds of ends were met: {ends:?}");
    let database = rusqlite::Connection::open(home.database()).expect("the database opens");
    let sound: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it is checked");
    assert_eq!(sound, "ok");
}

/// Turns that talk, run a command, ask; a command of the client's own; requests that wait for the store.
fn make_busy(client: &mut Client, random: &mut Random, may_ask: bool) {
    let pace = random.below(/*end*/ 5);
    let prompts = [
        format!("slow: {pace}ms\n{}", "word ".repeat(60)),
        format!("$ echo begun; sleep 0.0{pace}; echo done\nslow: {pace}ms\nand said"),
        "$ trap '' TERM; sleep 0.2; echo stubborn".to_owned(),
        // Holds a drain for as long as its client stays.
        "ask: Which one? | this | that".to_owned(),
    ];
    for _ in 0..2 {
        let thread = client.thread();
        let prompt = &prompts[random.below(prompts.len() - usize::from(!may_ask))];
        client.send("turn/start", json!({ "threadId": thread, "input": said(prompt) }));
        client.send("thread/name/set", json!({ "threadId": thread, "name": "a name" }));
        client.send("turn/start", json!({ "threadId": thread, "input": said("more") }));
    }
    let command = json!(["sh", "-c", "while echo x; do sleep 0.01; done"]);
    client.send(
        "command/exec",
        json!({ "command": command, "processId": "p", "streamStdoutStderr": true, "disableTimeout": true,
            "sandboxPolicy": { "type": "dangerFullAccess" } }),
    );
    client.send("thread/list", json!({}));
}

/// Until so many messages have come, or the connection is at its end.
fn await_moment(client: &Client, messages: usize) {
    client.wait_until("enough messages", |heard| {
        (heard.received.len() >= messages || heard.ended.is_some()).then_some(())
    });
}

/// Every turn that was begun has ended, visibly and once; gives how they ended.
fn check_transcript(messages: &[Value], when: &str) -> Vec<String> {
    let mut begun: Vec<String> = Vec::new();
    let mut ended: HashMap<String, String> = HashMap::new();
    for message in messages {
        let turn = &message["params"]["turn"];
        match message["method"].as_str() {
            Some("turn/started") => begun.push(text(&turn["id"])),
            Some("turn/completed") => {
                let before = ended.insert(text(&turn["id"]), text(&turn["status"]));
                assert_eq!(before, None, "{when}: a turn ended twice");
            }
            _ => {}
        }
    }
    for turn in &begun {
        assert!(ended.contains_key(turn), "{when}: the end of {turn} was not told");
    }
    ended.into_values().collect()
}
