//! A server inside the test process, on a simulated clock, with clients that are plain queues.

use std::sync::Arc;
use std::time::Duration;

use app_server::agent::{Answered, Asker, Opening, ThreadId, TurnId};
use app_server::clock::Clock;
use app_server::config::{Config, Flags, Override};
use app_server::limits::STACK_BYTES_IO;
use app_server::model::{Canceller, cancellation};
use app_server::net::{Admission, ConnectionId, InputEnd, NetEvent, Opened, Transport};
use app_server::proto::{ServerRequest, SessionSource};
use app_server::queue::{Batch, InboxPort, Next, Outbox, OutboxLimits, Overflow};
use app_server::rpc::decode;
use app_server::run::Assembly;
use app_server::server::Event;
use app_server::sys::signals::Signal;
use app_server::sys::worker::Worker;
use crossbeam_channel::{Receiver, bounded};
use serde_json::{Value, json};

use super::PATIENCE;
use super::home::Home;

/// A server whose time stands still until [`Inside::advance`].
pub(crate) struct Inside {
    pub(crate) clock: Clock,
    assembly: Option<Assembly>,
    home: Arc<Home>,
    overrides: Vec<String>,
}

/// A client of it.
pub(crate) struct Peer {
    id: ConnectionId,
    port: InboxPort<NetEvent>,
    messages: Receiver<Value>,
    /// Notifications that came while an answer was awaited.
    heard: Vec<Value>,
    next_id: i64,
    outbox: Outbox,
    _pump: Worker,
}

/// A question on its way.
pub(crate) struct Asking<R: ServerRequest> {
    answered: Receiver<Answered<R::Answer>>,
    canceller: Canceller,
    _worker: Worker,
}

impl Inside {
    pub(crate) fn start(overrides: &[&str]) -> Self {
        let overrides = overrides.iter().map(|&text| text.to_owned()).collect();
        let mut inside = Self {
            clock: Clock::simulated(/*wall_start_ms*/ 1_800_000_000_000),
            assembly: None,
            home: Home::new(),
            overrides,
        };
        inside.open();
        inside
    }

    /// Ends the server and starts another one on the same home.
    pub(crate) fn restart(&mut self) {
        self.close();
        self.open();
    }

    fn open(&mut self) {
        let mut flags = Flags::none();
        flags.overrides =
            self.overrides.iter().map(|text| Override::parse(text).expect("key=value")).collect();
        let home = self.home.path().as_os_str().to_owned();
        let env = |name: &str| (name == "APP_SERVER_HOME").then(|| home.clone());
        let config = Config::load(&flags, &env, self.home.path()).expect("a configuration");
        let assembly = Assembly::start(&config, "/work", SessionSource::VsCode, &self.clock, |_| {});
        self.assembly = Some(assembly.expect("it starts"));
    }

    fn close(&mut self) {
        if let Some(assembly) = self.assembly.take() {
            // Time stands still, so a running turn would be waited for in vain: the second word interrupts
            // it.
            assembly.events.tell_first(Event::Stop);
            assembly.events.tell_first(Event::Signal(Signal::Interrupt));
            let _ = assembly.wait();
        }
    }

    fn assembly(&self) -> &Assembly {
        self.assembly.as_ref().expect("it runs")
    }

