//! Where the output of a client's command goes: to the client as it comes, or into the answer.
//!
//! Runs on the workers of [`crate::exec`]. Output is put into the client's outbox from there, without the
//! processor, so that a flood of it holds up nobody; the end goes by way of the processor, behind all output.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::value::{RawValue, to_raw_value};

use super::{Family, Name, OutputCredit, Told, delta};
use crate::agent::Encoded;
use crate::clock::Clock;
use crate::exec::{EndCause, Ending, ExitOutcome, OutputSink, SinkWaker, SpawnError, Stream};
use crate::limits;
use crate::net::ConnectionId;
use crate::proto::{
    CommandExecOutputDelta, CommandExecResponse, EmptyResponse, Notification, ProcessExited,
    ProcessOutputDelta,
};
use crate::queue::Outbox;
use crate::rpc::{Reply, RpcError};
use crate::server::event::{Event, EventSender};
use crate::server::processor::Services;
use crate::server::session::Session;
use crate::sync::lock;

/// The exit code of what was killed before it could start.
const KILLED_CODE: i32 = 137;

pub(super) struct ClientSink {
    connection: ConnectionId,
    name: Name,
    events: EventSender,
    clock: Clock,
    /// Answered when the command has started.
    at_start: Option<Arc<Mutex<Option<Reply>>>>,
    output: Output,
    /// Bytes wanted of each stream; none is all.
    cap: Option<usize>,
    streams: [Taken; 2],
    waker: Option<SinkWaker>,
}

/// What was taken of one stream.
#[derive(Default)]
struct Taken {
    count: usize,
    is_cap_reached: bool,
    kept: Vec<u8>,
}

/// What is done with output.
pub(super) enum Output {
    Streamed {
        family: Family,
        id: Box<str>,
        outbox: Outbox,
        credit: Arc<OutputCredit>,
        /// The client has not opted out.
        is_wanted: bool,
    },
    Kept {
        held: Held,
        /// More came than can be kept.
        overflow: Option<Overflow>,
    },
}

/// Bytes that are kept for all answers together, given back with this.
pub(super) struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

/// Why output could not be kept.
#[derive(Clone, Copy)]
pub(super) enum Overflow {
    OneStream,
    AllCommands,
}

impl Output {
    pub(super) fn streamed(session: &Session, family: Family, id: &str) -> Self {
        let method = match family {
            Family::Exec => CommandExecOutputDelta::METHOD,
            Family::Process => ProcessOutputDelta::METHOD,
        };
        Self::Streamed {
            family,
            id: id.into(),
            outbox: session.outbox().clone(),
            credit: Arc::clone(session.credit()),
            is_wanted: session.wants(method),
        }
    }

    pub(super) fn kept(all: &Arc<AtomicUsize>) -> Self {
        Self::Kept { held: Held { all: Arc::clone(all), bytes: 0 }, overflow: None }
    }
}

