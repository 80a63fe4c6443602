//! Random schedules of what clients do to one thread, against a model that knows only the rules: who is
//! subscribed, whether a turn runs and what it asks, since when nobody needs the thread or could decide.

use std::time::Duration;

use serde_json::{Value, json};

use crate::schedule_model::{ClientModel, Model, Told};
use crate::support::inside::{Inside, Peer};

/// Schedules in one run; `APP_SERVER_SCHEDULES` may ask for more.
const SCHEDULES: u64 = 200;
const STEPS: usize = 30;
const CLIENTS_MAX: usize = 3;
const APPROVAL: &str = "item/commandExecution/requestApproval";

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

/// A client with the last request that it got.
struct Client {
    peer: Peer,
    request: Option<Value>,
}

struct Schedule<'a> {
    inside: &'a Inside,
    witness: &'a mut Peer,
    thread: String,
    /// Those of the model, in the same order.
    clients: Vec<Client>,
    model: Model,
    /// The server numbers its requests from 0.
    next_request: &'a mut i64,
    random: Random,
}

#[test]
fn random_schedules_follow_the_rules() {
    let schedules = std::env::var("APP_SERVER_SCHEDULES").ok().and_then(|count| count.parse().ok());
    let inside = Inside::start(&[]);
    let mut witness = inside.connect();
    // How often what the rules are about has happened at all.
    let (mut answered, mut undecided) = (0, 0);
    let mut next_request = 0;
    for seed in 1..=schedules.unwrap_or(SCHEDULES) {
        let thread = witness.start_thread(json!({ "cwd": "/" }));
        witness.run_turn(&thread, "so that it can be resumed");
        let mut schedule = Schedule {
            inside: &inside,
            witness: &mut witness,
            thread,
            clients: Vec::new(),
            model: Model::new(),
            next_request: &mut next_request,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        };
        let unsubscribe = json!({ "threadId": schedule.thread });
        schedule.witness.ask("thread/unsubscribe", unsubscribe).expect("it was subscribed");
        schedule.witness.heard_so_far();
        let mut history = Vec::new();
        for _ in 0..STEPS {
            let step = schedule.step();
            answered += usize::from(step.contains("which counts"));
            undecided += usize::from(step.contains("nobody decides"));
            history.push(step);
            schedule.check(seed, &history);
        }
        schedule.finish();
    }
    assert!(answered > 20 && undecided > 0, "hardly anything was asked: {answered}, {undecided}");
}

