//! Every number of the server in one place: sizes, counts, deadlines.
//!
//! A queue's size says who fills it, who drains it, and what happens when it is full. The relations that
//! must hold between numbers are asserted at compile time, so a change that breaks one does not build.
//! What an operator may want to change is a default here and a field of [`crate::config`].

mod commands;
mod ending;
mod tools;

use std::time::Duration;

pub use commands::*;
pub use ending::*;
pub use tools::*;

/// One KiB in bytes.
pub const KIB: usize = 1024;
/// One MiB in bytes.
pub const MIB: usize = 1024 * KIB;

// ---- messages ----

/// Largest message that a client may send, in bytes, on every transport. Above it the message is refused
/// with an error (stdio) or a Close 1009 (WebSocket), never by silence. The WebSocket frame limit is the
/// same number: clients send one message as one frame.
pub const MESSAGE_BYTES_MAX: usize = 64 * MIB;
/// Largest message on a WebSocket before `initialize` was answered, in bytes: a client that has not said who
/// it is cannot make the server reserve memory.
pub const MESSAGE_BYTES_MAX_BEFORE_INITIALIZE: usize = 64 * KIB;

// ---- inbound: readers fill it, the processor drains it ----

/// Messages waiting for the processor, all connections together. Full: a request is answered -32001, any
/// other message waits in its reader.
pub const INBOX_MESSAGES: usize = 4096;
/// Messages of one connection waiting for the processor. Reached: that connection's reader waits, so the
/// client's own socket pushes back and the others keep their place.
pub const INBOX_MESSAGES_PER_CONNECTION: usize = 1024;
/// Bytes of messages waiting for the processor, all connections together. Reached: readers wait.
pub const INBOX_BYTES: usize = 256 * MIB;

// ---- outbound: the processor fills an outbox, its writer drains it ----

/// Messages in one connection's outbox. Above it a WebSocket is closed with 1013; stdio makes the processor
/// wait, because a pipe has one reader and nobody else to disturb.
pub const OUTBOX_MESSAGES: usize = 131_072;
/// Bytes in one connection's outbox. Above it the same happens.
pub const OUTBOX_BYTES: usize = 32 * MIB;
/// Bytes in a stdio outbox at which the processor waits for the pipe's reader.
pub const OUTBOX_BYTES_STDIO: usize = 8 * MIB;
/// Control frames (pong, close) in one outbox. Above it the connection is closed with 1008: no honest peer
/// sends pings faster than it reads pongs.
pub const OUTBOX_CONTROL_FRAMES: usize = 64;
/// Messages for everybody that not everybody has taken yet. At this number the processor hands them out by
/// itself, as it would without the log.
pub const BROADCAST_MESSAGES: usize = 1024;
/// Bytes of them; the same.
pub const BROADCAST_BYTES: usize = 4 * MIB;
/// Idle connections that are told at once, before others may use the processor.
pub const BROADCAST_AT_ONCE: usize = 8;
/// The pause after them: 4,000 idle connections hear of something within a second, and of all that was said
/// meanwhile at once.
pub const BROADCAST_PAUSE: Duration = Duration::from_millis(2);
/// Bytes for an idle connection that are written without its writer. Above it the writer writes, which may
/// wait for the client.
pub const BROADCAST_WRITTEN_BYTES: usize = 16 * KIB;
/// Bytes that the stdio reader takes in one system call.
pub const STDIO_READ_BYTES: usize = 64 * KIB;
/// Bytes that a writer gathers into one system call.
pub const WRITE_BATCH_BYTES: usize = 64 * KIB;

/// Bytes that a worker leaves free before and behind the long part of an answer that it encodes. What stands
/// around it is usually much shorter; where it is longer, the long part is moved once.
pub const ANSWER_ROOM_BYTES: usize = 8 * KIB;

// ---- workers to processor ----

