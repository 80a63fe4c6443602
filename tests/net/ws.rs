//! WebSocket behaviour: framing, limits, closing, slow readers.

use std::io::{Read, Write};

use serde_json::json;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use app_server::clock::Clock;
use app_server::config::net::{Endpoint, NetConfig};
use app_server::net::{Listener, NetEvent};
use app_server::queue::Inbox;
use app_server::rpc::Incoming;

use crate::support::{Client, PATIENCE, Server, resources, wiring};

fn fragment(text: &str, first: bool, last: bool) -> Message {
    let opcode = if first { Data::Text } else { Data::Continue };
    Message::Frame(Frame::message(text.as_bytes().to_vec(), OpCode::Data(opcode), last))
}

#[test]
fn requests_are_answered_and_each_connection_opens_and_closes_once() {
    let server = Server::start();
    let mut one = server.client();
    let mut two = server.client();
    assert_eq!(one.call("echo", json!({"a": 1}))["result"], json!({"a": 1}));
    assert_eq!(two.call("echo", json!("x"))["result"], json!("x"));
    one.send(Message::text("not json"));
    assert_eq!(one.json()["error"]["code"], -32700);
    one.send(Message::binary(vec![1, 2, 3]));
    assert_eq!(one.call("echo", json!(2))["result"], 2);
    drop((one, two));
    server.watched.wait_until("both to be closed", |seen| seen.closed == 2);
    server.watched.look(|seen| assert_eq!((seen.opened, &seen.order_broken), (2, &Vec::new())));
}

#[test]
fn fragments_pings_and_large_messages_mix() {
    let server = Server::start();
    let mut client = server.client().initialized();
    let text = "ä€".repeat(400_000);
    let request = json!({"id": "f", "method": "echo", "params": text}).to_string();
    // Cut where it hurts: inside a character, too.
    let bytes = request.as_bytes();
    let (mut at, mut size, mut first, mut pongs) = (0, 1, true, 0);
    while at < bytes.len() {
        let end = (at + size).min(bytes.len());
        let opcode = if first { Data::Text } else { Data::Continue };
        let frame = Frame::message(bytes[at..end].to_vec(), OpCode::Data(opcode), end == bytes.len());
        client.send(Message::Frame(frame));
        client.send(Message::Ping(vec![7; 3].into()));
        pongs += 1;
        (at, size, first) = (end, size * 3, false);
    }
    let mut answer = None;
    while pongs > 0 || answer.is_none() {
        match client.socket.read().expect("a message") {
            Message::Pong(payload) => {
                assert_eq!(&payload[..], [7; 3]);
                pongs -= 1;
            }
            Message::Text(text) => answer = Some(text),
            other => panic!("unexpected: {other:?}"),
        }
    }
    let answer: serde_json::Value = serde_json::from_str(&answer.expect("it came")).expect("JSON");
    assert_eq!((answer["id"].as_str(), answer["result"].as_str()), (Some("f"), Some(&*text)));
}

#[test]
fn pings_during_large_answers_break_no_frame() {
    let server = Server::start();
    let mut client = server.client().initialized();
    let text = "y".repeat(2_000_000);
    for round in 0..20 {
        let id = client.ask("echo", json!(text));
        client.send(Message::Ping(vec![round].into()));
        assert_eq!(client.answer(id)["result"].as_str(), Some(&*text));
    }
}

#[test]
fn a_message_above_the_limit_is_refused_with_1009_and_what_came_before_is_heard() {
    let server = Server::with(|config| config.message_bytes_max = 1_000_000);
    // Before `initialize` the limit is 64 KiB.
    let mut client = server.client();
    client.ask("echo", json!("small"));
    client.send(Message::text("x".repeat(65_537)));
    assert_eq!(client.close(), (1009, "the message is larger than the limit of 65536 bytes".to_owned()));
    server.watched.wait_until("the first message to be heard", |seen| seen.messages == 1);
    // After it the larger one, for one frame and for the sum of many.
    let mut client = server.client().initialized();
    assert_eq!(client.call("echo", json!("x".repeat(900_000)))["id"], 2);
    client.send(fragment(&"x".repeat(600_000), /*first*/ true, /*last*/ false));
    client.send(fragment(&"x".repeat(600_000), /*first*/ false, /*last*/ true));
    assert_eq!(client.close(), (1009, "the message is larger than the limit of 1000000 bytes".to_owned()));
    server.watched.wait_until("both to be closed", |seen| seen.closed == 2);
}

