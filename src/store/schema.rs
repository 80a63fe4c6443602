//! The tables, as a list of steps: a database's `user_version` is the number of steps that it has seen.
//!
//! A step that was released never changes; what changes is a new step at the end.

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;

/// What each version adds to the one before.
const STEPS: [&str; 4] = [
    // 1: threads, turns, submissions, items.
    //
    // Rows refer to each other by integer keys; the text ids of the wire are looked up once. Long and rarely
    // read columns come last in a row, where reading the others does not touch their overflow pages.
    //
    // `has_turns` leads the lists' indexes together with `archived`: a list of threads with turns costs its
    // page however many threads without one there are. `cwd` ends them: clients filter by it, and so a thread
    // of another folder is skipped without a look at its row.
    "
    CREATE TABLE threads (
        key INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        archived INTEGER NOT NULL,
        owner TEXT,
        turn_count INTEGER NOT NULL,
        has_turns INTEGER NOT NULL GENERATED ALWAYS AS (turn_count > 0) VIRTUAL,
        created_at_ms INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        recency_at_ms INTEGER NOT NULL,
        session_id TEXT NOT NULL,
        forked_from_id TEXT,
        model_provider TEXT NOT NULL,
        model TEXT NOT NULL,
        reasoning_effort TEXT,
        source TEXT NOT NULL,
        thread_source TEXT,
        originator TEXT,
        cli_version TEXT NOT NULL,
        history_mode TEXT NOT NULL,
        cwd TEXT NOT NULL,
        name TEXT,
        preview TEXT NOT NULL,
        git TEXT,
        token_usage TEXT,
        settings TEXT NOT NULL
    ) STRICT;
    CREATE INDEX threads_by_creation ON threads (archived, has_turns, created_at_ms, id, cwd);
    CREATE INDEX threads_by_update ON threads (archived, has_turns, updated_at_ms, id, cwd);
    CREATE INDEX threads_by_recency ON threads (archived, has_turns, recency_at_ms, id, cwd);

    CREATE TABLE turns (
        key INTEGER PRIMARY KEY,
        thread INTEGER NOT NULL REFERENCES threads (key) ON DELETE CASCADE,
        ordinal INTEGER NOT NULL,
        id TEXT NOT NULL,
        state INTEGER NOT NULL,
        started_at_ms INTEGER,
        completed_at_ms INTEGER,
        error TEXT,
        UNIQUE (thread, ordinal),
        UNIQUE (thread, id)
    ) STRICT;
    CREATE INDEX turns_in_progress ON turns (thread) WHERE state = 0;

    -- Ids that clients gave to what they submitted, whether it began a turn or joined one.
    CREATE TABLE submissions (
        thread INTEGER NOT NULL,
        client_id TEXT NOT NULL,
        turn INTEGER NOT NULL REFERENCES turns (key) ON DELETE CASCADE,
        PRIMARY KEY (thread, client_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX submissions_by_turn ON submissions (turn);

    -- `thread` repeats what `turn` implies, so that a thread's items can be paged by one index; the rows go
    -- with their turn.
    CREATE TABLE items (
        key INTEGER PRIMARY KEY,
        turn INTEGER NOT NULL REFERENCES turns (key) ON DELETE CASCADE,
        thread INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        started_at_ms INTEGER,
        completed_at_ms INTEGER,
        body TEXT NOT NULL,
        UNIQUE (thread, ordinal),
        UNIQUE (turn, id)
    ) STRICT;
    CREATE INDEX items_by_turn ON items (turn, ordinal, kind);
    ",
    // 2: searching.
    //
    // Both indexes hold no text, only which trigrams a text has (`detail=none`): about one byte a character
    // instead of three, and a hit is compared with the text itself anyway. Substrings are what clients search
    // for, and trigrams find them in every language, also in those without spaces.
    //
    // `message_search` numbers a message by its thread and its place in it, so that the hits of one thread
    // are one range and a hit names its thread without a look at its row. `message_texts` alone knows where a
    // message has its text; of a very long one the beginning is searched.
    //
    // What was there before this step is indexed little by little, newest first: `search_fill` says up to
    // which key that is still to be done.
    "
    CREATE VIRTUAL TABLE thread_search USING fts5
        (text, content='', contentless_delete=1, detail=none, tokenize='trigram');
    CREATE VIRTUAL TABLE message_search USING fts5
        (text, content='', contentless_delete=1, detail=none, tokenize='trigram');

    CREATE VIEW thread_texts AS
        SELECT key, COALESCE(name || char(10), '') || preview AS text FROM threads;
    CREATE VIEW message_texts AS
        SELECT key, thread, ordinal, turn, id, thread << 24 | ordinal AS number,
            substr(CASE kind
                WHEN 'agentMessage' THEN body ->> '$.text'
                ELSE (SELECT group_concat(part.value ->> '$.text', char(10))
                      FROM json_each(body, '$.content') AS part)
            END, 1, 262144) AS text
        FROM items
        WHERE kind IN ('userMessage', 'agentMessage') AND ordinal < 1 << 24 AND json_valid(body);

    CREATE TRIGGER thread_search_insert AFTER INSERT ON threads BEGIN
        INSERT INTO thread_search (rowid, text) SELECT key, text FROM thread_texts WHERE key = new.key;
    END;
    CREATE TRIGGER thread_search_update AFTER UPDATE OF name, preview ON threads
    WHEN new.name IS NOT old.name OR new.preview IS NOT old.preview BEGIN
        DELETE FROM thread_search WHERE rowid = new.key;
        INSERT INTO thread_search (rowid, text) SELECT key, text FROM thread_texts WHERE key = new.key;
    END;
    CREATE TRIGGER thread_search_delete AFTER DELETE ON threads BEGIN
        DELETE FROM thread_search WHERE rowid = old.key;
    END;
    CREATE TRIGGER message_search_insert AFTER INSERT ON items BEGIN
        INSERT INTO message_search (rowid, text)
            SELECT number, text FROM message_texts WHERE key = new.key AND text IS NOT NULL;
    END;
    CREATE TRIGGER message_search_update AFTER UPDATE OF body ON items BEGIN
        DELETE FROM message_search WHERE rowid = old.thread << 24 | old.ordinal;
        INSERT INTO message_search (rowid, text)
            SELECT number, text FROM message_texts WHERE key = new.key AND text IS NOT NULL;
    END;
    CREATE TRIGGER message_search_delete AFTER DELETE ON items BEGIN
        DELETE FROM message_search WHERE rowid = old.thread << 24 | old.ordinal;
    END;

    CREATE TABLE search_fill (what TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO search_fill SELECT 'threads', MAX(key) FROM threads HAVING MAX(key) IS NOT NULL;
    INSERT INTO search_fill SELECT 'items', MAX(key) FROM items HAVING MAX(key) IS NOT NULL;
    ",
    // 3: the conversation as the model sees it. Turns from before have items only.
    //
    // `turn` is null for what was put in between two turns. `starts_over` marks a row before which the model
    // is told nothing any more: the history was shortened there.
    "
    CREATE TABLE conversation (
        key INTEGER PRIMARY KEY,
        thread INTEGER NOT NULL REFERENCES threads (key) ON DELETE CASCADE,
        turn INTEGER REFERENCES turns (key) ON DELETE CASCADE,
        ordinal INTEGER NOT NULL,
        starts_over INTEGER NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (thread, ordinal)
    ) STRICT;
    CREATE INDEX conversation_by_turn ON conversation (turn, ordinal);
    CREATE INDEX conversation_starts ON conversation (thread, ordinal) WHERE starts_over = 1;
    ",
    // 4: what a thread is to do next, what clients keep with it, and how often it was loaded.
    "
    ALTER TABLE threads ADD COLUMN unread_turn TEXT;
    ALTER TABLE threads ADD COLUMN read_revision INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE threads ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

    CREATE TABLE goals (
        thread INTEGER PRIMARY KEY REFERENCES threads (key) ON DELETE CASCADE,
        status TEXT NOT NULL,
        token_budget INTEGER,
        tokens_used INTEGER NOT NULL,
        time_used_ms INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        objective TEXT NOT NULL
    ) STRICT;

    CREATE TABLE queued (
        key INTEGER PRIMARY KEY,
        thread INTEGER NOT NULL REFERENCES threads (key) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        id TEXT NOT NULL,
        client_id TEXT NOT NULL,
        metadata TEXT,
        input TEXT NOT NULL,
        UNIQUE (thread, id),
        UNIQUE (thread, client_id)
    ) STRICT;
    CREATE INDEX queued_by_position ON queued (thread, position);

    CREATE TABLE attachments (
        key INTEGER PRIMARY KEY,
        thread INTEGER NOT NULL REFERENCES threads (key) ON DELETE CASCADE,
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        identity TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL,
        payload TEXT NOT NULL,
        UNIQUE (thread, kind, identity)
    ) STRICT;
    CREATE INDEX attachments_by_thread ON attachments (thread, key);
    CREATE INDEX attachments_by_identity ON attachments (kind, identity, thread);
    ",
];

/// The newest version that this program knows.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Brings the database to [`VERSION`].
///
/// # Errors
/// [`StoreError::Newer`] (naming `path`) when the database knows more steps than this program.
pub(super) fn migrate(connection: &mut Connection, path: &str) -> Result<(), StoreError> {
    if version(connection, path)? == VERSION {
        return Ok(());
    }
    // Two processes may be here at once; the second waits at BEGIN IMMEDIATE and then finds the work done,
    // which is why the version is read again.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = usize::try_from(version(&transaction, path)?).unwrap_or(0);
    for step in &STEPS[found..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

/// Takes the search indexes out of a database that nobody searches, so that writing to it costs less.
pub(super) fn drop_search(connection: &Connection) -> Result<(), StoreError> {
    for name in ["insert", "update", "delete"] {
        connection.execute_batch(&format!(
            "DROP TRIGGER thread_search_{name}; DROP TRIGGER message_search_{name};"
        ))?;
    }
    connection.execute_batch("DROP TABLE thread_search; DROP TABLE message_search;")?;
    Ok(())
}

/// The tables of an older version, as its program made them.
#[cfg(test)]
pub(super) fn create_version(connection: &Connection, version: usize) {
    for step in &STEPS[..version] {
        connection.execute_batch(step).expect("a released step");
    }
    connection.pragma_update(None, "user_version", i64::try_from(version).expect("small")).expect("a pragma");
}

fn version(connection: &Connection, path: &str) -> Result<i64, StoreError> {
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        0..=VERSION => Ok(found),
        _ => Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION }),
    }
}
