//! `kill -9` in the middle of everything: what a client was told is there afterwards.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::client::{Client, column, said, text};
use crate::support::home::Home;
use crate::support::server::Server;

/// Kills in one run; `APP_SERVER_KILLS` may ask for more.
const ROUNDS: u64 = 30;
const THREADS: usize = 4;

#[test]
fn what_was_told_as_completed_survives_kill_9() {
    let seed = std::env::var("APP_SERVER_IT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let rounds = std::env::var("APP_SERVER_KILLS").ok().and_then(|count| count.parse().ok());
    let mut random = Random(seed);
    // One home for all rounds: each server finds what the one before left.
    let home = Home::new();
    let mut told = Told::default();
    for round in 0..rounds.unwrap_or(ROUNDS) {
        let transport = [Transport::Stdio, Transport::WebSocket][usize::from(round % 2 == 1)];
        let mut server = Server::start_in(transport, &home);
        let mut client = server.client();
        told.assert_kept(&mut client, &format!("APP_SERVER_IT_SEED={seed}, before round {round}"));
        let threads: Vec<String> = (0..THREADS).map(|_| client.thread()).collect();
        let moment = random.next() % 300;
        for thread in &threads {
            // Some are fast and some are slow, so that the kill meets every kind of moment.
            let pace = random.next() % 4;
            let params =
                json!({ "threadId": thread, "input": said(&format!("slow: {pace}ms\nround {round}")) });
            client.send("turn/start", params.clone());
            client.send("turn/start", params);
            client.send("thread/name/set", json!({ "threadId": thread, "name": format!("name {round}") }));
        }
        let moment = usize::try_from(moment).expect("a small number");
        client.wait_until("enough messages", |heard| {
            let is_over =
                heard.received.iter().filter(|m| m["method"] == "turn/completed").count() >= THREADS;
            (heard.received.len() >= moment || is_over).then_some(())
        });
        server.kill();
        client.ended();
        told.hear(&client.received());
    }
    let mut server = Server::start_in(Transport::Stdio, &home);
    told.assert_kept(&mut server.client(), &format!("APP_SERVER_IT_SEED={seed}, at the end"));
    assert!(
        told.items.len() > 50 && !told.turns.is_empty(),
        "hardly anything was told: {}",
        told.items.len()
    );
    let database = rusqlite::Connection::open(home.database()).expect("the database opens");
    let sound: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it is checked");
    assert_eq!(sound, "ok");
}

/// What clients were told is done.
#[derive(Default)]
pub(crate) struct Told {
    /// Items with their thread, as they were told.
    pub(crate) items: Vec<(String, Value)>,
    /// Status and thread of ended turns, by id.
    pub(crate) turns: HashMap<String, (String, Value)>,
}

impl Told {
    pub(crate) fn hear(&mut self, messages: &[Value]) {
        for message in messages {
            let params = &message["params"];
            match message["method"].as_str() {
                Some("item/completed") => {
                    self.items.push((text(&params["threadId"]), params["item"].clone()));
                }
                Some("turn/completed") => {
                    let ended = (text(&params["threadId"]), params["turn"]["status"].clone());
                    self.turns.insert(text(&params["turn"]["id"]), ended);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn assert_kept(&self, client: &mut Client, when: &str) {
        let mut threads: HashMap<&str, Value> = HashMap::new();
        let owners = self.items.iter().map(|(thread, _)| thread);
        for thread in owners.chain(self.turns.values().map(|(thread, _)| thread)) {
            threads.entry(thread).or_insert_with(|| client.read(thread));
        }
        for (thread, shown) in &threads {
            let states = column(&shown["turns"], "status");
            assert!(!states.contains(&"inProgress".to_owned()), "{when}: {thread} {states:?}");
        }
        let turns_of = |thread: &str| threads[thread]["turns"].as_array().expect("turns").iter();
        for (thread, item) in &self.items {
            let kept = turns_of(thread)
                .flat_map(|turn| turn["items"].as_array().expect("items"))
                .any(|kept| kept == item);
            assert!(kept, "{when}: lost from {thread}: {item}");
        }
        for (id, (thread, status)) in &self.turns {
            let kept = turns_of(thread).find(|turn| turn["id"] == id.as_str());
            assert_eq!(kept.map(|turn| &turn["status"]), Some(status), "{when}: turn {id}");
        }
    }
}

/// A small generator of numbers (xorshift), because which ones does not matter, only that they can be had
/// again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("a small number")
    }

    pub(crate) fn next(&mut self) -> u64 {
        // A seed of zero would stay zero.
        self.0 = self.0.max(1);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
