//! Replay after a lost connection: who comes back gets what was missed, in order, once, as it was said.

use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::client::{Client, said, text};
use crate::support::home::Home;
use crate::support::server::Server;

/// Cuts in one run; `APP_SERVER_CUTS` may ask for another number.
const CUTS: usize = 200;

fn connect(server: &mut Server) -> Client {
    let mut client = server.connect();
    client.initialize_with(json!({ "experimentalApi": true, "eventReplay": true }));
    client
}

/// Numbered notifications among what a client heard, as number and text.
fn numbered(texts: &[String]) -> Vec<(u64, String)> {
    let number = |text: &String| {
        let message: Value = serde_json::from_str(text).expect("JSON");
        message.get("method")?;
        Some((message["seq"].as_u64()?, text.clone()))
    };
    texts.iter().filter_map(number).collect()
}

#[test]
fn without_the_capability_nothing_is_numbered() {
    let mut server = Server::start(Transport::WebSocket);
    let mut plain = server.client();
    let thread = plain.thread();
    plain.turn(&thread, "hello");
    let resumed = plain.ok("thread/resume", json!({ "threadId": thread, "afterSeq": 0 }));
    assert!(resumed.get("seq").is_none() && resumed.get("replay").is_none());
    assert!(!resumed["thread"]["turns"].as_array().expect("turns").is_empty());

    // The one who wants numbers gets the very same messages with one field more, and only of its threads.
    let mut wants = connect(&mut server);
    let resumed = wants.ok("thread/resume", json!({ "threadId": thread }));
    assert_eq!(resumed["replay"], "snapshot");
    let base = resumed["seq"].as_u64().expect("a number");
    let other = plain.thread();
    plain.turn(&thread, "again");
    plain.turn(&other, "elsewhere");
    plain.settle();
    wants.settle();
    let heard = numbered(&wants.heard_texts());
    assert!(heard.len() > 10 && heard.iter().map(|(seq, _)| *seq).eq(base + 1..=base + heard.len() as u64));
    let plain_texts = plain.heard_texts();
    assert!(numbered(&plain_texts).is_empty());
    for (seq, text) in &heard {
        let without = text.replace(&format!(",\"seq\":{seq}}}"), "}");
        assert!(plain_texts.contains(&without), "{text}");
    }
    server.stop();
}

#[test]
fn who_missed_too_much_gets_a_snapshot() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = connect(&mut server);
    let started = client.ok("thread/start", json!({}));
    let (thread, base) = (text(&started["thread"]["id"]), started["seq"].as_u64().expect("a number"));
    client.turn(&thread, "hello");
    let resume = |client: &mut Client, seq: u64| {
        client.ok("thread/resume", json!({ "threadId": thread, "afterSeq": seq }))
    };
    let all = resume(&mut client, base);
    assert_eq!((&all["replay"], &all["thread"]["turns"]), (&json!("events"), &json!([])));
    let last = all["seq"].as_u64().expect("a number");
    assert!(last > base + 10);
    // Twice, each in order, and nothing else.
    client.settle();
    let numbers: Vec<u64> = numbered(&client.heard_texts()).into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(numbers, (base + 1..=last).chain(base + 1..=last).collect::<Vec<_>>());

    let mut driver = server.client();
    // Each message is told several times: more than is kept.
    driver.ok("thread/resume", json!({ "threadId": thread, "excludeTurns": true }));
    driver.turn(&thread, &"x".repeat(900_000));
    let mut back = connect(&mut server);
    let snapshot = resume(&mut back, last);
    assert_eq!(snapshot["replay"], "snapshot");
    assert_eq!(snapshot["thread"]["turns"].as_array().expect("turns").len(), 2);
    let last = snapshot["seq"].as_u64().expect("a number");
    for never in [last + 1, u64::MAX] {
        assert_eq!(resume(&mut back, never)["replay"], "snapshot", "it was never said");
    }
    assert_eq!(resume(&mut back, last)["replay"], "events", "nothing was missed");
    server.stop();
}

#[test]
fn numbers_are_never_given_twice() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = connect(&mut server);
    let delay = json!({ "config": { "thread_unload_delay_secs": 0 } });
    let started = client.ok("thread/start", delay);
    let thread = text(&started["thread"]["id"]);
    client.turn(&thread, "hello");
    client.settle();
    let last = numbered(&client.heard_texts()).last().expect("numbers").0;
    client.ok("thread/unsubscribe", json!({ "threadId": thread }));
    client.next_notification("thread/closed");
    let resumed = client.ok("thread/resume", json!({ "threadId": thread, "afterSeq": last }));
    assert_eq!(resumed["replay"], "snapshot", "it was not loaded all the time");
    assert!(resumed["seq"].as_u64() > Some(last));
    server.stop();
}

