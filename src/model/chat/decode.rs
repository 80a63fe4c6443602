//! What the chunks of a Chat Completions stream mean.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::Deserialize;
use uuid::Uuid;

use super::super::failure::ErrorBody;
use super::super::http::stream;
use super::super::usage::TokenCounts;
use super::super::{ModelEvent, ModelFailure, ModelRequest, ToolCall, ToolInput, ToolSpec, Usage};

/// Follows one answer. There is one message and one thought at most; calls come in pieces.
#[derive(Debug)]
pub(in crate::model) struct Decoder {
    /// Names of the tools that take free text.
    freeform: HashSet<String>,
    /// Chat Completions names no items.
    name: String,
    thought: String,
    text: String,
    calls: BTreeMap<i64, Pieces>,
    usage: Usage,
    finished: bool,
    completed: bool,
}

#[derive(Debug, Default)]
struct Pieces {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<TokenCounts>,
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Option<Vec<CallPiece>>,
}

#[derive(Deserialize)]
struct CallPiece {
    #[serde(default)]
    index: i64,
    id: Option<String>,
    #[serde(default)]
    function: FunctionPiece,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FunctionPiece {
    name: Option<String>,
    arguments: Option<String>,
}

impl stream::Decoder for Decoder {
    fn take(&mut self, data: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), ModelFailure> {
        if data.trim_ascii() == b"[DONE]" {
            self.complete(out);
            return Ok(());
        }
        let chunk: Chunk = match serde_json::from_slice(data) {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::debug!(%error, "a chunk of the model's stream cannot be read and is left out");
                return Ok(());
            }
        };
        if let Some(error) = chunk.error {
            return Err(error.in_stream());
        }
        if let Some(counts) = chunk.usage {
            self.usage = counts.into();
        }
        // One answer is asked for.
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        self.grow(choice.delta, out);
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("length") => return Err(ModelFailure::incomplete("max_output_tokens")),
            Some("content_filter") => return Err(ModelFailure::incomplete("content_filter")),
            Some(_) => self.finished = true,
        }
        Ok(())
    }

    fn end(&mut self, out: &mut VecDeque<ModelEvent>) -> bool {
        // Not every server says `[DONE]`.
        if self.finished {
            self.complete(out);
        }
        self.completed
    }
}

impl Decoder {
    pub(in crate::model) fn new(request: &ModelRequest) -> Self {
        let freeform = request.tools.iter().filter(|tool| matches!(tool, ToolSpec::Freeform { .. }));
        Self {
            freeform: freeform.map(|tool| tool.name().to_owned()).collect(),
            name: Uuid::new_v4().simple().to_string(),
            thought: String::new(),
            text: String::new(),
            calls: BTreeMap::new(),
            usage: Usage::default(),
            finished: false,
            completed: false,
        }
    }

    fn thought_id(&self) -> String {
        format!("rs_{}", self.name)
    }

    fn message_id(&self) -> String {
        format!("msg_{}", self.name)
    }

    fn grow(&mut self, delta: Delta, out: &mut VecDeque<ModelEvent>) {
        let is_text = |text: &String| !text.is_empty();
        if let Some(delta) = delta.reasoning_content.or(delta.reasoning).filter(is_text) {
            let id = self.thought_id();
            if self.thought.is_empty() {
                out.push_back(ModelEvent::ReasoningStarted { id: id.clone() });
            }
            self.thought.push_str(&delta);
            out.push_back(ModelEvent::ReasoningDelta { id, index: 0, delta });
        }
        if let Some(delta) = delta.content.or(delta.refusal).filter(is_text) {
            self.end_thought(out);
            let id = self.message_id();
            if self.text.is_empty() {
                out.push_back(ModelEvent::MessageStarted { id: id.clone(), phase: None });
            }
            self.text.push_str(&delta);
            out.push_back(ModelEvent::TextDelta { id, delta });
        }
        for piece in delta.tool_calls.unwrap_or_default() {
            let call = self.calls.entry(piece.index).or_default();
            if let Some(id) = piece.id.filter(is_text) {
                call.id = id;
            }
            call.name.push_str(piece.function.name.as_deref().unwrap_or_default());
            call.arguments.push_str(piece.function.arguments.as_deref().unwrap_or_default());
        }
    }

    fn end_thought(&mut self, out: &mut VecDeque<ModelEvent>) {
        if self.thought.is_empty() {
            return;
        }
        let content = vec![std::mem::take(&mut self.thought)];
        let id = self.thought_id();
        out.push_back(ModelEvent::ReasoningDone { id, summary: Vec::new(), content, encrypted: None });
    }

