//! From a command's output to what is told of it, on a worker of the command's own: the workers that serve
//! all commands must not wait, neither for clients nor for the store.

use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::output::{Decoder, HeadTail, Live};
use super::session::{Exit, Phase, Shared};
use crate::agent::teller::Teller;
use crate::exec::{Ending, OutputSink, SinkWaker, StdinError, Stream};
use crate::limits;
use crate::proto::{
    CommandExecutionItem, CommandExecutionOutputDelta, CommandExecutionStatus, ItemBody, TerminalInteraction,
};
use crate::sync::lock;

/// What the command said, and was told, and nobody has looked at yet.
pub(super) struct Feed {
    queue: Arc<Mutex<Queue>>,
    bell: Receiver<()>,
}

/// The end that the command fills. What somebody has typed is put in once the command has it: so it is told
/// before what the command says to it, and before its end.
#[derive(Debug, Clone)]
pub(super) struct FeedSink {
    queue: Arc<Mutex<Queue>>,
    ring: Sender<()>,
}

/// Input that the command has.
#[derive(Debug)]
pub(super) struct Typed {
    /// Of the turn that typed.
    pub(super) teller: Arc<Teller>,
    pub(super) text: String,
    /// Who waits until it is told.
    pub(super) done: Sender<Result<(), StdinError>>,
}

#[derive(Debug)]
enum Said {
    Output(Stream, Vec<u8>),
    Input(Typed),
}

#[derive(Debug, Default)]
struct Queue {
    started: Option<SinkWaker>,
    said: Vec<Said>,
    bytes: usize,
    ended: Option<Ending>,
}

impl Feed {
    pub(super) fn new() -> (Self, FeedSink) {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let (ring, bell) = bounded(1);
        (Self { queue: Arc::clone(&queue), bell }, FeedSink { queue, ring })
    }
}

impl FeedSink {
    pub(super) fn typed(&self, typed: Typed) {
        lock(&self.queue).said.push(Said::Input(typed));
        self.ring();
    }

    fn ring(&self) {
        // A full slot means that the bell rings already.
        let _ = self.ring.try_send(());
    }
}

impl OutputSink for FeedSink {
    fn started(&mut self, waker: SinkWaker) {
        lock(&self.queue).started = Some(waker);
        self.ring();
    }

    fn room(&mut self, _: Stream) -> usize {
        limits::COMMAND_FEED_BYTES.saturating_sub(lock(&self.queue).bytes)
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        {
            let mut queue = lock(&self.queue);
            queue.bytes += bytes.len();
            match queue.said.last_mut() {
                Some(Said::Output(last, said)) if *last == stream => said.extend_from_slice(bytes),
                _ => queue.said.push(Said::Output(stream, bytes.to_vec())),
            }
        }
        self.ring();
    }

    fn ended(self: Box<Self>, ending: Ending) {
        lock(&self.queue).ended = Some(ending);
        self.ring();
    }
}

/// The state of the worker that serves one command.
struct Pump<'a> {
    shared: &'a Shared,
    started_at_ms: i64,
    kept: HeadTail,
    live: Live,
    decoders: [Decoder; 2],
}

/// Serves one command until it has ended. A command that was not even taken ends it at once.
pub(super) fn run(feed: &Feed, shared: &Shared) {
    let now_ms = shared.teller.now_ms();
    let mut pump = Pump {
        shared,
        started_at_ms: shared.shown_since_ms.unwrap_or(now_ms),
        kept: HeadTail::new(limits::COMMAND_KEPT_BYTES),
        live: Live::new(shared.teller.now()),
        decoders: [Decoder::default(), Decoder::default()],
    };
    let mut waker = None;
    while feed.bell.recv().is_ok() {
        let Queue { started, said, bytes, ended } = std::mem::take(&mut *lock(&feed.queue));
        if let Some(started) = started {
            waker = Some(started);
            pump.begin();
        }
        if let Some(waker) = waker.as_ref().filter(|_| bytes > 0) {
            waker.wake();
        }
        for said in said {
            match said {
                Said::Output(stream, bytes) => pump.say(stream, &bytes),
                Said::Input(typed) => pump.typed(&typed),
            }
        }
        match ended {
            None => {}
            Some(Ending::NotStarted(error)) => return pump.fail(error.to_string()),
            Some(Ending::Exited(outcome)) => return pump.end(outcome.code),
        }
    }
}

impl Pump<'_> {
    fn begin(&mut self) {
        if self.shared.shown_since_ms.is_none() {
            self.started_at_ms = self.shared.teller.now_ms();
            let body = ItemBody::CommandExecution(self.shared.item.clone());
            if self.shared.teller.start_item(body, self.started_at_ms).is_err() {
                tracing::debug!("nobody listens to a command");
            }
        }
        self.shared.enter(Phase::Running);
    }

    fn say(&mut self, stream: Stream, bytes: &[u8]) {
        let decoder = &mut self.decoders[usize::from(stream == Stream::Stderr)];
        let text = decoder.push(bytes);
        self.tell(text);
    }

    fn typed(&self, Typed { teller, text, done }: &Typed) {
        let item = &self.shared.item;
        let _ = teller.notify(&TerminalInteraction {
            thread_id: teller.thread(),
            turn_id: teller.turn(),
            item_id: &item.id,
            process_id: item.process_id.as_deref().unwrap_or_default(),
            stdin: text,
        });
        // Nobody waits any more if it took the command too long to take it.
        let _ = done.try_send(Ok(()));
    }

    fn tell(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        self.kept.push(&text);
        lock(&self.shared.state).unread.push(&text);
        let Some(delta) = self.live.show(text, self.shared.teller.now()) else { return };
        let teller = &self.shared.teller;
        let _ = teller.notify(&CommandExecutionOutputDelta {
            thread_id: teller.thread(),
            turn_id: teller.turn(),
            item_id: &self.shared.item.id,
            delta: &delta,
        });
    }

    /// It never ran: an item that is shown has failed, and otherwise there is none.
    fn fail(self, why: String) {
        if self.shared.shown_since_ms.is_some() {
            self.complete(CommandExecutionItem {
                status: CommandExecutionStatus::Failed,
                process_id: None,
                ..self.shared.item.clone()
            });
        }
        self.shared.enter(Phase::Failed(why));
    }

    fn end(mut self, code: i32) {
        let rest: Vec<String> = self.decoders.iter_mut().map(Decoder::rest).collect();
        for text in rest {
            self.tell(text);
        }
        let succeeded = code == 0;
        self.complete(CommandExecutionItem {
            status: if succeeded {
                CommandExecutionStatus::Completed
            } else {
                CommandExecutionStatus::Failed
            },
            // As the reference: nothing at all for a command that said nothing.
            aggregated_output: Some(self.kept.text()).filter(|text| !text.is_empty()),
            exit_code: Some(code),
            duration_ms: Some((self.shared.teller.now_ms() - self.started_at_ms).max(0)),
            ..self.shared.item.clone()
        });
        self.shared.enter(Phase::Ended(Exit { code }));
    }

    fn complete(&self, item: CommandExecutionItem) {
        let body = ItemBody::CommandExecution(item);
        if let Err(error) = self.shared.teller.complete_item(body, self.started_at_ms, &[]) {
            // Its thread may be gone; who waits for the command goes on all the same.
            tracing::warn!(?error, "the end of a command could not be written down");
        }
    }
}