/// Events of workers (turns, store) waiting for the processor. Full: the worker waits; the processor never
/// waits for a worker, so this cannot lock up.
pub const WORKER_EVENTS: usize = 1024;
/// Bytes of an encoded message up to which it is copied into an allocation of its very size, so that the
/// buffer it was encoded in serves the next one. A larger one keeps its buffer.
pub const ENCODE_COPY_BYTES: usize = 4 * KIB;
/// Bytes that the processor writes to a client by itself, in place of waking its writer, when it has nothing
/// else to do.
pub const ANSWER_WRITTEN_BYTES: usize = 16 * KIB;
/// Events that the processor takes from one source before it looks at the others.
pub const PROCESSOR_BATCH: usize = 64;
/// Jobs waiting for the store worker. Full: a request is answered -32001, a turn waits.
pub const STORE_JOBS: usize = 1024;
/// Jobs that the store worker groups into one transaction.
pub const STORE_BATCH: usize = 256;
/// Results of reads that wait for one commit. More end the group, because each may be a page of
/// [`PAGE_BYTES_MAX`] in memory.
pub const STORE_READS_HELD: usize = 4;
/// Commands (interrupt, steer, answers) waiting for one running turn. Full: the request is answered -32001.
pub const TURN_COMMANDS: usize = 64;
/// Signals and fired deadlines waiting for the processor. Full: dropped, because the same was said often
/// enough.
pub const CONTROL_EVENTS: usize = 64;
/// Log lines waiting for stderr. Full: the line is dropped and counted; no worker waits for stderr.
pub const LOG_LINES: usize = 1024;
/// Bytes of the log's file (`LOG_FILE`) at which it is renamed and begun anew;
/// `LOG_FILE_BYTES_MAX` sets another.
pub const LOG_FILE_BYTES_MAX: u64 = 16 * (KIB * KIB) as u64;
/// Files that are kept of the log, the current one among them; the oldest is removed. `LOG_FILES_MAX` sets
/// another.
pub const LOG_FILES_MAX: usize = 5;
/// Bytes of one log line; what a client's long text adds beyond is cut and counted. With [`LOG_LINES`] it
/// bounds the memory of logging.
pub const LOG_LINE_BYTES_MAX: usize = 8 * KIB;

// ---- admission ----

/// Bytes of a command line that is looked at for what it does; a longer one is shown as unknown.
pub const COMMAND_ACTIONS_SCRIPT_BYTES_MAX: usize = 16 * 1024;

/// Open network connections, counting those in the handshake. Above it: 503 with `retry-after`.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Lists in the kernel's table of waiting OS threads, 64 bytes each. With more connections the lists get
/// longer, and each wake-up walks one.
pub const FUTEX_LISTS_MAX: usize = 4096;
/// Turns running at once in the process. Above it `turn/start` is answered -32001.
pub const TURNS_RUNNING_MAX: usize = 256;
/// Threads loaded at once in the process. Above it `thread/start` and `thread/resume` are refused.
pub const THREADS_LOADED_MAX: usize = 65_536;
/// Bytes of loaded threads, as they are estimated. Above it the idle one used longest ago is unloaded, also
/// with silent subscribers, who are told.
pub const LOADED_THREADS_BYTES: usize = 64 * MIB;
/// Smallest `app_server.loaded_threads_bytes_max` that is accepted.
pub const LOADED_THREADS_BYTES_MIN: usize = 64 * KIB;
/// Largest text of all inputs of one turn, in characters (protocol: `input_too_large`).
pub const TURN_INPUT_CHARS_MAX: usize = 1_048_576;
/// Requests to clients (approvals, questions, tool calls) that are open at once in one thread. Above it the
/// request counts as failed, and the model is told so.
pub const ASKS_OPEN_MAX: usize = 64;
/// Commands, and files, that a client has allowed while one thread is loaded. Above it nothing more is
/// remembered, and it is asked again.
pub const SESSION_APPROVALS_MAX: usize = 1024;
/// Bytes of the file of commands that are allowed for good. Above it no rule is kept, and it is asked again.
pub const COMMAND_RULES_BYTES_MAX: usize = MIB;
/// Tools that a client may bring along for one thread. Above it `thread/start` is refused.
pub const DYNAMIC_TOOLS_MAX: usize = 256;
/// Questions in one call of `request_user_input`. Above it the call fails, and the model is told so.
pub const USER_QUESTIONS_MAX: usize = 3;
/// Entries of `optOutNotificationMethods` that are kept for one connection.
pub const OPT_OUT_METHODS_MAX: usize = 1024;
/// Page size when a list request names none.
pub const PAGE_SIZE_DEFAULT: u32 = 25;
/// Largest page of a list request; a larger `limit` is taken as this.
pub const PAGE_SIZE_MAX: u32 = 1000;
/// Bytes at which a page of turns or items ends early, so that an answer stays below the message limit.
pub const PAGE_BYTES_MAX: usize = 16 * MIB;

// ---- turns ----

