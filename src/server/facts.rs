//! What the configuration means for clients and threads: the values in force, typed as the protocol has them.
//!
//! Made anew when the file has changed. It knows the configuration and no state of the server; the processor
//! owns it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::configuration::Current;
use crate::agent::{Defaults, SkillRules};
use crate::config::{ApprovalPolicy, CommandLimits, Config, Features, PROVIDER_OFFLINE, SandboxMode, Trust};
use crate::exec::ResourceLimits;
use crate::model::OFFLINE_MODEL;
use crate::proto::{self, AskForApproval, SandboxPolicy, SessionSource};

/// What the server tells its clients about itself and its configuration.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The home folder.
    pub home: String,
    /// What threads use where neither their clients nor their projects say anything else.
    pub defaults: Defaults,
    /// Where new threads are said to come from.
    pub source: SessionSource,
    /// The configuration in force, with its sources, and the models.
    pub current: Arc<Current>,
    /// Features as clients have switched them while the server runs; the configuration is stronger.
    pub switched: Features,
    /// Folders with skills that clients have added.
    pub extra_skill_roots: Vec<PathBuf>,
    /// Providers beside the built-in ones: id, name, base URL.
    pub providers: Vec<ProviderFacts>,
    /// A thread without subscribers and turn is unloaded after this, unless it was started with its own
    /// delay.
    pub unload_delay: Duration,
    /// A request to clients that nobody is there to decide counts as declined after this.
    pub approval_deadline: Duration,
    /// Bytes of loaded threads above which idle ones are unloaded before their time.
    pub loaded_bytes_max: usize,
    /// Commands running at once for one client.
    pub commands_per_connection_max: usize,
    /// What one command may use.
    pub command_limits: ResourceLimits,
    /// The operating system as `initialize` names it, for example `Linux 6.1.0; x86_64`.
    pub system: String,
}

/// A configured provider.
#[derive(Debug, Clone)]
pub struct ProviderFacts {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Where it is.
    pub base_url: Option<String>,
}

impl Facts {
    /// What a configuration means for a server whose working directory is `cwd`.
    #[must_use]
    pub fn new(current: Arc<Current>, cwd: &str, source: SessionSource) -> Self {
        let config = &current.config;
        Self {
            home: config.home.to_string_lossy().into_owned(),
            defaults: defaults(config, cwd),
            source,
            switched: Features::default(),
            extra_skill_roots: Vec::new(),
            providers: providers(config),
            unload_delay: config.thread_unload_delay,
            approval_deadline: config.server.approval_deadline,
            loaded_bytes_max: config.server.loaded_threads_bytes_max,
            commands_per_connection_max: config.server.commands_per_connection_max,
            command_limits: command_limits(config.server.command_limits),
            system: system(),
            current,
        }
    }

    /// Where skills are found, and which are switched off.
    pub(super) fn skills(&self) -> SkillRules {
        let (extra_roots, settings) = (self.extra_skill_roots.clone(), self.current.config.skills.clone());
        SkillRules { extra_roots, settings }
    }

    /// Takes another configuration. What stands under `[app_server]` counts from the next start on.
    pub(super) fn adopt(&mut self, current: Arc<Current>) {
        let config = &current.config;
        self.defaults = defaults(config, &self.defaults.cwd);
        self.providers = providers(config);
        self.unload_delay = config.thread_unload_delay;
        self.current = current;
    }
}

fn providers(config: &Config) -> Vec<ProviderFacts> {
    let providers = config.model_providers.iter().map(|(id, provider)| ProviderFacts {
        id: id.clone(),
        name: provider.name.clone(),
        base_url: provider.base_url.as_deref().map(crate::config::without_user_info),
    });
    providers.collect()
}

/// What a thread in `cwd` uses where its client asks for nothing else.
pub(super) fn defaults(config: &Config, cwd: &str) -> Defaults {
    Defaults {
        model: config.model.clone().unwrap_or_else(|| OFFLINE_MODEL.to_owned()),
        model_provider: config.model_provider.clone().unwrap_or_else(|| PROVIDER_OFFLINE.to_owned()),
        cwd: cwd.to_owned(),
        approval_policy: approval_policy(config),
        sandbox_mode: sandbox_mode(config),
        workspace_write: workspace_write(config),
        reasoning_effort: config.model_reasoning_effort.as_deref().map(proto::ReasoningEffort::from),
        developer_instructions: config.developer_instructions.clone(),
    }
}

fn approval_policy(config: &Config) -> AskForApproval {
    match &config.approval_policy {
        None if config.trust == Some(Trust::Untrusted) => AskForApproval::UnlessTrusted,
        None | Some(ApprovalPolicy::OnRequest) => AskForApproval::OnRequest,
        Some(ApprovalPolicy::Untrusted) => AskForApproval::UnlessTrusted,
        Some(ApprovalPolicy::Never) => AskForApproval::Never,
        // The protocol has no word for these two any more; asking on request is the nearest that is safe.
        Some(ApprovalPolicy::OnFailure | ApprovalPolicy::Granular(_)) => AskForApproval::OnRequest,
    }
}

/// What a user who configured nothing gets: reading only, and his projects to work in, once he has said
/// something about them; in those that he does not trust agents ask before everything.
fn sandbox_mode(config: &Config) -> proto::SandboxMode {
    match (config.sandbox_mode, config.trust) {
        (None, None) | (Some(SandboxMode::ReadOnly), _) => proto::SandboxMode::ReadOnly,
        (None, Some(_)) | (Some(SandboxMode::WorkspaceWrite), _) => proto::SandboxMode::WorkspaceWrite,
        (Some(SandboxMode::DangerFullAccess), _) => proto::SandboxMode::DangerFullAccess,
    }
}

fn workspace_write(config: &Config) -> SandboxPolicy {
    let configured = &config.sandbox_workspace_write;
    SandboxPolicy::WorkspaceWrite {
        writable_roots: configured
            .writable_roots
            .iter()
            .map(|root| root.to_string_lossy().into_owned())
            .collect(),
        network_access: configured.network_access,
        exclude_tmpdir_env_var: configured.exclude_tmpdir_env_var,
        exclude_slash_tmp: configured.exclude_slash_tmp,
    }
}

fn command_limits(configured: CommandLimits) -> ResourceLimits {
    ResourceLimits {
        cpu_secs: configured.cpu_secs,
        address_space_bytes: configured.address_space_bytes,
        open_files: configured.open_files,
        processes: configured.processes,
    }
}

/// The operating system as the user agent names it.
fn system() -> String {
    let name = rustix::system::uname();
    format!(
        "{} {}; {}",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy(),
        name.machine().to_string_lossy()
    )
}
