//! The built-in offline model: deterministic, without network and key.
//!
//! It answers by saying what it is and repeating what it was told, word by word. Lines of the prompt can tell
//! it to think, to call each tool and to fail (see [`script`]), so that a client author sees whatever a real
//! model would make a turn do. It keeps nothing between requests: how far it is in a prompt, it reads from
//! the calls in the conversation.
//!
//! A turn that asks for JSON of a certain form gets just that (see [`fitting`]): clients run such turns in
//! the background, with the user's prompt in theirs, and the user's directions are not meant for them.

mod failures;
mod fitting;
mod script;

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    Cancel, InputItem, ModelClient, ModelError, ModelEvent, ModelFailure, ModelRequest, ModelStream, Role,
    ToolCall, ToolInput, ToolSpec, Usage, words,
};
use crate::limits::OFFLINE_QUOTE_CHARS;
use script::{Script, Step, Wish};

/// Its name as a model.
pub const OFFLINE_MODEL: &str = "offline";
/// Its id as a provider.
pub const OFFLINE_PROVIDER: &str = "offline";

/// The offline model.
#[derive(Debug, Clone, Copy, Default)]
pub struct OfflineModel;

struct OfflineStream {
    /// What is left to be told, each with the pause before it.
    left: VecDeque<(Duration, Told)>,
}

enum Told {
    Event(ModelEvent),
    Failure(ModelFailure),
}

impl ModelClient for OfflineModel {
    fn stream(&self, request: &ModelRequest, cancel: &Cancel) -> Result<Box<dyn ModelStream>, ModelError> {
        if cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        Ok(Box::new(OfflineStream { left: Performance::of(request).left }))
    }

    fn context_window(&self, _model: &str) -> Option<i64> {
        None
    }

    /// Once, so that a passing failure is seen twice: as a try that is repeated and as the turn's end.
    fn stream_retries_max(&self) -> u32 {
        1
    }
}

impl ModelStream for OfflineStream {
    fn next(&mut self, cancel: &Cancel) -> Result<Option<ModelEvent>, ModelError> {
        if cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let Some((pause, told)) = self.left.pop_front() else { return Ok(None) };
        if !pause.is_zero() && !cancel.wait(pause) {
            return Err(ModelError::Cancelled);
        }
        match told {
            Told::Event(event) => Ok(Some(event)),
            Told::Failure(failure) => Err(failure.into()),
        }
    }
}

/// The answer to one request while it is made.
struct Performance<'a> {
    request: &'a ModelRequest,
    /// What came after the prompt: own calls and what the tools answered.
    since: &'a [InputItem],
    left: VecDeque<(Duration, Told)>,
    pause: Duration,
    /// Words that it said in this answer.
    output: i64,
    /// Thoughts and calls of the conversation and of this answer.
    thoughts: usize,
    calls: usize,
    /// What there is to say about directions that could not be followed.
    remarks: Vec<String>,
}

impl<'a> Performance<'a> {
    fn of(request: &'a ModelRequest) -> Self {
        let prompt_at = request.input.iter().rposition(|item| item.words_of(Role::User).is_some());
        let prompt = prompt_at.and_then(|at| request.input[at].words_of(Role::User)).unwrap_or_default();
        let is_call = |item: &&InputItem| matches!(item, InputItem::ToolCall(_));
        let is_thought = |item: &&InputItem| matches!(item, InputItem::Reasoning { .. });
        let mut performance = Self {
            request,
            since: prompt_at.map_or(&[], |at| &request.input[at + 1..]),
            left: VecDeque::new(),
            pause: Duration::ZERO,
            output: 0,
            thoughts: request.input.iter().filter(is_thought).count(),
            calls: request.input.iter().filter(is_call).count(),
            remarks: Vec::new(),
        };
        performance.perform(&prompt);
        performance
    }

