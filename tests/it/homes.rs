//! The home and its database: shared by several processes, newer than the program, not writable, cut off.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::Transport;
use crate::support::client::column;
use crate::support::home::Home;
use crate::support::process::Launch;
use crate::support::server::Server;

#[test]
fn several_processes_share_one_home() {
    const PROCESSES: usize = 4;
    const THREADS: usize = 3;
    const TURNS: usize = 4;
    let home = Home::new();
    let started = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PROCESSES)
            .map(|number| {
                let home = &home;
                // Alternating, so that both kinds of server meet.
                let transport = [Transport::Stdio, Transport::WebSocket][number % 2];
                scope.spawn(move || {
                    let mut server = Server::start_in(transport, home);
                    let mut client = server.client();
                    let threads: Vec<String> = (0..THREADS).map(|_| client.thread()).collect();
                    for turn in 0..TURNS {
                        for thread in &threads {
                            let ended = client.turn(thread, &format!("{number} {turn}"));
                            assert_eq!(ended["status"], "completed");
                        }
                    }
                    drop(client);
                    server.stop();
                    threads
                })
            })
            .collect();
        let mut started: Vec<String> =
            workers.into_iter().flat_map(|worker| worker.join().expect("no process had an error")).collect();
        started.sort();
        started
    });
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let list = client.ok("thread/list", json!({ "limit": 100 }));
    let mut listed = column(&list["data"], "id");
    listed.sort();
    assert_eq!(listed, started);
    for thread in &started {
        let turns = client.read(thread)["turns"].take();
        assert_eq!(column(&turns, "status"), ["completed"; TURNS]);
        for turn in turns.as_array().expect("turns") {
            assert_eq!(column(&turn["items"], "type"), ["userMessage", "agentMessage"]);
        }
    }
}

#[test]
fn the_data_is_for_the_owner_only() {
    let home = Home::new();
    Launch::new(&home).run(b"");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&home.path().join("app-server")), 0o700);
    assert_eq!(mode(&home.database()), 0o600);
}

#[test]
fn a_newer_database_is_left_alone_and_told() {
    let home = Home::new();
    Launch::new(&home).run(b"");
    let database = rusqlite::Connection::open(home.database()).expect("the database opens");
    database.pragma_update(None, "user_version", 4711).expect("it is written");
    drop(database);
    for args in [&[][..], &["--listen", "ws://127.0.0.1:0"], &["exec", "hello"]] {
        let output = Launch::new(&home).args(args.iter().copied()).run(b"");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        for word in ["4711", "upgrade", &home.database().display().to_string()] {
            assert!(output.stderr.contains(word), "`{word}` is not in: {}", output.stderr);
        }
    }
}

#[test]
fn a_database_that_is_none_is_told() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("app-server")).expect("a folder");
    std::fs::write(home.database(), "this is no database, and long enough to be seen as none".repeat(20))
        .expect("a file");
    let output = Launch::new(&home).run(b"");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("damaged"), "{}", output.stderr);
}

#[test]
fn a_home_that_cannot_be_written_is_told() {
    let home = Home::new();
    // A file where the folder would be stops root as well.
    std::fs::write(home.path().join("app-server"), "").expect("a file");
    for args in [&[][..], &["exec", "hello"]] {
        let output = Launch::new(&home).args(args.iter().copied()).run(b"");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        assert!(output.stderr.contains(&home.path().display().to_string()), "{}", output.stderr);
    }
    let output = Launch::new(&home).args(["--home", "/proc/no/such"]).run(b"");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("/proc/no/such"), "{}", output.stderr);
}