#[test]
fn the_limit_rises_while_the_reader_waits() {
    let server = Server::start();
    let mut client = server.client().initialized();
    // The first message after the answer is already allowed to be large.
    let text = "x".repeat(20 << 20);
    assert_eq!(client.call("echo", json!(text))["result"].as_str(), Some(&*text));
}

#[test]
fn either_side_may_close() {
    let server = Server::start();
    let mut client = server.client();
    let frame = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    client.socket.close(Some(frame.clone())).expect("it sends");
    assert_eq!(client.close(), (1000, "bye".to_owned()));
    server.watched.wait_until("the connection to be closed", |seen| seen.closed == 1);

    let mut client = server.client().initialized();
    server.watched.finish_all(/*code*/ 1001, "the server is going away");
    assert_eq!(client.close(), (1001, "the server is going away".to_owned()));
    server.watched.wait_until("the connection to be closed", |seen| seen.closed == 2);
    // The client's reply was read, so the end is an end and not a reset.
    let mut rest = Vec::new();
    let _ = client.socket.read();
    client.socket.get_mut().read_to_end(&mut rest).expect("a clean end");
}

#[test]
fn a_client_that_never_answers_the_close_is_left_after_the_deadline() {
    let server = Server::start();
    let client = server.client();
    server.watched.wait_until("the connection to open", |seen| seen.opened == 1);
    server.watched.finish_all(/*code*/ 1001, "bye");
    server.watched.wait_until("the connection to be closed", |seen| seen.closed == 1);
    drop(client);
}

/// A client's frame; a mask of zeroes changes nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The cases of the Autobahn suite that are about framing, fragments, UTF-8 and closing.
#[test]
fn protocol_errors_have_their_codes() {
    let server = Server::start();
    let pairs =
        |frames: &[(u8, &[u8])]| frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect();
    let table: Vec<(Vec<u8>, u16)> = vec![
        (masked(/*first*/ 0x91, b"{}"), 1002),        // a reserved bit
        (masked(/*first*/ 0xC1, b"{}"), 1002),        // a compressed message
        (masked(/*first*/ 0x83, b"{}"), 1002),        // an unknown data opcode
        (masked(/*first*/ 0x8B, b""), 1002),          // an unknown control opcode
        (masked(/*first*/ 0x80, b"{}"), 1002),        // nothing to continue
        (masked(/*first*/ 0x09, b""), 1002),          // a fragmented ping
        (masked(/*first*/ 0x89, &[0; 126]), 1002),    // a ping that is too long
        (vec![0x81, 0x02, b'{', b'}'], 1002),         // not masked
        (pairs(&[(0x01, b"{"), (0x81, b"}")]), 1002), // a new message inside of another
        (pairs(&[(0x01, b"{"), (0x80, b"}"), (0x80, b"")]), 1002), // one continuation too many
        (masked(/*first*/ 0x88, &[3]), 1002),         // half a close code
        (masked(/*first*/ 0x88, &[3, 231]), 1002),    // 999 is no close code
        (masked(/*first*/ 0x88, &[3, 236]), 1002),    // 1004 is reserved
        (masked(/*first*/ 0x88, &[3, 237]), 1002),    // 1005 is not for the wire
        (masked(/*first*/ 0x88, &[7, 208]), 1002),    // 2000 is reserved
        (masked(/*first*/ 0x81, &[0xFF, 0xFE]), 1007), // not UTF-8
        (masked(/*first*/ 0x81, &[0xED, 0xA0, 0x80]), 1007), // half of a surrogate pair
        (pairs(&[(0x01, &[0xC3]), (0x80, &[0x28])]), 1007), // not UTF-8 across fragments
        (pairs(&[(0x01, b"ok"), (0x00, &[0xFF])]), 1007), // told before the message is whole
        (pairs(&[(0x01, &[0xC3]), (0x80, b"")]), 1007), // a character that never ends
        (masked(/*first*/ 0x88, &[3, 232, 0xFF]), 1007), // a reason that is not UTF-8
        // And what is allowed, if unusual.
        (masked(/*first*/ 0x88, &[11, 184]), 3000),
        (masked(/*first*/ 0x88, &[19, 135, b'x']), 4999),
        (masked(/*first*/ 0x88, b""), 1005),
        (pairs(&[(0x8A, b"unasked"), (0x01, b""), (0x00, b""), (0x80, b""), (0x88, &[3, 232])]), 1000),
        (pairs(&[(0x88, &[3, 232]), (0x81, b"late"), (0x83, b"")]), 1000),
    ];
    let count = table.len();
    for (bytes, code) in table {
        let mut client = server.client();
        client.socket.get_mut().write_all(&bytes).expect("it sends");
        assert_eq!(client.close().0, code, "{bytes:?}");
    }
    server.watched.wait_until("all to be closed", |seen| seen.closed == count);
}

