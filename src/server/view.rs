//! From what the store keeps to what clients are shown.

use serde_json::Value;

use super::configuration::Ground;
use super::threads::LoadedThread;
use crate::agent::Settings;
use crate::proto::{
    CollaborationMode, CollaborationSettings, MultiAgentMode, ReasoningEffort, SessionSource, Thread,
    ThreadEnvironment, ThreadHistoryMode, ThreadItem, ThreadItemEntry, ThreadResumeResponse, ThreadSettings,
    ThreadStartResponse, ThreadStatus, Turn, TurnItemsView, TurnStatus,
};
use crate::rpc::{Filling, LongArray, Reply};
use crate::store::{ItemRecord, StoreError, ThreadRecord, TurnRecord, TurnState};

/// A stored thread as clients see it.
pub(super) fn thread(
    record: &ThreadRecord,
    status: ThreadStatus,
    ephemeral: bool,
    turns: Vec<Turn>,
) -> Thread {
    let loaded = status != ThreadStatus::NotLoaded;
    Thread {
        id: record.id.clone(),
        environments: loaded.then(|| {
            vec![ThreadEnvironment {
                environment_id: "local".to_owned(),
                cwd: record.cwd.clone(),
                runtime_workspace_roots: vec![record.cwd.clone()],
            }]
        }),
        extra: None,
        session_id: record.session_id.clone(),
        forked_from_id: record.forked_from_id.clone(),
        attached_to_thread_id: None,
        parent_thread_id: None,
        preview: record.preview.clone(),
        ephemeral,
        section: None,
        section_entered_at: None,
        project_id: None,
        history_mode: history_mode(&record.history_mode),
        model_provider: record.model_provider.clone(),
        model: Some(record.model.clone()),
        reasoning_effort: record.reasoning_effort.as_deref().map(ReasoningEffort::from),
        created_at: record.created_at_ms / 1000,
        updated_at: record.updated_at_ms / 1000,
        recency_at: Some(record.recency_at_ms / 1000),
        status,
        path: None,
        cwd: record.cwd.clone(),
        cli_version: record.cli_version.clone(),
        originator: record.originator.clone(),
        source: source(&record.source),
        can_accept_direct_input: Some(true),
        thread_source: record.thread_source.clone(),
        agent_nickname: None,
        agent_role: None,
        git_info: record.git.as_deref().and_then(|git| serde_json::from_str(git).ok()),
        name: record.name.clone(),
        daybreak_enabled: None,
        turns,
    }
}

/// Where a thread's open turn runs, as far as this process can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running<'a> {
    /// Nowhere.
    Nowhere,
    /// Here, under this id.
    Here(&'a str),
    /// In another live process, which writes to the thread.
    Elsewhere,
}

impl Running<'_> {
    fn has(self, id: &str) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Here(running) => running == id,
            Self::Elsewhere => true,
        }
    }
}

/// A stored turn as clients see it. A turn that the store shows as open, and that runs nowhere, was cut off
/// with its process: it is shown as interrupted.
pub(super) fn turn(
    record: &TurnRecord,
    items: &[ItemRecord],
    items_view: TurnItemsView,
    running: Running<'_>,
) -> Result<Turn, StoreError> {
    let status = match record.state {
        TurnState::InProgress if running.has(&record.id) => TurnStatus::InProgress,
        TurnState::InProgress | TurnState::Interrupted => TurnStatus::Interrupted,
        TurnState::Completed => TurnStatus::Completed,
        TurnState::Failed => TurnStatus::Failed,
    };
    let duration_ms = record.completed_at_ms.zip(record.started_at_ms).map(|(end, start)| end - start);
    Ok(Turn {
        id: record.id.clone(),
        root_turn_id: Some(record.id.clone()),
        items: items.iter().map(item).collect::<Result<_, _>>()?,
        items_view,
        status,
        error: record.error.as_deref().and_then(|error| serde_json::from_str(error).ok()),
        started_at: record.started_at_ms.map(|ms| ms / 1000),
        completed_at: record.completed_at_ms.map(|ms| ms / 1000),
        duration_ms,
    })
}

