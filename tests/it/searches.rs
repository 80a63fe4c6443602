//! `fuzzyFileSearch`: one answer, or a session that tells as it goes.

use std::fs;

use serde_json::{Value, json};

use crate::support::client::{Client, column};
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    one_search_is_one_answer,
    a_session_tells_as_it_goes,
    many_files_are_answered_progressively,
    sessions_are_bounded_and_named,
);

const LARGE_FOLDERS: usize = 200;
const FILES_EACH: usize = 100;

fn session(client: &mut Client, name: &str, roots: &[&str]) {
    let params = json!({ "sessionId": name, "roots": roots });
    assert_eq!(client.ok("fuzzyFileSearch/sessionStart", params), json!({}));
}

fn update(client: &mut Client, name: &str, query: &str) {
    let params = json!({ "sessionId": name, "query": query });
    assert_eq!(client.ok("fuzzyFileSearch/sessionUpdate", params), json!({}));
}

/// All that a session tells of a query, from its first word to its last.
fn all_of(client: &mut Client, name: &str, query: &str) -> Vec<Value> {
    let mut updates = Vec::new();
    for message in client.all_until("fuzzyFileSearch/sessionCompleted") {
        let params = &message["params"];
        if message["method"] == "fuzzyFileSearch/sessionUpdated" && params["query"] == query {
            assert_eq!(params["sessionId"], name);
            updates.push(params["files"].clone());
        }
    }
    updates
}

fn one_search_is_one_answer(transport: Transport) {
    let folder = Home::new();
    let root = folder.path().display().to_string();
    fs::create_dir(format!("{root}/notes")).expect("made");
    for name in ["a.txt", "notes/after.txt", "b.bin"] {
        fs::write(format!("{root}/{name}"), "").expect("written");
    }
    let mut server = Server::start(transport);
    let mut client = server.client();
    let params = json!({ "query": "a", "roots": [root], "cancellationToken": null });
    let answer = client.ok("fuzzyFileSearch", params);
    let expected = json!([
        { "root": root, "path": "a.txt", "match_type": "file", "file_name": "a.txt", "score": 65570,
          "indices": [0] },
        { "root": root, "path": "notes/after.txt", "match_type": "file", "file_name": "after.txt",
          "score": 65570, "indices": [6] },
    ]);
    assert_eq!(answer["files"], expected);
    for params in [json!({ "query": "", "roots": [root] }), json!({ "query": "a", "roots": [] })] {
        assert_eq!(client.ok("fuzzyFileSearch", params), json!({ "files": [] }));
    }
    // Each search with a token takes the place of the one before; every one is answered.
    let ids: Vec<Value> = (0..30)
        .map(|_| {
            let params = json!({ "query": "a", "roots": ["/usr", root], "cancellationToken": "t" });
            client.send("fuzzyFileSearch", params)
        })
        .collect();
    for id in &ids {
        client.answer(id).expect("answered with what was found");
    }
    let long = "x".repeat(app_server::limits::SEARCH_QUERY_BYTES_MAX + 1);
    let error = client.refused("fuzzyFileSearch", json!({ "query": long, "roots": [root] }));
    assert_eq!(error["code"], -32600);
    server.stop();
}

fn a_session_tells_as_it_goes(transport: Transport) {
    let folder = Home::new();
    let root = folder.path().display().to_string();
    for name in ["alpha", "beta", "gamma"] {
        fs::write(format!("{root}/{name}"), "").expect("written");
    }
    let mut server = Server::start(transport);
    let mut client = server.client();
    session(&mut client, "s", &[&root]);
    for (query, expected) in [("al", vec!["alpha"]), ("a", vec!["alpha", "beta", "gamma"]), ("zz", vec![])] {
        update(&mut client, "s", query);
        let updates = all_of(&mut client, "s", query);
        assert_eq!(column(updates.last().expect("at least one"), "path"), expected, "{query}");
    }
    client.ok("fuzzyFileSearch/sessionStop", json!({ "sessionId": "s" }));
    client.ok("fuzzyFileSearch/sessionStop", json!({ "sessionId": "s" }));
    let error = client.refused("fuzzyFileSearch/sessionUpdate", json!({ "sessionId": "s", "query": "a" }));
    assert_eq!(error["message"], "fuzzy file search session not found: s");
    assert_eq!(error["code"], -32600);
    // Started again, it finds what is there now.
    fs::write(format!("{root}/alphabet"), "").expect("written");
    session(&mut client, "s", &[&root]);
    update(&mut client, "s", "alp");
    let updates = all_of(&mut client, "s", "alp");
    assert_eq!(column(updates.last().expect("at least one"), "path"), ["alpha", "alphabet"]);
    server.stop();
}

