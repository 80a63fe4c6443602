//! Opening, versions, and several users of one folder.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Barrier;

use super::*;

fn open(folder: &Folder) -> Database {
    Database::open(folder.path()).expect("it opens")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_fresh_folder_is_private_and_the_database_configured() {
    let folder = Folder::new();
    let dir = folder.path().join("home").join("app-server");
    let mut database = Database::open(&dir).expect("it opens");
    insert(&mut database, &thread("a", /*at_ms*/ 1));
    assert_eq!(mode(&dir), 0o700);
    for file in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    assert_eq!(pragma(&database, "journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma(&database, "synchronous"), 1.into());
    assert_eq!(pragma(&database, "foreign_keys"), 1.into());
    assert_eq!(pragma(&database, "user_version"), schema::VERSION.into());
    drop(database);
    let database = Database::open(&dir).expect("it opens again");
    assert_eq!(database.conversation("a").expect("it is kept").items.len(), 1);
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let folder = Folder::new();
    let database = open(&folder);
    database.connection.pragma_update(None, "user_version", schema::VERSION + 41).expect("it is written");
    drop(database);
    let error = Database::open(folder.path()).expect_err("it is newer").to_string();
    for part in
        [format!("schema version {}", schema::VERSION + 41), format!("versions up to {}", schema::VERSION)]
    {
        assert!(error.contains(&part), "{error} has not: {part}");
    }
    let raw = rusqlite::Connection::open(folder.path().join("store.sqlite")).expect("SQLite opens it");
    let version: i64 = raw.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
    assert_eq!(version, schema::VERSION + 41);
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let folder = Folder::new();
    let path = folder.path().join("store.sqlite");
    let letter = "Dear reader, this is not a database. ".repeat(100);
    std::fs::write(&path, &letter).expect("a file can be written");
    let error = Database::open(folder.path()).expect_err("it is a letter");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is still there"), letter);
}

#[test]
fn two_that_open_a_fresh_folder_at_once_both_succeed() {
    for _ in 0..10 {
        let folder = Folder::new();
        let dir = folder.path().join("fresh");
        let together = Barrier::new(4);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (dir, together) = (&dir, &together);
                scope.spawn(move || {
                    together.wait();
                    let mut database = Database::open(dir).expect("it opens");
                    insert(&mut database, &thread(&format!("a{number}"), /*at_ms*/ 1));
                });
            }
        });
        assert_eq!(
            Database::open(&dir)
                .expect("it opens")
                .list_threads(&ThreadQuery::default())
                .expect("a list")
                .records
                .len(),
            4
        );
    }
}

#[test]
fn two_workers_on_one_folder_lose_nothing() {
    const THREADS: usize = 50;
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let folder = &folder;
            scope.spawn(move || {
                let started =
                    StoreWorker::start(folder.path().to_owned(), |opened| opened.expect("it opens"));
                let (_worker, handle) = started.expect("a worker starts");
                for number in 0..THREADS {
                    // Both write turns of the same thread as well, so they meet on one row.
                    let (own, turn) = (format!("{writer}-{number}"), format!("t-{writer}-{number}"));
                    let write = move |database: &mut Database| {
                        database.insert_thread(&thread(&own, /*at_ms*/ 1))?;
                        if database.thread("both")?.is_none() {
                            database.insert_thread(&thread("both", /*at_ms*/ 1))?;
                        }
                        let new = NewTurn { id: &turn, ..NewTurn::default() };
                        database.start_turn("both", &new, &[item(&turn, "u", "userMessage")])
                    };
                    handle.call_write(write).expect("it is written");
                }
            });
        }
    });
    let database = open(&folder);
    let everything = ThreadQuery { limit: 1_000, with_turns_only: false, ..ThreadQuery::default() };
    assert_eq!(database.list_threads(&everything).expect("a list").records.len(), 2 * THREADS + 1);
    let turns = database.all_turns("both").expect("it is there");
    let ordinals: Vec<_> = turns.iter().map(|(turn, _)| turn.ordinal).collect();
    assert_eq!(ordinals, (1..=2 * THREADS as i64).collect::<Vec<_>>());
    assert!(turns.iter().all(|(_, items)| items.len() == 1));
    assert_eq!(pragma(&database, "integrity_check"), "ok".to_owned().into());
}

#[test]
fn readers_go_on_while_another_process_holds_the_write_lock() {
    let folder = Folder::new();
    let mut database = open(&folder);
    insert(&mut database, &thread("a", /*at_ms*/ 1));
    let other = open(&folder);
    other.connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM threads;").expect("it writes");
    assert_eq!(database.conversation("a").expect("it is readable").items.len(), 1);
    // And the writer's wait has an end with a clear error.
    database.connection.busy_timeout(std::time::Duration::ZERO).expect("it is set");
    assert_eq!(database.set_name("a", Some("x")), Err(StoreError::Busy));
    other.connection.execute_batch("ROLLBACK").expect("it stops");
    assert_eq!(database.set_name("a", Some("x")), Ok(true));
}

/// Set in the child of the next test: the folder to work in.
const CHILD_FOLDER: &str = "APP_SERVER_TEST_STORE_FOLDER";

#[test]
fn what_was_acknowledged_survives_a_kill_and_what_was_not_is_gone() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        return die_in_the_middle_of_a_transaction(folder.into());
    }
    let folder = Folder::new();
    let name = "store::tests::sharing::what_was_acknowledged_survives_a_kill_and_what_was_not_is_gone";
    let mut child = Command::new(std::env::current_exe().expect("the test knows itself"))
        .args([name, "--exact", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let inside = output.lines().map_while(Result::ok).any(|line| line.contains("inside"));
    child.kill().expect("it can be killed");
    child.wait().expect("it is dead");
    assert!(inside, "the child did not come to its transaction");
    let database = open(&folder);
    assert_eq!(database.conversation("kept").expect("it was acknowledged").items.len(), 1);
    assert_eq!(database.thread("lost"), Ok(None));
    assert_eq!(pragma(&database, "integrity_check"), "ok".to_owned().into());
}

fn die_in_the_middle_of_a_transaction(folder: PathBuf) {
    let started = StoreWorker::start(folder, |opened| opened.expect("it opens"));
    let (_worker, handle) = started.expect("a worker starts");
    let kept = handle.call_write(|database| {
        insert(database, &thread("kept", /*at_ms*/ 1));
        Ok(())
    });
    kept.expect("it is committed");
    let dies = handle.call_write(|database| {
        insert(database, &thread("lost", /*at_ms*/ 1));
        writeln!(std::io::stdout(), "inside").expect("the parent listens");
        // Ends only when the parent is gone without killing this process.
        let _ = std::io::stdin().read_line(&mut String::new());
        Ok(())
    });
    dies.expect("nobody killed it");
}
