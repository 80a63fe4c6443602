//! Tests of the turn engine with a model that follows a script, and what they share.

mod asking;
mod commands;
mod kinds;
mod loops;
mod mcp;
mod stopping;
mod tools;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};
use uuid::Uuid;

use super::*;
use crate::clock::Clock;
use crate::exec::{Executor, Spawner};
use crate::mcp::McpOwner;
use crate::model::{
    Cancel, InputItem, ModelClient, ModelError, ModelEvent, ModelRequest, ModelStream, Role, ToolCall,
    ToolInput, Usage,
};
use crate::proto::{
    ApprovalsReviewer, AskForApproval, ModeKind, SandboxPolicy, ThreadTokenUsage, Turn, TurnStatus, UserInput,
};
use crate::sandbox::{self, SharedSandbox};
use crate::store::{StoreHandle, StoreWorker, ThreadRecord};
use crate::sync::lock;
use crate::timer::{TimerHandle, TimerWorker};

/// A step of a scripted answer.
pub(super) enum Step {
    Say(ModelEvent),
    Fail(ModelError),
    /// Says so on the channel, and says nothing more until it is cancelled.
    Hang(Sender<()>),
}

/// Follows its script, one answer a request; has nothing to say after it. Keeps what it was asked.
pub(super) struct Scripted {
    answers: Mutex<VecDeque<Vec<Step>>>,
    pub(super) asked: Mutex<Vec<Vec<InputItem>>>,
    pub(super) retries: u32,
}

impl Scripted {
    pub(super) fn new(answers: Vec<Vec<Step>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into()), asked: Mutex::default(), retries: 2 })
    }

    /// What the model was asked the last time.
    pub(super) fn last_asked(&self) -> Vec<InputItem> {
        without_news(lock(&self.asked).last().cloned().unwrap_or_default())
    }
}

/// Without what the program says.
fn without_news(mut input: Vec<InputItem>) -> Vec<InputItem> {
    input.retain(|item| item.words_of(Role::Developer).is_none());
    input
}

struct Script(VecDeque<Step>);

impl ModelClient for Scripted {
    fn stream(&self, request: &ModelRequest, _: &Cancel) -> Result<Box<dyn ModelStream>, ModelError> {
        lock(&self.asked).push(request.input.clone());
        Ok(Box::new(Script(lock(&self.answers).pop_front().unwrap_or_default().into())))
    }

    fn context_window(&self, _: &str) -> Option<i64> {
        None
    }

    fn stream_retries_max(&self) -> u32 {
        self.retries
    }
}

impl ModelStream for Script {
    fn next(&mut self, cancel: &Cancel) -> Result<Option<ModelEvent>, ModelError> {
        match self.0.pop_front() {
            _ if cancel.is_cancelled() => Err(ModelError::Cancelled),
            None => Ok(None),
            Some(Step::Say(event)) => Ok(Some(event)),
            Some(Step::Fail(error)) => Err(error),
            Some(Step::Hang(hangs)) => {
                hangs.send(()).expect("the test listens");
                assert!(!cancel.wait(std::time::Duration::from_secs(1 << 30)), "nobody waits that long");
                Err(ModelError::Cancelled)
            }
        }
    }
}

pub(super) fn says(id: &str, text: &str) -> Vec<Step> {
    let (id, text) = (id.to_owned(), text.to_owned());
    vec![
        Step::Say(ModelEvent::TextDelta { id: id.clone(), delta: text.clone() }),
        Step::Say(ModelEvent::MessageDone { id, text, phase: None }),
        completed(),
    ]
}

pub(super) fn completed() -> Step {
    let usage = Usage { input: 10, cached_input: 4, output: 2, reasoning_output: 1 };
    Step::Say(ModelEvent::Completed { usage })
}

pub(super) fn calls(call_id: &str, tool: &str, arguments: &str) -> Step {
    Step::Say(ModelEvent::ToolCall(ToolCall {
        call_id: call_id.to_owned(),
        name: tool.to_owned(),
        input: ToolInput::Arguments(arguments.to_owned()),
    }))
}

/// A folder's store, and turns in it.
pub(super) struct Bench {
    pub(super) store: StoreHandle,
    pub(super) clock: Clock,
    pub(super) timer: TimerHandle,
    pub(super) thread_id: ThreadId,
    pub(super) tools: Vec<Arc<dyn Tool>>,
    pub(super) settings: Settings,
    pub(super) compact_at_tokens: Option<i64>,
    pub(super) shows_raw_thoughts: bool,
    pub(super) terminals: Arc<Terminals>,
    approvals: Approvals,
    pub(super) spawner: Spawner,
    pub(super) dir: PathBuf,
    // Before the executor, which waits for its processes.
    pub(super) mcp: Option<McpOwner>,
    _workers: (Executor, StoreWorker, TimerWorker),
}

/// A turn that runs, and what it has told.
pub(super) struct Running {
    pub(super) handle: TurnHandle,
    events: Receiver<TurnEvent>,
    /// Methods of what subscribers were told, and the whole messages.
    pub(super) told: Vec<(String, serde_json::Value)>,
}

struct Told(Sender<TurnEvent>);

impl EventSink for Told {
    fn tell(&self, event: TurnEvent) -> Result<(), ListenerGone> {
        self.0.send(event).map_err(|_| ListenerGone)
    }
}

