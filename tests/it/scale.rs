//! A store with many threads: lists, pages and searches cost what they show, and the start costs nothing.
//!
//! `cargo test` runs it small, for what is found. `.ci/run` runs it with 100,000 threads against the
//! optimised binary (`APP_SERVER_SCALE`, `APP_SERVER_IT_BINARY`), and then the times count.

use std::time::Duration;

use app_server::clock::{Clock, Monotonic};
use app_server::store::{Database, NewItem, NewTurn, ThreadRecord, TurnEnd, TurnState};
use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::client::{Client, column};
use crate::support::conversation::tell_failed_test;
use crate::support::home::Home;
use crate::support::server::Server;

/// Threads in `cargo test`.
const THREADS: usize = 2_000;
/// Threads from which on times are asserted.
const THREADS_TIMED: usize = 100_000;
const ANSWER_WITHIN: Duration = Duration::from_millis(20);
/// Questions of one kind; the quickest counts, because the machine may be busy.
const ROUNDS: usize = 9;

/// Every thread has a turn with two messages; one in a thousand says something rare.
fn fill(home: &Home, threads: usize) {
    let dir = home.database().parent().expect("a folder").to_owned();
    drop(Database::open(&dir).expect("a store"));
    let mut connection = rusqlite::Connection::open(home.database()).expect("the database opens");
    // The rows are made in one go, as the server would make them one by one.
    let mut database = Database::open(&dir).expect("a store");
    let first = ThreadRecord {
        id: id_of(/*number*/ 0),
        session_id: id_of(/*number*/ 0),
        model_provider: "offline".to_owned(),
        model: "offline".to_owned(),
        cwd: "/srv/0".to_owned(),
        source: "vscode".to_owned(),
        cli_version: "0".to_owned(),
        history_mode: "paginated".to_owned(),
        created_at_ms: at_ms(/*number*/ 0),
        updated_at_ms: at_ms(/*number*/ 0),
        recency_at_ms: at_ms(/*number*/ 0),
        settings: "{}".to_owned(),
        preview: preview(/*number*/ 0),
        ..ThreadRecord::default()
    };
    database.insert_thread(&first).expect("it is new");
    let turn = NewTurn { id: "t", started_at_ms: at_ms(/*number*/ 0), ..NewTurn::default() };
    let item = NewItem {
        id: "m".to_owned(),
        turn_id: "t".to_owned(),
        kind: "agentMessage".to_owned(),
        body: message(/*number*/ 0),
        ..NewItem::default()
    };
    database.start_turn(&first.id, &turn, &[item]).expect("it is new");
    let end = TurnEnd {
        state: TurnState::Completed,
        error: None,
        completed_at_ms: at_ms(/*number*/ 0),
        token_usage: None,
    };
    database.end_turn(&first.id, "t", &end).expect("it runs");
    drop(database);
    let transaction = connection.transaction().expect("it begins");
    {
        let copy =
            "INSERT INTO threads (id, archived, turn_count, created_at_ms, updated_at_ms, recency_at_ms,
                session_id, model_provider, model, source, cli_version, history_mode, cwd, preview, settings)
            SELECT ?1, 0, 1, ?2, ?2, ?2, ?1, model_provider, model, source, cli_version, history_mode, ?3, ?4,
                settings FROM threads WHERE key = 1";
        let mut threads_in = transaction.prepare(copy).expect("threads");
        let copy = "INSERT INTO turns (thread, ordinal, id, state, started_at_ms, completed_at_ms)
            VALUES (?1, 1, 't', 1, ?2, ?2)";
        let mut turns_in = transaction.prepare(copy).expect("turns");
        let copy = "INSERT INTO items (turn, thread, ordinal, id, kind, body)
            VALUES (?1, ?2, 1, 'm', 'agentMessage', ?3)";
        let mut items_in = transaction.prepare(copy).expect("items");
        for number in 1..threads {
            let cwd = format!("/srv/{}", number % 50);
            threads_in.execute((id_of(number), at_ms(number), cwd, preview(number))).expect("a thread");
            let thread = transaction.last_insert_rowid();
            turns_in.execute((thread, at_ms(number))).expect("a turn");
            let turn = transaction.last_insert_rowid();
            items_in.execute((turn, thread, message(number))).expect("an item");
        }
    }
    transaction.commit().expect("it is kept");
}

fn id_of(number: usize) -> String {
    format!("01990000-0000-7000-8000-{number:012x}")
}

fn at_ms(number: usize) -> i64 {
    1_790_000_000_000 + i64::try_from(number).expect("small") * 1000
}

fn is_rare(number: usize) -> bool {
    number % 1000 == 500
}

