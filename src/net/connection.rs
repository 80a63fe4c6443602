//! The life of one network connection: its HTTP head, the answer or the upgrade, the WebSocket, the end.
//!
//! It runs on the connection's reader. Whatever happens, a panic included, the processor hears `Closed`
//! once if it heard `Opened`, and the connection is taken off the door's list.

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::door::{Door, Permit};
use super::head::{Head, HeadError, read_head};
use super::heartbeat::Heartbeat;
use super::http::Answer;
use super::link::Link;
use super::readiness::Phase;
use super::upgrade::{Route, route, switching};
use super::ws_reader::{ReadEnd, WsReader, shutting_down};
use super::{Admission, InputEnd, NetEvent, Opened, ws_writer};
use crate::limits;
use crate::obs::metrics::values::CONNECTIONS_REFUSED;
use crate::queue::{Closing, InboxPort, Outbox, OutboxDrain, OutboxLimits, Overflow};
use crate::sys::worker::Worker;

/// A connection that was accepted and not yet heard.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) door: Arc<Door>,
    pub(crate) link: Arc<Link>,
    pub(crate) peer: String,
    pub(crate) permit: Permit,
}

/// Tells the processor that the connection is over.
struct ClosedGuard {
    port: Arc<InboxPort<NetEvent>>,
    event: Option<NetEvent>,
}

impl Drop for ClosedGuard {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            // Refused only if the processor has ended.
            let _ = self.port.send(event, /*bytes*/ 0);
        }
    }
}

/// Ends the writer before it is waited for: without this a panic of the reader would wait for ever.
struct WriterGuard {
    outbox: Outbox,
    _writer: Worker,
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        // If the connection is ending already, the first reason stays.
        self.outbox.cut(Closing { code: 1011, reason: "internal error".to_owned() });
    }
}

/// Takes the connection off the list.
struct ListedGuard {
    door: Arc<Door>,
    link: Arc<Link>,
    permit: Option<Permit>,
}

impl Drop for ListedGuard {
    fn drop(&mut self) {
        self.link.shut(Shutdown::Both);
        drop(self.permit.take());
        self.door.forget(self.link.id());
    }
}

impl Connection {
    /// Serves the connection until it is over.
    pub(crate) fn run(self) {
        let is_surplus = self.permit.is_surplus;
        let _listed = ListedGuard {
            door: Arc::clone(&self.door),
            link: Arc::clone(&self.link),
            permit: Some(self.permit),
        };
        let (door, link) = (&self.door, &self.link);
        let (head, leftover) = match read_head_in_time(door, link) {
            Ok(read) => read,
            Err(answer) => {
                if let Some(answer) = answer {
                    give(door, link, &answer, /*without_body*/ false);
                }
                return;
            }
        };
        let answer = match decide(door, &head, is_surplus) {
            Route::Answer(answer) => answer,
            Route::Metrics => super::metrics::answer(door, &head),
            Route::Upgrade(accept) => match serve(door, link, &accept, leftover, self.peer) {
                Ok(()) => return,
                Err(answer) => answer,
            },
        };
        log_answer(link, &head, &answer);
        give(door, link, &answer, &*head.method == "HEAD");
    }
}

fn decide(door: &Door, head: &Head, is_surplus: bool) -> Route {
    match route(head, door.readiness.phase()) {
        Route::Answer(answer) => Route::Answer(answer),
        // Numbers say what others do, so they are for those who may do it themselves.
        route @ (Route::Metrics | Route::Upgrade(_)) => {
            let now_s = door.timer.clock().wall_ms() / 1000;
            match door.auth.check(&head.authorization, now_s) {
                Err(answer) => Route::Answer(answer),
                Ok(()) if is_surplus => {
                    CONNECTIONS_REFUSED.add_one();
                    Route::Answer(full())
                }
                Ok(()) => route,
            }
        }
    }
}

/// Logs an answer, without the query, in which some clients carry secrets.
fn log_answer(link: &Link, head: &Head, answer: &Answer) {
    let (connection, method, path, status) = (link.id().0, &head.method, head.path(), answer.status);
    if head.has_origin {
        tracing::warn!(connection, %method, path, status, "a request with an Origin header was refused");
    } else {
        tracing::debug!(connection, %method, path, status, "a request was answered");
    }
}

/// The answer to a client for whom there is no room.
pub(crate) fn full() -> Answer {
    Answer::new(/*status*/ 503, "the server has as many connections as it may; retry later\n")
        .with("Retry-After", "1")
}

/// The answer to a client who comes, or is still in its request head, when the server stops.
pub(crate) fn stopping() -> Answer {
    Answer::new(/*status*/ 503, "the server is shutting down; retry later\n").with("Retry-After", "1")
}

/// The head, or what to answer instead; nothing if there is nobody to answer.
fn read_head_in_time(door: &Door, link: &Arc<Link>) -> Result<(Head, Vec<u8>), Option<Answer>> {
    let is_late = Arc::new(AtomicBool::new(false));
    let deadline = door.timer.arm_after(door.config.head_deadline, {
        let (is_late, link) = (Arc::clone(&is_late), Arc::downgrade(link));
        move || {
            is_late.store(true, Ordering::Release);
            if let Some(link) = link.upgrade() {
                // The reader wakes and can still answer.
                link.shut(Shutdown::Read);
            }
        }
    });
    let read = read_head(&mut &**link);
    door.timer.cancel(deadline);
    read.map_err(|error| match error {
        HeadError::Ended if is_late.load(Ordering::Acquire) => {
            Some(Answer::new(/*status*/ 408, "the request head did not arrive in time\n"))
        }
        HeadError::Ended if door.readiness.phase() == Phase::Draining => Some(stopping()),
        HeadError::Ended => None,
        HeadError::TooLarge(text) => Some(Answer::new(/*status*/ 431, format!("{text}\n"))),
        HeadError::Malformed(error) => {
            Some(Answer::new(/*status*/ 400, format!("not an HTTP/1 request: {error}\n")))
        }
        HeadError::Io(error) => {
            tracing::debug!(connection = link.id().0, %error, "the client left in its request head");
            None
        }
    })
}

