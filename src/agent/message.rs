//! What the model says, as an item that grows; in plan mode the plan that it proposes is an item of its own.
//! Knows nothing of HTTP. Runs on the turn's worker.

use uuid::Uuid;

use super::engine::Engine;
use super::event::Change;
use super::items;
use super::live::LiveText;
use super::proposed_plan::{Piece, Splitter, split};
use super::stop::Stop;
use super::stream::Open;
use crate::model::{Content, InputItem, Role};
use crate::proto::{AgentMessageDelta, MessagePhase, ModeKind, PlanDelta};

/// A message that the model is saying.
pub(super) struct OpenMessage {
    /// As the model calls it; the item has an id of its own, because models number per answer.
    model_id: String,
    item_id: String,
    started_at_ms: i64,
    phase: Option<MessagePhase>,
    text: LiveText,
    /// In plan mode.
    planning: Option<Box<Planning>>,
}

/// What a message needs in which a plan may stand.
#[derive(Default)]
struct Planning {
    splitter: Splitter,
    /// All that was said, tags and plan too: so it goes back to the model.
    raw: String,
    /// The message's item has begun; it does with the first words beside the plan.
    told: bool,
    /// Blanks before those words.
    blank: String,
    plan: Option<OpenPlan>,
}

struct OpenPlan {
    item_id: String,
    started_at_ms: i64,
    text: LiveText,
}

impl OpenMessage {
    /// What was heard of it, as the model said it.
    fn heard(&self) -> String {
        self.planning.as_ref().map_or_else(|| self.text.all(), |planning| planning.raw.clone())
    }
}

impl Engine {
    fn is_open(&self, model_id: &str) -> bool {
        matches!(&self.open, Some(Open::Message(open)) if open.model_id == model_id)
    }

    pub(super) fn message_grows(&mut self, model_id: String, delta: &str) -> Result<(), Stop> {
        if !self.is_open(&model_id) {
            self.open_message(model_id, /*phase*/ None)?;
        }
        let Some(Open::Message(open)) = &mut self.open else { return Ok(()) };
        let Some(planning) = &mut open.planning else { return self.tell_delta(delta) };
        planning.raw.push_str(delta);
        let pieces = planning.splitter.feed(delta);
        self.tell_pieces(pieces)
    }

    pub(super) fn message_done(
        &mut self,
        model_id: String,
        text: String,
        phase: Option<MessagePhase>,
    ) -> Result<(), Stop> {
        if !self.is_open(&model_id) {
            self.open_message(model_id, phase)?;
        }
        self.end_message(text, phase)
    }

    pub(super) fn open_message(&mut self, model_id: String, phase: Option<MessagePhase>) -> Result<(), Stop> {
        self.close_open(/*broken*/ false)?;
        let item_id = format!("msg_{}", Uuid::now_v7().simple());
        let started_at_ms = self.teller.now_ms();
        let planning = (self.work.settings.mode == ModeKind::Plan).then(Box::default);
        if planning.is_none() {
            let body = items::agent_message(item_id.clone(), String::new(), phase);
            self.teller.start_item(body, started_at_ms)?;
        }
        let text = LiveText::default();
        self.open =
            Some(Open::Message(OpenMessage { model_id, item_id, started_at_ms, phase, text, planning }));
        Ok(())
    }

    /// Completes the open message with what was heard of it.
    pub(super) fn close_message(&mut self) -> Result<(), Stop> {
        let Some(Open::Message(open)) = &self.open else { return Ok(()) };
        let text = open.heard();
        self.end_message(text, /*phase*/ None)
    }

    /// Completes the open message; `text` is what the model said, all of it.
    fn end_message(&mut self, text: String, phase: Option<MessagePhase>) -> Result<(), Stop> {
        if let Some(Open::Message(open)) = &mut self.open
            && let Some(planning) = &mut open.planning
        {
            let left = planning.splitter.finish();
            self.tell_pieces(left)?;
        }
        let Some(Open::Message(open)) = self.open.take() else { return Ok(()) };
        let phase = phase.or(open.phase);
        let content = vec![Content::Text { text: text.clone() }];
        let entry = InputItem::Message { role: Role::Assistant, content, phase };
        let told = open.planning.as_ref().is_none_or(|planning| planning.told);
        let (said, plan) = match &open.planning {
            Some(_) => split(&text),
            None => (text, None),
        };
        // A message that is nothing but a plan has no item beside the plan's.
        let shows_message = told || plan.is_none() || !said.trim().is_empty();
        let own = std::slice::from_ref(&entry);
        self.end_plan(open.planning, plan, if shows_message { &[] } else { own })?;
        if shows_message {
            let body = items::agent_message(open.item_id.clone(), String::new(), phase);
            if !told {
                self.teller.start_item(body, open.started_at_ms)?;
            }
            let body = items::agent_message(open.item_id, said, phase);
            self.last_message = Some(self.teller.complete_item(body, open.started_at_ms, own)?);
        }
        self.request.input.push(entry);
        Ok(())
    }

