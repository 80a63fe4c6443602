//! Plays a session: sends what the client sent, waits for what the reference said, and compares.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use super::differences::{self, Difference};
use super::model;
use super::signature::{is_uuid, signature};
use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel};
use crate::support::recordings::Told;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

/// The recorder's folders.
const DEMO: &str = "/srv/demo";
const OUT: &str = "/srv/out";
const CODEX_HOME: &str = "/srv/codex-home";

/// A session that is played.
pub(crate) struct Play<'a> {
    name: &'a str,
    lines: &'a [Told],
    config: &'a str,
    /// A process that is not played.
    without_conn: Option<&'a str>,
    home: Arc<Home>,
    mock: MockModel,
    rules: Vec<(&'static Difference, bool)>,
    /// What an id of the recording is called here.
    names: HashMap<String, String>,
}

/// One running server with its client.
struct Running {
    server: Server,
    client: Client,
    /// Methods by id, of the recording and here alike: requests are sent with the ids that they had.
    asked: HashMap<String, String>,
    expected: Vec<(String, Value)>,
    heard: Vec<(String, Value)>,
    /// Ids of requests of the reference and of this server that wait for each other.
    asks: HashMap<String, Value>,
}

impl<'a> Play<'a> {
    pub(crate) fn new(
        name: &'a str,
        lines: &'a [Told],
        config: &'a str,
        without_conn: Option<&'a str>,
    ) -> Self {
        let mock = MockModel::start();
        let home = Home::new();
        for folder in ["demo", "out"] {
            std::fs::create_dir_all(home.path().join(folder)).expect("a folder");
        }
        let rules = differences::of(name).map(|rule| (rule, false)).collect();
        Self { name, lines, config, without_conn, home, mock, rules, names: HashMap::new() }
    }

    /// What differs and stands in no table, one line each.
    pub(crate) fn run(mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut conns: Vec<&str> = Vec::new();
        for line in self.lines {
            let wanted = self.without_conn.is_none_or(|conn| line.conn != conn);
            if wanted && !conns.contains(&line.conn.as_str()) {
                conns.push(&line.conn);
            }
        }
        for conn in conns {
            wrong.extend(self.run_process(conn));
        }
        for (rule, used) in &self.rules {
            if !used && rule.is_certain {
                wrong.push(format!("no such difference: [{}] {}", rule.section, rule.line));
            }
        }
        wrong
    }

