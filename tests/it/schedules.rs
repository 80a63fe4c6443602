//! Random schedules of what clients do to one thread, against a model that knows only the rules: who is
//! subscribed, whether a turn runs, since when nobody needs the thread.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::inside::{Inside, Peer};

/// Schedules in one run; `APP_SERVER_SCHEDULES` may ask for more.
const SCHEDULES: u64 = 200;
const STEPS: usize = 25;
const CLIENTS_MAX: usize = 3;
const UNLOAD_AFTER_S: u64 = 30 * 60;

/// Xorshift; the seed is in the message of a failure.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("small")
    }
}

/// What the rules say of the thread.
#[derive(Debug, Default)]
struct Model {
    now_s: u64,
    loaded: bool,
    turn: Option<String>,
    turns_begun: usize,
    unsubscribed_since_s: Option<u64>,
    idle_since_s: Option<u64>,
}

impl Model {
    /// Notes what holds now; the clocks start when their condition begins.
    fn settle(&mut self, subscribed: bool) {
        let now = self.now_s;
        let since = |since: Option<u64>, holds: bool| if holds { since.or(Some(now)) } else { None };
        self.unsubscribed_since_s = since(self.unsubscribed_since_s, self.loaded && !subscribed);
        self.idle_since_s = since(self.idle_since_s, self.loaded && self.turn.is_none());
    }

    fn is_due(&self) -> bool {
        let both = self.unsubscribed_since_s.zip(self.idle_since_s);
        both.is_some_and(|(left, idle)| self.now_s >= left.max(idle) + UNLOAD_AFTER_S)
    }
}

struct Client {
    peer: Peer,
    subscribed: bool,
}

struct Schedule<'a> {
    inside: &'a Inside,
    witness: &'a mut Peer,
    thread: String,
    clients: Vec<Client>,
    model: Model,
    random: Random,
}

#[test]
fn random_schedules_follow_the_rules() {
    let schedules = std::env::var("APP_SERVER_SCHEDULES").ok().and_then(|count| count.parse().ok());
    let inside = Inside::start(&[]);
    let mut witness = inside.connect();
    for seed in 1..=schedules.unwrap_or(SCHEDULES) {
        let thread = witness.start_thread(json!({}));
        witness.run_turn(&thread, "so that it can be resumed");
        let mut schedule = Schedule {
            inside: &inside,
            witness: &mut witness,
            thread,
            clients: Vec::new(),
            model: Model { loaded: true, ..Model::default() },
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        };
        let unsubscribe = json!({ "threadId": schedule.thread });
        schedule.witness.ask("thread/unsubscribe", unsubscribe).expect("it was subscribed");
        schedule.witness.heard_so_far();
        schedule.model.settle(/*subscribed*/ false);
        let mut history = Vec::new();
        for _ in 0..STEPS {
            let step = schedule.step();
            history.push(step);
            schedule.check(seed, &history);
        }
        schedule.finish();
    }
}

