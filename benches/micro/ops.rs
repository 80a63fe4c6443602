//! The operations that are measured alone: each is what a hot path does once, on data of an ordinary size.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use app_server::agent::Encoded;
use app_server::clock::Clock;
use app_server::limits;
use app_server::model::SseParser;
use app_server::proto::AgentMessageDelta;
use app_server::queue::{
    Batch, BroadcastLimits, Broadcaster, Closing, Outbox, OutboxDrain, OutboxLimits, Overflow,
};
use app_server::rpc;
use app_server::store::{Database, NewItem, NewTurn, StoreWorker, ThreadRecord, TurnEnd, TurnState};
use app_server::timer::Wheel;

/// One of them.
pub(crate) struct Op {
    /// Its name.
    pub(crate) name: &'static str,
    /// Makes what it needs, and gives it, ready to be done again and again.
    pub(crate) prepare: fn() -> Box<dyn FnMut()>,
    /// Repetitions in a run whose instructions are counted; none where another worker has a part in it.
    pub(crate) counted: u32,
}

/// All of them.
pub(crate) const ALL: &[Op] = &[
    Op { name: "decode-request", prepare: decode_request, counted: 5_000 },
    Op { name: "encode-response", prepare: encode_response, counted: 5_000 },
    Op { name: "delta-to-1", prepare: || delta_to(/*subscribers*/ 1), counted: 5_000 },
    Op { name: "delta-to-32", prepare: || delta_to(/*subscribers*/ 32), counted: 1_000 },
    Op { name: "outbox-push-pop", prepare: outbox, counted: 5_000 },
    Op { name: "broadcast-to-100", prepare: broadcast, counted: 200 },
    Op { name: "wheel-re-arm", prepare: wheel, counted: 20_000 },
    Op { name: "sse-100-events", prepare: sse, counted: 100 },
    Op { name: "store-turn", prepare: store, counted: 100 },
    Op { name: "store-commit", prepare: commit, counted: 0 },
];

fn decode_request() -> Box<dyn FnMut()> {
    let text = r#"{"id":7,"method":"turn/start","params":{"threadId":"01a1fb3c-c988-70a6-9e8c-80bf4a1732ad","input":[{"type":"text","text":"Say hello to everybody who is here.","text_elements":[]}],"model":null,"effort":"medium"}}"#;
    Box::new(move || {
        let decoded = rpc::decode_text(divan::black_box(text));
        assert!(divan::black_box(decoded).is_ok());
    })
}

fn encode_response() -> Box<dyn FnMut()> {
    #[derive(serde::Serialize)]
    struct Loaded {
        data: Vec<String>,
    }
    let id = 7.into();
    let result = Loaded { data: vec!["01a1fb3c-c988-70a6-9e8c-80bf4a1732ad".to_owned(); 4] };
    Box::new(move || {
        divan::black_box(rpc::response(divan::black_box(&id), divan::black_box(&result)));
    })
}

/// The bounds that a WebSocket has.
fn outbox_of_a_client() -> (Outbox, OutboxDrain) {
    Outbox::new(OutboxLimits {
        messages: limits::OUTBOX_MESSAGES,
        bytes: limits::OUTBOX_BYTES,
        control_frames: limits::OUTBOX_CONTROL_FRAMES,
        overflow: Overflow::Cut(Closing { code: 1013, reason: String::new() }),
    })
}

/// A piece of an answer: encoded once, put into each subscriber's outbox, taken out by each writer.
fn delta_to(subscribers: usize) -> Box<dyn FnMut()> {
    let mut outboxes: Vec<_> = (0..subscribers).map(|_| outbox_of_a_client()).collect();
    let mut batch = Batch::default();
    Box::new(move || {
        let delta = AgentMessageDelta {
            thread_id: "01a1fb3c-c988-70a6-9e8c-80bf4a1732ad",
            turn_id: "01a1fb3c-c98b-7312-8b6e-0a3c5d1f2e4b",
            item_id: "msg_68a1f1d0c4f48191",
            delta: divan::black_box(" some more of it"),
        };
        let encoded = Encoded::new(&delta, /*now_ms*/ 1_795_216_427_402).expect("it can be encoded");
        for (outbox, drain) in &mut outboxes {
            outbox.push(encoded.message.clone());
            drain.next(&mut batch, limits::WRITE_BATCH_BYTES);
        }
    })
}

fn outbox() -> Box<dyn FnMut()> {
    let (outbox, mut drain) = outbox_of_a_client();
    let mut batch = Batch::default();
    let message = Bytes::from_static(b"{\"id\":7,\"result\":{}}");
    Box::new(move || {
        outbox.push(message.clone());
        drain.next(&mut batch, limits::WRITE_BATCH_BYTES);
    })
}