    /// Completes the plan, if there is one; `text` is the one of the whole message.
    fn end_plan(
        &mut self,
        planning: Option<Box<Planning>>,
        text: Option<String>,
        entries: &[InputItem],
    ) -> Result<(), Stop> {
        let open = match (planning.and_then(|planning| planning.plan), &text) {
            (Some(plan), _) => plan,
            (None, Some(_)) => self.begin_plan()?,
            (None, None) => return Ok(()),
        };
        let body = items::plan(open.item_id, text.unwrap_or_else(|| open.text.all()));
        self.teller.complete_item(body, open.started_at_ms, entries)?;
        Ok(())
    }

    fn begin_plan(&mut self) -> Result<OpenPlan, Stop> {
        self.plans += 1;
        let turn = self.teller.turn();
        let item_id = match self.plans {
            1 => format!("{turn}-plan"),
            more => format!("{turn}-plan-{more}"),
        };
        let started_at_ms = self.teller.now_ms();
        self.teller.start_item(items::plan(item_id.clone(), String::new()), started_at_ms)?;
        Ok(OpenPlan { item_id, started_at_ms, text: LiveText::default() })
    }

    fn tell_pieces(&mut self, pieces: Vec<Piece>) -> Result<(), Stop> {
        for piece in pieces {
            match piece {
                Piece::Said(text) => self.tell_said(text)?,
                Piece::Begins => self.plan_begins()?,
                Piece::Planned(text) => self.plan_grows(&text)?,
            }
        }
        Ok(())
    }

    /// Words of the message in plan mode.
    fn tell_said(&mut self, text: String) -> Result<(), Stop> {
        let Some(Open::Message(open)) = &mut self.open else { return Ok(()) };
        let Some(planning) = &mut open.planning else { return Ok(()) };
        if planning.told {
            return self.tell_delta(&text);
        }
        planning.blank.push_str(&text);
        if planning.blank.trim().is_empty() {
            return Ok(());
        }
        planning.told = true;
        let text = std::mem::take(&mut planning.blank);
        let body = items::agent_message(open.item_id.clone(), String::new(), open.phase);
        self.teller.start_item(body, open.started_at_ms)?;
        self.tell_delta(&text)
    }

    fn tell_delta(&mut self, delta: &str) -> Result<(), Stop> {
        let Some(Open::Message(OpenMessage { item_id, text, .. })) = &self.open else { return Ok(()) };
        let grown_to = text.push(delta);
        let (thread_id, turn_id) = (self.teller.thread(), self.teller.turn());
        let notification = self.teller.encode(&AgentMessageDelta { thread_id, turn_id, item_id, delta });
        Ok(self.teller.tell(Change::TextGrew(grown_to), notification)?)
    }

    /// The plan's item begins; a second plan of the same message continues the first.
    fn plan_begins(&mut self) -> Result<(), Stop> {
        if self.open_plan().is_some() {
            return Ok(());
        }
        let plan = self.begin_plan()?;
        if let Some(Open::Message(OpenMessage { planning: Some(planning), .. })) = &mut self.open {
            planning.plan = Some(plan);
        }
        Ok(())
    }

    fn plan_grows(&self, delta: &str) -> Result<(), Stop> {
        let Some(plan) = self.open_plan() else { return Ok(()) };
        let grown_to = plan.text.push(delta);
        let (thread_id, turn_id) = (self.teller.thread(), self.teller.turn());
        let grown = PlanDelta { thread_id, turn_id, item_id: &plan.item_id, delta };
        let notification = self.teller.encode(&grown);
        Ok(self.teller.tell(Change::PlanGrew(grown_to), notification)?)
    }

    fn open_plan(&self) -> Option<&OpenPlan> {
        match &self.open {
            Some(Open::Message(open)) => open.planning.as_ref()?.plan.as_ref(),
            _ => None,
        }
    }
}