    fn run_process(&mut self, conn: &str) -> Vec<String> {
        let lines: Vec<&Told> = self.lines.iter().filter(|line| line.conn == conn).collect();
        let config = model::config(self.name, conn, &self.mock, self.config);
        std::fs::write(self.home.path().join("config.toml"), config).expect("config.toml is written");
        let mut server = Server::start_in(Transport::Stdio, &self.home);
        let client = server.connect();
        let mut running = Running {
            server,
            client,
            asked: HashMap::new(),
            expected: Vec::new(),
            heard: Vec::new(),
            asks: HashMap::new(),
        };
        let mut diffs = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let mut sent = lines[at..].iter().take_while(|line| !line.by_server).count();
            // What followed an answer at once was not made to wait for what this server does meanwhile.
            while let [answer, next, ..] = &lines[at + sent..]
                && answer.message["method"].is_null()
                && model::is_steering(lines[at + sent - 1])
                && model::is_steering(next)
            {
                sent += 2;
            }
            let told = lines[at + sent..].iter().take_while(|line| line.by_server).count();
            let (block, from) = (running.expected.len(), running.heard.len());
            let (mut steers, mut texts) = (Vec::new(), Vec::new());
            for index in (at..at + sent).filter(|&index| !lines[index].by_server) {
                if let Some(answers) = model::answers(self.name, &lines, index) {
                    running.client.send_all(&std::mem::take(&mut texts));
                    let moved = |answer: Answer| answer.reworded(|text| self.translated(text));
                    self.mock.script_anew(answers.into_iter().map(moved));
                }
                model::prepare(self.name, &lines[index].section, &self.home.path().join("demo"));
                texts.push(self.text_of(&mut running, &lines[index].message));
                if model::is_steering(lines[index]) {
                    steers.push(lines[index].message["id"].clone());
                }
            }
            // In one go: what was said at once is heard at once.
            running.client.send_all(&texts);
            // The model goes on when the server has taken what the client said, and not before: it could end
            // the turn first.
            running.client.quiet_until(PATIENCE / 2, |received| {
                let answers =
                    |message: &Value, id: &Value| message["id"] == *id && message["method"].is_null();
                let is_answered = |id: &Value| received.iter().any(|message| answers(message, id));
                steers.iter().all(is_answered)
            });
            // A gate that no answer has is closed again with the next script.
            steers.iter().for_each(|_| self.mock.open_gate());
            for line in lines[at..at + sent + told].iter().filter(|line| line.by_server) {
                let asked = running.asked.get(&line.message["id"].to_string());
                let signature = signature(&line.message, asked.map(String::as_str));
                running.expected.push((format!("[{}] {signature}", line.section), line.message.clone()));
            }
            self.listen(&mut running, block, from);
            at += sent + told;
        }
        diffs.extend(self.compare(&running));
        running.server.stop_or_close(running.client);
        diffs
    }

    /// A message of the client as it is sent here.
    fn text_of(&self, running: &mut Running, message: &Value) -> String {
        let mut message = message.clone();
        match message["method"].as_str() {
            Some(method) if !message["id"].is_null() => {
                running.asked.insert(message["id"].to_string(), method.to_owned());
            }
            Some(_) => {}
            // The client answers: this server may count differently.
            None => {
                if let Some(id) = running.asks.get(&message["id"].to_string()) {
                    message["id"] = id.clone();
                }
            }
        }
        self.translated(&message.to_string())
    }

    /// With the ids and folders of this run.
    fn translated(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // Longer ones first: a cursor has the id of its thread in it.
        let mut names: Vec<(&String, &String)> = self.names.iter().collect();
        names.sort_by_key(|(theirs, _)| std::cmp::Reverse(theirs.len()));
        for (theirs, ours) in names {
            text = text.replace(theirs.as_str(), ours);
        }
        for (theirs, ours) in self.folders() {
            text = text.replace(theirs, &ours);
        }
        text
    }

    fn folders(&self) -> [(&'static str, String); 3] {
        let at = |path: &str| self.home.path().join(path).display().to_string();
        [(DEMO, at("demo")), (OUT, at("out")), (CODEX_HOME, self.home.path().display().to_string())]
    }

    /// Waits for all that the reference said before the client spoke again, but for what is known to be
    /// missing here, or until patience ends; what is missing then is told at the end. `block` and `from` are
    /// where that begins in what is expected and heard: what came before does not count.
    fn listen(&mut self, running: &mut Running, block: usize, from: usize) {
        // Before or after the client spoke again, which nobody can tell from the recording.
        let is_timeless = |message: &Value| message["method"] == "thread/started";
        let mut wanted: HashMap<String, usize> = HashMap::new();
        let mut doubtful: Vec<String> = Vec::new();
        for (at, (line, message)) in running.expected.iter().enumerate() {
            if at < block && !is_timeless(message) {
                continue;
            }
            let awaited = awaited(message_of(line), message);
            let is_known = self.is_known('-', line);
            // What is known to be different is not waited for, but for the beacons.
            if !is_known || awaited.comes != Comes::AsSaid {
                if is_known && awaited.comes == Comes::Mostly {
                    doubtful.push(awaited.key.clone());
                }
                *wanted.entry(awaited.key).or_default() += 1;
            }
        }
        let folders = self.folders();
        let mut heard: Vec<(String, Value)> = std::mem::take(&mut running.heard);
        let asked = &running.asked;
        let count = |received: &[Value], heard: &mut Vec<(String, Value)>| {
            heard.extend(received[heard.len()..].iter().map(|message| signed(message, asked, &folders)));
            let mut missing = wanted.clone();
            let counted =
                |&(at, (_, message)): &(usize, &(String, Value))| at >= from || is_timeless(message);
            for (_, (text, message)) in heard.iter().enumerate().filter(counted) {
                if let Some(count) = missing.get_mut(&awaited(text, message).key) {
                    *count = count.saturating_sub(1);
                }
            }
            missing.retain(|_, count| *count > 0);
            missing
        };
        running.client.quiet_until(PATIENCE / 2, |received| {
            count(received, &mut heard).keys().all(|key| doubtful.contains(key))
        });
        running.client.quiet_until(PATIENCE / 10, |received| count(received, &mut heard).is_empty());
        running.heard = heard;
        self.meet(running);
    }

    /// Who is who: messages that are alike, in their order.
    fn meet(&mut self, running: &mut Running) {
        let mut unmatched: Vec<(&str, &Value)> =
            running.expected.iter().map(|(text, message)| (message_of(text), message)).collect();
        for (text, message) in &running.heard {
            let is_same = |&(wanted, theirs): &(&str, &Value)| {
                // Answers are told apart by their ids, which are the client's.
                wanted == text && (!message["method"].is_null() || theirs["id"] == message["id"])
            };
            let Some(at) = unmatched.iter().position(is_same) else { continue };
            let (_, theirs) = unmatched.remove(at);
            if !message["method"].is_null() && !theirs["id"].is_null() {
                running.asks.insert(theirs["id"].to_string(), message["id"].clone());
            }
            learn(&mut self.names, theirs, message, /*key*/ "");
        }
    }

    fn is_known(&self, sign: char, line: &str) -> bool {
        self.rules.iter().any(|(rule, _)| rule.fits(sign, line))
    }

    /// The lines that differ and stand in no table.
    fn compare(&mut self, running: &Running) -> Vec<String> {
        let theirs: Vec<String> =
            collapse(running.expected.iter().map(|(text, _)| message_of(text).to_owned()).collect());
        let sections: Vec<String> = collapse_by(&running.expected);
        let ours: Vec<String> = collapse(running.heard.iter().map(|(text, _)| text.clone()).collect());
        let (old, new): (Vec<&str>, Vec<&str>) =
            (theirs.iter().map(String::as_str).collect(), ours.iter().map(String::as_str).collect());
        let diff = TextDiff::configure().algorithm(similar::Algorithm::Patience).diff_slices(&old, &new);
        let mut section = String::new();
        let mut wrong = Vec::new();
        for change in diff.iter_all_changes() {
            if let Some(at) = change.old_index() {
                section.clone_from(&sections[at]);
            }
            let sign = match change.tag() {
                ChangeTag::Equal => continue,
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let line = format!("[{section}] {}", change.value());
            let mut known = false;
            for (_, used) in self.rules.iter_mut().filter(|(rule, _)| rule.fits(sign, &line)) {
                (known, *used) = (true, true);
            }
            if !known {
                wrong.push(format!("{sign} {line:.900}"));
            }
        }
        wrong
    }
}

/// A message as it is compared, and with the folders of the recording.
fn signed(
    message: &Value,
    asked: &HashMap<String, String>,
    folders: &[(&'static str, String)],
) -> (String, Value) {
    let mut text = message.to_string();
    for (theirs, ours) in folders {
        text = text.replace(ours.as_str(), theirs);
    }
    let message: Value = serde_json::from_str(&text).expect("still JSON");
    let asked = asked.get(&message["id"].to_string()).map(String::as_str);
    (signature(&message, asked), message)
}

/// How a message is waited for.
struct Awaited {
    key: String,
    comes: Comes,
}

/// Whether what is known to be different comes nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// In one form or another.
    Always,
    /// The difference is meant of another one.
    Mostly,
    AsSaid,
}

fn awaited(signature: &str, message: &Value) -> Awaited {
    let (key, comes) = match message["method"].as_str() {
        // Of what was asked in the recording.
        None if !signature.starts_with("answer nothing") => {
            (format!("answer {}", message["id"]), Comes::Always)
        }
        Some("turn/completed") => {
            (format!("turn/completed {}", message["params"]["turn"]["status"]), Comes::Always)
        }
        Some("thread/status/changed") => (signature.to_owned(), Comes::Mostly),
        _ => (signature.to_owned(), Comes::AsSaid),
    };
    Awaited { key, comes }
}

/// The line without its section.
fn message_of(line: &str) -> &str {
    line.split_once("] ").map_or(line, |(_, message)| message)
}

/// Chunks of output that follow each other count as one.
fn collapse(lines: Vec<String>) -> Vec<String> {
    let mut lines = lines;
    lines.dedup_by(|next, before| next == before && is_chunk(next));
    lines
}

/// The sections of the lines that [`collapse`] leaves.
fn collapse_by(lines: &[(String, Value)]) -> Vec<String> {
    let split = |text: &str| {
        let (section, text) = text.split_once("] ").expect("a section");
        (section.trim_start_matches('[').to_owned(), text.to_owned())
    };
    let mut split: Vec<(String, String)> = lines.iter().map(|(text, _)| split(text)).collect();
    split.dedup_by(|next, before| next.1 == before.1 && is_chunk(&next.1));
    split.into_iter().map(|(section, _)| section).collect()
}

fn is_chunk(line: &str) -> bool {
    line.starts_with("item/commandExecution/outputDelta")
}

/// Notes what the ids in their message are called in ours.
fn learn(names: &mut HashMap<String, String>, theirs: &Value, ours: &Value, key: &str) {
    match (theirs, ours) {
        (Value::String(theirs), Value::String(ours))
            if theirs != ours && (is_uuid(theirs) || key.ends_with("Cursor")) =>
        {
            names.insert(escaped(theirs), escaped(ours));
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.iter().zip(ours).for_each(|(theirs, ours)| learn(names, theirs, ours, key));
        }
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, theirs) in theirs {
                learn(names, theirs, ours.get(key).unwrap_or(&Value::Null), key);
            }
        }
        _ => {}
    }
}

/// As it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
