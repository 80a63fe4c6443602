//! Plain HTTP on the listener, and heads that are none.

use std::io::{Read, Write};

use app_server::net::Phase;

use crate::support::{Server, UPGRADE, exchange, status};

/// Every answer is whole: a length that matches the body.
fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    assert_eq!(length, Some(body.len().to_string()), "{answer}");
    assert!(head.to_lowercase().contains("\r\ndate: "), "{answer}");
    body
}

#[test]
fn probes_and_refusals_are_whole_answers() {
    let server = Server::start();
    let table = [
        ("GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n", "200", ""),
        ("GET /healthz?x HTTP/1.1\r\nHost: h\r\n\r\n", "200", ""),
        ("GET /readyz HTTP/1.0\r\n\r\n", "200", ""),
        ("POST /readyz HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405", ""),
        ("GET /healthz HTTP/1.1\r\nOrigin: https://evil.example\r\n\r\n", "403", ""),
        ("GET / HTTP/1.1\r\n\r\n", "400", "Connection header did not include 'upgrade'"),
        ("POST / HTTP/1.1\r\n\r\n", "405", "only GET"),
        ("nonsense\r\n\r\n", "400", "not an HTTP/1 request"),
    ];
    for (request, expected, text) in table {
        let answer = exchange(server.tcp(), request.as_bytes());
        assert_eq!(status(&answer), expected, "{request}: {answer}");
        assert!(body(&answer).contains(text), "{answer}");
    }
    let head = exchange(server.tcp(), b"HEAD /readyz HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(exchange(server.tcp(), b"PUT /healthz HTTP/1.1\r\n\r\n").contains("Allow: GET,HEAD\r\n"));
    assert_eq!(server.watched.look(|seen| seen.opened), 0);
}

#[test]
fn an_upgrade_with_an_origin_is_forbidden() {
    let server = Server::start();
    let answer = exchange(server.tcp(), UPGRADE.replace("\r\n\r\n", "\r\nOrigin: null\r\n\r\n").as_bytes());
    assert_eq!((status(&answer), body(&answer)), ("403", ""));
    let mut stream = server.tcp();
    stream.write_all(UPGRADE.as_bytes()).expect("it sends");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 101");
}

#[test]
fn readyz_follows_the_phase() {
    let server = Server::start();
    for (phase, expected) in [(Phase::Starting, "503"), (Phase::Draining, "503"), (Phase::Ready, "200")] {
        server.readiness.set(phase);
        assert_eq!(status(&exchange(server.tcp(), b"GET /readyz HTTP/1.1\r\n\r\n")), expected);
        assert_eq!(status(&exchange(server.tcp(), b"GET /healthz HTTP/1.1\r\n\r\n")), "200");
    }
}

#[test]
fn a_client_who_is_still_in_its_head_when_the_server_stops_is_told() {
    let server = Server::start();
    let mut half = server.tcp();
    half.write_all(b"GET / HTTP/1.1\r\n").expect("it sends");
    server.wait_for("the half head's reader", || server.listener.connections() == 1);
    server.readiness.set(Phase::Draining);
    drop(server);
    let answer = exchange(half, b"");
    assert_eq!(status(&answer), "503", "{answer}");
    assert_eq!(body(&answer), "the server is shutting down; retry later\n");
}

#[test]
fn heads_beyond_the_limits_are_answered_431() {
    let server = Server::start();
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20));
    assert_eq!(status(&exchange(server.tcp(), long_line.as_bytes())), "431");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(20_000));
    assert_eq!(status(&exchange(server.tcp(), many.as_bytes())), "431");
}

#[test]
fn half_open_heads_disturb_nobody_and_end_at_the_deadline() {
    use app_server::clock::Clock;
    use app_server::config::net::Endpoint;
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    let server = Server::on(clock.clone(), &Endpoint::Tcp(([127, 0, 0, 1], 0).into()), |_| {});
    let mut slow = Vec::new();
    for _ in 0..500 {
        let mut stream = server.tcp();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: ").expect("it sends");
        slow.push(stream);
    }
    let mut client = server.client().initialized();
    assert_eq!(client.call("echo", 5.into())["result"], 5);
    // 500 heads, and the heartbeat of the one that speaks.
    server.wait_for("every half-open client to have its deadline", || server.timer.armed() == 501);
    clock.advance(std::time::Duration::from_secs(5));
    for mut stream in slow {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer and an end");
        assert_eq!(status(&answer), "408", "{answer}");
    }
    assert_eq!(client.call("echo", 6.into())["result"], 6);
}

#[test]
fn above_the_maximum_a_client_is_told_and_the_probes_still_work() {
    let server = Server::with(|config| config.connections_max = 2);
    let mut first = server.client();
    let _second = server.client();
    let answer = exchange(server.tcp(), UPGRADE.as_bytes());
    assert_eq!(status(&answer), "503", "{answer}");
    assert!(body(&answer).contains("as many connections") && answer.contains("Retry-After: "), "{answer}");
    assert_eq!(status(&exchange(server.tcp(), b"GET /healthz HTTP/1.1\r\n\r\n")), "200");
    server.wait_for("the refused to be gone", || server.listener.connections() == 2);
    // Even the courtesy has an end, and beyond it the answer is still whole.
    let silent: Vec<_> = (0..16).map(|_| server.tcp()).collect();
    server.wait_for("all courtesy to be used up", || server.listener.connections() == 18);
    let answer = exchange(server.tcp(), UPGRADE.as_bytes());
    assert_eq!(status(&answer), "503", "{answer}");
    drop(silent);
    first.socket.close(None).expect("it sends");
    server.watched.wait_until("a place to be free", |seen| seen.closed == 1);
    server.wait_for("the workers to end", || server.listener.connections() == 1);
    assert_eq!(server.client().call("echo", 1.into())["result"], 1);
}
