//! A model provider for tests: a small HTTP server of its own that speaks Server-Sent Events by a script.
//!
//! It stands on plain sockets and not on an HTTP library, because it has to be able to break what libraries
//! keep whole: cut an answer in the middle of a chunk, stall, or vanish.

#![allow(dead_code, reason = "a box of parts for scenarios; not each part is in use at any time")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use app_server::sys::worker::Worker;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::PATIENCE;
use super::process::STACK_BYTES;
use super::watched::Watched;

/// A running mock. Connections are closed and its workers joined when it is dropped.
pub(crate) struct MockModel {
    address: SocketAddr,
    state: Arc<Watched<State>>,
    acceptor: Option<Worker>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
}

/// What is answered to one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// None for no answer at all: the steps come before it.
    status: Option<u16>,
    headers: Vec<(String, String)>,
    steps: Vec<Step>,
}

/// Stands in an answer for the number of the command session that the model was told of last.
pub(crate) const SESSION: &str = "<session>";

/// One step of an answer's body.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// These bytes, as a chunk of their own.
    Bytes(Vec<u8>),
    /// Nothing for a while.
    Pause(Duration),
    /// Nothing until [`MockModel::open_gate`].
    Gate,
    /// Nothing any more, until the client goes away.
    Stall,
    /// The connection breaks here.
    Cut,
}

type Responder = Arc<dyn Fn(&Seen) -> Option<Answer> + Send + Sync>;

#[derive(Default)]
struct State {
    script: VecDeque<Answer>,
    responder: Option<Responder>,
    seen: Vec<Seen>,
    connections: Vec<TcpStream>,
    /// Connections that are open now.
    open: usize,
    workers: Vec<Worker>,
    gates_open: usize,
    /// Gates that were reached.
    gates: usize,
    /// The same and stalls.
    gates_reached: usize,
    stopped: bool,
}

impl MockModel {
    /// A mock that answers what [`Self::script`] says, request by request.
    pub(crate) fn start() -> Self {
        Self::start_behind(/*tls*/ None)
    }

    /// The same, encrypted.
    pub(crate) fn start_behind(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Watched::<State>::default());
        let accepting = Arc::clone(&state);
        let acceptor = Worker::spawn("mock-accept", STACK_BYTES, move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.now().stopped {
                    return;
                }
                serve(&accepting, stream, tls.clone());
            }
        });
        Self { address, state, acceptor: Some(acceptor.expect("a worker")) }
    }

    /// A mock with this script.
    pub(crate) fn with_script(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mock = Self::start();
        mock.script(answers);
        mock
    }

    /// Adds to the script. A request without an answer in the script gets status 418.
    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.change(|state| state.script.extend(answers));
    }

    /// Replaces what is left of the script; gates that were opened for the old one are closed.
    pub(crate) fn script_anew(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.change(|state| {
            state.script = answers.into_iter().collect();
            state.gates_open = state.gates;
        });
    }

    /// Has each request for which the script has no answer answered by `respond`, for tests in which requests
    /// come in no fixed order.
    pub(crate) fn respond(&self, respond: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static) {
        self.state.change(|state| state.responder = Some(Arc::new(respond)));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// A `config.toml` with this mock as the provider `mock` and `some-model` as the model; no retries,
    /// unless `provider` (lines of the provider's table) says so.
    pub(crate) fn config(&self, provider: &str) -> String {
        let retries = |key: &str| match provider.contains(key) {
            true => String::new(),
            false => format!("{key} = 0\n"),
        };
        format!(
            "model = \"some-model\"\nmodel_provider = \"mock\"\n[model_providers.mock]\nname = \"Mock\"\n\
             base_url = \"{}\"\n{}{}{provider}\n",
            self.base_url(),
            retries("request_max_retries"),
            retries("stream_max_retries"),
        )
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.now().seen.clone()
    }

    /// Waits until this many requests have come.
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Seen> {
        self.wait("requests", |state| (state.seen.len() >= count).then(|| state.seen.clone()))
    }

    /// Waits until this many requests that fit have come.
    pub(crate) fn wait_for_fitting(&self, count: usize, fits: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        self.wait("fitting requests", |state| {
            let fitting: Vec<Seen> = state.seen.iter().filter(|seen| fits(seen)).cloned().collect();
            (fitting.len() >= count).then_some(fitting)
        })
    }

    /// Waits until this many requests call this method of JSON-RPC.
    pub(crate) fn wait_for_method(&self, count: usize, method: &str) -> Vec<Seen> {
        self.wait_for_fitting(count, |seen| seen.body["method"] == method)
    }

    /// Waits until the number of open connections is this.
    pub(crate) fn wait_for_open_connections(&self, count: usize) {
        self.wait("open connections", |state| (state.open == count).then_some(()));
    }

    /// Lets one [`Step::Gate`] pass, now or when it is reached.
    pub(crate) fn open_gate(&self) {
        self.state.change(|state| state.gates_open += 1);
    }

    /// Waits until this many gates and stalls have been reached in all.
    pub(crate) fn wait_for_gates(&self, count: usize) {
        self.wait("gates", |state| (state.gates_reached >= count).then_some(()));
    }

    fn wait<R>(&self, what: &str, look: impl FnMut(&mut State) -> Option<R>) -> R {
        self.state.wait(PATIENCE, look).unwrap_or_else(|| {
            let state = self.state.now();
            panic!(
                "the mock waited in vain for {what}: {} requests, {} connections open, {} gates reached",
                state.seen.len(),
                state.open,
                state.gates_reached
            )
        })
    }
}

