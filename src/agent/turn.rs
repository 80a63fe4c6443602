//! A turn as its owner sees it: what it needs, how it is started, steered and stopped.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::approvals::Approvals;
use super::control::{Control, Cut};
use super::engine::Engine;
use super::event::EventSink;
use super::ids::{ThreadId, TurnId};
use super::settings::Settings;
use super::skills::SkillRules;
use super::terminals::Terminals;
use super::tools::Tool;
use super::work::TurnKind;
use crate::clock::Clock;
use crate::config::Features;
use crate::exec::Spawner;
use crate::limits;
use crate::mcp::Mcp;
use crate::model::ModelClient;
use crate::obs::trace::Context;
use crate::proto::{ThreadTokenUsage, UserInput};
use crate::queue::{Mailbox, Undelivered};
use crate::store::StoreHandle;
use crate::sys::worker::Worker;
use crate::timer::TimerHandle;

/// What the user says in one message.
#[derive(Debug, Clone)]
pub struct NewInput {
    /// The words, pictures and so on.
    pub content: Vec<UserInput>,
    /// The client's own id for it.
    pub client_id: Option<String>,
}

/// A turn to run.
pub struct TurnWork {
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn.
    pub turn_id: TurnId,
    /// What it is for.
    pub kind: TurnKind,
    /// How it runs.
    pub settings: Settings,
    /// What sets it off.
    pub input: NewInput,
    /// JSON Schema that the last message has to fit; opaque.
    pub output_schema: Option<Box<serde_json::value::RawValue>>,
    /// Tokens that the thread has used so far, and by its last answer.
    pub used_before: ThreadTokenUsage,
    /// Tokens at which the conversation is made shorter; none is never.
    pub compact_at_tokens: Option<i64>,
    /// Thoughts are shown in full, where the model tells them, and not only summed up.
    pub shows_raw_thoughts: bool,
    /// The last turn found the conversation too long for the model.
    pub compact_first: bool,
    /// The home folder.
    pub home: PathBuf,
    /// What it may do at all.
    pub features: Features,
    /// Skills beside those of the home and the project, and which are switched off.
    pub skills: SkillRules,
    /// Tools beside those that every turn has.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Runs commands.
    pub spawner: Spawner,
    /// The thread's commands.
    pub terminals: Arc<Terminals>,
    /// What clients have allowed in this thread.
    pub approvals: Approvals,
    /// Servers whose tools it has too.
    pub mcp: Option<Mcp>,
    /// Where it is written down.
    pub store: StoreHandle,
    /// Who answers.
    pub model: Arc<dyn ModelClient>,
    /// Who is told.
    pub sink: Arc<dyn EventSink>,
    /// Its place in a trace: that of the request that set it off.
    pub trace: Context,
    /// Deadlines.
    pub timer: TimerHandle,
    /// The time.
    pub clock: Clock,
}

/// A running turn, as its owner holds it. Who lets go of it interrupts it and waits for its worker.
#[derive(Debug)]
pub struct TurnHandle {
    /// Stops it; before `worker`, whose drop waits.
    pub interrupter: Interrupter,
    /// Takes more input while it runs. Closed when the turn is about to end.
    mailbox: Mailbox<NewInput>,
    /// Its worker; it has ended, or is about to, once [`super::Change::Ended`] was told.
    pub worker: Worker,
}

impl TurnHandle {
    /// Gives the turn more input. The model hears of it at once: the answer that it is giving is cut off,
    /// and what it has said of it stays.
    ///
    /// # Errors
    /// The input, if there is no room or the turn is about to end.
    pub fn steer(&self, input: NewInput) -> Result<(), Undelivered<NewInput>> {
        self.mailbox.put(input)?;
        self.interrupter.0.cut_if(Cut::Steered, || !self.mailbox.is_empty());
        Ok(())
    }
}

/// Interrupts a turn, also when it is dropped: an owner that panics must not wait for the turn's own end.
#[derive(Debug)]
pub struct Interrupter(Arc<Control>);

impl Interrupter {
    /// Stops the turn; it ends as interrupted if it has not ended by itself.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl Drop for Interrupter {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// Starts a turn on a worker of its own.
///
/// # Errors
/// The operating system's refusal to start a worker.
pub fn start(work: TurnWork) -> io::Result<TurnHandle> {
    let (control, cancel) = Control::new(work.clock.clone());
    let control = Arc::new(control);
    let mailbox = Mailbox::new(limits::TURN_COMMANDS);
    let id = work.turn_id.to_string();
    // The last digits are the random ones.
    let name = format!("turn-{}", &id[id.len() - 6..]);
    let worker = Worker::spawn(name, limits::STACK_BYTES_WORK, {
        let (control, mailbox) = (Arc::clone(&control), mailbox.clone());
        move || Engine::new(work, control, cancel, mailbox).run()
    })?;
    Ok(TurnHandle { interrupter: Interrupter(control), mailbox, worker })
}