    /// The server's home.
    pub(crate) fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// The server's database.
    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.home.database()
    }

    /// How many timers are armed.
    pub(crate) fn timers(&self) -> usize {
        self.assembly().timer.armed()
    }

    /// Stops taking work, as a first signal does.
    pub(crate) fn drain(&self) {
        self.assembly().events.tell_first(Event::Stop);
    }

    /// Asks the clients something in the name of a running turn, as a worker of the turn does.
    pub(crate) fn asks<R>(&self, thread: &str, turn: &str, request: R) -> Asking<R>
    where
        R: ServerRequest + Send + 'static,
        R::Answer: Send,
    {
        self.asks_with(thread, turn, request, /*opening*/ None)
    }

    /// The same about an item that begins with it.
    pub(crate) fn asks_with<R>(
        &self,
        thread: &str,
        turn: &str,
        request: R,
        opening: Option<Opening>,
    ) -> Asking<R>
    where
        R: ServerRequest + Send + 'static,
        R::Answer: Send,
    {
        let thread = ThreadId::parse(thread).expect("a thread's id");
        let turn = TurnId::parse(turn).expect("a turn's id");
        let asker = Asker::new(thread, turn, self.assembly().events.turn_sink());
        let (canceller, cancel) = cancellation(self.clock.clone());
        let (told, answered) = bounded(1);
        let worker = Worker::spawn("asks", STACK_BYTES_IO, move || {
            let _ = told.send(asker.ask(&request, opening, &cancel));
        })
        .expect("a worker starts");
        Asking { answered, canceller, _worker: worker }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Lets second after second pass until the peer hears this. A turn that is about to wait may read the
    /// clock before or after a second has passed, so one is not always enough.
    pub(crate) fn advance_until(&self, peer: &mut Peer, method: &str, thread: &str) -> Value {
        for _ in 0..100_000 {
            self.advance(Duration::from_secs(1));
            // An answered question: what the processor had to say before it has arrived.
            peer.ask("account/read", json!({})).expect("it answers");
            if let Some(message) = peer.heard_already(method, thread) {
                return message;
            }
        }
        panic!("{method} does not come")
    }

    /// A client that has said who it is.
    pub(crate) fn connect(&self) -> Peer {
        self.connect_with(json!({ "experimentalApi": true }))
    }

    /// A client with these capabilities.
    pub(crate) fn connect_with(&self, capabilities: Value) -> Peer {
        let assembly = self.assembly();
        let (outbox, mut drain) = Outbox::new(OutboxLimits {
            messages: 100_000,
            bytes: 100_000_000,
            control_frames: 8,
            overflow: Overflow::Wait,
        });
        let (told, messages) = bounded(100_000);
        let pump = Worker::spawn("peer", STACK_BYTES_IO, move || {
            let mut batch = Batch::default();
            loop {
                let next = drain.next(&mut batch, /*bytes_max*/ 65_536);
                for message in &batch.data {
                    if told.send(serde_json::from_slice(message).expect("JSON")).is_err() {
                        return;
                    }
                }
                if next != Next::Continue {
                    return;
                }
            }
        })
        .expect("a worker starts");
        let (id, port) = (assembly.ids.next(), assembly.inbox.port());
        let opened = Opened {
            id,
            outbox: outbox.clone(),
            transport: Transport::WebSocket,
            peer: "inside".to_owned(),
            admission: Admission::default(),
        };
        port.send(NetEvent::Opened(opened), /*bytes*/ 0).expect("the processor runs");
        let mut peer = Peer { id, port, messages, heard: Vec::new(), next_id: 0, outbox, _pump: pump };
        let info = json!({ "name": "inside", "version": "1" });
        let client = json!({ "clientInfo": info, "capabilities": capabilities });
        peer.ask("initialize", client).expect("it is the first");
        peer
    }
}

impl<R: ServerRequest> Asking<R> {
    /// What became of it.
    pub(crate) fn answered(&self) -> Answered<R::Answer> {
        self.answered.recv_timeout(PATIENCE).expect("it is answered")
    }

    /// Stops waiting, as an interrupted turn does.
    pub(crate) fn cancel(&self) {
        self.canceller.cancel();
    }
}

impl<R: ServerRequest> Drop for Asking<R> {
    fn drop(&mut self) {
        // Before its worker is joined.
        self.cancel();
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.close();
    }
}

impl Peer {
    fn send(&self, message: &Value) {
        let text = message.to_string();
        let decoded = decode(text.as_bytes());
        self.port.send(NetEvent::Message(self.id, decoded), text.len()).expect("the processor runs");
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.begin(method, params);
        self.answer_to(id)
    }

    /// Sends a request, whose answer is for later.
    pub(crate) fn begin(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        self.send(&json!({ "id": self.next_id, "method": method, "params": params }));
        self.next_id
    }

