//! What happens when two things meet: a resume and a start, a resume and an unload, two who change the same.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use app_server::clock::Clock;
use app_server::limits::FILE_WORKERS;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use serde_json::{Value, json};

use crate::support::client::{Client, column, said, text};
use crate::support::home::Home;
use crate::support::inside::{Inside, Peer};
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);
/// The wheel may fire one tick late, never early.
const TICK: Duration = Duration::from_millis(10);

/// Keeps the store from writing until it is committed.
fn hold_store(database: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(database).expect("the database opens");
    database.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    database
}

/// Asks until so many jobs wait for the store.
fn wait_for_jobs(client: &mut Client, jobs: f64) {
    for _ in 0..100_000 {
        let said = client.ok("server/diagnostics", json!({}));
        if said["metrics"]["app_server_store_jobs"].as_f64() == Some(jobs) {
            return;
        }
    }
    panic!("there are never {jobs} jobs");
}

#[test]
fn a_turn_that_is_about_to_start_is_not_shown_as_interrupted() {
    let home = Home::new();
    let mut server = Server::start_in(Transport::WebSocket, &home);
    let (mut client, mut late) = (server.client(), server.client());
    let (other, thread) = (client.thread(), client.thread());
    client.turn(&thread, "before");
    let held = hold_store(&home.database());
    // This one the store has taken, and waits; the two others are then done in one step.
    client.send("thread/name/set", json!({ "threadId": other, "name": "new" }));
    wait_for_jobs(&mut client, /*jobs*/ 0.0);
    let start = json!({ "threadId": thread, "input": said("now") });
    let started = client.send("turn/start", start);
    wait_for_jobs(&mut client, /*jobs*/ 1.0);
    let resumed = late.send("thread/resume", json!({ "threadId": thread }));
    wait_for_jobs(&mut client, /*jobs*/ 2.0);
    held.execute_batch("COMMIT").expect("it ends");
    let resumed = late.answer(&resumed).expect("it is loaded");
    let turn = text(&client.answer(&started).expect("it starts")["turn"]["id"]);
    let shown = column(&resumed["thread"]["turns"], "status");
    if shown.len() == 1 {
        // It is told as a new one.
        assert_eq!(late.next_notification("turn/started")["turn"]["id"], turn.as_str());
    } else {
        assert_eq!(shown, ["completed", "inProgress"]);
    }
    assert_eq!(late.turn_end(&turn)["status"], "completed");
}

#[test]
fn a_thread_that_is_unloaded_while_it_is_joined_is_loaded_with_all_that_belongs_to_it() {
    let inside = Inside::start(&[]);
    let (mut owner, mut late) = (inside.connect(), inside.connect());
    let thread = owner.start_thread(json!({}));
    let goal = json!({ "threadId": thread, "objective": "rest", "status": "paused" });
    owner.ask("thread/goal/set", goal).expect("it is set");
    owner.ask("thread/unsubscribe", json!({ "threadId": thread })).expect("it listens");
    let held = hold_store(&inside.database());
    let resumed = late.begin("thread/resume", json!({ "threadId": thread }));
    // An answered question: the store has it.
    late.ask("account/read", json!({})).expect("it answers");
    inside.advance(HALF_AN_HOUR + TICK);
    owner.hear("thread/closed", &thread);
    held.execute_batch("COMMIT").expect("it ends");
    let resumed = late.answer_to(resumed).expect("it is stored");
    assert_eq!(resumed["thread"]["status"]["type"], "idle");
    let shown = late.ask("thread/goal/get", json!({ "threadId": thread })).expect("it answers");
    assert_eq!(shown["goal"]["objective"], "rest", "what it is to do is known");
    let sql = "SELECT owner IS NOT NULL FROM threads WHERE id = ?1";
    let is_owned: bool = held.query_row(sql, [&thread], |row| row.get(0)).expect("it is there");
    assert!(is_owned, "no other process may write to it");
    late.run_turn(&thread, "hello");
}