impl Schedule<'_> {
    fn step(&mut self) -> String {
        let choice = self.random.below(/*end*/ 12);
        if choice == 0 && self.clients.len() < CLIENTS_MAX {
            self.clients.push(Client { peer: self.inside.connect(), subscribed: false });
            return "connect".to_owned();
        }
        if choice <= 3 {
            return self.pass_time();
        }
        if self.clients.is_empty() {
            return "nobody is there".to_owned();
        }
        let at = self.random.below(self.clients.len());
        let done = match choice {
            4 => {
                self.clients.swap_remove(at).peer.vanish();
                "vanish"
            }
            5 | 6 => self.resume(at),
            7 | 8 => self.unsubscribe(at),
            9 | 10 => self.start(at),
            _ => self.interrupt(at),
        };
        // One inbox: what a client said or did before has been dealt with when this is answered.
        self.witness.heard_so_far();
        let subscribed = self.clients.iter().any(|client| client.subscribed);
        self.model.settle(subscribed);
        format!("client {at}: {done}")
    }

    fn pass_time(&mut self) -> String {
        let seconds = [60, 10 * 60, 29 * 60, 31 * 60][self.random.below(/*end*/ 4)];
        self.model.now_s += seconds;
        self.inside.advance(Duration::from_secs(seconds));
        if self.model.is_due() {
            let status = self.witness.hear("thread/status/changed", &self.thread);
            assert_eq!(status["params"]["status"]["type"], "notLoaded", "the status comes first");
            self.witness.hear("thread/closed", &self.thread);
            self.model.loaded = false;
            self.model.settle(/*subscribed*/ false);
        }
        format!("{seconds} s pass")
    }

    fn params(&self) -> Value {
        json!({ "threadId": self.thread })
    }

    fn resume(&mut self, at: usize) -> &'static str {
        let params = self.params();
        let client = &mut self.clients[at];
        let resumed = client.peer.ask("thread/resume", params).expect("it is stored");
        client.subscribed = true;
        self.model.loaded = true;
        let running = self.model.turn.as_deref();
        let last = resumed["thread"]["turns"].as_array().and_then(|turns| turns.last()).expect("a turn");
        match running {
            Some(turn) => assert_eq!((&last["id"], &last["status"]), (&json!(turn), &json!("inProgress"))),
            None => assert_ne!(last["status"], "inProgress"),
        }
        "resume"
    }

    fn unsubscribe(&mut self, at: usize) -> &'static str {
        let params = self.params();
        let client = &mut self.clients[at];
        let status = client.peer.ask("thread/unsubscribe", params).expect("it answers")["status"].take();
        let expected = match (self.model.loaded, client.subscribed) {
            (false, _) => "notLoaded",
            (true, true) => "unsubscribed",
            (true, false) => "notSubscribed",
        };
        assert_eq!(status, expected);
        client.subscribed = false;
        "unsubscribe"
    }

    fn start(&mut self, at: usize) -> &'static str {
        let input = json!([{ "type": "text", "text": format!("slow: 60s\n{}", "word ".repeat(400)) }]);
        let params = json!({ "threadId": self.thread, "input": input });
        let answer = self.clients[at].peer.ask("turn/start", params);
        if !self.model.loaded {
            answer.expect_err("it is not loaded");
            return "start, refused";
        }
        let id = answer.expect("it is loaded")["turn"]["id"].as_str().expect("an id").to_owned();
        if let Some(running) = &self.model.turn {
            assert_eq!(&id, running, "it joins the running turn");
            return "start, joined";
        }
        self.model.turn = Some(id);
        self.model.turns_begun += 1;
        "start"
    }

    fn interrupt(&mut self, at: usize) -> &'static str {
        let params = json!({ "threadId": self.thread, "turnId": "" });
        let answer = self.clients[at].peer.ask("turn/interrupt", params);
        if self.model.turn.take().is_none() {
            answer.expect_err("nothing runs");
            return "interrupt, refused";
        }
        answer.expect("a turn runs");
        loop {
            let status = self.witness.hear("thread/status/changed", &self.thread);
            if status["params"]["status"]["type"] == "idle" {
                return "interrupt";
            }
        }
    }

    /// Compares with the server.
    fn check(&mut self, seed: u64, history: &[String]) {
        let read = self.witness.ask("thread/read", json!({ "threadId": self.thread, "includeTurns": true }));
        let thread = read.expect("it is stored")["thread"].take();
        let expected = match (self.model.loaded, &self.model.turn) {
            (false, _) => "notLoaded",
            (true, Some(_)) => "active",
            (true, None) => "idle",
        };
        let turns = thread["turns"].as_array().expect("turns").len();
        let found = (thread["status"]["type"].as_str().unwrap_or_default(), turns);
        assert_eq!(
            found,
            (expected, 1 + self.model.turns_begun),
            "seed {seed} after {history:#?}; the model: {:?}",
            self.model
        );
    }

    /// Leaves nothing running for the next schedule.
    fn finish(mut self) {
        if self.model.turn.is_some() {
            if self.clients.is_empty() {
                self.clients.push(Client { peer: self.inside.connect(), subscribed: false });
            }
            self.interrupt(/*at*/ 0);
        }
        for client in self.clients.drain(..) {
            client.peer.vanish();
        }
        self.witness.heard_so_far();
    }
}
