//! A client: asks, listens, and checks everything that it hears against the protocol.

use std::sync::Arc;
use std::time::Duration;

use app_server::sys::worker::Worker;
use serde_json::{Value, json};

use super::PATIENCE;
use super::conversation::{Conversation, tell_failed_test};
use super::process::STACK_BYTES;
use super::watched::Watched;
use super::wire::{Receiver, Sender};

/// A client on one connection.
#[derive(Debug)]
pub(crate) struct Client {
    sender: Sender,
    conversation: Arc<Watched<Conversation>>,
    reader: Option<Worker>,
    next_id: i64,
    /// How much of what was received has been looked at by `next_…`.
    seen: usize,
}

impl Client {
    pub(crate) fn new(sender: Sender, mut receiver: Receiver) -> Self {
        let conversation = Arc::new(Watched::<Conversation>::default());
        let heard = Arc::clone(&conversation);
        let reader = Worker::spawn("it-client", STACK_BYTES, move || {
            loop {
                match receiver.receive() {
                    Ok(text) => heard.change(|conversation| conversation.came(&text)),
                    Err(why) => return heard.change(|conversation| conversation.ended = Some(why)),
                }
            }
        });
        Self { sender, conversation, reader: Some(reader.expect("a worker")), next_id: 1, seen: 0 }
    }

    // ---- asking ----

    /// All that came so far, byte by byte.
    pub(crate) fn heard_texts(&self) -> Vec<String> {
        self.wait_until("what came", |conversation| Some(conversation.heard_texts()))
    }