    fn perform(&mut self, prompt: &str) {
        if let Some(schema) = self.request.output_schema.as_deref() {
            // Too deep to be read is the only way to fail: it was JSON when it came.
            let schema = serde_json::from_str(schema.get()).unwrap_or_default();
            let words = prompt.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
            self.say(&fitting::fitting(&schema, words).to_string());
            return self.complete();
        }
        let script = Script::parse(prompt);
        let mut made = self.since.iter().filter(|item| matches!(item, InputItem::ToolCall(_))).count();
        let has_begun = made > 0;
        let mut is_new = !has_begun;
        for step in &script.steps {
            match step {
                // Also of what was done before: it holds from there on, and remarks are made at the end.
                Step::Slow(pause) => self.pause = *pause,
                Step::Call(wishes) => {
                    let calls = self.calls_of(wishes, prompt);
                    if made > 0 && !calls.is_empty() {
                        made = made.saturating_sub(calls.len());
                        is_new = made == 0;
                    } else if is_new && !calls.is_empty() {
                        self.calls += calls.len();
                        for call in calls {
                            self.output += 1;
                            self.tell(ModelEvent::ToolCall(call));
                        }
                        return self.complete();
                    }
                }
                Step::Think(text) if is_new => self.think(text),
                Step::Fail(name) if is_new => match failures::named(name) {
                    Some(failure) => return self.fail(name, failure),
                    None => {
                        let names = failures::NAMES.join(", ");
                        self.remarks.push(format!("There is no failure `{name}`; there are {names}."));
                    }
                },
                Step::Think(_) | Step::Fail(_) | Step::Propose(_) => {}
            }
        }
        let answer = self.answer(&script);
        self.say(&answer);
        self.complete();
    }

    fn tell(&mut self, event: ModelEvent) {
        self.left.push_back((Duration::ZERO, Told::Event(event)));
    }

    fn tell_slowly(&mut self, event: ModelEvent) {
        self.left.push_back((self.pause, Told::Event(event)));
    }

    fn think(&mut self, text: &str) {
        let id = format!("rs_offline_{}", self.thoughts);
        self.thoughts += 1;
        self.output += count_words(text);
        self.tell(ModelEvent::ReasoningStarted { id: id.clone() });
        self.tell(ModelEvent::SummaryPartAdded { id: id.clone(), index: 0 });
        for word in text.split_inclusive(' ') {
            self.tell_slowly(ModelEvent::SummaryDelta { id: id.clone(), index: 0, delta: word.to_owned() });
        }
        let (summary, content) = (vec![text.to_owned()], Vec::new());
        self.tell(ModelEvent::ReasoningDone { id, summary, content, encrypted: None });
    }

    fn message_id(&self) -> String {
        let said = self.request.input.iter().filter(|item| item.words_of(Role::Assistant).is_some());
        format!("msg_offline_{}", said.count())
    }

    fn say(&mut self, text: &str) {
        let id = self.message_id();
        self.output += count_words(text);
        for word in text.split_inclusive(' ') {
            self.tell_slowly(ModelEvent::TextDelta { id: id.clone(), delta: word.to_owned() });
        }
        self.tell(ModelEvent::MessageDone { id, text: text.to_owned(), phase: None });
    }

    fn fail(&mut self, name: &str, failure: ModelFailure) {
        if matches!(name, "stream" | "idle" | "max_tokens") {
            // These come in the middle of a message.
            let (id, delta) = (self.message_id(), "This message breaks off".to_owned());
            self.tell_slowly(ModelEvent::TextDelta { id, delta });
        }
        self.left.push_back((Duration::ZERO, Told::Failure(failure)));
    }

    fn complete(&mut self) {
        let count = |item: &InputItem| match item {
            InputItem::Message { role: Role::User | Role::Assistant, content, .. }
            | InputItem::ToolOutput { content, .. } => count_words(&words(content)),
            _ => 0,
        };
        let input = self.request.input.iter().map(count).sum();
        self.tell(ModelEvent::Completed { usage: Usage { input, output: self.output, ..Usage::default() } });
    }

    /// The wishes that can be fulfilled, as calls.
    fn calls_of(&mut self, wishes: &[Wish], prompt: &str) -> Vec<ToolCall> {
        let mut calls = Vec::new();
        for wish in wishes {
            let (name, arguments) = arguments(wish);
            let Some(tool) = self.request.tools.iter().find(|tool| tool.name() == name) else {
                self.remarks.push(format!("The tool `{name}` is not offered, so it was not called."));
                continue;
            };
            let input = match (tool, wish) {
                (ToolSpec::Freeform { .. }, Wish::Patch(text) | Wish::Other(_, text)) => {
                    ToolInput::Freeform(text.clone())
                }
                (ToolSpec::Freeform { .. }, _) => ToolInput::Freeform(arguments),
                (ToolSpec::Function { .. }, _) => ToolInput::Arguments(arguments),
            };
            let call_id = call_id(prompt, self.calls + calls.len());
            calls.push(ToolCall { call_id, name, input });
        }
        calls
    }