/// Times that one turn may ask the model. A turn that does not come to an end by then fails and says so: a
/// model that goes round in circles costs money without bound.
pub const TURN_MODEL_REQUESTS_MAX: usize = 4096;
/// Calls of one answer that run side by side. More wait for their turn.
pub const TURN_TOOLS_AT_ONCE: usize = 8;
/// A model that says nothing for this long is given up, whatever its provider's own deadlines are: no turn
/// hangs for ever. Above [`PROVIDER_STREAM_IDLE_TIMEOUT`], which speaks first.
pub const TURN_SILENCE_MAX: Duration = Duration::from_secs(6 * 3600);
/// Pause before the first new try after a broken answer; each further one is twice as long.
pub const TURN_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Longest such pause.
pub const TURN_RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest pause that a provider may ask for.
pub const TURN_RETRY_PAUSE_ASKED_MAX: Duration = Duration::from_secs(300);
/// Bytes of `AGENTS.md` files that the model is told in all. What is above is left out, with a note.
pub const AGENTS_BYTES_MAX: usize = 32 * KIB;
/// Largest `AGENTS.md` that is read, in bytes. A larger one is left out.
pub const AGENTS_FILE_BYTES_MAX: usize = MIB;
/// Skills that are looked for. More are left out.
pub const SKILLS_MAX: usize = 200;
/// Folders within folders of skills that are looked into.
pub const SKILLS_DEPTH_MAX: usize = 4;
/// Entries of one folder that are looked at for skills.
pub const SKILLS_FOLDER_ENTRIES_MAX: usize = 1000;
/// Longest name or description of a skill, in characters. The rest is left out.
pub const SKILL_TEXT_CHARS_MAX: usize = 1024;
/// Folders with skills that clients may add. Above it: an error that names this limit.
pub const SKILL_ROOTS_MAX: usize = 64;
/// Working directories whose skills are watched for changes. Beyond them nobody is told.
pub const SKILL_PROJECTS_WATCHED: usize = 64;
/// Folders of skills that are watched for changes. Beyond them nobody is told.
pub const SKILL_FOLDERS_WATCHED: usize = 1024;
/// Percent of a model's context at which the conversation is made shorter, unless the configuration says
/// otherwise.
pub const COMPACT_AT_PERCENT: i64 = 90;
/// Bytes of the user's last words that stay when the conversation is made shorter.
pub const COMPACTED_USER_BYTES: usize = 64 * KIB;
/// A command that the user runs in a thread ends after this, unless a time is named.
pub const USER_COMMAND_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longest time that can be named for it.
pub const USER_COMMAND_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Bytes that a token stands for where tokens are not counted.
pub const BYTES_PER_TOKEN: usize = 4;
/// Commands of one thread's agent that run or have ended unnoticed. Above it a command is refused with a word
/// to the model.
pub const TERMINALS_PER_THREAD: usize = 32;
/// Bytes of a command's output that wait to be told. Above it the command waits in its pipes.
pub const COMMAND_FEED_BYTES: usize = 256 * KIB;
/// Bytes of a command's output that its item keeps: half from the beginning, half from the end. What is
/// between is dropped and counted.
pub const COMMAND_KEPT_BYTES: usize = 256 * KIB;
/// Bytes of a command's output that are kept until the model is told: the same way.
pub const COMMAND_UNREAD_BYTES: usize = 128 * KIB;
/// Bytes of a command's output that are shown live at once. What comes above it is left out and counted; the
/// item has both ends.
pub const COMMAND_LIVE_BYTES: u64 = MIB as u64;
/// Bytes of a command's output that are shown live per second in the long run.
pub const COMMAND_LIVE_BYTES_PER_SECOND: u64 = 256 * KIB as u64;
/// Tokens of output that the model is told when it names no number.
pub const COMMAND_OUTPUT_TOKENS: usize = 10_000;
/// Most tokens of output that the model can ask for.
pub const COMMAND_OUTPUT_TOKENS_MAX: usize = 25_000;
/// How long the model waits for a command's end when it names no time.
pub const COMMAND_YIELD: Duration = Duration::from_secs(10);
/// Shortest such wait.
pub const COMMAND_YIELD_MIN: Duration = Duration::from_millis(250);
/// Longest such wait.
pub const COMMAND_YIELD_MAX: Duration = Duration::from_secs(30);
/// Shortest wait of a look at a running command.
pub const COMMAND_LOOK_MIN: Duration = Duration::from_secs(5);
/// Longest wait of a look at a running command.
pub const COMMAND_LOOK_MAX: Duration = Duration::from_secs(300);
/// Parts of one thought or its summary. Pieces of higher parts are passed on, but not kept.
pub const THOUGHT_PARTS_MAX: usize = 4096;
/// Largest picture that is read for the model, in bytes. A larger one is refused with a word to the model.
pub const PICTURE_BYTES_MAX: usize = 10 * MIB;
/// Largest `SKILL.md` that is read, in bytes. A larger one is left out.
pub const SKILL_BYTES_MAX: usize = 256 * KIB;
// ---- files ----