/// Some words of a small language, so that trigrams are shared as they are in a real one.
fn words(number: usize) -> String {
    const WORDS: [&str; 12] = [
        "please",
        "refactor",
        "the parser",
        "and test",
        "error handling",
        "in module",
        "database",
        "connection",
        "timeout",
        "rendering",
        "of the list",
        "quickly",
    ];
    (0..8).map(|at| WORDS[(number / (at + 1) + at * 5) % WORDS.len()]).collect::<Vec<_>>().join(" ")
}

fn preview(number: usize) -> String {
    let rare = if is_rare(number) { "zebrafish " } else { "" };
    format!("{rare}{} number {number}", words(number))
}

fn message(number: usize) -> String {
    let rare = if is_rare(number + 1) { " Xylophone!" } else { "" };
    let text = format!("I did what you said: {}.{rare} Done with {number}.", words(number + 7));
    json!({ "type": "agentMessage", "id": "m", "text": text }).to_string()
}

/// The shortest time that a question takes, and its last answer.
fn ask(client: &mut Client, clock: &Clock, method: &str, params: &Value) -> (Duration, Value) {
    let mut answer = Value::Null;
    let times = (0..ROUNDS).map(|_| {
        let begun = clock.now();
        answer = client.ok(method, params.clone());
        clock.now().since(begun)
    });
    (times.min().expect("rounds"), answer)
}

/// The shortest time from a start to the answer to `initialize`, in a home.
fn start(home: &std::sync::Arc<Home>, clock: &Clock) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let begun: Monotonic = clock.now();
        let mut server = Server::start_in(Transport::Stdio, home);
        server.client();
        let time = clock.now().since(begun);
        server.stop();
        time
    });
    times.min().expect("rounds")
}

#[test]
fn lists_pages_and_searches_of_many_threads_cost_what_they_show() {
    let asked = std::env::var("APP_SERVER_SCALE").ok().and_then(|count| count.parse().ok());
    let threads: usize = asked.unwrap_or(THREADS);
    let clock = Clock::real();
    let home = Home::new();
    fill(&home, threads);
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let newest = id_of(threads - 1);
    let middle = threads / 2;
    let cursor = format!("{}|{}", at_ms(middle), id_of(middle));
    let rare = (0..threads).filter(|number| is_rare(*number)).count().min(25);
    let rare_said = (0..threads).filter(|number| is_rare(number + 1)).count().min(25);
    let mut slow = Vec::new();
    for (what, method, params, count) in [
        ("first page", "thread/list", json!({}), 25),
        ("deep page", "thread/list", json!({ "cursor": cursor }), 25),
        ("by folder", "thread/list", json!({ "cwd": "/srv/7", "sortKey": "updated_at" }), 25),
        ("rare term", "thread/list", json!({ "searchTerm": "ZebraFish" }), rare),
        ("common term", "thread/list", json!({ "searchTerm": "parser" }), 25),
        ("common term, deep", "thread/list", json!({ "searchTerm": "parser", "cursor": cursor }), 25),
        ("missing term", "thread/list", json!({ "searchTerm": "nobody wrote this" }), 0),
        ("missing term of common parts", "thread/list", json!({ "searchTerm": "parserthe parser" }), 0),
        ("exact term", "thread/list", json!({ "searchTerm": format!("number {}", threads - 1) }), 1),
        ("rare word said", "thread/search", json!({ "searchTerm": "xylophone" }), rare_said),
        ("common word said", "thread/search", json!({ "searchTerm": "did what" }), 25),
        ("common, oldest", "thread/search", json!({ "searchTerm": "timeout", "sortDirection": "asc" }), 25),
        ("missing word", "thread/search", json!({ "searchTerm": "nobody said this" }), 0),
        ("short word", "thread/search", json!({ "searchTerm": "qz" }), 0),
    ] {
        let (time, answer) = ask(&mut client, &clock, method, &params);
        let found = answer["data"].as_array().expect("a list").len();
        tell_failed_test(&format!("{what}: {time:?}, {found} found"));
        assert_eq!(found, count, "{what}: {answer:.300}");
        if time > ANSWER_WITHIN {
            slow.push(format!("{what}: {time:?}"));
        }
    }
    assert_eq!(column(&client.ok("thread/list", json!({ "limit": 1 }))["data"], "id"), [newest]);
    drop(client);
    server.stop();
    let (full, empty) = (start(&home, &clock), start(&Home::new(), &clock));
    tell_failed_test(&format!("start with {threads} threads: {full:?}, without: {empty:?}"));
    if threads >= THREADS_TIMED {
        assert!(slow.is_empty(), "too slow: {slow:#?}");
        assert!(full <= empty * 2 + Duration::from_millis(10), "start: {full:?}, empty: {empty:?}");
    }
}
