//! The duty to answer: every request gets exactly one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tracing::Span;

use super::encode::{error_response, response};
use super::error::RpcError;
use super::id::RequestId;
use super::spliced::{Filling, LongArray, response_around};
use crate::clock::Clock;
use crate::obs::metrics::RequestStats;
use crate::obs::trace::Context;
use crate::queue::{Outbox, OutboxLimits, Overflow};

/// How many requests of one connection are not answered yet.
#[derive(Debug, Clone, Default)]
pub struct OpenRequests(Arc<AtomicUsize>);

impl OpenRequests {
    /// Requests read and not answered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// Whoever looks on while a request is worked on: the numbers of its method, and its span.
#[derive(Debug)]
pub struct Watch {
    /// Where the outcome is counted.
    pub stats: &'static RequestStats,
    /// When it came, by [`Clock::elapsed`]: most take less than the millisecond of other times.
    pub began: Duration,
    /// The time.
    pub clock: Clock,
    /// Its place in a trace.
    pub trace: Context,
    /// Its span in the log; open until the answer.
    pub span: Span,
}

/// The right and the duty to answer one request. It travels to whoever does the work; if it is dropped
/// unused, by a panic or a bug, the client gets an internal error instead of silence.
#[derive(Debug)]
pub struct Reply {
    id: RequestId,
    outbox: Outbox,
    open: OpenRequests,
    answered: bool,
    /// It is on its way into a queue that may have no room for it.
    queueing: bool,
    watch: Option<Box<Watch>>,
}

/// An encoded answer on its way to the client. Workers encode, the processor sends, so that an answer keeps
/// its place among what the processor has sent before.
#[derive(Debug)]
#[must_use]
pub struct Answer {
    reply: Reply,
    message: Bytes,
    /// Its bytes are counted elsewhere, not in the outbox.
    held: bool,
    is_result: bool,
}

impl Reply {
    /// The duty to answer the request `id` of the connection behind `outbox`.
    #[must_use]
    pub fn new(id: RequestId, outbox: Outbox, open: &OpenRequests) -> Self {
        open.0.fetch_add(1, Ordering::AcqRel);
        Self { id, outbox, open: open.clone(), answered: false, queueing: false, watch: None }
    }

    /// Has somebody look on.
    #[must_use]
    pub fn watched(mut self, watch: Watch) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// The request's place in a trace, for what is done because of it.
    #[must_use]
    pub fn trace(&self) -> Option<&Context> {
        self.watch.as_ref().map(|watch| &watch.trace)
    }

    /// The request's span; a disabled one if nobody looks on.
    #[must_use]
    pub fn span(&self) -> Span {
        self.watch.as_ref().map_or_else(Span::none, |watch| watch.span.clone())
    }