/// Workers for file operations, started as they are needed; and as many for looks at the configuration, with
/// which threads begin, so that neither waits for the other.
pub const FILE_WORKERS: usize = 4;
/// File operations of one connection that run at once. More wait, so that others find a free worker.
pub const FILE_WORKERS_PER_CONNECTION: usize = 2;
/// File operations that wait, and as many looks, all connections together. Full: the request is answered
/// -32001.
pub const FILE_JOBS: usize = 4096;
/// File operations of one connection that wait, and as many looks at the configuration, with which the
/// threads that it starts begin. Full: the request is answered -32001.
pub const FILE_JOBS_PER_CONNECTION: usize = 1024;
/// Bytes of parameters of file operations that wait. Full: the request is answered -32001.
pub const FILE_JOB_BYTES: usize = 256 * MIB;
/// Largest file that `fs/readFile` reads, in bytes. Above it: an error that names this limit.
pub const FILE_READ_BYTES_MAX: u64 = 256 * MIB as u64;
/// Bytes of answers with file contents that clients have not taken yet, all connections together. Above it
/// a read is answered -32001.
pub const FILE_ANSWER_BYTES: usize = 1024 * MIB;
/// Bytes of answers with file contents that one client has not taken yet, at which its further file
/// operations wait until it has.
pub const FILE_ANSWER_BYTES_PER_CONNECTION: usize = 8 * MIB;
/// Most entries that `fs/readDirectory` lists. Above it: an error that names this limit.
pub const FILE_DIRECTORY_ENTRIES_MAX: usize = 500_000;
/// Watches of one connection. Above it `fs/watch` is answered -32001.
pub const WATCHES_PER_CONNECTION: usize = 1024;
/// Watches of all connections together. Above it `fs/watch` is answered -32001. Each needs one or two of the
/// system's own (`fs.inotify.max_user_watches`), fewer where they share folders.
pub const WATCHES_MAX: usize = 8192;
/// Changes that wait for the worker of the watches. Above it every watch tells that its path has changed.
pub const WATCH_EVENTS: usize = 8192;
/// Paths in one `fs/changed`. More are told as one: the watched path itself.
pub const WATCH_CHANGED_PATHS_MAX: usize = 4096;
/// Changes are gathered for this long and told together; the reference's time.
pub const WATCH_GATHER: Duration = Duration::from_millis(200);
/// File searches of one connection, sessions included. Above it: -32001.
pub const SEARCHES_PER_CONNECTION: usize = 8;
/// File searches of all connections together. Above it: -32001.
pub const SEARCHES_MAX: usize = 64;
/// Folders of one search. Above it: -32600.
pub const SEARCH_ROOTS_MAX: usize = 256;
/// Bytes of a query. Above it: -32600.
pub const SEARCH_QUERY_BYTES_MAX: usize = 1024;
/// Matches that are told.
pub const SEARCH_MATCHES_MAX: usize = 50;
/// Files and directories of one search. Above it the search ends with what it has found.
pub const SEARCH_ENTRIES_MAX: usize = 2_000_000;
/// Bytes of paths of all searches together. Above it a search ends with what it has found.
pub const SEARCH_BYTES: usize = 256 * MIB;
/// Shortest time between two notifications of one session about the same query, but for the last one.
pub const SEARCH_UPDATE_INTERVAL: Duration = Duration::from_millis(100);
/// At the end of the process running file operations have this long to end.
pub const FILE_STOP_DEADLINE: Duration = Duration::from_millis(500);

// ---- what is kept with threads ----

/// Bytes of one `thread/inject_items`. Above it the request is refused.
pub const INJECTED_BYTES_MAX: usize = 4 * MIB;
/// Messages that wait in one thread's queue. Above it `thread/queue/add` is refused.
pub const QUEUED_MAX: usize = 256;
/// Attachments of one thread. Above it `thread/attachment/add` is refused.
pub const ATTACHMENTS_MAX: usize = 256;
/// Bytes of one attachment's payload. Above it `thread/attachment/add` is refused.
pub const ATTACHMENT_BYTES_MAX: usize = MIB;
/// Turns that a goal goes on for without a word of a user. Above it the goal is blocked: a model that never
/// says that it is done must not work for ever.
pub const GOAL_TURNS_MAX: u32 = 500;
/// Characters of a goal's objective. Above it `thread/goal/set` is refused.
pub const GOAL_CHARS_MAX: usize = 16_384;

