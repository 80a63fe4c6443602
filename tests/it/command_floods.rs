//! Commands that do not stop talking, or do not go: beside slow clients, and under an agent that is
//! interrupted.

use std::time::Duration;

use app_server::clock::Clock;
use serde_json::{Value, json};

use crate::command_exec::{elapsed, server, sh};
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport, wire};

/// How long the floods go on; `APP_SERVER_FLOOD_SECS=60` for a long one.
fn flood_time() -> Duration {
    let asked = std::env::var("APP_SERVER_FLOOD_SECS").ok().and_then(|secs| secs.parse().ok());
    Duration::from_secs(asked.unwrap_or(2))
}

/// A client with a command that talks without end; gives the receiver, from which nothing is read.
pub(crate) fn flooded(server: &Server) -> (wire::Sender, wire::Receiver) {
    let (mut sender, receiver) = wire::connect(server.address().expect("it listens"));
    let mut say = |message: &Value| sender.send(&message.to_string()).expect("it is taken");
    let client = json!({ "clientInfo": { "name": "flooded", "version": "1" } });
    say(&json!({ "id": 1, "method": "initialize", "params": client }));
    let params = json!({
        "command": ["yes"], "processId": "y", "streamStdoutStderr": true,
        "disableTimeout": true, "disableOutputCap": true,
    });
    say(&json!({ "id": 2, "method": "command/exec", "params": params }));
    (sender, receiver)
}

#[test]
fn floods_to_slow_clients_take_no_memory_and_delay_nobody() {
    let mut server = server(Transport::WebSocket);
    let mut other = server.client();
    let (silent, slow) = (flooded(&server), flooded(&server));
    let (mut slow_sender, mut slow_receiver) = slow;
    server.until("both floods run", |server| server.children().len() == 2);
    // What a connection holds at most is taken by now, or soon.
    for _ in 0..20 {
        other.ok("command/exec", sh("true"));
    }
    let (memory, clock) = (server.resident_bytes(), Clock::real());
    let (mut rounds, mut slowest, mut heard) = (0, Duration::ZERO, 0);
    while elapsed(&clock) < flood_time() {
        let before = elapsed(&clock);
        assert_eq!(other.ok("command/exec", sh("echo quick"))["stdout"], "quick\n");
        slowest = slowest.max(elapsed(&clock).saturating_sub(before));
        rounds += 1;
        // One message for each command of the other: far slower than the flood.
        heard += slow_receiver.receive().expect("more of it").len();
    }
    assert!(heard > 64 * 1024, "the slow one is served: {heard} bytes");
    assert!(slowest < PATIENCE, "a command of another client took {slowest:?}, of {rounds}");
    let grown = server.resident_bytes().saturating_sub(memory);
    assert!(grown < 8 << 20, "{grown} bytes more after {rounds} rounds");
    let stop = json!({ "id": 3, "method": "command/exec/terminate", "params": { "processId": "y" } });
    let (mut silent_sender, _unread) = silent;
    for sender in [&mut silent_sender, &mut slow_sender] {
        sender.send(&stop.to_string()).expect("it is taken");
    }
    server.until("both commands end", |server| server.children().is_empty());
    server.assert_nothing_runs();
    silent_sender.close();
    slow_sender.close();
    server.stop_or_close(other);
}

/// Processes that were called with this among their arguments.
fn called_with(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let is_one = |entry: &std::fs::DirEntry| {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words.split(|&byte| byte == 0).any(|word| word == argument.as_bytes())
    };
    processes.filter(is_one).count()
}

#[test]
fn daemons_of_an_agents_command_end_with_an_interrupted_turn() {
    let mut server = server(Transport::WebSocket);
    let mut client = server.client();
    let thread = client.thread_with(json!({ "approvalPolicy": "never", "sandbox": "danger-full-access" }));
    let length = format!("36{}.{}", 17, std::process::id());
    // In a session of their own, and without a parent.
    let script = format!(
        "env -i setsid sleep {length} >/dev/null 2>&1 & (setsid sh -c 'sleep {length} & sleep {length}' \
         >/dev/null 2>&1 &) ; sleep 3600"
    );
    let turn = client.start_turn(&thread, &format!("$ {script}"));
    server.until("its daemons run", |_| called_with(&length) == 3);
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
    assert_eq!(client.turn_end(&turn)["status"], "interrupted");
    server.until("its daemons are gone", |_| called_with(&length) == 0);
    server.assert_nothing_runs();
    server.stop_or_close(client);
}