#[test]
fn what_was_said_before_an_unload_is_not_taken_for_what_was_said_after_it() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = connect(&mut server);
    let started = client.ok("thread/start", json!({ "config": { "thread_unload_delay_secs": 0 } }));
    let thread = text(&started["thread"]["id"]);
    client.turn(&thread, "hello");
    client.settle();
    let last = numbered(&client.heard_texts()).last().expect("numbers").0;
    let mut other = connect(&mut server);
    client.ok("thread/unsubscribe", json!({ "threadId": thread }));
    client.next_notification("thread/closed");
    // Somebody else has loaded it since, and things were said: more of them than before, so that the numbers
    // would overlap if they began anew.
    other.ok("thread/resume", json!({ "threadId": thread }));
    for _ in 0..3 {
        other.turn(&thread, "more");
    }
    for known in [0, last - 1, last, last + 1] {
        let resumed = client.ok("thread/resume", json!({ "threadId": thread, "afterSeq": known }));
        assert_eq!(resumed["replay"], "snapshot", "{known}");
        assert_eq!(resumed["thread"]["turns"].as_array().map(Vec::len), Some(4));
        assert!(resumed["seq"].as_u64() > Some(last));
    }
    server.stop();
}

#[test]
fn numbers_grow_over_restarts_and_kills_and_nobody_is_told_wrongly_that_nothing_was_missed() {
    let home = Home::new();
    let mut known: Option<(String, u64)> = None;
    for (round, killed) in [false, true, true, false].into_iter().enumerate() {
        let mut server = Server::start_in(Transport::WebSocket, &home);
        let mut client = connect(&mut server);
        let (thread, base) = match &known {
            None => {
                let started = client.ok("thread/start", json!({}));
                (text(&started["thread"]["id"]), started["seq"].as_u64().expect("a number"))
            }
            Some((thread, last)) => {
                let resumed = client.ok("thread/resume", json!({ "threadId": thread, "afterSeq": last }));
                assert_eq!(resumed["replay"], "snapshot", "round {round}: it was said by another process");
                assert_eq!(resumed["thread"]["turns"].as_array().map(Vec::len), Some(round));
                (thread.clone(), resumed["seq"].as_u64().expect("a number"))
            }
        };
        assert!(known.is_none_or(|(_, last)| base > last), "round {round}");
        client.turn(&thread, "hello");
        client.settle();
        let last = numbered(&client.heard_texts()).last().expect("numbers").0;
        assert!(last > base + 10);
        // Within the life of one process nothing is missing.
        let again = client.ok("thread/resume", json!({ "threadId": thread, "afterSeq": last }));
        assert_eq!((&again["replay"], &again["seq"]), (&json!("events"), &json!(last)), "round {round}");
        known = Some((thread, last));
        if killed {
            server.kill();
            client.ended();
        } else {
            drop(client);
            server.stop();
        }
    }
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.max(1);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("small")
    }
}

#[test]
fn a_client_that_is_cut_off_again_and_again_hears_what_an_uncut_one_hears() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("APP_SERVER_IT_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let cuts = number("APP_SERVER_CUTS").map_or(CUTS, |cuts| usize::try_from(cuts).expect("small"));
    let mut random = Random(seed);
    let mut server = Server::start(Transport::WebSocket);
    let mut observer = connect(&mut server);
    let started = observer.ok("thread/start", json!({}));
    let (thread, mut known) = (text(&started["thread"]["id"]), started["seq"].as_u64().expect("a number"));
    let mut driver = server.client();
    let mut transcript: Vec<(u64, String)> = Vec::new();
    for cut in 0..cuts {
        let when = format!("APP_SERVER_IT_SEED={seed}, cut {cut}");
        let mut client = connect(&mut server);
        let resumed = client.ok("thread/resume", json!({ "threadId": thread, "afterSeq": known }));
        assert_eq!(resumed["replay"], "events", "{when}");
        // Something to miss: a turn of some words, some of them slow.
        let pace = random.below(/*end*/ 3);
        let words = "word ".repeat(1 + random.below(/*end*/ 12));
        driver.ok(
            "turn/start",
            json!({ "threadId": thread, "input": said(&format!("slow: {pace}ms\n{words}")) }),
        );
        let enough = random.below(/*end*/ 40);
        let heard = client.wait_until("some events or an end", |conversation| {
            let is_over = conversation.received.last().is_some_and(|last| last["method"] == "turn/completed");
            let count = conversation.received.iter().filter(|message| message["seq"].is_u64()).count();
            (count >= enough || is_over).then(|| numbered(&conversation.heard_texts()))
        });
        // The connection breaks somewhere in what is on its way.
        let arrived = random.below(heard.len() + 1);
        drop(client);
        transcript.extend(heard.into_iter().take(arrived));
        if let Some((seq, _)) = transcript.last() {
            known = *seq;
        }
    }
    // The last turn's end.
    let mut client = connect(&mut server);
    let resumed = client.ok("thread/resume", json!({ "threadId": thread, "afterSeq": known }));
    assert_eq!(resumed["replay"], "events");
    let is_idle = |client: &mut Client| client.read(&thread)["status"]["type"] == "idle";
    while !is_idle(&mut driver) {}
    client.settle();
    observer.settle();
    transcript.extend(numbered(&client.heard_texts()));
    let expected = numbered(&observer.heard_texts());
    assert!(expected.len() > cuts, "hardly anything was said: {}", expected.len());
    for (at, (heard, said)) in transcript.iter().zip(&expected).enumerate() {
        assert_eq!(heard, said, "APP_SERVER_IT_SEED={seed}, event {at}");
    }
    assert_eq!(transcript.len(), expected.len(), "APP_SERVER_IT_SEED={seed}");
    server.stop();
}