    /// An answer that nobody waits for: the work was the server's own wish.
    #[must_use]
    pub fn to_nobody() -> Self {
        let limits = OutboxLimits { messages: 1, bytes: 1, control_frames: 1, overflow: Overflow::Wait };
        let (outbox, _nobody) = Outbox::new(limits);
        Self::new(0.into(), outbox, &OpenRequests::default())
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Marks the reply as travelling with a job: if the job's queue is full and drops it, the client is told
    /// that the server is overloaded.
    #[must_use]
    pub fn queueing(mut self) -> Self {
        self.queueing = true;
        self
    }

    /// Marks the reply as arrived where the work is done.
    #[must_use]
    pub fn arrived(mut self) -> Self {
        self.queueing = false;
        self
    }

    /// Encodes the outcome, on any worker.
    pub fn encode(self, outcome: Result<impl Serialize, RpcError>) -> Answer {
        let is_result = outcome.is_ok();
        let message = match outcome {
            Ok(result) => response(&self.id, &result),
            Err(error) => error_response(Some(&self.id), &error),
        };
        Answer { reply: self, message, is_result, held: false }
    }

    /// Encodes a result around an array that a worker has encoded, which takes the place of the empty one in
    /// its first field `name`, and around what fills a null behind that. Costs little: it is for the
    /// processor.
    pub fn encode_around(
        self,
        result: &impl Serialize,
        name: &str,
        array: LongArray,
        filling: Option<Filling<'_>>,
    ) -> Answer {
        let message = response_around(&self.id, result, name, array, filling);
        Answer { reply: self, message, is_result: true, held: false }
    }

    /// An answer that the worker has put together by itself; its bytes are counted and bounded by whoever
    /// made them, until the last copy of them is dropped.
    pub fn encoded_and_held(self, message: Bytes) -> Answer {
        Answer { reply: self, message, is_result: true, held: true }
    }

    /// Answers, from the processor.
    pub fn send(self, outcome: Result<impl Serialize, RpcError>) {
        self.encode(outcome).send();
    }

    /// Answers with an error, from the processor.
    pub fn refuse(self, error: RpcError) {
        self.send(Err::<(), _>(error));
    }
}

impl Answer {
    /// Puts the answer into the client's outbox.
    pub fn send(mut self) {
        self.reply.end(self.is_result);
        // Dropped means that the connection is gone: there is nobody left to answer.
        let message = std::mem::take(&mut self.message);
        if self.held {
            self.reply.outbox.push_held(message);
        } else {
            self.reply.outbox.push(message);
        }
    }
}

impl Reply {
    fn end(&mut self, is_result: bool) {
        self.answered = true;
        if let Some(Watch { stats, began, clock, .. }) = self.watch.as_deref() {
            stats.record(clock.elapsed().saturating_sub(*began), is_result);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered {
            self.end(/*is_result*/ false);
            let error = if self.queueing {
                RpcError::overloaded()
            } else {
                RpcError::internal("the request was dropped without an answer; this is a bug of the server")
            };
            self.outbox.push(error_response(Some(&self.id), &error));
        }
        self.open.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Batch, OutboxDrain, OutboxLimits, Overflow};
    use serde_json::Value;

    fn outbox() -> (Outbox, OutboxDrain) {
        Outbox::new(OutboxLimits { messages: 8, bytes: 1000, control_frames: 1, overflow: Overflow::Wait })
    }

    fn sent(drain: &mut OutboxDrain) -> Vec<Value> {
        let mut batch = Batch::default();
        drain.next(&mut batch, /*bytes_max*/ 10_000);
        batch.data.iter().map(|message| serde_json::from_slice(message).expect("JSON")).collect()
    }

    #[test]
    fn a_reply_answers_once_and_is_counted_until_then() {
        let (outbox, mut drain) = outbox();
        let open = OpenRequests::default();
        let reply = Reply::new(1.into(), outbox.clone(), &open);
        assert_eq!(open.count(), 1);
        let answer = reply.encode(Ok("done"));
        assert_eq!(open.count(), 1, "encoded is not yet sent");
        answer.send();
        assert_eq!(open.count(), 0);
        assert_eq!(sent(&mut drain), [serde_json::json!({"id": 1, "result": "done"})]);
    }

    #[test]
    fn who_looks_on_counts_each_request_once_however_it_ends() {
        static STATS: RequestStats = RequestStats::new();
        let (outbox, _drain) = outbox();
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let ask = || {
            let watch = Watch {
                stats: &STATS,
                began: clock.elapsed(),
                clock: clock.clone(),
                trace: Context::root(),
                span: Span::none(),
            };
            Reply::new(1.into(), outbox.clone(), &OpenRequests::default()).watched(watch)
        };
        let (first, second, third) = (ask(), ask(), ask());
        clock.advance(Duration::from_secs(1));
        first.send(Ok("done"));
        second.refuse(RpcError::overloaded());
        drop(third);
        let mut page = crate::obs::metrics::Page::default();
        crate::obs::metrics::add_requests(&mut page, [("m", &STATS)].into_iter());
        let found = page.json();
        assert_eq!(found["app_server_requests_total"], serde_json::json!({"m result": 1, "m error": 2}));
        let took = &found["app_server_request_duration_seconds"]["m"];
        assert_eq!(took, &serde_json::json!({"count": 3, "sumSeconds": 3.0}));
    }

    #[test]
    fn a_reply_that_no_queue_took_says_so() {
        let (outbox, mut drain) = outbox();
        drop(Reply::new(1.into(), outbox.clone(), &OpenRequests::default()).queueing());
        drop(Reply::new(2.into(), outbox, &OpenRequests::default()).queueing().arrived());
        let codes: Vec<Value> =
            sent(&mut drain).iter().map(|answer| answer["error"]["code"].clone()).collect();
        assert_eq!(codes, [-32001, -32603]);
    }

    #[test]
    fn a_reply_lost_in_a_panic_is_an_internal_error() {
        let (outbox, mut drain) = outbox();
        let open = OpenRequests::default();
        let reply = Reply::new("x".into(), outbox, &open);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _reply = reply;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_eq!(open.count(), 0);
        let answers = sent(&mut drain);
        assert_eq!((answers.len(), &answers[0]["error"]["code"]), (1, &(-32603).into()));
    }
}