    fn complete(&mut self, out: &mut VecDeque<ModelEvent>) {
        if std::mem::replace(&mut self.completed, true) {
            return;
        }
        self.end_thought(out);
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            out.push_back(ModelEvent::MessageDone { id: self.message_id(), text, phase: None });
        }
        for Pieces { id, name, arguments } in std::mem::take(&mut self.calls).into_values() {
            let call_id = if id.is_empty() { format!("call_{}", Uuid::new_v4().simple()) } else { id };
            let input = match self.freeform.contains(&name) {
                true => ToolInput::Freeform(free_text(arguments)),
                false => ToolInput::Arguments(arguments),
            };
            out.push_back(ModelEvent::ToolCall(ToolCall { call_id, name, input }));
        }
        out.push_back(ModelEvent::Completed { usage: self.usage });
    }
}

/// The text in `{"input": "…"}`; a model that writes the bare text is understood as well.
fn free_text(arguments: String) -> String {
    #[derive(Deserialize)]
    struct Wrapped {
        input: String,
    }
    serde_json::from_str(&arguments).map_or(arguments, |Wrapped { input }| input)
}

#[cfg(test)]
mod tests {
    use super::super::super::http::stream::Decoder as _;
    use super::*;
    use serde_json::{Value, json};

    fn decode(chunks: &[Value], done: bool) -> (Vec<ModelEvent>, Result<bool, ModelFailure>) {
        let tool =
            ToolSpec::Freeform { name: "p".to_owned(), description: String::new(), lark: String::new() };
        let mut decoder = Decoder::new(&ModelRequest { tools: vec![tool], ..ModelRequest::default() });
        let mut out = VecDeque::new();
        for chunk in chunks {
            if let Err(failure) = decoder.take(chunk.to_string().as_bytes(), &mut out) {
                return (out.into(), Err(failure));
            }
        }
        if done {
            decoder.take(b" [DONE]", &mut out).expect("no failure");
        }
        let ended = decoder.end(&mut out);
        (out.into(), Ok(ended))
    }

    fn delta(delta: Value) -> Value {
        json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
    }

    fn finish(reason: &str) -> Value {
        json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
    }

    #[test]
    fn thoughts_words_and_calls_come_in_their_order() {
        let piece = |index: i64, id: Value, name: Value, arguments: &str| {
            let function = json!({ "name": name, "arguments": arguments });
            json!({ "index": index, "id": id, "function": function })
        };
        let usage = json!({ "prompt_tokens": 9, "completion_tokens": 4,
            "prompt_tokens_details": { "cached_tokens": 8 },
            "completion_tokens_details": { "reasoning_tokens": 1 } });
        let chunks = [
            delta(json!({ "role": "assistant", "content": "" })),
            delta(json!({ "reasoning_content": "hm" })),
            delta(json!({ "content": "a " })),
            delta(json!({ "content": "b" })),
            delta(json!({ "tool_calls": [piece(0, json!("c1"), json!("t"), "{\"x\"")] })),
            delta(json!({ "tool_calls": [piece(1, json!("c2"), json!("p"), "{\"input\":\"free\"}")] })),
            delta(json!({ "tool_calls": [piece(0, Value::Null, Value::Null, ":1}")] })),
            finish("tool_calls"),
            json!({ "choices": [], "usage": usage }),
        ];
        for done in [true, false] {
            let (told, ended) = decode(&chunks, done);
            assert_eq!(ended, Ok(true));
            let [
                ModelEvent::ReasoningStarted { .. },
                ModelEvent::ReasoningDelta { .. },
                ModelEvent::ReasoningDone { content, .. },
                ModelEvent::MessageStarted { .. },
                ModelEvent::TextDelta { .. },
                ModelEvent::TextDelta { .. },
                ModelEvent::MessageDone { text, .. },
                ModelEvent::ToolCall(first),
                ModelEvent::ToolCall(second),
                ModelEvent::Completed { usage },
            ] = &told[..]
            else {
                panic!("{told:?}")
            };
            assert_eq!((content[0].as_str(), text.as_str()), ("hm", "a b"));
            assert_eq!(
                (first.call_id.as_str(), &first.input),
                ("c1", &ToolInput::Arguments("{\"x\":1}".into()))
            );
            assert_eq!((second.name.as_str(), &second.input), ("p", &ToolInput::Freeform("free".into())));
            assert_eq!(*usage, Usage { input: 9, cached_input: 8, output: 4, reasoning_output: 1 });
        }
    }

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        assert_eq!(decode(&[delta(json!({ "content": "a" }))], /*done*/ false).1, Ok(false));
        let cut = decode(&[finish("length")], /*done*/ false).1.expect_err("it fails");
        assert_eq!(
            (cut.message.as_str(), cut.retry),
            ("Incomplete response returned, reason: max_output_tokens", None)
        );
        assert!(decode(&[finish("content_filter")], /*done*/ false).1.expect_err("it fails").retry.is_some());
        let error = json!({ "error": { "message": "no", "code": "insufficient_quota" } });
        assert!(decode(&[error], /*done*/ false).1.is_err());
        assert_eq!(decode(&[json!("odd"), finish("stop")], /*done*/ false).1, Ok(true));
    }
}
