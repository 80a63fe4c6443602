//! `fs/`: files of the server's machine. The recorded conversation is replayed and compared; what it does not
//! show has tests of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::recordings::{Recorded, recorded};
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    what_was_written_is_read,
    requests_of_one_client_keep_their_order,
    a_large_file_delays_nobody,
    a_client_that_does_not_read_files_that_it_asked_for_is_not_cut_off,
);

/// A folder to work in, with its name as clients write it.
fn folder() -> (Arc<Home>, String) {
    let home = Home::new();
    let path = fs::canonicalize(home.path()).expect("a real path");
    let path = path.to_str().expect("UTF-8").to_owned();
    (home, path)
}

fn write(client: &mut Client, path: &str, content: &[u8]) {
    let params = json!({ "path": path, "dataBase64": STANDARD.encode(content) });
    assert_eq!(client.ok("fs/writeFile", params), json!({}));
}

fn read(client: &mut Client, path: &str) -> Vec<u8> {
    let answer = client.ok("fs/readFile", json!({ "path": path }));
    STANDARD.decode(answer["dataBase64"].as_str().expect("a text")).expect("Base64")
}

/// Where the answer differs from the recorded one on purpose, by the request's id, and why.
const DIFFERENCES: &[(i64, &str)] = &[
    // None: times and the order of entries are made the same before the comparison.
];

/// What does not say anything: times, and the order of a directory's entries.
fn plain(mut answer: Value) -> Value {
    for time in ["createdAtMs", "modifiedAtMs"] {
        if answer[time].is_i64() {
            answer[time] = json!("a time");
        }
    }
    if let Some(entries) = answer["entries"].as_array_mut() {
        entries.sort_by_key(|entry| entry["fileName"].to_string());
    }
    answer
}

fn is_request_of_the_recording(recorded: &Recorded) -> bool {
    recorded.place.contains("09_fs.jsonl")
        && !recorded.by_server
        && recorded.method().is_some_and(|method| method.starts_with("fs/"))
}

#[test]
fn the_recorded_conversation_goes_the_same_way() {
    let all = recorded();
    let (_folder, path) = folder();
    let here = |text: &str| text.replace("/srv/demo/../demo", "/srv/demo/sub/..").replace("/srv/demo", &path);
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    let mut compared = 0;
    for (at, request) in all.iter().enumerate().filter(|(_, one)| is_request_of_the_recording(one)) {
        let id = request.message["id"].as_i64().expect("a number");
        if id == 26 {
            // What the recorder made by itself.
            symlink("a.txt", format!("{path}/link")).expect("a link");
            symlink("nowhere", format!("{path}/broken")).expect("a link");
        }
        // The last one is too long for the recording.
        let Some(answer) = all[at..].iter().find(|one| one.request == Some(at)) else { continue };
        let params: Value =
            serde_json::from_str(&here(&request.message["params"].to_string())).expect("JSON");
        let got = client.request(request.method().expect("a method"), params);
        let expected: Value = serde_json::from_str(&here(&answer.text)).expect("JSON");
        let same = match (&got, expected["error"].as_object()) {
            (Ok(result), None) => plain(result.clone()) == plain(expected["result"].clone()),
            (Err(error), Some(told)) => error["code"] == told["code"] && error["message"] == told["message"],
            _ => false,
        };
        let is_deliberate = DIFFERENCES.iter().any(|(differs, _)| *differs == id);
        assert_eq!(same, !is_deliberate, "{}\nhere  {got:?}\nthere {expected}", request.place);
        compared += 1;
    }
    if !all.is_empty() {
        assert!(compared >= 70, "only {compared} requests");
        assert!(fs::symlink_metadata(format!("{path}/linkcopy")).expect("copied").is_symlink());
    }
    server.stop();
}