impl Drop for MockModel {
    fn drop(&mut self) {
        let workers = self.state.change(|state| {
            state.stopped = true;
            for connection in &state.connections {
                let _ = connection.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut state.workers)
        });
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        drop(self.acceptor.take());
        drop(workers);
    }
}

/// An address on which nobody listens.
pub(crate) fn refusing_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}/v1", listener.local_addr().expect("its address"))
}

// ---- answers ----

impl Answer {
    /// A plain answer.
    pub(crate) fn status(status: u16, body: &str) -> Self {
        let steps = vec![Step::Bytes(body.as_bytes().to_vec())];
        Self { status: Some(status), headers: Vec::new(), steps }
    }

    /// Nothing, until the client goes away.
    pub(crate) fn silence() -> Self {
        Self { status: None, headers: Vec::new(), steps: vec![Step::Stall] }
    }

    /// The connection ends instead of an answer.
    pub(crate) fn hang_up() -> Self {
        Self { status: None, headers: Vec::new(), steps: vec![Step::Cut] }
    }

    /// An error as the API words it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let error = json!({ "error": { "message": message, "type": code, "code": code } });
        Self::status(status, &error.to_string()).header("content-type", "application/json")
    }

    /// A stream of these events of the Responses API.
    pub(crate) fn events(events: impl IntoIterator<Item = Value>) -> Self {
        let steps = events.into_iter().map(Step::event).collect();
        Self::stream(steps)
    }

    /// A stream of these steps.
    pub(crate) fn stream(steps: Vec<Step>) -> Self {
        Self { status: Some(200), headers: Vec::new(), steps }.header("content-type", "text/event-stream")
    }

    /// A whole response of the Responses API that says this.
    pub(crate) fn text(text: &str) -> Self {
        Self::response(say("msg_0", text))
    }

    /// A whole response of these output items.
    pub(crate) fn response(items: impl IntoIterator<Item = Value>) -> Self {
        Self::events([created()].into_iter().chain(items).chain([completed()]))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, broken off by `end` after this many steps.
    pub(crate) fn broken(mut self, after: usize, end: Step) -> Self {
        self.steps.truncate(after);
        self.steps.push(end);
        self
    }

    /// The same in chunks of this size, whatever stands in them.
    pub(crate) fn in_pieces(mut self, bytes: usize) -> Self {
        let whole = self.steps.into_iter().flat_map(|step| match step {
            Step::Bytes(bytes) => bytes,
            other => panic!("{other:?} cannot be cut"),
        });
        let whole: Vec<u8> = whole.collect();
        self.steps = whole.chunks(bytes).map(|piece| Step::Bytes(piece.to_vec())).collect();
        self
    }

    /// The same with more events before its last step.
    pub(crate) fn before_end(mut self, events: impl IntoIterator<Item = Value>) -> Self {
        let end = self.steps.len() - 1;
        self.steps.splice(end..end, events.into_iter().map(Step::event));
        self
    }

    /// The same with more events after its first step.
    pub(crate) fn after_begin(mut self, events: impl IntoIterator<Item = Value>) -> Self {
        self.steps.splice(1..1, events.into_iter().map(Step::event));
        self
    }

    /// The same with this event instead of its last step.
    pub(crate) fn ended_by(mut self, event: Value) -> Self {
        self.steps.pop();
        self.steps.push(Step::event(event));
        self
    }

    /// The same with silence instead of its last step.
    pub(crate) fn stalled(mut self) -> Self {
        self.steps.pop();
        self.steps.push(Step::Stall);
        self
    }

    /// The same, broken off in the place of its last step.
    pub(crate) fn cut_off(mut self) -> Self {
        self.steps.pop();
        self.steps.push(Step::Cut);
        self
    }

    /// The same with each text changed.
    pub(crate) fn reworded(mut self, reword: impl Fn(&str) -> String) -> Self {
        for step in &mut self.steps {
            if let Step::Bytes(bytes) = step {
                *bytes = reword(&String::from_utf8_lossy(bytes)).into_bytes();
            }
        }
        self
    }

    /// The same with a pause before each step.
    pub(crate) fn slow(mut self, pause: Duration) -> Self {
        self.steps = self.steps.into_iter().flat_map(|step| [Step::Pause(pause), step]).collect();
        self
    }
}