/// Bytes of notifications of one thread that are kept for clients that lose their connection. Who missed more
/// gets a snapshot.
pub const REPLAY_BYTES: usize = 2 * MIB;
/// The same for all threads together. Reached: no thread keeps more than it does already.
pub const REPLAY_BYTES_ALL: usize = 128 * MIB;

// ---- deadlines ----

/// A network client must have sent its whole HTTP head within this.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// A network client must have been answered `initialize` within this.
pub const INITIALIZE_DEADLINE: Duration = Duration::from_secs(30);
/// Silence after which the server sends a WebSocket ping.
pub const PING_INTERVAL: Duration = Duration::from_secs(25);
/// A pinged client must have sent something within this.
pub const PONG_DEADLINE: Duration = Duration::from_secs(20);
/// When the processor has no room for a deadline that has passed, it is offered again after this.
pub const DUE_RETRY: Duration = Duration::from_millis(100);
/// One batch of bytes must be taken by the client within this.
pub const WRITE_STALL_DEADLINE: Duration = Duration::from_secs(30);
/// After the server's Close frame the client has this long to answer it.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// At the end of the process the log has this long to reach stderr.
pub const LOG_FLUSH_DEADLINE: Duration = Duration::from_millis(250);
/// How long a client-visible wait for another process's database lock may take.
pub const STORE_BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two tries to open the database while another process holds it back.
pub const STORE_OPEN_PAUSE: Duration = Duration::from_millis(2);

// ---- store ----

/// Page cache of one database, in KiB. Small, because it counts as idle memory; the operating system caches
/// the file as well.
pub const STORE_PAGE_CACHE_KIB: i64 = 1024;
/// Prepared statements that one database keeps: all fixed ones and the usual shapes of a list.
pub const STORE_STATEMENTS: usize = 48;
/// Size in bytes that the write-ahead log is cut down to after a checkpoint.
pub const STORE_WAL_BYTES: i64 = 4 * MIB as i64;

/// Threads that `prune` removes in one transaction; servers that write meanwhile wait for its end.
pub const PRUNE_THREADS: usize = 16;
/// Pages that `prune` gives back to the file system in one step.
pub const PRUNE_PAGES: u32 = 1000;
/// Threads that a search takes from the index to sort them. More hits mean that the word is common: the list
/// is walked then, and the page is soon full.
pub const SEARCH_CANDIDATES_MAX: usize = 2000;
/// Messages that a search takes from the index, for the same reason.
pub const SEARCH_HITS_MAX: usize = 4000;
/// What one page of a search may cost, in texts that are compared. Reached: the page ends early, and its
/// cursor goes on from there.
pub const SEARCH_TEXTS_MAX: usize = 800;
/// What asking the index for one thread costs, in texts.
pub const SEARCH_PROBE_TEXTS: usize = 4;
/// Trigrams of a term that the index is asked for; the rest of a long term is only compared.
pub const SEARCH_TRIGRAMS_MAX: usize = 12;
/// Characters before and after a hit in a snippet.
pub const SEARCH_SNIPPET_CHARS: usize = 60;
/// Rows of an older database that are indexed at once, between other jobs.
pub const SEARCH_FILL_ROWS: i64 = 256;
/// Bytes of such rows at which the step ends early.
pub const SEARCH_FILL_BYTES: i64 = 128 * KIB as i64;

// ---- HTTP heads ----

/// Bytes of one HTTP request head.
pub const HEAD_BYTES_MAX: usize = 16 * KIB;
/// Header lines of one HTTP request head.
pub const HEAD_HEADERS_MAX: usize = 64;
/// Bytes that one read of an HTTP head asks for; most heads need one read.
pub const HEAD_CHUNK_BYTES: usize = KIB;
/// Read buffer of one WebSocket, in bytes; tungstenite allocates it at once, so it is the larger part of an
/// idle connection.
pub const WEBSOCKET_READ_BUFFER_BYTES: usize = 8 * KIB;

// ---- network connections ----

