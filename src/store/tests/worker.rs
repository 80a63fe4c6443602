//! The worker: groups, failures, the queue, the end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::*;
use crate::limits;
use crate::sync::lock;

fn begin(folder: &Folder) -> (StoreWorker, StoreHandle) {
    let (told, opened) = bounded(1);
    let started = StoreWorker::start(folder.path().to_owned(), move |result| drop(told.send(result)));
    assert_eq!(opened.recv(), Ok(Ok(())));
    started.expect("a worker starts")
}

/// Keeps the worker busy with a read until the sender is used or dropped; returns when it is busy.
fn hold(handle: &StoreHandle) -> Sender<()> {
    let (release, released) = bounded::<()>(1);
    let (entered, inside) = bounded(0);
    let held = handle.read(
        |_| Ok(()),
        move |_| {
            let _ = entered.send(());
            let _ = released.recv();
        },
    );
    held.expect("there is room");
    inside.recv().expect("the worker runs");
    release
}

/// A job's number and result.
type Told = (usize, Result<(), StoreError>);

/// A place to tell results to, with room for all.
fn results() -> (Sender<Told>, Receiver<Told>) {
    bounded(2 * limits::STORE_JOBS)
}

fn add(database: &mut Database, number: usize) -> Result<(), StoreError> {
    database.insert_thread(&thread(&format!("a{number}"), /*at_ms*/ 1))
}

fn count(handle: &StoreHandle) -> usize {
    let everything = ThreadQuery { limit: 100_000, with_turns_only: false, ..ThreadQuery::default() };
    handle.call_read(move |database| database.list_threads(&everything)).expect("a list").records.len()
}

#[test]
fn what_is_queued_shares_one_commit_and_is_told_in_order() {
    let folder = Folder::new();
    let (_worker, handle) = begin(&folder);
    let (told, results) = results();
    let release = hold(&handle);
    for number in 0..limits::STORE_BATCH {
        let told = told.clone();
        handle
            .write(move |database| add(database, number), move |result| drop(told.send((number, result))))
            .expect("there is room");
    }
    assert_eq!((handle.commits(), results.len()), (0, 0));
    drop(release);
    for number in 0..limits::STORE_BATCH {
        assert_eq!(results.recv(), Ok((number, Ok(()))));
    }
    assert_eq!(handle.commits(), 1);
    assert_eq!(count(&handle), limits::STORE_BATCH);
    assert_eq!(handle.commits(), 1, "reading commits nothing");
}

#[test]
fn a_failing_and_a_panicking_job_leave_no_trace_and_spoil_nothing() {
    let folder = Folder::new();
    let (_worker, handle) = begin(&folder);
    let (told, results) = results();
    let release = hold(&handle);
    for number in 0..6 {
        let told = told.clone();
        let work = move |database: &mut Database| {
            add(database, number)?;
            match number {
                1 => Err(StoreError::thread_not_found("on purpose")),
                3 => panic!("on purpose: {number}"),
                _ => Ok(()),
            }
        };
        let then = move |result| {
            drop(told.send((number, result)));
            assert_ne!(number, 4, "on purpose: what follows a job may panic as well");
        };
        handle.write(work, then).expect("there is room");
    }
    drop(release);
    let result = |_| results.recv().expect("every job is told");
    let ended: Vec<_> = (0..6).map(result).collect();
    assert_eq!(ended[1], (1, Err(StoreError::thread_not_found("on purpose"))));
    assert_eq!(ended[3], (3, Err(StoreError::Panicked("on purpose: 3".to_owned()))));
    for number in [0, 2, 4, 5] {
        assert_eq!(ended[number], (number, Ok(())));
    }
    assert_eq!(count(&handle), 4);
}

#[test]
fn a_read_sees_the_writes_before_it_in_its_group() {
    let folder = Folder::new();
    let (_worker, handle) = begin(&folder);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let release = hold(&handle);
    for number in 0..3 {
        handle.write(move |database| add(database, number), drop).expect("there is room");
        let seen = Arc::clone(&seen);
        let id = format!("a{number}");
        handle
            .read(
                move |database| database.thread(&id),
                move |found| lock(&seen).push(found.map(|found| found.is_some())),
            )
            .expect("there is room");
    }
    drop(release);
    assert_eq!(count(&handle), 3);
    assert_eq!(*lock(&seen), [Ok(true), Ok(true), Ok(true)]);
}