fn what_was_written_is_read(transport: Transport) {
    let (_folder, path) = folder();
    let mut server = Server::start(transport);
    let mut client = server.client();
    let file = format!("{path}/file");
    for length in [0, 1, 2, 3, 1000, 200 * 1024 + 1] {
        let content: Vec<u8> = (0..length).map(|at| (at * 7 % 256) as u8).collect();
        write(&mut client, &file, &content);
        assert!(read(&mut client, &file) == content, "{length} bytes");
    }
    // The order of the checks: parameters, then whether the client may ask.
    let error = client.refused("fs/readFile", json!({ "path": "relative" }));
    assert_eq!(error["message"], "Invalid request: AbsolutePathBuf deserialized without a base path");
    assert_eq!(error["data"]["reason"], "invalidParams");
    let error = client.refused("fs/readFile", json!({ "path": format!("{path}/none") }));
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("fileSystem")));
    if transport == Transport::WebSocket {
        let mut stranger = server.connect();
        let error = stranger.refused("fs/readFile", json!({ "path": file }));
        assert_eq!(error["message"], "Not initialized");
        let error = stranger.refused("fs/writeFile", json!({}));
        assert_eq!(error["message"], "Invalid request: missing field `path`");
    }
    server.stop();
}

fn requests_of_one_client_keep_their_order(transport: Transport) {
    let (_folder, path) = folder();
    let mut server = Server::start(transport);
    let mut client = server.client();
    let (a, b) = (format!("{path}/a"), format!("{path}/b"));
    let mut expected = Vec::new();
    for round in 0..20 {
        let content = STANDARD.encode(vec![b'x'; round * 10_000]);
        client.send("fs/writeFile", json!({ "path": a, "dataBase64": content }));
        client.send("fs/copy", json!({ "sourcePath": a, "destinationPath": b }));
        let id = client.send("fs/readFile", json!({ "path": b }));
        client.send("fs/remove", json!({ "path": b, "force": false }));
        expected.push((id, content));
    }
    for (id, content) in expected {
        let answer = client.answer(&id).expect("it is there");
        assert!(answer["dataBase64"] == content, "{id}");
    }
    server.stop();
}

fn a_large_file_delays_nobody(transport: Transport) {
    const BYTES: u64 = 100_000_000;
    let (_folder, path) = folder();
    let file = format!("{path}/large");
    fs::File::create(&file).expect("made").set_len(BYTES).expect("it has holes");
    let mut server = Server::start(transport);
    let mut client = server.client();
    let large = client.send("fs/readFile", json!({ "path": file }));
    // Asked later and answered earlier.
    let small = client.send("fs/getMetadata", json!({ "path": file }));
    let other = client.send("model/list", json!({}));
    for id in [&small, &other] {
        client.answer(id).expect("it is answered");
    }
    let answer = client.answer(&large).expect("it is read");
    let encoded = usize::try_from(BYTES.div_ceil(3) * 4).expect("small");
    assert_eq!(answer["dataBase64"].as_str().map(str::len), Some(encoded));
    let order: Vec<Value> = client.received().iter().map(|message| message["id"].clone()).collect();
    let place = |id: &Value| order.iter().position(|other| other == id).expect("it came");
    assert!(place(&small) < place(&large) && place(&other) < place(&large), "{order:?}");
    server.stop();
}

fn a_client_that_does_not_read_files_that_it_asked_for_is_not_cut_off(transport: Transport) {
    // More than an outbox takes, and more than waits in pipes and sockets.
    const FILES: usize = 24;
    let (_folder, path) = folder();
    let file = format!("{path}/file");
    fs::File::create(&file).expect("made").set_len(4_000_000).expect("it has holes");
    let mut server = Server::start(transport);
    let mut client = server.client();
    let ids: Vec<Value> = (0..FILES).map(|_| client.send("fs/readFile", json!({ "path": file }))).collect();
    for id in &ids {
        client.answer(id).expect("every one is read");
    }
    assert_eq!(read(&mut client, &file).len(), 4_000_000);
    server.stop();
}