/// Connections above the maximum that get a worker to be refused with a whole 503 answer, and on which the
/// probes still work. Above these a client gets the 503 without the courtesy of being read.
pub const CONNECTIONS_REFUSED_AT_ONCE: usize = 16;
/// Connections that the operating system keeps until they are accepted.
pub const LISTEN_BACKLOG: i32 = 1024;
/// First wait of the accept loop when the system is out of file descriptors, memory or OS threads.
pub const ACCEPT_BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest wait of the accept loop; each wait is twice the one before.
pub const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A message up to this many bytes is copied behind its header, or to the lines beside it; a larger one is
/// written from where it is.
pub const WRITE_COPY_BYTES: usize = 16 * KIB;
/// Bytes offered to the kernel in one call; the client has to take them within [`WRITE_STALL_DEADLINE`], so
/// this sets the slowest line on which a large message arrives: 9 KB/s.
pub const WRITE_CHUNK_BYTES: usize = 256 * KIB;
/// Largest write buffer that an idle connection keeps.
pub const WRITE_KEEP_BYTES: usize = 4 * KIB;
/// Largest message after which a connection keeps its read buffer.
pub const READ_KEEP_BYTES: usize = 64 * KIB;
/// Bytes of a Close frame's reason (RFC 6455, section 5.5: 125 bytes of payload, two of them the code).
pub const CLOSE_REASON_BYTES: usize = 123;
/// Bytes that a lingering close drops per read.
pub const LINGER_BYTES: usize = 4 * KIB;
/// Silence after which the operating system probes a TCP connection; below [`PING_INTERVAL`]'s pings it is
/// only for connections that are no WebSocket yet.
pub const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// Time between two such probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Unanswered probes after which the connection is gone.
pub const KEEPALIVE_RETRIES: u32 = 4;
/// Unacknowledged bytes end a TCP connection after this.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Permissions of a unix socket: its owner.
pub const UNIX_SOCKET_MODE: u32 = 0o600;
/// Permissions of a folder that is made for a unix socket.
pub const UNIX_FOLDER_MODE: u32 = 0o700;

/// Largest message that `proxy` takes from a server, in bytes: an answer may be larger than what a client may
/// send.
pub const PROXY_MESSAGE_BYTES_MAX: usize = 128 * MIB;
/// After its input's end `proxy` waits this long for the answers that are still due.
pub const PROXY_DRAIN_DEADLINE: Duration = Duration::from_secs(60);
/// `status` waits this long for each answer, then it fails.
pub const STATUS_DEADLINE: Duration = Duration::from_secs(5);
/// `status --watch` asks again after this.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);

// ---- auth ----

/// How far the clocks of this server and of a token's maker may differ.
pub const AUTH_CLOCK_SKEW: Duration = Duration::from_secs(30);
/// Shortest shared secret of signed tokens, in bytes (RFC 7518, section 3.2: as long as the hash).
pub const AUTH_SECRET_BYTES_MIN: usize = 32;
/// Largest file with a token or secret, in bytes.
pub const AUTH_FILE_BYTES_MAX: u64 = 64 * KIB as u64;

// ---- allocator ----

/// Arenas of glibc's allocator; eight per processor if nothing is said.
pub const ALLOCATOR_ARENAS: i32 = 2;
/// Bytes from which an allocation is a mapping of its own, given back as soon as it is freed. Saying it keeps
/// glibc from raising it.
pub const ALLOCATOR_MMAP_BYTES: i32 = 128 * 1024;
/// Free bytes at an arena's end that are given back.
pub const ALLOCATOR_TRIM_BYTES: i32 = 256 * 1024;
/// After this the start is over, with the first client's `initialize`, and its code is unmapped.
pub const START_SETTLES: Duration = Duration::from_millis(500);

// ---- timer wheel ----

/// Resolution of the timer wheel.
pub const TIMER_TICK: Duration = Duration::from_millis(10);
/// Slots of the timer wheel.
pub const TIMER_SLOTS: usize = 512;

// ---- OS threads ----

/// Stack of a worker that only moves bytes.
pub const STACK_BYTES_IO: usize = 256 * KIB;
/// Stack of the processor, the store and the turns.
pub const STACK_BYTES_WORK: usize = 2 * MIB;

// ---- configuration ----