impl Held {
    /// Counts bytes that are about to be kept. False if there is no room for them.
    fn take(&mut self, bytes: usize) -> bool {
        if self.all.fetch_add(bytes, Ordering::SeqCst) + bytes > limits::COMMANDS_OUTPUT_BYTES {
            self.all.fetch_sub(bytes, Ordering::SeqCst);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Overflow {
    fn error(self) -> RpcError {
        RpcError::limit(match self {
            Self::OneStream => format!(
                "the command was killed: it wrote more than {} bytes to one stream, which is all that can be \
                 kept for an answer; use streamStdoutStderr, or a smaller outputBytesCap",
                limits::COMMAND_OUTPUT_BYTES_MAX
            ),
            Self::AllCommands => format!(
                "the command was killed: the output kept for all commands has reached {} bytes, the limit of \
                 this server; retry later, or use streamStdoutStderr",
                limits::COMMANDS_OUTPUT_BYTES
            ),
        })
    }
}

impl ClientSink {
    pub(super) fn new(
        connection: ConnectionId,
        name: Name,
        services: &Services,
        at_start: Option<Arc<Mutex<Option<Reply>>>>,
        output: Output,
        cap: Option<usize>,
    ) -> Self {
        Self {
            connection,
            name,
            events: services.events.clone(),
            clock: services.clock.clone(),
            at_start,
            output,
            cap,
            streams: Default::default(),
            waker: None,
        }
    }

    fn take_start_reply(&self) -> Option<Reply> {
        self.at_start.as_ref().and_then(|reply| lock(reply).take())
    }

    /// The part of new output that is below the cap, and whether that has reached it.
    fn below_cap<'a>(&mut self, stream: Stream, bytes: &'a [u8]) -> Option<(&'a [u8], bool)> {
        let taken = &mut self.streams[stream as usize];
        if taken.is_cap_reached {
            // It is read all the same, so that the command can go on.
            return None;
        }
        let room = self.cap.map_or(usize::MAX, |cap| cap - taken.count);
        let bytes = &bytes[..bytes.len().min(room)];
        taken.count += bytes.len();
        taken.is_cap_reached = bytes.len() == room;
        Some((bytes, taken.is_cap_reached))
    }

    fn told(&mut self, ending: Ending) -> Told {
        let family = match &self.name {
            Name::Given(family, _) => *family,
            Name::Unnamed(_) => Family::Exec,
        };
        if let Output::Kept { overflow: Some(overflow), .. } = &self.output {
            let error = overflow.error();
            return match family {
                Family::Exec => Told::Answer(Err(error)),
                // There is no answer any more that could be an error; the exit code says that it was killed.
                Family::Process => {
                    self.exited(KILLED_CODE, /*drain_timed_out*/ false, /*limit*/ None)
                }
            };
        }
        match ending {
            Ending::Exited(outcome) => self.ended_with(family, outcome),
            Ending::NotStarted(SpawnError::Killed) => {
                if let Some(reply) = self.take_start_reply() {
                    reply.send(Ok(EmptyResponse {}));
                }
                let outcome =
                    ExitOutcome { code: KILLED_CODE, cause: EndCause::Killed, drain_timed_out: false };
                self.ended_with(family, outcome)
            }
            Ending::NotStarted(error) => {
                let refused = match &error {
                    SpawnError::Sandbox(why) => Family::refuse(format!("invalid sandbox policy: {why}")),
                    other => family.not_spawned(other),
                };
                match self.take_start_reply() {
                    Some(reply) => Told::NotSpawned(reply, refused),
                    None => Told::Answer(Err(refused)),
                }
            }
        }
    }

    fn ended_with(&mut self, family: Family, outcome: ExitOutcome) -> Told {
        let limit = match outcome.cause {
            EndCause::Limit(limit) => Some(limit.key()),
            _ => None,
        };
        match family {
            Family::Process => self.exited(outcome.code, outcome.drain_timed_out, limit),
            Family::Exec => {
                let answer = CommandExecResponse {
                    exit_code: outcome.code,
                    stdout: self.text(Stream::Stdout),
                    stderr: self.text(Stream::Stderr),
                    limit_reached: limit.map(str::to_owned),
                };
                Told::Answer(encoded(&answer))
            }
        }
    }

    fn exited(&mut self, exit_code: i32, drain_timed_out: bool, limit: Option<&str>) -> Told {
        let Name::Given(_, handle) = &self.name else { return Told::Exited(None) };
        let handle = Arc::clone(handle);
        let (stdout, stderr) = (self.text(Stream::Stdout), self.text(Stream::Stderr));
        let exited = ProcessExited {
            process_handle: &handle,
            exit_code,
            output_drain_timed_out: drain_timed_out,
            stdout: &stdout,
            stdout_cap_reached: self.streams[Stream::Stdout as usize].is_cap_reached,
            stderr: &stderr,
            stderr_cap_reached: self.streams[Stream::Stderr as usize].is_cap_reached,
            limit_reached: limit,
        };
        Told::Exited(Encoded::new(&exited, self.clock.wall_ms()))
    }

    /// What was kept of a stream, as text; what is no UTF-8 is replaced.
    fn text(&mut self, stream: Stream) -> String {
        let kept = std::mem::take(&mut self.streams[stream as usize].kept);
        String::from_utf8(kept).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

/// Encoded here, because it may be megabytes, and the processor has other things to do.
fn encoded(answer: &CommandExecResponse) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(answer)
        .map_err(|error| RpcError::internal(format!("the result could not be encoded: {error}")))
}

impl OutputSink for ClientSink {
    fn started(&mut self, waker: SinkWaker) {
        self.waker = Some(waker);
        if let Some(reply) = self.take_start_reply() {
            reply.send(Ok(EmptyResponse {}));
        }
    }

    fn room(&mut self, stream: Stream) -> usize {
        match &self.output {
            Output::Streamed { credit, is_wanted: true, .. }
                if !self.streams[stream as usize].is_cap_reached =>
            {
                credit.room(self.waker.as_ref())
            }
            _ => usize::MAX,
        }
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let Some((bytes, cap_reached)) = self.below_cap(stream, bytes) else { return };
        let taken = &mut self.streams[stream as usize];
        match &mut self.output {
            Output::Streamed { is_wanted: false, .. } => {}
            Output::Streamed { family, id, outbox, credit, is_wanted: true } => {
                let now_ms = self.clock.wall_ms();
                if let Some(message) = delta::encode(*family, id, stream, bytes, cap_reached, now_ms) {
                    outbox.push(credit.charge(message));
                }
            }
            Output::Kept { overflow: Some(_), .. } => {}
            Output::Kept { held, overflow } => {
                let too_much = if taken.count > limits::COMMAND_OUTPUT_BYTES_MAX {
                    Some(Overflow::OneStream)
                } else if !held.take(bytes.len()) {
                    Some(Overflow::AllCommands)
                } else {
                    None
                };
                if too_much.is_none() {
                    return taken.kept.extend_from_slice(bytes);
                }
                *overflow = too_much;
                if let Some(waker) = &self.waker {
                    waker.kill();
                }
            }
        }
    }

    fn ended(mut self: Box<Self>, ending: Ending) {
        let told = self.told(ending);
        let Self { connection, name, events, .. } = *self;
        events.tell(Event::Then(Box::new(move |processor| {
            processor.on_command_end(connection, &name, told);
        })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_all_answers_together_is_bounded_and_given_back() {
        let all = Arc::new(AtomicUsize::new(0));
        let held = || Held { all: Arc::clone(&all), bytes: 0 };
        let (mut one, mut two) = (held(), held());
        assert!(one.take(limits::COMMANDS_OUTPUT_BYTES - 1) && two.take(/*bytes*/ 1));
        assert!(!two.take(/*bytes*/ 1), "there is no room for another byte");
        drop(one);
        assert!(two.take(/*bytes*/ 1), "there is again");
        drop(two);
        assert_eq!(all.load(Ordering::SeqCst), 0);
    }
}
