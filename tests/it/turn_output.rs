//! A turn whose command says more than any memory should hold.

use std::io::Write;

use serde_json::json;

use crate::support::Transport;
use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::server::Server;

/// Megabytes that the command says; `APP_SERVER_IT_MEGABYTES=1000` asks for a gigabyte.
fn megabytes() -> usize {
    let wanted = std::env::var("APP_SERVER_IT_MEGABYTES").ok();
    wanted.map_or(100, |text| text.parse().expect("a number of megabytes"))
}

/// More memory than a small output takes.
const MORE_BYTES_MAX: u64 = 32 << 20;

/// Has a turn's command say this many megabytes, and waits for its end; what its item kept of it.
fn flood(client: &mut Client, thread: &str, megabytes: usize) -> usize {
    let prompt = format!("$ yes 0123456 | head -c {}", megabytes * 1_000_000);
    client.start_turn(thread, &prompt);
    let is_end = |message: &serde_json::Value| {
        message["method"] == "item/completed" && message["params"]["item"]["type"] == "commandExecution"
    };
    let ended = client.next_fitting("the end of the command", is_end);
    let item = &ended["params"]["item"];
    assert_eq!((&item["status"], &item["exitCode"]), (&json!("completed"), &json!(0)), "{item}");
    client.next_notification("turn/completed");
    item["aggregatedOutput"].as_str().expect("its output").len()
}

#[test]
fn a_flood_of_output_takes_no_more_memory_than_a_little() {
    let mut server =
        Server::start_in(Transport::Stdio, &Home::with_config("sandbox_mode = 'danger-full-access'"));
    let mut client = server.client();
    let thread = client.thread();
    flood(&mut client, &thread, /*megabytes*/ 2);
    let before = server.peak_bytes();
    let megabytes = megabytes();
    let kept = flood(&mut client, &thread, megabytes);
    let more = server.peak_bytes() - before;
    let peak = server.peak_bytes() >> 10;
    let found = format!("{kept} bytes kept, peak {peak} KiB, {} KiB more", more >> 10);
    writeln!(std::io::stderr(), "{megabytes} MB of output: {found}").expect("stderr");
    assert!(kept < 2 << 20, "{kept} bytes are in the item");
    assert!(more < MORE_BYTES_MAX, "{more} bytes more memory for {megabytes} MB of output");
    server.stop();
}
