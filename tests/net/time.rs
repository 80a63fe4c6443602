//! Deadlines, on a clock that only the test moves.

use std::time::Duration;

use app_server::clock::{Clock, Monotonic};
use app_server::config::net::Endpoint;
use tungstenite::Message;

use crate::support::{PATIENCE, Server};

fn server(clock: &Clock) -> Server {
    Server::on(clock.clone(), &Endpoint::Tcp(([127, 0, 0, 1], 0).into()), |_| {})
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_silent_client_is_pinged_and_its_pong_keeps_it() {
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    let server = server(&clock);
    let mut client = server.client().initialized();
    server.wait_for("the heartbeat to be armed", || server.timer.armed() == 1);
    for _ in 0..3 {
        clock.advance(seconds(/*seconds*/ 25));
        assert!(matches!(client.socket.read().expect("a ping"), Message::Ping(_)));
        // The pong leaves, and the answer behind it shows that it was read.
        assert_eq!(client.call("echo", 1.into())["result"], 1);
        // Rearmed for when the silence would be too long, without a timer command for each message.
        clock.advance(seconds(/*seconds*/ 20));
        assert_eq!(client.call("echo", 2.into())["result"], 2);
        clock.advance(seconds(/*seconds*/ 5));
        assert_eq!(client.call("echo", 3.into())["result"], 3);
    }
    assert_eq!(server.watched.look(|seen| seen.closed), 0);
}

#[test]
fn a_client_that_does_not_answer_a_ping_is_told_and_left() {
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    let server = server(&clock);
    let mut client = server.client().initialized();
    server.wait_for("the heartbeat to be armed", || server.timer.armed() == 1);
    clock.advance(seconds(/*seconds*/ 25));
    // tungstenite would answer with its next read, so the ping is read from under it.
    use std::io::Read;
    let mut ping = [0; 2];
    client.socket.get_mut().read_exact(&mut ping).expect("a ping");
    assert_eq!(ping, [0x89, 0]);
    server.wait_for("the wait for the pong to be armed", || server.timer.armed() == 1);
    clock.advance(seconds(/*seconds*/ 20));
    assert_eq!(client.close(), (1008, "no answer to a ping within 20 s".to_owned()));
    let _ = client.socket.read();
    server.watched.wait_until("the connection to be closed", |seen| seen.closed == 1);
}

#[test]
fn a_client_that_never_initializes_is_told_and_left() {
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    let server = server(&clock);
    let mut client = server.client();
    assert_eq!(client.call("echo", 1.into())["result"], 1);
    server.wait_for("the heartbeat to be armed", || server.timer.armed() == 1);
    clock.advance(seconds(/*seconds*/ 20));
    assert_eq!(client.call("echo", 1.into())["result"], 1);
    clock.advance(seconds(/*seconds*/ 10));
    assert_eq!(client.close(), (1008, "no `initialize` within 30 s".to_owned()));
    // It never answers the Close: one second later it is left.
    server.wait_for("the close deadlines to be armed", || server.timer.armed() == 2);
    clock.advance(seconds(/*seconds*/ 1));
    server.watched.wait_until("the connection to be closed", |seen| seen.closed == 1);
}

#[test]
fn a_client_that_takes_no_bytes_is_left_after_the_stall_deadline() {
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    let server = server(&clock);
    let mut stuck = server.client().initialized();
    let mut other = server.client().initialized();
    clock.advance(Duration::from_millis(1));
    stuck.ask("burst", serde_json::json!({"count": 20, "size": 1_000_000}));
    // Alive by all other signs, so only the stall can end it. How long the kernel goes on taking bytes for
    // it is the kernel's business.
    let real = Clock::real();
    for step in 0.. {
        // Refused once the server has hung up.
        let _ = stuck.socket.send(Message::Pong(Vec::new().into()));
        assert_eq!(other.call("echo", step.into())["result"], step);
        if server.watched.look(|seen| seen.closed) == 1 {
            break;
        }
        assert!(real.now().since(Monotonic(0)) < PATIENCE, "the stuck client is not left");
        clock.advance(seconds(/*seconds*/ 1));
    }
    assert!(clock.now().0 >= 30_000, "not before its time: {:?}", clock.now());
    assert_eq!(other.call("echo", 0.into())["result"], 0);
}

#[test]
fn a_connection_that_ends_leaves_no_timer() {
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    let server = server(&clock);
    let clients: Vec<_> = (0..50).map(|_| server.client().initialized()).collect();
    server.wait_for("every heartbeat to be armed", || server.timer.armed() == 50);
    drop(clients);
    server.watched.wait_until("all to be closed", |seen| seen.closed == 50);
    server.wait_for("the timers to be gone", || server.timer.armed() == 0);
}