#[test]
fn a_client_that_does_not_read_is_cut_and_nobody_else_notices() {
    let server = Server::with(|config| config.outbox_bytes = 4 << 20);
    let mut slow = server.client().initialized();
    let mut fast = server.client().initialized();
    slow.ask("burst", json!({"count": 100, "size": 1_000_000}));
    for number in 0..200 {
        assert_eq!(fast.call("echo", json!(number))["result"], number);
    }
    let (code, reason) = slow.close();
    assert_eq!(code, 1013, "{reason}");
    assert!(reason.contains("too slow"), "{reason}");
}

#[test]
fn a_healthy_client_in_a_burst_is_not_cut() {
    let server = Server::start();
    let mut client = server.client().initialized();
    let id = client.ask("burst", json!({"count": 50_000, "size": 200}));
    let mut notifications = 0;
    loop {
        let message = client.json();
        if message["id"] == id {
            break;
        }
        notifications += 1;
    }
    assert_eq!(notifications, 50_000);
}

#[test]
fn dropping_the_listener_says_goodbye_to_everyone() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..20).map(|_| server.client().initialized()).collect();
    let address = server.address();
    let half_open = server.tcp();
    let Server { listener, watched, .. } = server;
    let clock = Clock::real();
    let start = clock.now();
    let ending = std::thread::Builder::new().spawn(move || drop(listener)).expect("a thread");
    for client in &mut clients {
        assert_eq!(client.close(), (1001, "the server is shutting down".to_owned()));
        // Answers the Close.
        let _ = client.socket.read();
    }
    ending.join().expect("no panic");
    assert!(clock.now().since(start) < PATIENCE);
    watched.wait_until("all to be closed", |seen| (seen.opened, seen.closed) == (20, 20));
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
    drop(half_open);
}

/// Alone in its process's measure: other tests run beside it, so it counts in a process of its own.
#[test]
fn churn_leaves_nothing_behind() {
    if std::env::var_os("NET_CHURN_ALONE").is_none() {
        alone("NET_CHURN_ALONE", "ws::churn_leaves_nothing_behind");
        return;
    }
    let server = Server::start();
    let before = resources();
    let mut resident_kib = Vec::new();
    for round in 0..500 {
        let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
        for client in &mut clients {
            assert_eq!(client.call("echo", json!(round))["result"], round);
        }
        if round % 2 == 0 {
            for client in &mut clients {
                client.socket.close(None).expect("it sends");
            }
        }
        if round == 100 || round == 499 {
            resident_kib.push(crate::support::resident_kib());
        }
    }
    server.watched.wait_until("all to be closed", |seen| seen.closed == 10_000);
    server.wait_for("descriptors and workers to be back", || resources() == before);
    assert_eq!(server.listener.connections(), 0);
    server.wait_for("the timers of finished closes to be gone", || server.timer.armed() == 0);
    assert!(resident_kib[1] < resident_kib[0] + 2048, "memory grows with connections: {resident_kib:?} KiB");
}