/// Stored turns, in full, as clients see them.
pub(super) fn turns(
    stored: &[(TurnRecord, Vec<ItemRecord>)],
    items_view: TurnItemsView,
    running: Running<'_>,
) -> Result<Vec<Turn>, StoreError> {
    stored.iter().map(|(record, items)| turn(record, items, items_view, running)).collect()
}

/// A stored item with its place.
pub(super) fn item_entry(record: &ItemRecord) -> Result<ThreadItemEntry, StoreError> {
    Ok(ThreadItemEntry {
        turn_id: record.turn_id.clone(),
        item: item(record)?,
        started_at_ms: record.started_at_ms,
        completed_at_ms: record.completed_at_ms,
        output_deferred: None,
    })
}

fn item(record: &ItemRecord) -> Result<ThreadItem, StoreError> {
    serde_json::from_str(&record.body)
        .map_err(|error| StoreError::Corrupt(format!("the item {} cannot be read: {error}", record.id)))
}

/// A thread's stored turns as an answer shows them, encoded on the worker that has read them: a long history
/// takes its time.
#[derive(Debug, Default)]
pub(super) struct EncodedTurns {
    array: LongArray,
    last: Option<String>,
    /// The one before the last.
    before: Option<String>,
}

impl EncodedTurns {
    /// Encodes turns in full, none of which runs.
    pub(super) fn new(stored: Vec<(TurnRecord, Vec<ItemRecord>)>) -> Result<Self, StoreError> {
        let mut encoded = Self::default();
        for (record, items) in stored {
            let shown = turn(&record, &items, TurnItemsView::Full, Running::Nowhere)?;
            encoded.push(&shown)?;
        }
        encoded.array.fit();
        Ok(encoded)
    }

    fn push(&mut self, turn: &Turn) -> Result<(), StoreError> {
        self.array.push(turn).map_err(|error| {
            StoreError::Corrupt(format!("the turn {} cannot be encoded: {error}", turn.id))
        })?;
        self.before = self.last.replace(turn.id.clone());
        Ok(())
    }

    /// Adds the turn that runs now, in place of what the store had of it.
    pub(super) fn show_running(&mut self, running: &Turn) -> Result<(), StoreError> {
        self.leave_out(&running.id);
        self.push(running)
    }

    /// Takes the last turn out if it has this id. Only once: the one before it cannot be taken out.
    pub(super) fn leave_out(&mut self, id: &str) {
        if self.last() == Some(id) {
            self.array.pop();
            self.last = self.before.take();
        }
    }

    /// The last turn's id.
    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Answers with `result`, whose first `turns` are empty, and these in their place.
    pub(super) fn answer(self, reply: Reply, result: &impl serde::Serialize, filling: Option<Filling<'_>>) {
        reply.encode_around(result, "turns", self.array, filling).send();
    }
}

/// The answer to `thread/start`.
pub(super) fn started(thread: Thread, settings: &Settings, ground: &Ground) -> ThreadStartResponse {
    ThreadStartResponse {
        thread,
        model: settings.model.clone(),
        model_provider: settings.model_provider.clone(),
        service_tier: settings.service_tier.clone(),
        disabled_plugin_ids: Vec::new(),
        cwd: settings.cwd.clone(),
        runtime_workspace_roots: vec![settings.cwd.clone()],
        instruction_sources: ground.instructions.clone(),
        approval_policy: settings.approval_policy,
        approvals_reviewer: settings.approvals_reviewer,
        sandbox: settings.sandbox.clone(),
        active_permission_profile: None,
        reasoning_effort: settings.reasoning_effort.clone(),
        multi_agent_mode: MultiAgentMode::default(),
    }
}

