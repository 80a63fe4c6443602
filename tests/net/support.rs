//! A listener on port 0 with a processor that echoes, and clients for it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use app_server::clock::Clock;
use app_server::config::net::{Endpoint, NetConfig};
use app_server::limits;
use app_server::net::{
    ConnectionId, ConnectionIds, Listener, NetEvent, Opened, Phase, Readiness, Scrape, Wiring,
};
use app_server::queue::{Closing, Inbox, InboxDrain};
use app_server::rpc::{Incoming, Request, error_response, notification, response};
use app_server::sync::lock;
use app_server::sys::worker::Worker;
use app_server::timer::{TimerHandle, TimerWorker};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the processor saw, by connection.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) opened: usize,
    pub(crate) closed: usize,
    pub(crate) messages: usize,
    pub(crate) order_broken: Vec<String>,
    live: HashMap<ConnectionId, Opened>,
}

#[derive(Debug, Default)]
pub(crate) struct Watched {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Watched {
    /// Waits until the processor has seen it.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let (seen, timeout) =
            self.changed.wait_timeout_while(lock(&self.seen), PATIENCE, |seen| !is_so(seen)).expect("a lock");
        let (opened, closed, messages) = (seen.opened, seen.closed, seen.messages);
        assert!(
            !timeout.timed_out(),
            "waited in vain for: {what}; {opened} opened, {closed} closed, {messages} messages"
        );
    }

    pub(crate) fn look<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&lock(&self.seen))
    }

    /// Ends every open connection from the processor's side.
    pub(crate) fn finish_all(&self, code: u16, reason: &str) {
        for opened in lock(&self.seen).live.values() {
            opened.outbox.finish(Closing { code, reason: reason.to_owned() });
        }
    }
}

/// A running listener. The order of the fields is the order of the end.
pub(crate) struct Server {
    pub(crate) listener: Listener,
    pub(crate) watched: Arc<Watched>,
    pub(crate) readiness: Readiness,
    pub(crate) timer: TimerHandle,
    _processor: Worker,
    _timer_worker: TimerWorker,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut NetConfig)) -> Self {
        Self::on(Clock::real(), &Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))), change)
    }

    pub(crate) fn on(clock: Clock, endpoint: &Endpoint, change: impl FnOnce(&mut NetConfig)) -> Self {
        let mut config = NetConfig::new();
        change(&mut config);
        let (wiring, drain, timer_worker) = wiring(clock);
        let watched = Arc::new(Watched::default());
        let processor = Worker::spawn("proc", limits::STACK_BYTES_WORK, {
            let watched = Arc::clone(&watched);
            move || process(&drain, &watched)
        })
        .expect("a processor");
        let (timer, readiness) = (wiring.timer.clone(), wiring.readiness.clone());
        let listener = Listener::start(config, endpoint, wiring).expect("it listens");
        Self { listener, watched, readiness, timer, _processor: processor, _timer_worker: timer_worker }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self.listener.bound() {
            Endpoint::Tcp(address) => *address,
            Endpoint::Unix(path) => panic!("{path:?} is not TCP"),
        }
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("it connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        stream.set_nodelay(true).expect("an option");
        stream
    }

    pub(crate) fn client(&self) -> Client {
        Client::over(self.tcp())
    }

    /// Waits for a condition that nobody announces, such as a worker's end.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        wait_for(what, is_so);
    }
}

/// What a listener needs, and what keeps it going.
pub(crate) fn wiring(clock: Clock) -> (Wiring, InboxDrain<NetEvent>, TimerWorker) {
    let (inbox, drain) =
        Inbox::new(limits::INBOX_MESSAGES, limits::INBOX_BYTES, limits::INBOX_MESSAGES_PER_CONNECTION);
    let (timer_worker, timer) = TimerWorker::start(clock).expect("a timer");
    let readiness = Readiness::default();
    readiness.set(Phase::Ready);
    (
        Wiring {
            inbox,
            ids: ConnectionIds::default(),
            timer,
            readiness,
            scrape: Scrape::new(|page| page.gauge("test", "A test.", /*value*/ 1.0)),
        },
        drain,
        timer_worker,
    )
}

/// Waits for a condition that nobody announces.
pub(crate) fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let clock = Clock::real();
    let start = clock.now();
    while !is_so() {
        assert!(clock.now().since(start) < PATIENCE, "waited in vain for: {what}");
        std::thread::yield_now();
    }
}