impl Step {
    /// An event of the Responses API.
    pub(crate) fn event(event: Value) -> Self {
        let kind = event["type"].as_str().unwrap_or("message");
        Self::Bytes(format!("event: {kind}\ndata: {event}\n\n").into_bytes())
    }

    /// A line of `data` alone, as Chat Completions has it.
    pub(crate) fn data(data: &str) -> Self {
        Self::Bytes(format!("data: {data}\n\n").into_bytes())
    }
}

// ---- events of the Responses API ----

pub(crate) fn created() -> Value {
    json!({ "type": "response.created", "response": { "id": "resp_0" } })
}

pub(crate) fn completed() -> Value {
    completed_with(/*input*/ 20, /*output*/ 5)
}

pub(crate) fn completed_with(input: i64, output: i64) -> Value {
    let usage = json!({
        "input_tokens": input, "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": output, "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + output,
    });
    json!({ "type": "response.completed", "response": { "id": "resp_0", "usage": usage } })
}

/// A message that is said word by word.
pub(crate) fn say(id: &str, text: &str) -> Vec<Value> {
    let item =
        |content: Value| json!({ "type": "message", "id": id, "role": "assistant", "content": content });
    let mut events = vec![json!({ "type": "response.output_item.added", "item": item(json!([])) })];
    for word in text.split_inclusive(' ') {
        events.push(json!({ "type": "response.output_text.delta", "item_id": id, "delta": word }));
    }
    let content = json!([{ "type": "output_text", "text": text }]);
    events.push(json!({ "type": "response.output_item.done", "item": item(content) }));
    events
}

/// A call of a function tool.
pub(crate) fn call(call_id: &str, name: &str, arguments: &Value) -> Vec<Value> {
    let item = json!({
        "type": "function_call", "id": format!("fc_{call_id}"), "call_id": call_id, "name": name,
        "arguments": arguments.to_string(),
    });
    vec![json!({ "type": "response.output_item.done", "item": item })]
}

/// A call of a freeform tool.
pub(crate) fn call_freeform(call_id: &str, name: &str, input: &str) -> Vec<Value> {
    let item = json!({
        "type": "custom_tool_call", "id": format!("ctc_{call_id}"), "call_id": call_id, "name": name,
        "input": input,
    });
    vec![json!({ "type": "response.output_item.done", "item": item })]
}

/// A thought with its summary, part by part.
pub(crate) fn think(id: &str, summary: &[&str]) -> Vec<Value> {
    let item = |summary: Value| {
        let encrypted = "x";
        json!({ "type": "reasoning", "id": id, "summary": summary, "encrypted_content": encrypted })
    };
    let mut events = vec![json!({ "type": "response.output_item.added", "item": item(json!([])) })];
    for (index, text) in summary.iter().enumerate() {
        let at = |kind: &str| json!({ "type": kind, "item_id": id, "summary_index": index, "delta": text });
        events.push(at("response.reasoning_summary_part.added"));
        events.push(at("response.reasoning_summary_text.delta"));
    }
    let parts: Vec<Value> =
        summary.iter().map(|text| json!({ "type": "summary_text", "text": text })).collect();
    events.push(json!({ "type": "response.output_item.done", "item": item(json!(parts)) }));
    events
}

/// The response fails.
pub(crate) fn failed(code: &str, message: &str) -> Value {
    let error = json!({ "code": code, "message": message });
    json!({ "type": "response.failed", "response": { "id": "resp_0", "status": "failed", "error": error } })
}

/// The response ends before its time.
pub(crate) fn incomplete(reason: &str) -> Value {
    let response = json!({ "id": "resp_0", "incomplete_details": { "reason": reason } });
    json!({ "type": "response.incomplete", "response": response })
}

impl Seen {
    /// A header's value; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(key, _)| key == name);
        header.map(|(_, value)| value.as_str())
    }

    /// The entries of the body's `input` of this type.
    pub(crate) fn input(&self, kind: &str) -> Vec<Value> {
        let entries = self.body["input"].as_array().cloned().unwrap_or_default();
        entries.into_iter().filter(|entry| entry["type"] == kind).collect()
    }

    /// What the tool answered to this call, as the model is told it.
    pub(crate) fn tool_output(&self, call_id: &str) -> Option<Value> {
        let outputs = [self.input("function_call_output"), self.input("custom_tool_call_output")].concat();
        outputs.into_iter().find(|entry| entry["call_id"] == call_id).map(|mut entry| entry["output"].take())
    }
}