/// Largest `config.toml`, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 4 * MIB as u64;
/// Smallest `app_server.outbox_bytes_max` that is accepted; pages of history shrink with it.
pub const OUTBOX_BYTES_MIN: usize = MIB;
/// Smallest `app_server.outbox_messages_max` that is accepted: room for what one turn says between two
/// system calls of a writer.
pub const OUTBOX_MESSAGES_MIN: usize = 256;
/// A loaded thread without subscribers and without a running turn is unloaded after this.
pub const THREAD_UNLOAD_DELAY: Duration = Duration::from_secs(30 * 60);
/// A request to clients that nobody is there to decide, because the thread's last subscriber has left, counts
/// as declined after this.
pub const APPROVAL_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// Times that a refused or failed model request is sent again, unless the provider's table says otherwise.
pub const PROVIDER_REQUEST_RETRIES: u32 = 4;
/// Times that a broken answer stream of a model is taken up again, unless the provider's table says
/// otherwise.
pub const PROVIDER_STREAM_RETRIES: u32 = 5;
/// Most retries that a provider's table may ask for.
pub const PROVIDER_RETRIES_MAX: u32 = 100;
/// Silence after which an answer stream of a model counts as broken, unless the provider's table says
/// otherwise.
pub const PROVIDER_STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

// ---- models ----

/// Bytes of one line of a model's event stream. Above it the answer counts as broken.
pub const SSE_LINE_BYTES_MAX: usize = 16 * MIB;
/// Bytes of one event of a model's stream, all its lines together. Above it the answer counts as broken.
pub const SSE_EVENT_BYTES_MAX: usize = 32 * MIB;
/// Bytes of an event's number. A longer one is ignored, and the stream cannot be taken up from there.
pub const SSE_ID_BYTES_MAX: usize = KIB;
/// Bytes that one read of a model's answer asks for, and the size of a connection's buffers.
pub const MODEL_BUFFER_BYTES: usize = 16 * KIB;
/// A connection to a model provider must stand within this, all its addresses together.
pub const MODEL_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The name of a model provider must be looked up within this.
pub const MODEL_RESOLVE_TIMEOUT: Duration = Duration::from_secs(15);
/// Lookups of names that are under way. A hanging one cannot be stopped, only left behind; above this number
/// further requests fail.
pub const MODEL_RESOLVERS_MAX: usize = 16;
/// Connections to one provider that are kept for the next request. More are closed after their answer.
pub const MODEL_IDLE_CONNECTIONS: usize = 4;
/// A connection that was idle for longer is not used again.
pub const MODEL_IDLE_CONNECTION_AGE: Duration = Duration::from_secs(60);
/// After its last event an answer has this long to end, so that its connection can be kept.
pub const MODEL_END_DEADLINE: Duration = Duration::from_millis(20);
/// Largest file of certificates to trust, in bytes; with a larger one no TLS connection is made.
pub const TRUST_FILE_BYTES_MAX: u64 = 4 * MIB as u64;
/// Bytes of an error's body that are read.
pub const MODEL_ERROR_BYTES: usize = 64 * KIB;
/// An error's body must come within this; what has come until then is used.
pub const MODEL_ERROR_DEADLINE: Duration = Duration::from_secs(5);
/// Characters of a provider's words in an error; more are cut.
pub const MODEL_ERROR_CHARS: usize = 4096;
/// Pause before a failed model request is sent again; each pause is twice the one before.
pub const MODEL_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Longest such pause.
pub const MODEL_RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A provider that asks for a longer pause than this is not asked again.
pub const MODEL_RETRY_AFTER_MAX: Duration = Duration::from_secs(120);
/// Tokens of a model's context, unless the configuration says otherwise: what the reference reports for a
/// model that it does not know.
pub const MODEL_CONTEXT_WINDOW: i64 = 258_400;
/// Longest pause before one word of the offline model; a prompt that asks for more gets this.
pub const OFFLINE_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Characters of a tool's answer that the offline model repeats; more are cut.
pub const OFFLINE_QUOTE_CHARS: usize = 200;
/// Values in an answer of the offline model that has to fit a schema; what a schema asks for beyond is left
/// out.
pub const OFFLINE_FITTING_VALUES: usize = 1000;
/// Values inside each other in such an answer, and references that lead to one of them; below is null.
pub const OFFLINE_FITTING_DEPTH: usize = 16;
/// Characters of a text in such an answer; more are cut.
pub const OFFLINE_FITTING_CHARS: usize = 4096;
/// Threads whose place in a recording is remembered; above it the one that played longest ago begins anew.
pub const REPLAY_THREADS_MAX: usize = 1024;
/// Bytes of a recorded file that a `replay` provider plays. A larger one fails the turn.
pub const REPLAY_BYTES_MAX: u64 = 64 * MIB as u64;

