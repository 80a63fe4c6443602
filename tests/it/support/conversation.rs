//! What was said on one connection, in both directions, and whether the protocol allows it.

use std::collections::HashMap;

use serde_json::Value;

use super::schema::SchemaChecker;

/// Entries that a failed test shows from each end of a long conversation.
const SHOWN: usize = 40;
/// Characters of one entry that are shown.
const SHOWN_CHARS: usize = 400;

/// The conversation so far.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// Everything, as it was on the wire, with an arrow.
    transcript: Vec<String>,
    /// What the server said, oldest first.
    pub(crate) received: Vec<Value>,
    /// The server's answers, by the text of their id; several where an id was used again.
    answers: HashMap<String, Vec<Value>>,
    /// How many answers came, errors without an id included.
    pub(crate) answered: usize,
    /// Methods of what was asked, by the text of the id, newest last.
    asked: HashMap<String, Vec<String>>,
    /// The client asked for numbered notifications.
    wants_seq: bool,
    /// Why nothing more can come, once that is so.
    pub(crate) ended: Option<String>,
    /// The first message that breaks the protocol.
    pub(crate) wrong: Option<String>,
}

impl Conversation {
    /// Notes what is sent, before it is sent.
    pub(crate) fn sent(&mut self, text: &str) {
        self.transcript.push(format!("-> {}", text.trim_end()));
        let Ok(Value::Object(message)) = serde_json::from_str::<Value>(text) else { return };
        self.wants_seq |=
            message.get("params").is_some_and(|params| params["capabilities"]["eventReplay"] == true);
        if let (Some(id), Some(method)) = (message.get("id"), message.get("method").and_then(Value::as_str)) {
            self.asked.entry(id.to_string()).or_default().push(method.to_owned());
        }
    }

    /// Notes what came, and checks it.
    pub(crate) fn came(&mut self, text: &str) {
        self.transcript.push(format!("<- {text}"));
        let message = match serde_json::from_str::<Value>(text) {
            Ok(message) => message,
            Err(error) => return self.is_wrong(&format!("not JSON ({error}): {text}")),
        };
        let mut checked = message.clone();
        if self.wants_seq
            && message.get("method").is_some()
            && let Some(fields) = checked.as_object_mut()
        {
            // The extension that this client asked for; the rest is the protocol's.
            fields.remove("seq");
        }
        if let Err(reason) = self.check(&checked) {
            self.is_wrong(&format!("{reason}\nin {message}"));
        }
        if message.get("method").is_none() {
            self.answered += 1;
            self.answers.entry(message["id"].to_string()).or_default().push(message.clone());
        }
        self.received.push(message);
    }

    pub(crate) fn is_wrong(&mut self, reason: &str) {
        self.wrong.get_or_insert_with(|| reason.chars().take(4000).collect());
    }

    fn check(&self, message: &Value) -> Result<(), String> {
        let is_answer = message.get("method").is_none();
        let methods = self.asked.get(&message["id"].to_string());
        if is_answer && !message["id"].is_null() {
            let before = self.answers.get(&message["id"].to_string()).map_or(0, Vec::len);
            if methods.map_or(0, Vec::len) <= before {
                return Err("an answer to what was not asked, or a second one".to_owned());
            }
        }
        if !is_answer && message.get("id").is_none() && !message["emittedAtMs"].is_i64() {
            return Err("a notification without `emittedAtMs`".to_owned());
        }
        let fits = |checker: &SchemaChecker| match methods {
            // The same id twice: any of the methods may be meant.
            Some(methods) if is_answer => {
                let outcomes = methods.iter().map(|method| checker.check(message, Some(method)));
                outcomes.reduce(Result::or).unwrap_or(Ok(()))
            }
            _ => checker.check(message, /*response_to*/ None),
        };
        fits(SchemaChecker::own()).map_err(|reason| format!("against our own types: {reason}"))?;
        SchemaChecker::get().map_or(Ok(()), fits)
    }

    /// What the server said, byte by byte, oldest first.
    pub(crate) fn heard_texts(&self) -> Vec<String> {
        let heard = self.transcript.iter().filter_map(|entry| entry.strip_prefix("<- "));
        heard.map(ToOwned::to_owned).collect()
    }

    /// The first answer with this id.
    pub(crate) fn answer(&self, id: &Value) -> Option<&Value> {
        self.answers.get(&id.to_string())?.first()
    }

    /// All answers with this id.
    pub(crate) fn answers(&self, id: &Value) -> &[Value] {
        self.answers.get(&id.to_string()).map_or(&[], Vec::as_slice)
    }

    /// The conversation as a failed test shows it.
    pub(crate) fn transcript(&self) -> String {
        let cut = |entry: &String| -> String {
            match entry.char_indices().nth(SHOWN_CHARS) {
                Some((at, _)) => format!("{}… ({} bytes)", &entry[..at], entry.len()),
                None => entry.clone(),
            }
        };
        let count = self.transcript.len();
        let mut shown: Vec<String> = self.transcript.iter().take(SHOWN).map(cut).collect();
        if count > 2 * SHOWN {
            shown.push(format!("… {} more …", count - 2 * SHOWN));
        }
        shown.extend(self.transcript[SHOWN.min(count).max(count.saturating_sub(SHOWN))..].iter().map(cut));
        if let Some(ended) = &self.ended {
            shown.push(format!("== {ended}"));
        }
        shown.join("\n")
    }
}

/// Says something about a test that fails; the harness keeps it with the test's own output.
#[expect(clippy::print_stderr, reason = "the harness captures this and nothing else")]
pub(crate) fn tell_failed_test(text: &str) {
    eprintln!("{text}");
}
