//! Compaction: when the conversation is about to outgrow the model, the model sums it up, and goes on from
//! that and the user's last words.

use uuid::Uuid;

use super::conversation::mend;
use super::engine::Engine;
use super::instructions;
use super::stop::Stop;
use crate::limits;
use crate::model::{InputItem, ModelRequest, Role, words};
use crate::proto::{ContextCompactionItem, ItemBody, TokenUsageBreakdown};

/// What the model is asked for.
const ASK: &str = "The conversation is about to be cut off here, because it has grown too long. Write a \
                   hand-over for the one who goes on with the work and will see nothing but it: what the \
                   user wants, word for word where it matters; what was found out and decided, and why; what \
                   was done, with the files; what is left to do, next step first. Only the hand-over.";

/// How the hand-over is introduced.
const INTRODUCTION: &str = "The conversation before this point was cut off. This is its hand-over:";

impl Engine {
    /// Compacts if the last answer left too little room, as far as the model's size is known.
    pub(super) fn compact_if_needed(&mut self) -> Result<(), Stop> {
        let used = self.usage.last.total_tokens;
        let full = self.work.compact_at_tokens.is_some_and(|limit| limit > 0 && used >= limit);
        if !full || self.compacted_at == Some(self.request.input.len()) {
            return Ok(());
        }
        self.compact()
    }

    /// Has the conversation summed up and starts it over from that.
    pub(super) fn compact(&mut self) -> Result<(), Stop> {
        let item = ItemBody::ContextCompaction(ContextCompactionItem { id: Uuid::now_v7().to_string() });
        let started_at_ms = self.teller.now_ms();
        self.teller.start_item(item.clone(), started_at_ms)?;
        mend(&mut self.request.input);
        let outcome = self.sum_up();
        if let Ok(summary) = &outcome {
            self.start_over(summary)?;
        }
        self.teller.complete_item(item, started_at_ms, &[])?;
        outcome.map(|_| ())
    }

    /// Asks for the summary, without tools, and in silence. A conversation that is too long even for that is
    /// asked about without its beginning.
    fn sum_up(&mut self) -> Result<String, Stop> {
        let mut input = self.request.input.clone();
        loop {
            input.push(InputItem::text(Role::User, ASK));
            let request = ModelRequest {
                tools: Vec::new(),
                output_schema: None,
                input: input.clone(),
                ..self.request_without_input()
            };
            let outcome = self.ask_quietly(&request);
            self.count()?;
            match outcome {
                Ok(summary) => return Ok(summary),
                Err(Stop::Failed(error)) if is_too_long(&error) && input.len() > 2 => {
                    input.pop();
                    input.drain(..input.len().div_ceil(2));
                    mend(&mut input);
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    fn start_over(&mut self, summary: &str) -> Result<(), Stop> {
        let mut entries = Vec::new();
        entries.extend(self.news(&[]));
        entries.extend(self.last_words());
        entries.push(InputItem::text(Role::User, format!("{INTRODUCTION}\n\n{summary}")));
        self.teller.keep(&entries, /*starts_over*/ true)?;
        self.compacted_at = Some(entries.len());
        self.request.input = entries;
        // What the next request will cost, about: nobody has counted it yet.
        let bytes: usize = self.request.input.iter().map(bytes_of).sum();
        let tokens = i64::try_from(bytes / limits::BYTES_PER_TOKEN).unwrap_or(i64::MAX);
        self.usage.last = TokenUsageBreakdown { total_tokens: tokens, ..TokenUsageBreakdown::default() };
        self.tell_usage()
    }

    /// What the user said last, as far back as there is room for.
    fn last_words(&self) -> Vec<InputItem> {
        let mut room = limits::COMPACTED_USER_BYTES;
        let mut kept = Vec::new();
        for item in self.request.input.iter().rev() {
            let InputItem::Message { role: Role::User, content, .. } = item else { continue };
            let text = words(content);
            if instructions::is_ours(&text) || text.starts_with(INTRODUCTION) {
                // Circumstances, or the hand-over before this one.
                continue;
            }
            if text.len() > room {
                break;
            }
            room -= text.len();
            kept.push(item.clone());
        }
        kept.reverse();
        kept
    }
}

fn bytes_of(item: &InputItem) -> usize {
    match item {
        InputItem::Message { content, .. } => words(content).len(),
        _ => 0,
    }
}

fn is_too_long(error: &crate::proto::TurnError) -> bool {
    error.codex_error_info == Some(crate::proto::CodexErrorInfo::ContextWindowExceeded)
}