    /// The answer to a request that was sent.
    pub(crate) fn answer_to(&mut self, id: i64) -> Result<Value, Value> {
        let is_it = |message: &Value| message["id"] == id && message["method"].is_null();
        let mut message = loop {
            if let Some(at) = self.heard.iter().position(is_it) {
                break self.heard.remove(at);
            }
            let message = self.next_message(&format!("the answer to {id}"));
            self.heard.push(message);
        };
        match message.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(message["error"].take()),
        }
    }

    /// Answers a request of the server.
    pub(crate) fn answer(&self, request: &Value, result: Value) {
        self.send(&json!({ "id": request["id"], "result": result }));
    }

    /// Answers a request of the server with an error.
    pub(crate) fn refuse(&self, request: &Value) {
        self.send(&json!({ "id": request["id"], "error": { "code": -32000, "message": "not for me" } }));
    }

    fn next_message(&self, what: &str) -> Value {
        match self.messages.recv_timeout(PATIENCE) {
            Ok(message) => message,
            Err(_) => panic!("nothing came while waiting for {what}; heard so far: {:#?}", self.heard),
        }
    }

    /// Waits for a notification of this method about this thread, and takes it and all before it.
    pub(crate) fn hear(&mut self, method: &str, thread: &str) -> Value {
        loop {
            if let Some(message) = self.heard_already(method, thread) {
                return message;
            }
            let message = self.next_message(method);
            self.heard.push(message);
        }
    }

    /// Like [`Self::hear`] among what has arrived.
    fn heard_already(&mut self, method: &str, thread: &str) -> Option<Value> {
        let fits = |message: &Value| message["method"] == method && message["params"]["threadId"] == thread;
        let at = self.heard.iter().position(fits)?;
        self.heard.drain(..=at).next_back()
    }

    /// The next notification about this thread.
    pub(crate) fn hear_any(&mut self, thread: &str) -> Value {
        loop {
            let message =
                if self.heard.is_empty() { self.next_message("anything") } else { self.heard.remove(0) };
            if message["params"]["threadId"] == thread {
                return message;
            }
        }
    }

    /// What was heard so far; an answered question first, so that all of it has arrived.
    pub(crate) fn take_heard(&mut self) -> Vec<Value> {
        self.ask("account/read", json!({})).expect("it answers");
        std::mem::take(&mut self.heard)
    }

    /// The methods of what was heard so far.
    pub(crate) fn heard_so_far(&mut self) -> Vec<String> {
        let heard = self.take_heard();
        heard.iter().map(|message| message["method"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// Starts a thread and returns its id.
    pub(crate) fn start_thread(&mut self, params: Value) -> String {
        let started = self.ask("thread/start", params).expect("a thread starts");
        started["thread"]["id"].as_str().expect("an id").to_owned()
    }

    /// Starts a turn and returns its id.
    pub(crate) fn start_turn(&mut self, thread: &str, text: &str) -> String {
        let params = json!({ "threadId": thread, "input": [{ "type": "text", "text": text }] });
        let started = self.ask("turn/start", params).expect("a turn starts");
        started["turn"]["id"].as_str().expect("an id").to_owned()
    }

    /// Runs a turn and returns how its end was told.
    pub(crate) fn hear_end_of(&mut self, thread: &str, text: &str) -> Value {
        self.start_turn(thread, text);
        self.hear("turn/completed", thread)
    }

    /// Runs a turn to its end.
    pub(crate) fn run_turn(&mut self, thread: &str, text: &str) -> String {
        let turn = self.start_turn(thread, text);
        self.hear("turn/completed", thread);
        turn
    }

    pub(crate) fn loaded(&mut self) -> Vec<String> {
        let list = self.ask("thread/loaded/list", json!({ "limit": 1000 })).expect("it answers");
        let ids = list["data"].as_array().expect("a list").iter();
        ids.map(|id| id.as_str().expect("an id").to_owned()).collect()
    }

    /// Has said all, as a client on a pipe that closes it; it still listens.
    pub(crate) fn end_input(&self) {
        let end = NetEvent::Closed(self.id, InputEnd::EndOfInput);
        self.port.send(end, /*bytes*/ 0).expect("the processor runs");
    }

    /// Goes away without a word.
    pub(crate) fn vanish(self) {
        self.port.send(NetEvent::Closed(self.id, InputEnd::Gone), /*bytes*/ 0).expect("the processor runs");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.outbox.finish(app_server::queue::Closing { code: 1000, reason: String::new() });
    }
}