impl Schedule<'_> {
    fn step(&mut self) -> String {
        let choice = self.random.below(/*end*/ 16);
        if choice == 0 && self.clients.len() < CLIENTS_MAX {
            self.clients.push(Client { peer: self.inside.connect(), request: None });
            self.model.clients.push(ClientModel::default());
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
                self.model.clients.swap_remove(at);
                "vanish"
            }
            5 | 6 => self.resume(at),
            7 | 8 => self.unsubscribe(at),
            9 => self.start(at, "slow: 60s\n"),
            10 | 11 => self.start(at, "escalate: true\nslow: 60s\n"),
            12 | 13 => self.answer(at),
            14 => self.answer_of_nobody(),
            _ => self.interrupt(at),
        };
        // One inbox: what a client said or did before has been dealt with when this is answered.
        self.witness.heard_so_far();
        self.model.settle();
        format!("client {at}: {done}")
    }

    fn pass_time(&mut self) -> String {
        let seconds = [60, 10 * 60, 29 * 60, 31 * 60][self.random.below(/*end*/ 4)];
        self.model.now_s += seconds;
        self.inside.advance(Duration::from_secs(seconds));
        if self.model.is_undecided_for_too_long() {
            assert_eq!(self.next_status()["activeFlags"], json!([]), "it counts as declined");
            self.model.resolve();
            self.model.settle();
            return format!("{seconds} s pass, and nobody decides");
        }
        if self.model.is_due() {
            assert_eq!(self.next_status()["type"], "notLoaded", "the status comes first");
            self.witness.hear("thread/closed", &self.thread);
            self.model.loaded = false;
            self.model.settle();
        }
        format!("{seconds} s pass")
    }

    fn next_status(&mut self) -> Value {
        self.witness.hear("thread/status/changed", &self.thread)["params"]["status"].take()
    }

    fn params(&self) -> Value {
        json!({ "threadId": self.thread })
    }

    fn resume(&mut self, at: usize) -> &'static str {
        let params = self.params();
        let resumed = self.clients[at].peer.ask("thread/resume", params).expect("it is stored");
        self.model.resumes(at);
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
        let status = self.clients[at].peer.ask("thread/unsubscribe", params).expect("it answers");
        let expected = match (self.model.loaded, self.model.clients[at].subscribed) {
            (false, _) => "notLoaded",
            (true, true) => "unsubscribed",
            (true, false) => "notSubscribed",
        };
        assert_eq!(status["status"], expected);
        self.model.clients[at].subscribed = false;
        "unsubscribe"
    }

    /// Starts a turn that goes on until it is interrupted; what joins one only goes on like that.
    fn start(&mut self, at: usize, begin: &str) -> &'static str {
        let begin = if self.model.turn.is_some() { "slow: 60s\n" } else { begin };
        let input = json!([{ "type": "text", "text": format!("{begin}{}", "word ".repeat(1000)) }]);
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
        if !begin.contains("escalate") {
            return "start";
        }
        while self.next_status()["activeFlags"] != json!(["waitingOnApproval"]) {}
        self.model.asks(*self.next_request);
        *self.next_request += 1;
        "start, and it asks"
    }

    /// A client answers the last request that it knows, be it open or not.
    fn answer(&mut self, at: usize) -> &'static str {
        let Some(request) = self.clients[at].request.clone() else { return "has nothing to answer" };
        let counts = self.model.counts(at, request["id"].as_i64().expect("a number"));
        let decision = ["accept", "decline", "cancel", ""][self.random.below(/*end*/ 4)];
        match decision {
            "" => self.clients[at].peer.refuse(&request),
            decision => self.clients[at].peer.answer(&request, json!({ "decision": decision })),
        }
        if !counts {
            return "answer, which is ignored";
        }
        if decision == "cancel" {
            while self.next_status()["type"] != "idle" {}
            self.model.ends();
        } else {
            assert_eq!(self.next_status()["activeFlags"], json!([]));
            self.model.resolve();
        }
        "answer, which counts"
    }

    /// Somebody answers who was never asked.
    fn answer_of_nobody(&mut self) -> &'static str {
        let open = self.model.asked.unwrap_or_default();
        self.witness.answer(&json!({ "id": open }), json!({ "decision": "accept" }));
        "somebody else answers"
    }

    fn interrupt(&mut self, at: usize) -> &'static str {
        let params = json!({ "threadId": self.thread, "turnId": "" });
        let answer = self.clients[at].peer.ask("turn/interrupt", params);
        if self.model.turn.is_none() {
            answer.expect_err("nothing runs");
            return "interrupt, refused";
        }
        answer.expect("a turn runs");
        while self.next_status()["type"] != "idle" {}
        self.model.ends();
        "interrupt"
    }

    /// Compares with the server.
    fn check(&mut self, seed: u64, history: &[String]) {
        let read = self.witness.ask("thread/read", json!({ "threadId": self.thread, "includeTurns": true }));
        let thread = read.expect("it is stored")["thread"].take();
        let turns = thread["turns"].as_array().expect("turns").len();
        let flags = thread["status"]["activeFlags"].as_array().map_or(0, Vec::len);
        let found = (thread["status"]["type"].as_str().unwrap_or_default(), flags, turns);
        let (status, flags) = self.model.status();
        let expected = (status, flags, 1 + self.model.turns_begun);
        assert_eq!(found, expected, "seed {seed} after {history:#?}; the model: {:?}", self.model);
        for (at, client) in self.clients.iter_mut().enumerate() {
            let heard = client.peer.take_heard();
            let told: Vec<Told> = heard.iter().filter_map(told).collect();
            let request = heard.into_iter().rfind(|message| message["method"] == APPROVAL);
            client.request = request.or(client.request.take());
            let expected = std::mem::take(&mut self.model.clients[at].told);
            assert_eq!(told, expected, "seed {seed}, client {at} after {history:#?}");
        }
    }

    /// Leaves nothing running for the next schedule.
    fn finish(mut self) {
        if self.model.turn.is_some() {
            if self.clients.is_empty() {
                self.clients.push(Client { peer: self.inside.connect(), request: None });
                self.model.clients.push(ClientModel::default());
            }
            self.interrupt(/*at*/ 0);
        }
        for client in self.clients.drain(..) {
            client.peer.vanish();
        }
        self.witness.heard_so_far();
    }
}

/// What a message says of a request.
fn told(message: &Value) -> Option<Told> {
    match message["method"].as_str()? {
        APPROVAL => Some(Told::Asked(message["id"].as_i64()?)),
        "serverRequest/resolved" => Some(Told::Resolved(message["params"]["requestId"].as_i64()?)),
        _ => None,
    }
}