fn many_files_are_answered_progressively(transport: Transport) {
    let folder = Home::new();
    let root = folder.path().display().to_string();
    for number in 0..LARGE_FOLDERS {
        let inner = format!("{root}/folder-{number:03}");
        fs::create_dir(&inner).expect("made");
        for file in 0..FILES_EACH {
            fs::write(format!("{inner}/file-{file}.rs"), "").expect("written");
        }
    }
    fs::write(format!("{root}/folder-000/needle.txt"), "").expect("written");
    let mut server = Server::start(transport);
    let mut client = server.client();
    session(&mut client, "s", &[&root]);
    update(&mut client, "s", "file");
    // Typed on while the first one runs: what is told belongs to its query, and the last one is completed.
    for query in ["n", "ne", "nee", "need"] {
        update(&mut client, "s", query);
    }
    client.next_fitting("the needle", |message| {
        message["params"]["query"] == "need" && message["params"]["files"][0]["file_name"] == "needle.txt"
    });
    update(&mut client, "s", "needle.txt");
    client.next_fitting("the needle", |message| {
        message["params"]["query"] == "needle.txt"
            && message["params"]["files"].as_array().is_some_and(|files| files.len() == 1)
    });
    client.next_notification("fuzzyFileSearch/sessionCompleted");
    // Stopped in the middle: nothing comes after the answer, and the server goes on.
    session(&mut client, "t", &["/"]);
    update(&mut client, "t", "e");
    client.ok("fuzzyFileSearch/sessionStop", json!({ "sessionId": "t" }));
    client.settle();
    update(&mut client, "s", "file-7");
    let told = client.all_until("fuzzyFileSearch/sessionCompleted");
    assert!(told.iter().all(|message| message["params"]["sessionId"] != "t"));
    server.stop();
}

fn sessions_are_bounded_and_named(transport: Transport) {
    const MOST: usize = app_server::limits::SEARCHES_PER_CONNECTION;
    let folder = Home::new();
    let root = folder.path().display().to_string();
    let mut server = Server::start(transport);
    let mut client = server.client();
    for number in 0..MOST {
        session(&mut client, &number.to_string(), &[&root]);
    }
    let one_more = json!({ "sessionId": "one more", "roots": [root] });
    let error = client.refused("fuzzyFileSearch/sessionStart", one_more.clone());
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32001), &json!("limitReached")));
    let error = client.refused("fuzzyFileSearch", json!({ "query": "x", "roots": [root] }));
    assert_eq!(error["code"], -32001);
    // A name that is taken is taken over.
    session(&mut client, "0", &[&root]);
    client.ok("fuzzyFileSearch/sessionStop", json!({ "sessionId": "3" }));
    client.ok("fuzzyFileSearch/sessionStart", one_more);
    let error = client.refused("fuzzyFileSearch/sessionStart", json!({ "sessionId": "", "roots": [] }));
    assert_eq!(error["message"], "sessionId must not be empty");
    server.stop();
}

#[test]
fn sessions_of_all_clients_together_are_bounded() {
    use app_server::limits::{SEARCHES_MAX, SEARCHES_PER_CONNECTION};
    let folder = Home::new();
    let root = folder.path().display().to_string();
    let mut server = Server::start(Transport::WebSocket);
    let mut clients: Vec<_> = (0..SEARCHES_MAX / SEARCHES_PER_CONNECTION).map(|_| server.client()).collect();
    for client in &mut clients {
        for number in 0..SEARCHES_PER_CONNECTION {
            session(client, &number.to_string(), &[&root]);
        }
    }
    let mut late = server.client();
    let start = json!({ "sessionId": "late", "roots": [root] });
    let error = late.refused("fuzzyFileSearch/sessionStart", start.clone());
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32001), &json!("limitReached")));
    clients[0].ok("fuzzyFileSearch/sessionStop", json!({ "sessionId": "0" }));
    late.ok("fuzzyFileSearch/sessionStart", start);
    server.stop();
}

#[test]
fn sessions_are_for_experimental_clients() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.connect();
    client.initialize_with(json!({}));
    let error = client.refused("fuzzyFileSearch/sessionStart", json!({ "sessionId": "s", "roots": [] }));
    assert_eq!(error["message"], "fuzzyFileSearch/sessionStart requires experimentalApi capability");
    assert_eq!(client.ok("fuzzyFileSearch", json!({ "query": "x", "roots": [] })), json!({ "files": [] }));
    server.stop();
}