/// A pipe in place of a project's file: who reads it waits for who writes.
fn pipe_in(cwd: &Path) -> PathBuf {
    let pipe = cwd.join(".codex/config.toml");
    fs::create_dir_all(cwd.join(".codex")).expect("a folder");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, /*dev*/ 0).expect("a pipe");
    pipe
}

/// Waits until somebody reads the pipe, and takes it away. Who reads goes on when what is given back is
/// dropped; nobody else is held up.
fn wait_for_reader(pipe: &Path) -> File {
    let clock = Clock::real();
    let until = clock.now().after(PATIENCE);
    let flags = OFlags::NONBLOCK.bits().try_into().expect("flags");
    loop {
        match OpenOptions::new().write(true).custom_flags(flags).open(pipe) {
            Ok(gate) => {
                fs::remove_file(pipe).expect("it goes");
                return gate;
            }
            Err(error) => assert!(clock.now() < until, "nobody reads it: {error}"),
        }
        std::thread::yield_now();
    }
}

fn reload(goals: bool) -> Value {
    let edit = json!({ "keyPath": "features.goals", "value": goals, "mergeStrategy": "replace" });
    json!({ "edits": [edit], "reloadUserConfig": true })
}

fn has_goals(peer: &mut Peer, thread: &str) -> bool {
    let list = peer.ask("experimentalFeature/list", json!({ "threadId": thread })).expect("it is loaded");
    let mut features = list["data"].as_array().expect("a list").iter();
    let goals = features.find(|feature| feature["name"] == "goals").expect("it is there");
    goals["enabled"].as_bool().expect("it is known")
}

#[test]
fn threads_have_the_newest_configuration_also_when_an_older_one_comes_late() {
    let inside = Inside::start(&[]);
    let (mut first, mut second) = (inside.connect(), inside.connect());
    let thread = first.start_thread(json!({}));
    let cwd = inside.home().join("project");
    fs::create_dir_all(&cwd).expect("a folder");
    first.start_thread(json!({ "cwd": cwd }));
    let pipe = pipe_in(&cwd);
    let late = first.begin("config/batchWrite", reload(/*goals*/ false));
    let gate = wait_for_reader(&pipe);
    second.ask("config/batchWrite", reload(/*goals*/ true)).expect("it is written");
    drop(gate);
    first.answer_to(late).expect("it was written");
    assert!(has_goals(&mut second, &thread));
}

#[test]
fn file_work_does_not_wait_for_looks_at_projects() {
    let inside = Inside::start(&[]);
    let file = inside.home().join("file");
    fs::write(&file, "hello").expect("a file");
    let begin = |number: usize| {
        let cwd = inside.home().join(format!("project {number}"));
        let pipe = pipe_in(&cwd);
        let mut peer = inside.connect();
        let asked = peer.begin("thread/start", json!({ "cwd": cwd }));
        (peer, asked, wait_for_reader(&pipe))
    };
    let looking: Vec<_> = (0..FILE_WORKERS).map(begin).collect();
    let mut other = inside.connect();
    let read = other.ask("fs/readFile", json!({ "path": file })).expect("it is read");
    assert_eq!(read["dataBase64"], "aGVsbG8=");
    for (mut peer, asked, gate) in looking {
        drop(gate);
        peer.answer_to(asked).expect("it starts");
    }
}

#[test]
fn who_signs_out_last_is_signed_out() {
    let inside = Inside::start(&[]);
    let (mut first, mut second) = (inside.connect(), inside.connect());
    let key = inside.home().join("app-server/api-key");
    for _ in 0..20 {
        let signing_in = first.begin("account/login/start", json!({ "type": "apiKey", "apiKey": "sk-key" }));
        let signing_out = second.begin("account/logout", json!({}));
        first.answer_to(signing_in).expect("it is kept");
        second.answer_to(signing_out).expect("it is gone");
        assert_eq!(second.ask("account/read", json!({})).expect("it answers")["account"], Value::Null);
        assert!(!key.exists(), "the key is gone");
    }
}