// The relations that must hold.
const _: () =
    assert!(PATCH_BYTES_MAX <= PATCH_FILE_BYTES_MAX && PATCH_FILE_BYTES_MAX <= PATCH_PLAN_BYTES_MAX);

const _: () = assert!(PROVIDER_STREAM_IDLE_TIMEOUT.as_millis() < TURN_SILENCE_MAX.as_millis());
const _: () = assert!(MESSAGE_BYTES_MAX_BEFORE_INITIALIZE <= MESSAGE_BYTES_MAX);
const _: () = assert!(INBOX_MESSAGES_PER_CONNECTION < INBOX_MESSAGES);
const _: () = assert!(INBOX_BYTES >= MESSAGE_BYTES_MAX);
const _: () = assert!(PAGE_BYTES_MAX * 2 <= OUTBOX_BYTES);
const _: () = assert!(REPLAY_BYTES <= REPLAY_BYTES_ALL && REPLAY_BYTES <= OUTBOX_BYTES);
const _: () = assert!(PAGE_SIZE_DEFAULT <= PAGE_SIZE_MAX);
// 64 connections with 32 requests in flight each are never refused.
const _: () = assert!(INBOX_MESSAGES >= 64 * 32);
const _: () = assert!(WRITE_BATCH_BYTES <= OUTBOX_BYTES_STDIO);
const _: () = assert!(TIMER_SLOTS.is_power_of_two());
const _: () = assert!(HEAD_DEADLINE.as_millis() < INITIALIZE_DEADLINE.as_millis());
const _: () = assert!(STORE_BATCH <= STORE_JOBS);
const _: () = assert!(STORE_OPEN_PAUSE.as_millis() < STORE_BUSY_TIMEOUT.as_millis());
const _: () = assert!(OUTBOX_BYTES_MIN <= OUTBOX_BYTES && OUTBOX_MESSAGES_MIN <= OUTBOX_MESSAGES);
const _: () = assert!(PROVIDER_REQUEST_RETRIES <= PROVIDER_RETRIES_MAX);
const _: () = assert!(PROVIDER_STREAM_RETRIES <= PROVIDER_RETRIES_MAX);
const _: () = assert!(SSE_LINE_BYTES_MAX <= SSE_EVENT_BYTES_MAX);
const _: () = assert!(MODEL_RETRY_PAUSE.as_millis() <= MODEL_RETRY_PAUSE_MAX.as_millis());
const _: () = assert!(LOG_FLUSH_DEADLINE.as_millis() <= WORKER_STOP_DEADLINE.as_millis());
const _: () = assert!(WRITE_COPY_BYTES <= WRITE_BATCH_BYTES && WRITE_BATCH_BYTES <= WRITE_CHUNK_BYTES);
const _: () = assert!(COMMANDS_PER_CONNECTION_MAX <= COMMANDS_RUNNING_MAX);
const _: () = assert!(COMMAND_OUTPUT_BYTES <= COMMAND_OUTPUT_BYTES_MAX);
// Two streams in one answer, and an outbox that is not empty.
const _: () = assert!(2 * COMMAND_OUTPUT_BYTES_MAX < OUTBOX_BYTES);
// What may be under way, as base64 and JSON, leaves most of the smallest outbox of a pipe free.
const _: () = assert!(2 * COMMANDS_CREDIT_BYTES < OUTBOX_BYTES_STDIO);
const _: () = assert!(FILE_WORKERS_PER_CONNECTION < FILE_WORKERS && FILE_JOBS_PER_CONNECTION < FILE_JOBS);
const _: () = assert!(FILE_JOB_BYTES >= MESSAGE_BYTES_MAX);
// A file of the largest size, in Base64.
const _: () = assert!(FILE_ANSWER_BYTES as u64 >= FILE_READ_BYTES_MAX / 3 * 4 + 4);
const _: () = assert!(WATCHES_PER_CONNECTION < WATCHES_MAX && SEARCHES_PER_CONNECTION < SEARCHES_MAX);
const _: () = assert!(FILE_STOP_DEADLINE.as_millis() < WORKER_STOP_DEADLINE.as_millis());
// A connection's timer looks at the writer at least this often, so a stall is seen in time.
const _: () = assert!(PING_INTERVAL.as_millis() < WRITE_STALL_DEADLINE.as_millis());
const _: () = assert!(PONG_DEADLINE.as_millis() < WRITE_STALL_DEADLINE.as_millis());
