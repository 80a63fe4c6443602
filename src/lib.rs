//! A synchronous app-server for coding-agent clients: JSON-RPC over stdio or WebSocket, threads, turns and
//! their items, wire-compatible with the `codex app-server` protocol v2.
//!
//! # Bird's-eye view
//!
//! ```text
//!  client ─► reader ──(inbox)──► processor ──(jobs)──► store
//!              │                  │  ▲  │                │
//!              │ refusals, pongs  │  │  └─► turn ────────┤
//!              ▼                  ▼  └──(worker events)──┘
//!  client ◄─ writer ◄──────── (outbox)
//! ```
//!
//! A connection has a *reader*, which decodes messages and puts them into the one inbox, and a *writer*,
//! which drains the connection's outbox. Only while the writer has nothing to do somebody else may write in
//! its place, without waiting for the client: the processor when nothing else waits for it, and the worker
//! for broadcasts. The *processor* owns all state
//! that changes: sessions, loaded threads, subscriptions. It takes one event after the other, never blocks,
//! and leaves long work to others: the *store* worker reads and writes the database, each running turn has
//! a *turn* worker. They tell the processor what they did, and it tells the clients. What goes to many
//! clients is encoded once, by whoever made it, and shared.
//!
//! # OS threads
//!
//! | name | number | does | ends when |
//! |---|---|---|---|
//! | `main` | 1 | starts the parts, waits, takes them apart | the processor has ended |
//! | `proc` | 1 | [`server::Processor`]: all state | nothing is left to do, or it was told to stop |
//! | `store` | 1 | [`store`]: SQLite, jobs grouped into transactions | its owner lets go |
//! | `timer` | 1 | [`timer`]: every deadline, on one wheel | its owner lets go |
//! | `sandbox` | 1 for a few milliseconds | tries out what [`sandbox`] can enforce | that is known |
//! | `signals` | 1 | [`sys::signals`]: INT, TERM, HUP | its owner lets go |
//! | `watchdog` | 0 or 1, at the end | ends the process if that takes too long | the process has ended |
//! | `OpenTelemetry.T` | 0 or 1, with the feature `otlp` | sends spans to a collector | its owner lets go |
//! | `log` | 0 or 1 | [`obs`]: writes lines to stderr; starts with the first line | its owner lets go |
//! | `stdio-rd`, `stdio-wr` | 0 or 1 each | [`net::stdio`] | end of input; outbox finished |
//! | `accept0` | 0 or 1 | [`net::Listener`]: accepts | its owner lets go |
//! | `cN-rd`, `cN-wr` | 1 each per connection | head, upgrade, WebSocket | connection closed |
//! | `broadcast` | 0 or 1 | tells idle connections what everybody is told; starts when there is such a one | its owner lets go |
//! | `exec-spawn` | 0 or 1 | [`exec`]: starts commands, and [`mcp`] servers, which die with it; starts with the first | its owner lets go |
//! | `exec-io` | 0 or 1 | [`exec`]: inputs, outputs and ends of all running commands, and deaths of what they leave behind | every command is reaped |
//! | `cmd-end` | 1 per running command, on Linux none | [`sys::child`]: waits for its end | it has ended |
//! | `fs-N` | 0 to `FILE_WORKERS` | [`files`]: reads and writes files; starts when it is needed | its owner lets go |
//! | `look-N` | 0 to `FILE_WORKERS` | [`files`]: looks at configurations, projects and skills, and changes the user's; starts when it is needed | its owner lets go |
//! | `watch`, `notify-rs inoti…` | 0 or 1 each | [`files`]: tells of changes; the second while something is watched | its owner lets go |
//! | `search-N` | 1 per search | [`files`]: walks folders and ranks what it finds | the search is stopped or answered |
//! | `turn-XXXXXX` | 1 per running turn | [`agent`]: the turn engine | the turn has ended |
//! | `mcp-start` | 1 per MCP server that starts | [`mcp`]: the handshake | the server is ready or failed |
//! | `mcp-tell` | 0 or 1 per MCP server behind HTTP | [`mcp`]: tells it what nobody waits for, and ends the session | the session has ended |
//! | `mcp-listen` | 0 or 1 per MCP server behind HTTP | [`mcp`]: hears of changes of its tools, if it tells of such | the session has ended |
//! | `mcp-call` | 1 per request that waits for MCP servers | [`server`]: asks them | they answered, or the timeout passed |
//! | `tool-N` | 0 to `TURN_TOOLS_AT_ONCE` - 1 per running turn | calls of one answer that run side by side | the calls are done |
//! | `cmd-N` | 1 per running command of an agent | tells what the command says, and its end | the command has ended |
//!
//! Beside them there is one process of our own from the first command on, `sys::guard`: it kills what
//! commands have started when the server itself is killed. Processes that leave their command's group are
//! found by a mark that they cannot lose by accident, `sys::lineage`.
//!
//! All are joined when their owner lets go; at the end of the process with a deadline, and who is late is
//! named in the log.
//!
//! # Queues
//!
//! | queue | filled by | drained by | bound ([`limits`]) | when full |
//! |---|---|---|---|---|
//! | inbox | readers | processor | `INBOX_MESSAGES`, `INBOX_BYTES` | a request of a network client is answered -32001; anything else waits in its reader |
//! | inbox, one connection's share | its reader | processor | `INBOX_MESSAGES_PER_CONNECTION` | the reader waits, so the client's socket pushes back |
//! | outbox | processor, and readers for refusals | writer | `OUTBOX_MESSAGES`, `OUTBOX_BYTES` | a WebSocket is closed with 1013; stdio makes the processor wait |
//! | broadcasts | processor | `broadcast`, and each outbox before it takes anything else | `BROADCAST_MESSAGES`, `BROADCAST_BYTES` | the processor hands them out |
//! | outbox, control lane | reader | writer | `OUTBOX_CONTROL_FRAMES` | closed with 1008 |
//! | worker events | turns, store | processor | `WORKER_EVENTS` | the worker waits |
//! | control events | signals, drain deadline | processor | `CONTROL_EVENTS` | dropped: the same was said often enough |
//! | store jobs | processor, turns | store | `STORE_JOBS` | a request is answered -32001, a turn waits |
//! | file jobs, and looks | processor | `fs-N`, `look-N` | `FILE_JOBS`, `FILE_JOB_BYTES`, `FILE_JOBS_PER_CONNECTION` | a request is answered -32001 |
//! | file contents on their way | `fs-N` | writers | `FILE_ANSWER_BYTES`, `…_PER_CONNECTION` | a read is answered -32001; that client's further reads wait |
//! | orders for `watch` | processor | `watch` | twice `WATCHES_MAX` | cannot be: a watch is refused before |
//! | changes seen | `notify-rs inoti…` | `watch` | `WATCH_EVENTS` | every watch tells of its path |
//! | a session's next query | processor | `search-N` | 1 | the older query is dropped |
//! | turn mailbox | processor | turn | `TURN_COMMANDS` | the request is answered -32001 |
//! | commands to start | processor, turns | `exec-spawn` | `COMMANDS_RUNNING_MAX` | the command is refused with -32001 |
//! | one command's input | processor, turns | `exec-io` | `COMMAND_STDIN_BYTES`, `COMMAND_STDIN_WRITES` | the write is refused with -32001 |
//! | a call's news of its MCP server | `exec-io` | whoever called | `MCP_CALL_NEWS` | progress is dropped, a question is declined |
//! | messages for an MCP server behind HTTP | whoever called it | `mcp-tell` | `MCP_TELLS` | dropped: they are a courtesy |
//! | log lane | everyone | `log` | `LOG_LINES` | the line is dropped and counted |
//!
//! # Invariants
//!
//! 1. The processor never blocks, every queue is bounded, and the graph of who waits for whom has no
//!    circle. The one exception is a stdio outbox: a pipe has one reader and nobody else to disturb, and a
//!    signal gives it up.
//! 2. Every request gets exactly one answer ([`rpc::Reply`] answers by itself when it is lost), every turn
//!    ends exactly once and visibly.
//! 3. Everything to one connection is one FIFO.
//! 4. A slow or silent client costs only itself.
//! 5. Requests read before the end of input are answered, and the turns that they started are finished,
//!    before the process exits.
//! 6. No child process, descriptor or OS thread outlives its owner.
//! 7. What was told as completed is in the database, so it survives `kill -9`.
//! 8. Secrets reach neither logs nor errors nor other clients.
//!
//! # Floors
//!
//! A module imports only from floors below its own; a test holds that.
//!
//! | floor | modules |
//! |---|---|
//! | 10 | [`run`], the binary |
//! | 9 | [`server`] |
//! | 8 | [`agent`] |
//! | 7 | [`model`], [`mcp`] |
//! | 6 | [`net`], [`sandbox`], [`store`], [`patch`], [`exec`], [`files`], [`schema`] |
//! | 5 | [`proto`] |
//! | 4 | [`rpc`] |
//! | 3 | [`queue`], [`timer`] |
//! | 2 | [`sys`], [`obs`] |
//! | 1 | [`limits`], [`error`], [`sync`], [`clock`], [`config`], [`cli`] |
//!
//! # Deliberately absent
//!
//! An async runtime: connections are OS threads, and deadlines are wheel entries that shut a socket down,
//! so nothing polls. TLS on the listener: that is a reverse proxy's work. Locks around state: state has one
//! owner; locks exist inside queues, the wheel and the clock. A rollout file: the database is the only
//! record, and `path` is null on the wire.

#![deny(unreachable_pub)]
#![warn(missing_docs)]

pub mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod exec;
pub mod files;
pub mod limits;
pub mod mcp;
pub mod model;
pub mod net;
pub mod obs;
pub mod patch;
pub mod proto;
pub mod queue;
pub mod rpc;
pub mod run;
pub mod sandbox;
pub mod schema;
#[cfg(test)]
mod scratch;
pub mod server;
pub mod store;
pub mod sync;
pub mod sys;
pub mod timer;
