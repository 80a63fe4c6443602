//! `fs/watch`: changes reach the client that asked, and nothing outlives its connection.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    a_replaced_file_is_told_once_gathered,
    an_ended_watch_is_silent,
    a_server_that_watches_sleeps,
    too_many_watches_are_refused,
);

fn watch(client: &mut Client, name: &str, path: &str) {
    let answer = client.ok("fs/watch", json!({ "watchId": name, "path": path }));
    assert_eq!(answer, json!({ "path": path }));
}

/// The paths of the next `fs/changed`, and its watch.
fn changed(client: &mut Client) -> (Value, Value) {
    let mut told = client.next_notification("fs/changed");
    (told["watchId"].take(), told["changedPaths"].take())
}

fn a_replaced_file_is_told_once_gathered(transport: Transport) {
    let folder = Home::new();
    let path = folder.path().display().to_string();
    let (file, new) = (format!("{path}/file"), format!("{path}/new"));
    fs::write(&file, "one").expect("written");
    let mut server = Server::start(transport);
    let mut client = server.client();
    watch(&mut client, "w1", &file);
    for round in 0..3 {
        fs::write(&new, format!("round {round}")).expect("written");
        fs::rename(&new, &file).expect("renamed");
        assert_eq!(changed(&mut client), (json!("w1"), json!([file])));
        client.ok("fs/writeFile", json!({ "path": file, "dataBase64": "" }));
        assert_eq!(changed(&mut client), (json!("w1"), json!([file])));
    }
    // A missing path, one above it that is not there either, and the same path under another name.
    let deep = format!("{path}/not/yet");
    watch(&mut client, "", &deep);
    watch(&mut client, "again", &deep);
    client.ok("fs/createDirectory", json!({ "path": deep }));
    let mut both = [changed(&mut client), changed(&mut client)];
    both.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(both, [(json!(""), json!([deep])), (json!("again"), json!([deep]))]);
    server.stop();
}

fn an_ended_watch_is_silent(transport: Transport) {
    let folder = Home::new();
    let path = folder.path().display().to_string();
    let mut server = Server::start(transport);
    let mut client = server.client();
    watch(&mut client, "ends", &path);
    watch(&mut client, "stays", &path);
    fs::write(format!("{path}/file"), "").expect("written");
    client.ok("fs/unwatch", json!({ "watchId": "ends" }));
    client.settle();
    assert_eq!(changed(&mut client).0, "stays");
    fs::write(format!("{path}/file"), "again").expect("written");
    assert_eq!(changed(&mut client).0, "stays");
    let told = client.received().iter().filter(|message| message["params"]["watchId"] == "ends").count();
    assert_eq!(told, 0, "nothing comes after the answer to fs/unwatch");
    // The name is free again.
    watch(&mut client, "ends", &path);
    server.stop();
}

fn a_server_that_watches_sleeps(transport: Transport) {
    let folder = Home::new();
    let path = folder.path().display().to_string();
    let mut server = Server::start(transport);
    let mut client = server.client();
    for number in 0..20 {
        watch(&mut client, &number.to_string(), &format!("{path}/{number}"));
    }
    client.ok("fuzzyFileSearch/sessionStart", json!({ "sessionId": "s", "roots": [path] }));
    client.ok("fuzzyFileSearch/sessionUpdate", json!({ "sessionId": "s", "query": "x" }));
    client.next_notification("fuzzyFileSearch/sessionCompleted");
    fs::write(format!("{path}/3"), "").expect("written");
    changed(&mut client);
    client.settle();
    // What was just asked for may still be going to sleep; then nothing wakes up for half a second.
    let never = crossbeam_channel::never::<()>();
    let sleeps_through_half_a_second = || {
        let before = server.wakeups();
        let _ = never.recv_timeout(Duration::from_millis(500));
        server.wakeups() == before
    };
    assert!((0..10).any(|_| sleeps_through_half_a_second()), "workers: {:?}", server.workers());
    server.stop();
}

fn too_many_watches_are_refused(transport: Transport) {
    const MOST: usize = app_server::limits::WATCHES_PER_CONNECTION;
    let folder = Home::new();
    let path = folder.path().display().to_string();
    let mut server = Server::start(transport);
    let mut client = server.client();
    let ids: Vec<Value> = (0..MOST)
        .map(|number| client.send("fs/watch", json!({ "watchId": number.to_string(), "path": path })))
        .collect();
    for id in ids {
        client.answer(&id).expect("there is room");
    }
    let error = client.refused("fs/watch", json!({ "watchId": "one more", "path": path }));
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32001), &json!("limitReached")));
    assert!(error["message"].as_str().is_some_and(|text| text.contains("fs/unwatch")), "{error}");
    client.ok("fs/unwatch", json!({ "watchId": "7" }));
    watch(&mut client, "one more", &path);
    // It is one client's limit.
    if transport == Transport::WebSocket {
        watch(&mut server.client(), "one more", &path);
    }
    server.stop();
}

#[test]
fn watches_of_all_clients_together_are_bounded() {
    use app_server::limits::{WATCHES_MAX, WATCHES_PER_CONNECTION};
    let folder = Home::new();
    let path = folder.path().display().to_string();
    let mut server = Server::start(Transport::WebSocket);
    let mut clients: Vec<_> = (0..WATCHES_MAX / WATCHES_PER_CONNECTION).map(|_| server.client()).collect();
    for client in &mut clients {
        let start =
            |number: usize| client.send("fs/watch", json!({ "watchId": number.to_string(), "path": path }));
        let ids: Vec<Value> = (0..WATCHES_PER_CONNECTION).map(start).collect();
        for id in ids {
            client.answer(&id).expect("there is room");
        }
    }
    let mut late = server.client();
    let error = late.refused("fs/watch", json!({ "watchId": "late", "path": path }));
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32001), &json!("limitReached")));
    drop(clients);
    server.until("the watches of gone clients", |server| server.inotify_watches() == 0);
    watch(&mut late, "late", &path);
    server.stop();
}

#[test]
fn a_gone_connection_leaves_nothing_behind() {
    let folder = Home::new();
    let path = folder.path().display().to_string();
    for number in 0..200 {
        fs::create_dir(format!("{path}/{number}")).expect("made");
    }
    let mut server = Server::start(Transport::WebSocket);
    let mut stayer = server.client();
    server.settles(&mut stayer);
    // By number, because a new one has no name yet. The worker `watch` stays once it was needed.
    let (descriptors, workers) = (server.descriptors(), server.workers().len() + 1);
    for _ in 0..3 {
        let mut client = server.client();
        for number in 0..200 {
            watch(&mut client, &number.to_string(), &format!("{path}/{number}"));
        }
        assert!(server.inotify_watches() >= 200);
        client.ok("fuzzyFileSearch/sessionStart", json!({ "sessionId": "s", "roots": ["/"] }));
        client.ok("fuzzyFileSearch/sessionUpdate", json!({ "sessionId": "s", "query": "x" }));
        client.send("fuzzyFileSearch", json!({ "query": "x", "roots": ["/"] }));
        drop(client);
        server.until("everything is let go of", |server| {
            (server.inotify_watches(), server.descriptors(), server.workers().len())
                == (0, descriptors, workers)
        });
    }
    // Watches of the same names on another connection are others.
    let mut other = server.client();
    watch(&mut stayer, "w", &format!("{path}/1"));
    watch(&mut other, "w", &format!("{path}/2"));
    drop(other);
    fs::write(format!("{path}/1/file"), "").expect("written");
    assert_eq!(changed(&mut stayer), (json!("w"), json!([format!("{path}/1/file")])));
    server.stop();
}