#[test]
fn few_reads_wait_for_a_commit() {
    let folder = Folder::new();
    let (_worker, handle) = begin(&folder);
    for (reads, commits) in [(limits::STORE_READS_HELD, 1), (limits::STORE_READS_HELD + 1, 2)] {
        let before = handle.commits();
        let (told, results) = results();
        let to = |number| {
            let told = told.clone();
            move |result| drop(told.send((number, result)))
        };
        let release = hold(&handle);
        handle.write(move |database| add(database, 10 * reads), to(0)).expect("there is room");
        for number in 1..=reads {
            handle.read(|_| Ok(()), to(number)).expect("there is room");
        }
        handle.write(move |database| add(database, 10 * reads + 1), to(reads + 1)).expect("there is room");
        drop(release);
        for number in 0..=reads + 1 {
            assert_eq!(results.recv(), Ok((number, Ok(()))));
        }
        assert_eq!(handle.commits() - before, commits);
    }
}

#[test]
fn a_lost_transaction_fails_its_writes_and_the_reads_behind_them_only() {
    let folder = Folder::new();
    let (_worker, handle) = begin(&folder);
    let (told, results) = results();
    let release = hold(&handle);
    for number in 0..5 {
        let told = told.clone();
        let then = move |result| drop(told.send((number, result)));
        let queued = match number {
            0 | 2 => handle.read(|_| Ok(()), then),
            // What a full disk does: SQLite rolls the whole transaction back in the middle of a job.
            3 => handle.write(
                |database| {
                    database.connection.execute_batch("ROLLBACK")?;
                    Err(StoreError::DiskFull)
                },
                then,
            ),
            _ => handle.write(move |database| add(database, number), then),
        };
        queued.expect("there is room");
    }
    drop(release);
    assert_eq!(results.recv(), Ok((0, Ok(()))));
    for number in 1..5 {
        assert_eq!(results.recv(), Ok((number, Err(StoreError::DiskFull))));
    }
    assert_eq!((count(&handle), handle.commits()), (0, 0));
    handle.call_write(|database| add(database, /*number*/ 1)).expect("the next group is a new one");
    assert_eq!((count(&handle), handle.commits()), (1, 1));
}

#[test]
fn while_another_process_writes_for_long_writes_are_refused_and_reads_go_on() {
    let folder = Folder::new();
    let (_worker, handle) = begin(&folder);
    handle.call_write(|database| add(database, /*number*/ 1)).expect("it is new");
    // No patience, so that the test need not have any.
    let impatient = |database: &Database| Ok(database.connection.busy_timeout(Duration::ZERO)?);
    handle.call_read(impatient).expect("it is set");
    let other = Database::open(folder.path()).expect("it opens");
    other.connection.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    let (told, results) = results();
    let release = hold(&handle);
    let to = |number| {
        let told = told.clone();
        move |result| drop(told.send((number, result)))
    };
    handle.write(|database| add(database, /*number*/ 2), to(0)).expect("there is room");
    handle.read(|database| database.conversation("a1").map(drop), to(1)).expect("there is room");
    drop(release);
    assert_eq!(results.recv(), Ok((0, Err(StoreError::Busy))));
    assert_eq!(results.recv(), Ok((1, Ok(()))));
    other.connection.execute_batch("ROLLBACK").expect("it stops");
    assert_eq!(handle.call_write(|database| add(database, /*number*/ 2)), Ok(()));
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let folder = Folder::new();
    let (_worker, handle) = begin(&folder);
    let body = "x".repeat(limits::MIB);
    let large = move |database: &mut Database| {
        // SQLite's own bound answers like a disk without room.
        let pages: i64 = database.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        database.connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 8), [], |_| Ok(()))?;
        database.insert_thread(&ThreadRecord { settings: body, ..thread("large", /*at_ms*/ 1) })
    };
    let error = handle.call_write(large).expect_err("there is no room");
    assert_eq!(
        (error.clone(), error.to_string().as_str()),
        (StoreError::DiskFull, "the disk is full: free some space and try again")
    );
    handle.call_write(|database| add(database, /*number*/ 1)).expect("a small one has room");
    assert_eq!(count(&handle), 1);
}

