//! How a thread's turns run: model, working directory, approvals, sandbox.

use serde::{Deserialize, Serialize};

use crate::proto::{
    ApprovalsReviewer, AskForApproval, CollaborationMode, DynamicToolSpec, ModeKind, Personality,
    ReasoningEffort, ReasoningSummary, SandboxMode, SandboxPolicy,
};

/// What a thread uses where its client asks for nothing else.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The model's name.
    pub model: String,
    /// The provider's id.
    pub model_provider: String,
    /// Absolute working directory.
    pub cwd: String,
    /// When to ask.
    pub approval_policy: AskForApproval,
    /// What commands may do.
    pub sandbox_mode: SandboxMode,
    /// What `workspace-write` means.
    pub workspace_write: SandboxPolicy,
    /// The effort.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Added to the instructions.
    pub developer_instructions: Option<String>,
}

/// A thread's settings; kept in the store as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The model's name.
    pub model: String,
    /// The provider's id.
    pub model_provider: String,
    /// Absolute working directory.
    pub cwd: String,
    /// When to ask.
    pub approval_policy: AskForApproval,
    /// Whom to ask.
    #[serde(default)]
    pub approvals_reviewer: ApprovalsReviewer,
    /// What commands may do.
    pub sandbox: SandboxPolicy,
    /// The effort.
    #[serde(default)]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// How reasoning is summed up.
    #[serde(default)]
    pub reasoning_summary: Option<ReasoningSummary>,
    /// The tone.
    #[serde(default)]
    pub personality: Option<Personality>,
    /// The speed tier.
    #[serde(default)]
    pub service_tier: Option<String>,
    /// How user and agent work together.
    #[serde(default)]
    pub mode: ModeKind,
    /// Instructions of that mode instead of the built-in ones.
    #[serde(default)]
    pub mode_instructions: Option<String>,
    /// Replaces the built-in instructions.
    #[serde(default)]
    pub base_instructions: Option<String>,
    /// Added to the instructions.
    #[serde(default)]
    pub developer_instructions: Option<String>,
    /// Tools that the client carries out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dynamic_tools: Vec<DynamicToolSpec>,
}

/// What a request changes. An absent value keeps what was.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The model's name.
    pub model: Option<String>,
    /// The provider's id.
    pub model_provider: Option<String>,
    /// Absolute working directory.
    pub cwd: Option<String>,
    /// When to ask.
    pub approval_policy: Option<AskForApproval>,
    /// Whom to ask.
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// What commands may do, in short.
    pub sandbox_mode: Option<SandboxMode>,
    /// What commands may do, in full; stronger than the short form.
    pub sandbox: Option<SandboxPolicy>,
    /// The effort.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// How reasoning is summed up.
    pub reasoning_summary: Option<ReasoningSummary>,
    /// The tone.
    pub personality: Option<Personality>,
    /// The speed tier; an inner none takes it away.
    pub service_tier: Option<Option<String>>,
    /// How user and agent work together, with a model and an effort that are stronger than those above.
    pub collaboration_mode: Option<CollaborationMode>,
    /// Replaces the built-in instructions.
    pub base_instructions: Option<String>,
    /// Added to the instructions.
    pub developer_instructions: Option<String>,
}

impl Defaults {
    /// The settings of a thread whose client asks for nothing.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            model: self.model.clone(),
            model_provider: self.model_provider.clone(),
            cwd: self.cwd.clone(),
            approval_policy: self.approval_policy,
            approvals_reviewer: ApprovalsReviewer::default(),
            sandbox: self.sandbox(self.sandbox_mode),
            reasoning_effort: self.reasoning_effort.clone(),
            reasoning_summary: None,
            personality: None,
            service_tier: None,
            mode: ModeKind::Default,
            mode_instructions: None,
            base_instructions: None,
            developer_instructions: self.developer_instructions.clone(),
            dynamic_tools: Vec::new(),
        }
    }

    /// The full policy behind a short name.
    #[must_use]
    pub fn sandbox(&self, mode: SandboxMode) -> SandboxPolicy {
        match mode {
            SandboxMode::ReadOnly => SandboxPolicy::ReadOnly { network_access: false },
            SandboxMode::WorkspaceWrite => self.workspace_write.clone(),
            SandboxMode::DangerFullAccess => SandboxPolicy::DangerFullAccess,
        }
    }
}

impl Settings {
    /// Changes what `overrides` names.
    pub fn apply(&mut self, overrides: Overrides, defaults: &Defaults) {
        set(&mut self.model, overrides.model);
        set(&mut self.model_provider, overrides.model_provider);
        set(&mut self.cwd, overrides.cwd);
        set(&mut self.approval_policy, overrides.approval_policy);
        set(&mut self.approvals_reviewer, overrides.approvals_reviewer);
        set(&mut self.sandbox, overrides.sandbox_mode.map(|mode| defaults.sandbox(mode)));
        set(&mut self.sandbox, overrides.sandbox);
        set_some(&mut self.reasoning_effort, overrides.reasoning_effort);
        set_some(&mut self.reasoning_summary, overrides.reasoning_summary);
        set_some(&mut self.personality, overrides.personality);
        set(&mut self.service_tier, overrides.service_tier);
        if let Some(CollaborationMode { mode, settings }) = overrides.collaboration_mode {
            self.mode = mode;
            self.mode_instructions = settings.developer_instructions;
            self.model = settings.model;
            self.reasoning_effort = settings.reasoning_effort;
        }
        set_some(&mut self.base_instructions, overrides.base_instructions);
        set_some(&mut self.developer_instructions, overrides.developer_instructions);
    }
}

fn set<T>(value: &mut T, change: Option<T>) {
    if let Some(change) = change {
        *value = change;
    }
}

fn set_some<T>(value: &mut Option<T>, change: Option<T>) {
    if change.is_some() {
        *value = change;
    }
}