    fn answer(&self, script: &Script) -> String {
        let what = "This is the offline model: no provider is configured, so nobody thought about this.";
        let mut parts = vec![what.to_owned()];
        let outputs: Vec<String> = self.since.iter().filter_map(|item| self.quote(item)).collect();
        if !script.said.is_empty() {
            parts.push(format!("You said: {}", script.said));
        } else if outputs.is_empty() && self.remarks.is_empty() {
            parts.push("You said nothing.".to_owned());
        }
        let mut answer = parts.join(" ");
        for line in self.remarks.iter().chain(&outputs) {
            answer.push('\n');
            answer.push_str(line);
        }
        for step in &script.steps {
            if let Step::Propose(steps) = step {
                let steps: String = steps.iter().map(|step| format!("- {step}\n")).collect();
                answer.push_str(&format!("\n<proposed_plan>\n{steps}</proposed_plan>\n"));
            }
        }
        answer
    }

    /// What a tool answered, in short.
    fn quote(&self, item: &InputItem) -> Option<String> {
        let InputItem::ToolOutput { call_id, content, .. } = item else { return None };
        let name = self.since.iter().find_map(|item| match item {
            InputItem::ToolCall(call) if call.call_id == *call_id => Some(call.name.as_str()),
            _ => None,
        });
        let text = words(content);
        // A command's output stands behind facts about it.
        let text = text.split_once("\nOutput:\n").map_or(text.as_str(), |(_, output)| output).trim();
        let text = match text.char_indices().nth(OFFLINE_QUOTE_CHARS) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None if text.is_empty() => "nothing".to_owned(),
            None => text.to_owned(),
        };
        Some(format!("{} answered: {text}", name.unwrap_or("A tool")))
    }
}

/// The same for the same prompt at the same place of a conversation, and different for any other.
fn call_id(prompt: &str, number: usize) -> String {
    let hash = Sha256::digest(prompt.as_bytes());
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("call_{number}_{hash}")
}

/// The tool that a wish is about, and its arguments as JSON.
fn arguments(wish: &Wish) -> (String, String) {
    let (name, arguments) = match wish {
        Wish::Run(command) => ("exec_command", json!({ "cmd": command })),
        Wish::Escalate(command) => {
            let question = format!("Run `{command}` without the sandbox?");
            let escalated = json!({ "cmd": command, "sandbox_permissions": "require_escalated",
                "justification": question });
            ("exec_command", escalated)
        }
        Wish::Patch(patch) => ("apply_patch", json!({ "input": patch })),
        Wish::Plan(steps) => {
            let step = |(step, status): &(String, &str)| json!({ "step": step, "status": status });
            ("update_plan", json!({ "plan": steps.iter().map(step).collect::<Vec<_>>() }))
        }
        Wish::Ask(question, answers) => {
            let usual = ["Yes".to_owned(), "No".to_owned()];
            let answers = if answers.is_empty() { &usual[..] } else { answers };
            let option =
                |label: &String| json!({ "label": label, "description": format!("Answer {label}.") });
            let options: Vec<_> = answers.iter().map(option).collect();
            let question = json!({ "id": "question", "header": "Question", "question": question,
                "options": options });
            ("request_user_input", json!({ "questions": [question] }))
        }
        Wish::Image(path) => ("view_image", json!({ "path": path })),
        Wish::Goal(text) => match text.as_str() {
            "show" => ("get_goal", json!({})),
            "complete" | "blocked" | "paused" => ("update_goal", json!({ "status": text })),
            objective => ("create_goal", json!({ "objective": objective })),
        },
        Wish::Other(name, input) => {
            let input = if input.is_empty() { "{}" } else { input };
            return (name.clone(), input.to_owned());
        }
    };
    (name.to_owned(), arguments.to_string())
}

fn count_words(text: &str) -> i64 {
    i64::try_from(text.split_whitespace().count()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