/// Gives a plain answer as the last thing on the connection.
fn give(door: &Door, link: &Arc<Link>, answer: &Answer, without_body: bool) {
    // A client that takes neither the answer nor its end must not hold the reader.
    let deadline = link.shut_after(door.config.close_deadline, Shutdown::Both);
    if (&mut &**link).write_all(&answer.render(without_body)).is_ok() {
        link.shut(Shutdown::Write);
        link.linger();
    }
    door.timer.cancel(deadline);
}

/// Serves a WebSocket; gives an answer instead if the server has no means for one.
fn serve(
    door: &Arc<Door>,
    link: &Arc<Link>,
    accept: &str,
    leftover: Vec<u8>,
    peer: String,
) -> Result<(), Answer> {
    let (outbox, drain) = Outbox::new(OutboxLimits {
        messages: door.config.outbox_messages,
        bytes: door.config.outbox_bytes,
        control_frames: limits::OUTBOX_CONTROL_FRAMES,
        overflow: Overflow::Cut(too_slow()),
    });
    // The writer waits for the first message, which comes after the handshake.
    let writer = match start_writer(door, link, drain) {
        Ok(writer) => WriterGuard { outbox: outbox.clone(), _writer: writer },
        Err(error) => {
            tracing::warn!(connection = link.id().0, %error, "no worker for a connection's writer");
            return Err(full());
        }
    };
    if (&mut &**link).write_all(&switching(accept)).is_err() {
        link.shut(Shutdown::Both);
        outbox.cut(shutting_down());
        return Ok(());
    }
    link.set_outbox(outbox.clone());
    let shortcut: Weak<Link> = Arc::downgrade(link);
    outbox.set_shortcut(shortcut);
    tracing::info!(connection = link.id().0, %peer, "a client connected");
    let ended = converse(door, link, &outbox, leftover, peer);
    end(door, link, &outbox, writer, ended);
    Ok(())
}

fn start_writer(door: &Arc<Door>, link: &Arc<Link>, drain: OutboxDrain) -> std::io::Result<Worker> {
    let (link, close_deadline) = (Arc::clone(link), door.config.close_deadline);
    Worker::spawn(format!("c{}-wr", link.id().0), limits::STACK_BYTES_IO, move || {
        ws_writer::run(drain, &link, close_deadline);
    })
}

/// From `Opened` to the end of the input. The guard tells `Closed` when everything else is over.
fn converse(
    door: &Door,
    link: &Arc<Link>,
    outbox: &Outbox,
    leftover: Vec<u8>,
    peer: String,
) -> (ReadEnd, Option<ClosedGuard>) {
    let id = link.id();
    let port = Arc::new(door.inbox.port());
    let admission = Admission::default();
    let opened =
        Opened { id, outbox: outbox.clone(), transport: door.transport, peer, admission: admission.clone() };
    if port.send(NetEvent::Opened(opened), /*bytes*/ 0).is_err() {
        return (ReadEnd::Refuse(shutting_down()), None);
    }
    let closed = ClosedGuard { port: Arc::clone(&port), event: Some(NetEvent::Closed(id, InputEnd::Gone)) };
    Heartbeat::start(link, admission.clone(), &door.config);
    let reader = WsReader {
        link: Arc::clone(link),
        outbox: outbox.clone(),
        port,
        admission,
        message_bytes_max: door.config.message_bytes_max,
        message_bytes_max_before_initialize: door.config.message_bytes_max_before_initialize,
    };
    (reader.run(leftover), Some(closed))
}

/// Ends the connection politely, or at once if nobody is there to be polite to.
fn end(
    door: &Door,
    link: &Arc<Link>,
    outbox: &Outbox,
    writer: WriterGuard,
    (ended, closed): (ReadEnd, Option<ClosedGuard>),
) {
    tracing::info!(connection = link.id().0, ?ended, "a client's input ended");
    match ended {
        ReadEnd::Gone => {
            link.shut(Shutdown::Both);
            outbox.cut(shutting_down());
        }
        ReadEnd::Closed => {
            // If the Close was the client's, the reply is in the outbox and this comes too late, as it
            // should.
            outbox.finish(Closing { code: 1000, reason: String::new() });
            link.shut_after(door.config.close_deadline, Shutdown::Both);
        }
        ReadEnd::Refuse(closing) => {
            outbox.finish(closing);
            // Until the client has seen the Close and hangs up, or until the writer's deadline.
            link.linger();
        }
    }
    drop(writer);
    link.shut(Shutdown::Both);
    link.stop_heartbeat();
    drop(closed);
}

fn too_slow() -> Closing {
    let reason = "the client reads too slowly: its outbox is full; reconnect and resume".to_owned();
    Closing { code: 1013, reason }
}
