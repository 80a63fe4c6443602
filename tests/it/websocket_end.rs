//! How a WebSocket server ends: it drains at the first signal and hurries at the second.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::drain::Held;
use crate::support::client::{said, text};
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

/// The close handshake has its own second.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn an_idle_server_ends_at_the_first_signal_and_says_goodbye() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut server = Server::start(Transport::WebSocket);
        let client = server.client();
        server.signal(signal);
        server.ends_well_within(SOON);
        let ended = client.ended();
        assert!(ended.starts_with("closed: 1001 "), "{ended}");
    }
}

#[test]
fn a_draining_server_finishes_turns_and_starts_none() {
    let Held { mock, mut server, mut client, thread, turn } = Held::start();
    server.signal(Signal::TERM);
    // Refused as soon as the signal has arrived; until then requests are still granted.
    let error = (0..10_000).find_map(|_| client.request("thread/start", json!({})).err());
    let error = error.expect("new work is refused");
    assert_eq!(error["message"], "Server is draining; retry after reconnecting");
    assert_eq!(error["data"]["reason"], "serverShuttingDown");
    let refused = client.refused("turn/start", json!({ "threadId": thread, "input": said("more") }));
    assert_eq!(refused["data"]["reason"], "serverShuttingDown");
    client.ok("thread/list", json!({}));
    mock.open_gate();
    let ended = client.turn_end(&turn);
    assert_eq!(ended["status"], "completed");
    assert!(text(&ended["items"][0]["text"]).ends_with("to the end"));
    assert!(client.ended().starts_with("closed: 1001 "));
    server.ends_well_within(SOON);
}

#[test]
fn a_second_signal_interrupts_running_turns() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = server.client();
    let thread = client.thread();
    let turn = client.start_turn(&thread, "slow: 30s\nnever said");
    server.signal(Signal::TERM);
    let draining = (0..10_000).any(|_| client.request("thread/start", json!({})).is_err());
    assert!(draining);
    server.signal(Signal::TERM);
    assert_eq!(client.turn_end(&turn)["status"], "interrupted");
    server.ends_well_within(SOON);
}

#[test]
fn the_drain_timeout_bounds_the_wait_for_turns() {
    let home = Home::new();
    let mut server = Server::start_with(Transport::WebSocket, &home, ["--drain-timeout", "0.2"]);
    let mut client = server.client();
    let thread = client.thread();
    let turn = client.start_turn(&thread, "slow: 30s\nnever said");
    server.signal(Signal::TERM);
    assert_eq!(client.turn_end(&turn)["status"], "interrupted");
    server.ends_well_within(PATIENCE);
}