impl Bench {
    pub(super) fn new(clock: Clock) -> Self {
        let dir = std::env::temp_dir().join(format!("app-server-turn-{}", Uuid::new_v4()));
        let (store_worker, store) = StoreWorker::start(dir.clone(), |_| {}).expect("it starts");
        let (timer_worker, timer) = TimerWorker::start(clock.clone()).expect("it starts");
        let thread_id = ThreadId::new();
        let record = ThreadRecord { id: thread_id.to_string(), ..ThreadRecord::default() };
        store.call_write(move |database| database.insert_thread(&record)).expect("it is new");
        let sandbox =
            SharedSandbox::new(sandbox::Settings { home: dir.clone(), temp_dir: None, best_effort: false });
        let (executor, spawner) = Executor::new(/*running_max*/ 100, timer.clone(), sandbox);
        let _workers = (executor, store_worker, timer_worker);
        let approvals = Approvals::new(Arc::new(CommandRules::below(&dir)));
        let settings = Settings { cwd: dir.display().to_string(), ..settings() };
        let (terminals, tools, compact_at_tokens) = (Arc::default(), Vec::new(), None);
        Self {
            store,
            clock,
            timer,
            thread_id,
            tools,
            settings,
            compact_at_tokens,
            shows_raw_thoughts: false,
            terminals,
            approvals,
            spawner,
            dir,
            _workers,
            mcp: None,
        }
    }

    pub(super) fn start(&self, model: Arc<dyn ModelClient>, text: &str) -> Running {
        self.start_as(model, TurnKind::Talk, text)
    }

    /// Starts a turn of some kind; without text it has no input.
    pub(super) fn start_as(&self, model: Arc<dyn ModelClient>, kind: TurnKind, text: &str) -> Running {
        let (told, events) = bounded(10_000);
        let handle = start(TurnWork {
            trace: crate::obs::trace::Context::root(),
            thread_id: self.thread_id,
            turn_id: TurnId::new(),
            settings: self.settings.clone(),
            spawner: self.spawner.clone(),
            terminals: Arc::clone(&self.terminals),
            approvals: self.approvals.clone(),
            kind,
            compact_at_tokens: self.compact_at_tokens,
            shows_raw_thoughts: self.shows_raw_thoughts,
            compact_first: false,
            home: self.dir.join("home"),
            input: said(text),
            output_schema: None,
            used_before: ThreadTokenUsage::default(),
            features: crate::config::Features::default(),
            skills: SkillRules::default(),
            tools: self.tools.clone(),
            mcp: self.mcp.as_ref().map(|owner| owner.servers().clone()),
            store: self.store.clone(),
            model,
            sink: Arc::new(Told(told)),
            timer: self.timer.clone(),
            clock: self.clock.clone(),
        })
        .expect("it starts");
        Running { handle, events, told: Vec::new() }
    }

    /// What the store says that the model is told.
    pub(super) fn kept(&self) -> Vec<InputItem> {
        let id = self.thread_id.to_string();
        let stored = self.store.call_read(move |database| database.conversation(&id)).expect("it is there");
        without_news(
            stored.entries.iter().map(|entry| serde_json::from_str(entry).expect("an entry")).collect(),
        )
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Running {
    /// The next thing that it tells.
    pub(super) fn next(&mut self) -> TurnEvent {
        let event = self.events.recv_timeout(std::time::Duration::from_secs(60)).expect("it tells something");
        if let Some(notification) = &event.notification {
            let message = serde_json::from_slice(&notification.message).expect("JSON");
            self.told.push((notification.method.to_owned(), message));
        }
        event
    }

    /// Reads on until it tells this.
    pub(super) fn until(&mut self, method: &str) -> serde_json::Value {
        loop {
            self.next();
            if let Some((last, message)) = self.told.last()
                && last == method
            {
                return message["params"].clone();
            }
        }
    }

    /// Reads on until it has ended.
    pub(super) fn end(&mut self) -> Turn {
        loop {
            match self.next().change {
                Change::Ended { turn, .. } => return *turn,
                Change::NotStarted(error) => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// The methods that were told, each once where it is repeated.
    pub(super) fn methods(&self) -> Vec<&str> {
        let mut methods: Vec<&str> = self.told.iter().map(|(method, _)| method.as_str()).collect();
        methods.dedup();
        methods
    }
}

pub(super) fn said(text: &str) -> NewInput {
    let content = if text.is_empty() {
        Vec::new()
    } else {
        vec![UserInput::Text { text: text.to_owned(), text_elements: Vec::new() }]
    };
    NewInput { content, client_id: None }
}

pub(super) fn settings() -> Settings {
    Settings {
        model: "offline".to_owned(),
        model_provider: "offline".to_owned(),
        cwd: "/".to_owned(),
        approval_policy: AskForApproval::Never,
        approvals_reviewer: ApprovalsReviewer::User,
        sandbox: SandboxPolicy::DangerFullAccess,
        reasoning_effort: None,
        reasoning_summary: None,
        personality: None,
        service_tier: None,
        mode: ModeKind::Default,
        mode_instructions: None,
        base_instructions: None,
        developer_instructions: None,
        dynamic_tools: Vec::new(),
    }
}

pub(super) fn real() -> Bench {
    Bench::new(Clock::real())
}

pub(super) fn simulated() -> Bench {
    Bench::new(Clock::simulated(/*wall_start_ms*/ 0))
}

pub(super) fn ended(turn: &Turn) -> TurnStatus {
    turn.status
}