#[test]
fn when_the_inbox_is_full_a_request_is_refused_and_all_else_waits() {
    let (mut wiring, _drain, _timer) = wiring(Clock::real());
    let (inbox, drain) =
        Inbox::new(/*messages*/ 2, /*bytes*/ 1_000_000, /*messages_per_port*/ 100);
    wiring.inbox = inbox;
    let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    let listener = Listener::start(NetConfig::new(), &endpoint, wiring).expect("it listens");
    let Endpoint::Tcp(address) = listener.bound() else { panic!("not TCP") };
    let mut client = Client::over(std::net::TcpStream::connect(address).expect("it connects"));
    // `Opened` and this are all that there is room for, and nobody drains.
    client.ask("first", json!(null));
    let second = client.ask("second", json!(null));
    let refused = client.answer(second);
    assert_eq!(refused["error"]["code"], -32001);
    assert_eq!(refused["error"]["message"], "Server overloaded; retry later.");
    client.send(Message::text(r#"{"method":"waits"}"#));
    client.send(Message::text(r#"{"id":7,"result":{}}"#));
    let mut opened = None;
    let got: Vec<String> = (0..4)
        .map(|_| match drain.receiver().recv_timeout(PATIENCE).expect("it waits and is not lost").item {
            NetEvent::Opened(connection) => {
                // Letting go of it would end the connection.
                opened = Some(connection);
                "opened".to_owned()
            }
            NetEvent::Message(_, Ok(Incoming::Request(request))) => request.method.to_string(),
            NetEvent::Message(_, Ok(Incoming::Notification { method, .. })) => method.to_string(),
            NetEvent::Message(_, Ok(Incoming::Answer { id, .. })) => format!("answer {id:?}"),
            other => panic!("unexpected: {other:?}"),
        })
        .collect();
    assert_eq!(got, ["opened", "first", "waits", "answer 7"]);
    assert!(opened.is_some());
}

#[test]
fn random_frames_harm_nobody() {
    let server = Server::start();
    let mut witness = server.client().initialized();
    for seed in 1..=200_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut client = server.client();
        let mut bytes = Vec::new();
        for _ in 0..next(20) {
            // Mostly well-formed headers, so that some of it gets past the first check.
            let [first, length] = [next(256), next(126)].map(|value| u8::try_from(value).expect("a byte"));
            bytes.extend([if next(2) == 0 { 0x81 } else { first }, 0x80 | length, 0, 0, 0, 0]);
            bytes.extend((0..length).map(|_| u8::try_from(next(256)).expect("a byte") & 0x7F));
        }
        // The server may hang up before the last byte.
        let _ = client.socket.get_mut().write_all(&bytes);
        drop(client);
        assert_eq!(witness.call("echo", json!(seed))["result"], seed, "seed {seed}");
    }
    server.watched.wait_until("all to be closed", |seen| seen.closed == 200);
    server.watched.look(|seen| assert_eq!(seen.order_broken, Vec::<String>::new()));
}

#[test]
fn a_large_message_leaves_no_large_buffer() {
    if std::env::var_os("NET_LARGE_ALONE").is_none() {
        alone("NET_LARGE_ALONE", "ws::a_large_message_leaves_no_large_buffer");
        return;
    }
    app_server::sys::memory::tune_allocator();
    let server = Server::start();
    let mut clients: Vec<_> = (0..4).map(|_| server.client().initialized()).collect();
    let before = crate::support::resident_kib();
    for client in &mut clients {
        // A notification, so that only the reader has to hold it; past tungstenite, which would keep its
        // own copy.
        let message = json!({"method": "n", "params": "x".repeat(20 << 20)}).to_string();
        let mut header = vec![0x81, 0xFF];
        header.extend((message.len() as u64).to_be_bytes());
        header.extend([0; 4]);
        client.socket.get_mut().write_all(&header).expect("it sends");
        client.socket.get_mut().write_all(message.as_bytes()).expect("it sends");
        assert_eq!(client.call("echo", json!(1))["result"], 1);
    }
    // The last reader may still be at it.
    server.wait_for("four connections to keep less than one message", || {
        crate::support::resident_kib() < before + 15_000
    });
}

/// Runs one test of this binary in a process of its own, where nothing else opens files or takes memory.
fn alone(variable: &str, test: &str) {
    let program = std::env::current_exe().expect("a test binary");
    let output = std::process::Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(variable, "1")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
