//! Recorded conversations of clients with the reference server, where they are there.

use std::collections::HashMap;
use std::fs;
use std::io::Write;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::schema::shared_dir;

/// A recorded message that is there in full.
pub(crate) struct Recorded {
    /// File and line.
    pub(crate) place: String,
    /// Whether the server sent it.
    pub(crate) by_server: bool,
    /// The message as it was written, but without blanks between its parts.
    pub(crate) text: String,
    /// The same, decoded.
    pub(crate) message: Value,
    /// Where it is an answer: the place in the list of the request that it answers.
    pub(crate) request: Option<usize>,
}

impl Recorded {
    /// The message's method, if it has one.
    pub(crate) fn method(&self) -> Option<&str> {
        self.message["method"].as_str()
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    dir: String,
    #[serde(borrow, default)]
    conn: Option<&'a RawValue>,
    #[serde(borrow, default)]
    msg: Option<&'a RawValue>,
}

/// All recorded messages that are there in full, in order; empty without the shared folder.
pub(crate) fn recorded() -> Vec<Recorded> {
    let Some(shared) = shared_dir() else { return Vec::new() };
    let mut files: Vec<_> = fs::read_dir(shared.join("wire"))
        .expect("the folder of recordings")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for path in files {
        // By connection and id; the last one counts, as ids are used again after a restart.
        let mut requests: HashMap<String, usize> = HashMap::new();
        let text = fs::read_to_string(&path).expect("a recording");
        for (number, line) in text.lines().enumerate() {
            let line: Line<'_> = serde_json::from_str(line).expect("a line of a recording");
            let by_server = line.dir == "s2c";
            let Some(raw) = line.msg.filter(|_| by_server || line.dir == "c2s") else { continue };
            let message: Value = serde_json::from_str(raw.get()).expect("a message");
            if !message.is_object() {
                continue;
            }
            let key = format!("{} {}", line.conn.map_or("", RawValue::get), message["id"]);
            if is_cut(&message) {
                requests.remove(&key);
                continue;
            }
            let has_method = message["method"].is_string();
            if !by_server && has_method {
                requests.insert(key.clone(), all.len());
            }
            let request = requests.get(&key).copied().filter(|_| by_server && !has_method);
            let place = format!("{}:{}", path.display(), number + 1);
            all.push(Recorded { place, by_server, text: compact(raw.get()), message, request });
        }
    }
    all
}

/// Whether the recorder shortened a string of the message, or the message.
fn is_cut(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("…<cut"),
        Value::Array(array) => array.iter().any(is_cut),
        Value::Object(object) => object.contains_key("_cut") || object.values().any(is_cut),
        _ => false,
    }
}

/// The same JSON without blanks between its parts and with strings escaped as little as can be; decoding it
/// as a whole would lose the order of keys.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(quote) = rest.find('"') {
        out.extend(rest[..quote].chars().filter(|c| !c.is_ascii_whitespace()));
        let mut escaped = false;
        let end = rest[quote + 1..]
            .find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })
            .expect("a closed string");
        let (string, after) = rest[quote..].split_at(end + 2);
        let text: String = serde_json::from_str(string).expect("a string");
        out.push_str(&serde_json::to_string(&text).expect("a string can be written"));
        rest = after;
    }
    out.extend(rest.chars().filter(|c| !c.is_ascii_whitespace()));
    out
}

/// A message of a recording with what the recorder said about it.
#[derive(Clone)]
pub(crate) struct Told {
    /// The title under which it stands.
    pub(crate) section: String,
    /// Which process or connection.
    pub(crate) conn: String,
    pub(crate) by_server: bool,
    pub(crate) message: Value,
}

/// The messages of one recording, in order; none, said once on stderr, without the shared folder.
pub(crate) fn lines_of(file: &str) -> Option<Vec<Told>> {
    let Some(shared) = shared_dir() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED {file}: no ../shared with recordings");
        return None;
    };
    let text = fs::read_to_string(shared.join("wire").join(format!("{file}.jsonl"))).expect("a recording");
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line).expect("a line of a recording");
        let note = line["text"].as_str().and_then(|text| text.strip_prefix("### "));
        if let (Some("note"), Some(note)) = (line["dir"].as_str(), note) {
            section = note.to_owned();
        }
        let by_server = line["dir"] == "s2c";
        if (by_server || line["dir"] == "c2s") && line["msg"].is_object() {
            let conn = line["conn"].as_str().unwrap_or_default().to_owned();
            lines.push(Told { section: section.clone(), conn, by_server, message: line["msg"].take() });
        }
    }
    Some(lines)
}