#[test]
fn a_full_queue_refuses_and_keeps_what_it_took() {
    let folder = Folder::new();
    let (_worker, handle) = begin(&folder);
    let (told, results) = results();
    let release = hold(&handle);
    for number in 0..limits::STORE_JOBS {
        let told = told.clone();
        handle
            .write(move |database| add(database, number), move |result| drop(told.send((number, result))))
            .expect("there is room");
    }
    assert_eq!(handle.queued(), limits::STORE_JOBS);
    assert_eq!(
        handle.write(|database| add(database, /*number*/ 9_999), |_| panic!("it was refused")),
        Err(StoreFull)
    );
    assert_eq!(handle.read(|_| Ok(()), |_| panic!("it was refused")), Err(StoreFull));
    drop(release);
    for number in 0..limits::STORE_JOBS {
        assert_eq!(results.recv(), Ok((number, Ok(()))));
    }
    assert_eq!(count(&handle), limits::STORE_JOBS);
}

#[test]
fn an_ephemeral_thread_leaves_nothing_on_disk() {
    let folder = Folder::new();
    let (worker, handle) = begin(&folder);
    handle.call_write(|database| add(database, /*number*/ 1)).expect("it is new");
    let secret = "nobody must find this";
    let ephemeral = handle.ephemeral();
    let record = ThreadRecord { preview: secret.to_owned(), ..thread("gone", /*at_ms*/ 1) };
    ephemeral.call_write(move |database| database.insert_thread(&record)).expect("it is new");
    assert_eq!((count(&ephemeral), count(&handle)), (1, 1));
    assert_eq!(ephemeral.ephemeral().call_read(|database| database.thread("a1")), Ok(None));
    let found_in_files = || {
        let files = std::fs::read_dir(folder.path()).expect("the folder is there");
        let mut contents = files.map(|file| std::fs::read(file.expect("an entry").path()).expect("a file"));
        contents.any(|content| content.windows(secret.len()).any(|part| part == secret.as_bytes()))
    };
    assert!(!found_in_files());
    drop((ephemeral, handle, worker));
    assert!(!found_in_files());
    let (_worker, handle) = begin(&folder);
    assert_eq!((count(&handle), count(&handle.ephemeral())), (1, 0));
}

#[test]
fn without_a_database_every_job_gets_the_reason_and_ephemeral_threads_work() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").expect("a file can be written");
    let (told, opened) = bounded(1);
    let (_worker, handle) =
        StoreWorker::start(file.clone(), move |result| drop(told.send(result))).expect("a worker starts");
    let error = opened.recv().expect("it is told").expect_err("a file is no folder");
    assert!(
        matches!(&error, StoreError::Open { path, .. } if *path == file.display().to_string()),
        "{error}"
    );
    assert_eq!(handle.call_read(|database| database.thread("a")), Err(error.clone()));
    assert_eq!(handle.call_write(|database| add(database, /*number*/ 1)), Err(error));
    assert_eq!(handle.ephemeral().call_write(|database| add(database, /*number*/ 1)), Ok(()));
}

#[test]
fn the_end_of_the_worker_finishes_what_is_queued_and_refuses_what_comes_later() {
    let folder = Folder::new();
    let (worker, handle) = begin(&folder);
    let (told, results) = results();
    let release = hold(&handle);
    for number in 0..3 {
        let told = told.clone();
        handle
            .write(move |database| add(database, number), move |result| drop(told.send((number, result))))
            .expect("there is room");
    }
    drop(release);
    drop(worker);
    assert_eq!(
        results.try_iter().map(|(number, result)| (number, result.is_ok())).collect::<Vec<_>>(),
        [(0, true), (1, true), (2, true)]
    );
    assert_eq!(handle.call_read(|database| database.thread("a1")), Err(StoreError::Closed));
    assert_eq!(handle.read(|_| Ok(()), |_| panic!("it was refused")), Err(StoreFull));
    assert!(!folder.path().join("store.sqlite-wal").exists(), "a clean end leaves one file");
}

#[test]
fn the_worker_ends_when_nobody_can_reach_it() {
    let folder = Folder::new();
    let (worker, handle) = begin(&folder);
    let (told, results) = results();
    handle
        .write(|database| add(database, /*number*/ 1), move |result| drop(told.send((1, result))))
        .expect("there is room");
    drop(handle);
    // The sender of the results lives in the job: this ends when the job was told.
    assert_eq!(results.iter().collect::<Vec<_>>(), [(1, Ok(()))]);
    assert_eq!(worker.stop_within(limits::STORE_BUSY_TIMEOUT), crate::sys::worker::Ended::Returned);
}