/// Answers `initialize` and `echo`, and does what else the tests ask for.
fn process(drain: &InboxDrain<NetEvent>, watched: &Watched) {
    for entry in drain.receiver() {
        let mut seen = lock(&watched.seen);
        match entry.item {
            NetEvent::Opened(opened) => {
                seen.opened += 1;
                seen.live.insert(opened.id, opened);
            }
            NetEvent::Closed(id, _) => {
                seen.closed += 1;
                if seen.live.remove(&id).is_none() {
                    seen.order_broken.push(format!("{id:?} closed and was not open"));
                }
            }
            NetEvent::Message(id, message) => {
                seen.messages += 1;
                match seen.live.get(&id) {
                    Some(opened) => answer(opened, message.map_err(|error| (error.id, error.error))),
                    None => seen.order_broken.push(format!("{id:?} speaks and is not open")),
                }
            }
        }
        watched.changed.notify_all();
    }
}

fn answer(
    opened: &Opened,
    message: Result<Incoming, (Option<app_server::rpc::RequestId>, app_server::rpc::RpcError)>,
) {
    let request = match message {
        Ok(Incoming::Request(request)) => request,
        Ok(_) => return,
        Err((id, error)) => {
            opened.outbox.push(error_response(id.as_ref(), &error));
            return;
        }
    };
    let params: Value = request
        .params
        .as_ref()
        .map_or(Value::Null, |raw| serde_json::from_str(raw.get()).expect("raw JSON is JSON"));
    let Request { id, method, .. } = request;
    match &*method {
        "initialize" => {
            opened.admission.admit();
            opened.outbox.push(response(&id, &json!({})));
        }
        // `count` notifications of `size` bytes, then the answer.
        "burst" => {
            let text = "x".repeat(usize::try_from(params["size"].as_u64().expect("a size")).expect("small"));
            let message = notification("n", &text, /*emitted_at_ms*/ 0).expect("it encodes");
            for _ in 0..params["count"].as_u64().expect("a count") {
                opened.outbox.push(message.clone());
            }
            opened.outbox.push(response(&id, &json!({})));
        }
        "silence" => {}
        "bye" => opened.outbox.finish(Closing { code: 1001, reason: "goodbye".to_owned() }),
        _ => {
            opened.outbox.push(response(&id, &params));
        }
    }
}

/// A WebSocket client.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) socket: WebSocket<S>,
    next_id: i64,
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self::asking("ws://host/any/path", stream).0
    }

    pub(crate) fn asking(request: impl IntoClientRequest, stream: S) -> (Self, Response) {
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, response) = tungstenite::client::client_with_config(request, stream, Some(config))
            .unwrap_or_else(|error| panic!("no handshake: {error:?}"));
        assert_eq!(response.status(), 101);
        (Self { socket, next_id: 0 }, response)
    }

    /// A client that has said hello.
    pub(crate) fn initialized(mut self) -> Self {
        assert_eq!(self.call("initialize", json!({}))["result"], json!({}));
        self
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.socket.send(message).expect("it sends");
    }

    /// Sends a request and gives its id.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        let request = json!({"id": self.next_id, "method": method, "params": params});
        self.send(Message::text(request.to_string()));
        self.next_id
    }

    /// The answer to `id`; what comes before it is dropped.
    pub(crate) fn answer(&mut self, id: i64) -> Value {
        loop {
            let value = self.json();
            if value["id"] == id {
                return value;
            }
        }
    }

    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// The next JSON message.
    pub(crate) fn json(&mut self) -> Value {
        loop {
            match self.socket.read().expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Reads on until the server's Close: its code and reason.
    pub(crate) fn close(&mut self) -> (u16, String) {
        loop {
            match self.socket.read().expect("a message before the end") {
                Message::Close(Some(frame)) => {
                    return (frame.code.into(), frame.reason.as_str().to_owned());
                }
                Message::Close(None) => return (1005, String::new()),
                _ => {}
            }
        }
    }
}

/// A good request for a WebSocket.
pub(crate) const UPGRADE: &str = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The status code of an answer.
pub(crate) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// Sends raw bytes and reads everything until the end.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &[u8]) -> String {
    // A server that refuses early may have hung up before the last byte.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer and an end, not a reset");
    String::from_utf8(answer).expect("text")
}

/// The process's open file descriptors and OS threads.
pub(crate) fn resources() -> (usize, usize) {
    let count = |path: &str| std::fs::read_dir(path).expect("procfs").count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

/// Memory that the process has in RAM.
pub(crate) fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
}