// ---- the server ----

fn serve(state: &Arc<Watched<State>>, stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
    stream.set_nodelay(true).expect("an option of a socket");
    let number = state.change(|state| {
        state.open += 1;
        state.connections.push(stream.try_clone().expect("another handle of the socket"));
        state.connections.len() - 1
    });
    let serving = Arc::clone(state);
    let worker = Worker::spawn(format!("mock-{number}"), STACK_BYTES, move || {
        let socket = stream.try_clone().expect("another handle of the socket");
        let stream: Box<dyn Stream> = match tls.map(|tls| ServerConnection::new(tls).expect("a connection")) {
            Some(session) => Box::new(StreamOwned::new(session, stream)),
            None => Box::new(stream),
        };
        let mut connection = Connection { stream, number, buffer: Vec::new() };
        while let Some(seen) = connection.read_request() {
            let answer = answer_to(&serving, seen);
            if connection.answer(&serving, answer).is_none() {
                break;
            }
        }
        let _ = socket.shutdown(Shutdown::Both);
        serving.change(|state| state.open -= 1);
    });
    state.change(|state| state.workers.push(worker.expect("a worker")));
}

fn answer_to(state: &Watched<State>, seen: Seen) -> Answer {
    let (scripted, responder) = state.change(|state| {
        state.seen.push(seen.clone());
        (state.script.pop_front(), state.responder.clone())
    });
    let answer = scripted.or_else(|| responder?(&seen));
    let session = seen
        .body
        .to_string()
        .rsplit("session ID ")
        .next()
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    let answer = answer.map(|answer| match session {
        Some(session) if !session.is_empty() => answer.reworded(|text| text.replace(SESSION, &session)),
        _ => answer,
    });
    answer
        .unwrap_or_else(|| Answer::error(/*status*/ 418, "no_script", "the mock has no answer for this"))
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Connection {
    stream: Box<dyn Stream>,
    number: usize,
    buffer: Vec<u8>,
}

impl Connection {
    /// None when the client went away.
    fn read_request(&mut self) -> Option<Seen> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut headers);
            if let httparse::Status::Complete(head) = request.parse(&self.buffer).expect("an HTTP request") {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers: Vec<(String, String)> = request
                    .headers
                    .iter()
                    .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
                    .collect();
                let length = headers.iter().find(|(name, _)| name == "content-length");
                let length: usize = length.map_or(0, |(_, value)| value.parse().expect("a length"));
                let method = request.method.unwrap_or_default().to_owned();
                let path = request.path.unwrap_or_default().to_owned();
                while self.buffer.len() < head + length {
                    self.fill()?;
                }
                let body = serde_json::from_slice(&self.buffer[head..head + length]).unwrap_or(Value::Null);
                self.buffer.drain(..head + length);
                return Some(Seen { method, path, headers, body, connection: self.number });
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Option<()> {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk).ok().filter(|&count| count > 0)?;
        self.buffer.extend_from_slice(&chunk[..count]);
        Some(())
    }

    /// None when the connection is over.
    fn answer(&mut self, state: &Watched<State>, answer: Answer) -> Option<()> {
        // Goes out with the next step; the last of it with the end, for which nobody waits long.
        let mut out = Vec::new();
        if let Some(status) = answer.status {
            write!(out, "HTTP/1.1 {status} Mock\r\ntransfer-encoding: chunked\r\n").ok()?;
            for (name, value) in &answer.headers {
                write!(out, "{name}: {value}\r\n").ok()?;
            }
            out.extend(b"\r\n");
        }
        for step in answer.steps {
            self.stream.write_all(&std::mem::take(&mut out)).ok()?;
            match step {
                Step::Bytes(bytes) if bytes.is_empty() => {}
                Step::Bytes(bytes) => {
                    out = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat();
                }
                // Ends early when the mock is stopped.
                Step::Pause(pause) => drop(state.wait(pause, |state| state.stopped.then_some(()))),
                Step::Gate => {
                    let gate = state.change(|state| {
                        state.gates_reached += 1;
                        state.gates += 1;
                        state.gates
                    });
                    state.wait(PATIENCE, |state| (state.stopped || state.gates_open >= gate).then_some(()));
                }
                Step::Stall => {
                    state.change(|state| state.gates_reached += 1);
                    self.fill()?;
                }
                Step::Cut => return None,
            }
        }
        out.extend(b"0\r\n\r\n");
        self.stream.write_all(&out).ok()
    }
}

#[cfg(test)]
mod tests;