    /// Sends a request and gives its id.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> Value {
        let id = Value::from(self.next_id);
        self.next_id += 1;
        self.send_raw(&json!({ "id": id, "method": method, "params": params }).to_string());
        id
    }

    /// Sends one message as it is.
    pub(crate) fn send_raw(&mut self, text: &str) {
        self.conversation.change(|conversation| conversation.sent(text));
        self.sender.send(text).unwrap_or_else(|why| panic!("cannot send {text:.200}: {why}"));
    }

    /// Sends many messages in one go.
    pub(crate) fn send_all(&mut self, texts: &[String]) {
        self.conversation.change(|conversation| texts.iter().for_each(|text| conversation.sent(text)));
        self.sender.send_all(texts).expect("the server takes what is sent");
    }

    /// Notes a request whose bytes are sent by [`Self::send_bytes`].
    pub(crate) fn expect_answer_to(&mut self, id: &str, method: &str) {
        let request = json!({ "id": id, "method": method }).to_string();
        self.conversation.change(|conversation| conversation.sent(&request));
    }

    /// Sends bytes that need not be a message.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.sender.send_bytes(bytes).expect("the server takes what is sent");
    }

    pub(crate) fn notify(&mut self, method: &str) {
        self.send_raw(&json!({ "method": method }).to_string());
    }

    /// Asks and waits for the answer.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.send(method, params);
        self.answer(&id)
    }

    /// Asks for what must be granted.
    pub(crate) fn ok(&mut self, method: &str, params: Value) -> Value {
        self.request(method, params).unwrap_or_else(|error| panic!("{method} was refused: {error}"))
    }

    /// Asks for what must be refused.
    pub(crate) fn refused(&mut self, method: &str, params: Value) -> Value {
        match self.request(method, params) {
            Ok(result) => panic!("{method} was not refused: {result}"),
            Err(error) => error,
        }
    }

    /// The answer to a request that was sent.
    pub(crate) fn answer(&self, id: &Value) -> Result<Value, Value> {
        let mut message = self.wait_until(&format!("the answer to {id}"), |heard| heard.answer(id).cloned());
        match message.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(message["result"].take()),
        }
    }

    /// Sends something that is no request with a usable id, and gives the error that must come back, whole.
    pub(crate) fn refusal_of_raw(&mut self, text: &str) -> Value {
        let before = self.conversation.now().answers(&Value::Null).len();
        self.send_raw(text);
        self.refusal_without_id(before)
    }

    /// Number `at` of the errors that came without an id.
    pub(crate) fn refusal_without_id(&self, at: usize) -> Value {
        self.wait_until("an error without an id", |heard| heard.answers(&Value::Null).get(at).cloned())
    }

    // ---- listening ----

    /// Waits until `look` finds something in what was heard so far.
    pub(crate) fn wait_until<R>(&self, what: &str, mut look: impl FnMut(&Conversation) -> Option<R>) -> R {
        let found = self.conversation.wait(PATIENCE, |conversation| {
            if let Some(wrong) = &conversation.wrong {
                return Some(Err(format!("the server broke the protocol: {wrong}")));
            }
            match look(conversation) {
                Some(found) => Some(Ok(found)),
                None => conversation.ended.as_ref().map(|why| Err(format!("no {what}: {why}"))),
            }
        });
        match found {
            Some(Ok(found)) => found,
            Some(Err(why)) => panic!("{why}"),
            None => panic!("waited {PATIENCE:?} in vain for {what}"),
        }
    }

    /// Waits so long at most until `look` is content with all that was received.
    pub(crate) fn quiet_until(&self, patience: Duration, mut look: impl FnMut(&[Value]) -> bool) {
        let enough = |heard: &mut Conversation| {
            (look(&heard.received) || heard.wrong.is_some() || heard.ended.is_some()).then_some(())
        };
        let _ = self.conversation.wait(patience, enough);
    }

    /// The next message that was not looked at yet and fits; those before it are skipped.
    pub(crate) fn next_fitting(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut at = self.seen;
        let found = self.wait_until(what, |heard| {
            let found = heard.received[at..].iter().position(&fits);
            at += found.unwrap_or(heard.received.len() - at);
            found.map(|_| heard.received[at].clone())
        });
        self.seen = at + 1;
        found
    }

    /// The parameters of the next notification with this method.
    pub(crate) fn next_notification(&mut self, method: &str) -> Value {
        self.next_fitting(method, |message| message["method"] == method)["params"].take()
    }

    /// All that came after what was looked at, up to a notification with this method.
    pub(crate) fn all_until(&mut self, method: &str) -> Vec<Value> {
        let from = self.seen;
        self.next_notification(method);
        self.conversation.now().received[from..self.seen].to_vec()
    }

    /// Everything that was received so far.
    pub(crate) fn received(&self) -> Vec<Value> {
        self.conversation.now().received.clone()
    }

    /// Methods of the notifications that came so far, in their order.
    pub(crate) fn heard(&self) -> Vec<String> {
        methods_of(&self.received())
    }

    /// From here on `next_…` looks at what comes after an exchange that starts now: everything before is
    /// heard.
    pub(crate) fn settle(&mut self) {
        let id = self.send("account/read", json!({}));
        self.next_fitting("the answer that ends what came before", |message| message["id"] == id);
    }

    /// Why the connection ended, once it has.
    pub(crate) fn ended(&self) -> String {
        let ended = self.conversation.wait(PATIENCE, |conversation| conversation.ended.clone());
        self.assert_protocol();
        ended.expect("the connection ends")
    }

    pub(crate) fn close_input(&mut self) {
        self.sender.close();
    }

    fn assert_protocol(&self) {
        if let Some(wrong) = &self.conversation.now().wrong {
            panic!("the server broke the protocol: {wrong}");
        }
    }

    // ---- what most scenarios begin with ----

    /// Says who it is, with the experimental capability.
    pub(crate) fn initialize(&mut self) -> Value {
        self.initialize_with(json!({ "experimentalApi": true }))
    }

    pub(crate) fn initialize_with(&mut self, capabilities: Value) -> Value {
        let info = json!({ "name": "it", "title": null, "version": "1.0" });
        let answer = self.ok("initialize", json!({ "clientInfo": info, "capabilities": capabilities }));
        self.notify("initialized");
        answer
    }

    /// Starts a thread and gives its id.
    pub(crate) fn thread(&mut self) -> String {
        self.thread_with(json!({}))
    }

    pub(crate) fn thread_with(&mut self, params: Value) -> String {
        let started = self.ok("thread/start", params);
        let id = text(&started["thread"]["id"]);
        // Heard, so that it does not turn up between what the scenario looks for.
        self.next_fitting("thread/started", |message| {
            message["method"] == "thread/started" && message["params"]["thread"]["id"] == id.as_str()
        });
        id
    }

    /// Starts a turn and gives its id.
    pub(crate) fn start_turn(&mut self, thread: &str, prompt: &str) -> String {
        let answer = self.ok("turn/start", json!({ "threadId": thread, "input": said(prompt) }));
        text(&answer["turn"]["id"])
    }

    /// Runs a turn to its end and gives the turn as `turn/completed` shows it.
    pub(crate) fn turn(&mut self, thread: &str, prompt: &str) -> Value {
        let id = self.start_turn(thread, prompt);
        self.turn_end(&id)
    }

    /// Waits for the end of a turn.
    pub(crate) fn turn_end(&mut self, turn: &str) -> Value {
        let mut ended = self.next_fitting("turn/completed", |message| {
            message["method"] == "turn/completed" && message["params"]["turn"]["id"] == turn
        });
        ended["params"]["turn"].take()
    }

    /// The thread with its turns as `thread/read` shows it.
    pub(crate) fn read(&mut self, thread: &str) -> Value {
        self.ok("thread/read", json!({ "threadId": thread, "includeTurns": true }))["thread"].take()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.sender.close();
        if let Some(reader) = self.reader.take() {
            // On a pipe the end comes with the process, which the server's owner sees to.
            reader.join_within(Duration::ZERO);
        }
        if std::thread::panicking() {
            tell_failed_test(&format!("--- conversation ---\n{}", self.conversation.now().transcript()));
        } else {
            self.assert_protocol();
        }
    }
}

/// The input of a turn.
pub(crate) fn said(text: &str) -> Value {
    json!([{ "type": "text", "text": text }])
}

/// A string of the protocol.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

/// Methods of the notifications among the messages.
pub(crate) fn methods_of(messages: &[Value]) -> Vec<String> {
    messages.iter().filter_map(|message| message["method"].as_str()).map(str::to_owned).collect()
}

/// Entries of a list by one of their fields.
pub(crate) fn column(list: &Value, field: &str) -> Vec<String> {
    let entries = list.as_array().unwrap_or_else(|| panic!("not a list: {list}"));
    entries.iter().map(|entry| text(&entry[field])).collect()
}