/// What the teller pays, and what each of a hundred idle connections costs.
fn broadcast() -> Box<dyn FnMut()> {
    // Without the worker, whose share of a processor is chance: at each message the log is full.
    let mut everybody = Broadcaster::new(BroadcastLimits {
        messages: 1,
        bytes: limits::BROADCAST_BYTES,
        at_once: limits::BROADCAST_AT_ONCE,
        written_bytes: limits::BROADCAST_WRITTEN_BYTES,
        pause: Duration::from_secs(3600),
        stack_bytes: limits::STACK_BYTES_IO,
    });
    let mut outboxes: Vec<_> = (0..100).map(|_| outbox_of_a_client()).collect();
    for (id, (outbox, _)) in (0..).zip(&outboxes) {
        everybody.join(id, outbox, Arc::default());
    }
    let mut batch = Batch::default();
    let message = Bytes::from_static(b"{\"method\":\"thread/status/changed\",\"params\":{}}");
    Box::new(move || {
        everybody.tell("thread/status/changed", message.clone()).expect("a worker");
        for (_, drain) in &mut outboxes {
            drain.next(&mut batch, limits::WRITE_BATCH_BYTES);
        }
    })
}

/// A deadline that is put off, among a thousand others.
fn wheel() -> Box<dyn FnMut()> {
    let mut wheel = Wheel::new(limits::TIMER_TICK, limits::TIMER_SLOTS);
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    let start = clock.now();
    for at in 0..1000 {
        wheel.arm(start.after(Duration::from_millis(at * 37)), ());
    }
    let mut key = wheel.arm(start.after(Duration::from_secs(30)), ());
    let mut at = 0;
    Box::new(move || {
        at += 1;
        wheel.cancel(key);
        key = wheel.arm(start.after(Duration::from_millis(30_000 + at % 1000)), ());
    })
}

/// A hundred pieces of an answer as a provider sends them.
fn sse() -> Box<dyn FnMut()> {
    let event = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\
        \"sequence_number\":17,\"item_id\":\"msg_68a1f1d0c4f48191\",\"output_index\":0,\"content_index\":0,\
        \"delta\":\" some more of it\",\"logprobs\":[],\"obfuscation\":\"hV6Tq1\"}\n\n";
    let stream = event.repeat(/*n*/ 100);
    Box::new(move || {
        let mut parser = SseParser::default();
        let mut count = 0;
        for piece in stream.as_bytes().chunks(/*chunk_size*/ 1400) {
            let taken = parser.push(piece, |event| {
                divan::black_box(event);
                count += 1;
            });
            assert!(taken.is_ok());
        }
        assert_eq!(count, 100);
    })
}

/// A turn as it is written down: its start, what the user and the model said, its end.
fn store() -> Box<dyn FnMut()> {
    let mut database = Database::open_in_memory().expect("a database in memory");
    let id = "01a1fb3c-c988-70a6-9e8c-80bf4a1732ad";
    let thread = ThreadRecord { id: id.to_owned(), ..ThreadRecord::default() };
    database.insert_thread(&thread).expect("a thread");
    let mut at = 0;
    Box::new(move || {
        at += 1;
        let turn = format!("turn-{at}");
        let item = |kind: &str, body: &str| NewItem {
            id: format!("{kind}-{at}"),
            turn_id: turn.clone(),
            kind: kind.to_owned(),
            body: body.to_owned(),
            started_at_ms: Some(at),
            completed_at_ms: Some(at),
        };
        let started =
            NewTurn { id: &turn, started_at_ms: at, preview_if_first: Some("hello"), client_id: None };
        let ended =
            TurnEnd { state: TurnState::Completed, error: None, completed_at_ms: at, token_usage: None };
        let mut write = || {
            database.start_turn(
                id,
                &started,
                &[item(
                    "userMessage",
                    r#"{"type":"userMessage","content":[{"type":"text","text":"hello"}]}"#,
                )],
            )?;
            database.put_item(
                id,
                &item("agentMessage", r#"{"type":"agentMessage","text":"Hello, how are you today?"}"#),
            )?;
            database.end_turn(id, &turn, &ended)
        };
        write().expect("a turn");
    })
}

/// One item, by way of the store's worker, until it is in the file.
fn commit() -> Box<dyn FnMut()> {
    let home = Home::new();
    let (worker, store) =
        StoreWorker::start(home.0.clone(), |opened| opened.expect("a database")).expect("a worker");
    let id = "01a1fb3c-c988-70a6-9e8c-80bf4a1732ad";
    let thread = ThreadRecord { id: id.to_owned(), ..ThreadRecord::default() };
    let turn = NewTurn { id: "turn", started_at_ms: 1, ..NewTurn::default() };
    store.call_write(move |database| database.insert_thread(&thread)).expect("a thread");
    store.call_write(move |database| database.start_turn(id, &turn, &[])).expect("a turn");
    let mut at = 0;
    Box::new(move || {
        // Until the end of the runs.
        let _ = (&worker, &home);
        at += 1;
        let item = NewItem {
            id: format!("item-{at}"),
            turn_id: "turn".to_owned(),
            kind: "agentMessage".to_owned(),
            body: r#"{"type":"agentMessage","text":"Hello, how are you today?"}"#.to_owned(),
            started_at_ms: Some(at),
            completed_at_ms: Some(at),
        };
        store.call_write(move |database| database.put_item(id, &item)).expect("an item");
    })
}

/// A folder that is gone with its owner.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("app-server-micro-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