/// A thread's settings as clients are told them when they change.
pub(super) fn settings(settings: &Settings) -> ThreadSettings {
    ThreadSettings {
        disabled_plugin_ids: Vec::new(),
        cwd: settings.cwd.clone(),
        environments: Some(vec![ThreadEnvironment {
            environment_id: "local".to_owned(),
            cwd: settings.cwd.clone(),
            runtime_workspace_roots: vec![settings.cwd.clone()],
        }]),
        approval_policy: settings.approval_policy,
        approvals_reviewer: settings.approvals_reviewer,
        sandbox_policy: settings.sandbox.clone(),
        active_permission_profile: None,
        model: settings.model.clone(),
        model_provider: settings.model_provider.clone(),
        service_tier: settings.service_tier.clone(),
        effort: settings.reasoning_effort.clone(),
        summary: settings.reasoning_summary,
        collaboration_mode: CollaborationMode {
            mode: settings.mode,
            settings: CollaborationSettings {
                model: settings.model.clone(),
                reasoning_effort: settings.reasoning_effort.clone(),
                developer_instructions: settings.mode_instructions.clone(),
            },
        },
        multi_agent_mode: MultiAgentMode::default(),
        personality: settings.personality,
    }
}

/// The answer to `thread/resume`, without the pages that a client may have asked for.
pub(super) fn resumed(thread: Thread, settings: &Settings, ground: &Ground) -> ThreadResumeResponse {
    let started = started(thread, settings, ground);
    ThreadResumeResponse {
        thread: started.thread,
        model: started.model,
        model_provider: started.model_provider,
        service_tier: started.service_tier,
        disabled_plugin_ids: started.disabled_plugin_ids,
        cwd: started.cwd,
        runtime_workspace_roots: started.runtime_workspace_roots,
        instruction_sources: started.instruction_sources,
        approval_policy: started.approval_policy,
        approvals_reviewer: started.approvals_reviewer,
        sandbox: started.sandbox,
        active_permission_profile: started.active_permission_profile,
        reasoning_effort: started.reasoning_effort,
        collaboration_mode: None,
        multi_agent_mode: started.multi_agent_mode,
        initial_turns_page: None,
        turns_backwards_cursor: None,
        items_backwards_cursor: None,
    }
}

/// A loaded thread as clients see it, without turns.
pub(super) fn loaded(thread: &LoadedThread) -> Thread {
    self::thread(&thread.record, thread.status(), thread.ephemeral, Vec::new())
}

/// The running turn as it is now, with the items that have begun.
pub(super) fn running_turn(thread: &LoadedThread) -> Option<Turn> {
    let turn = thread.turn.as_ref()?;
    let started_at_ms = turn.started_at_ms?;
    Some(Turn {
        id: turn.id.to_string(),
        root_turn_id: Some(turn.id.to_string()),
        items: turn.items_now(),
        items_view: TurnItemsView::Full,
        status: TurnStatus::InProgress,
        error: None,
        started_at: Some(started_at_ms / 1000),
        completed_at: None,
        duration_ms: None,
    })
}

/// How the source of a thread is written in the store: a plain name, or JSON.
pub(super) fn source_text(source: &SessionSource) -> String {
    match serde_json::to_value(source) {
        Ok(Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

fn source(text: &str) -> SessionSource {
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_value(Value::String(text.to_owned())))
        .unwrap_or(SessionSource::Unknown)
}

fn history_mode(text: &str) -> ThreadHistoryMode {
    if text == "legacy" { ThreadHistoryMode::Legacy } else { ThreadHistoryMode::Paginated }
}

/// How the history mode is written in the store.
pub(super) fn history_mode_text(mode: ThreadHistoryMode) -> &'static str {
    match mode {
        ThreadHistoryMode::Legacy => "legacy",
        ThreadHistoryMode::Paginated => "paginated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_turn_is_left_out_and_the_one_before_is_the_last_then() {
        let stored = |id: &str, state| {
            let (error, started_at_ms, completed_at_ms, ordinal) = (None, Some(1), None, 1);
            let record =
                TurnRecord { id: id.to_owned(), state, error, started_at_ms, completed_at_ms, ordinal };
            (record, Vec::new())
        };
        let turns = vec![stored("a", TurnState::Completed), stored("b", TurnState::InProgress)];
        let mut encoded = EncodedTurns::new(turns).expect("they are encoded");
        encoded.leave_out("a");
        assert_eq!(encoded.last(), Some("b"));
        encoded.leave_out("b");
        assert_eq!(encoded.last(), Some("a"));
    }
}
