//! The configuration: home folder, `config.toml`, `-c` overrides, flags; typed and checked once, at start.
//!
//! The keys are those of the reference, plus our own under `[app_server]`. Keys that mean nothing here are
//! listed and otherwise left alone; a value of the wrong type is an error, because a server that silently
//! runs with a default is worse than one that does not start. It may not know anything above the ground
//! floor: what a policy or a provider is for is decided elsewhere.

mod edit;
mod features;
mod file;
mod mcp;
pub mod net;
mod overrides;
mod policy;
mod project;
mod provider;
mod section;
mod server;
mod shown;
mod skills;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use crate::error::StartError;
use crate::limits::THREAD_UNLOAD_DELAY;
use section::Section;

pub use edit::{Edit, edit};
pub use features::{Feature, Features};
pub use mcp::{McpServerConfig, McpTransport, ToolApproval};
pub use overrides::Override;
pub use policy::{ApprovalPolicy, SandboxMode, SandboxWorkspaceWrite};
pub use project::{InUse, Trust, project_folders};
pub use provider::{PROVIDER_OFFLINE, PROVIDER_OPENAI, ProviderConfig, ProviderKind, WireApi};
pub use server::{CommandLimits, ServerConfig};
pub use shown::{effective as shown, without_user_info};
pub use skills::{SkillSelector, SkillSettings, switch_skill};

/// The folder of our own data below the home.
const DATA_DIR: &str = "app-server";

/// What the command line says about the configuration. Flags win over every key.
#[derive(Debug, Clone, PartialEq)]
pub struct Flags {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// `-c`, in their order.
    pub overrides: Vec<Override>,
    /// `--model`.
    pub model: Option<String>,
    /// `--max-connections`.
    pub max_connections: Option<usize>,
    /// `--drain-timeout`.
    pub drain_timeout: Option<Duration>,
    /// `--require-auth`.
    pub require_auth: bool,
}

impl Flags {
    /// A command line without flags.
    #[must_use]
    pub fn none() -> Self {
        Self {
            home: None,
            overrides: Vec::new(),
            model: None,
            max_connections: None,
            drain_timeout: None,
            require_auth: false,
        }
    }

    /// The keys that `-c` and the flags set. A flag is the key that it stands for, set last.
    fn table(&self) -> Table {
        let mut table = Table::new();
        for set in &self.overrides {
            set.apply(&mut table);
        }
        let mut flag = |key: &[&str], value: Option<Value>| {
            let Some(value) = value else { return };
            Override { key: key.iter().map(|&segment| segment.to_owned()).collect(), value }
                .apply(&mut table);
        };
        flag(&["model"], self.model.clone().map(Value::String));
        let connections = self.max_connections.and_then(|number| i64::try_from(number).ok());
        flag(&["app_server", "max_connections"], connections.map(Value::Integer));
        let seconds = self.drain_timeout.map(|timeout| timeout.as_secs_f64());
        flag(&["app_server", "drain_timeout_secs"], seconds.map(Value::Float));
        flag(&["app_server", "require_auth"], self.require_auth.then_some(Value::Boolean(true)));
        table
    }
}

/// Where a part of the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// The home's `config.toml`.
    File(PathBuf),
    /// The `config.toml` in this folder of a project, its `.codex`.
    Project(PathBuf),
    /// `-c` and flags.
    CommandLine,
    /// The `config` of a client's request.
    Request,
}

impl fmt::Display for LayerSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "from {}", path.display()),
            Self::Project(folder) => write!(formatter, "from {}", folder.join(file::FILE_NAME).display()),
            Self::CommandLine => formatter.write_str("from the command line, -c or a flag"),
            Self::Request => formatter.write_str("from the request's config"),
        }
    }
}

/// One source's keys, untyped. They may hold secrets.
#[derive(Clone, PartialEq)]
pub struct Layer {
    /// Where they come from.
    pub source: LayerSource,
    /// The keys.
    pub table: Table,
    /// Why it does not count, if it does not.
    pub disabled: Option<String>,
}

impl Layer {
    fn new(source: LayerSource, table: Table) -> Self {
        Self { source, table, disabled: None }
    }

    /// True if this layer sets the key or something below it.
    fn has(&self, path: &[&str]) -> bool {
        if self.disabled.is_some() {
            return false;
        }
        let Some((last, parents)) = path.split_last() else { return false };
        let mut at = &self.table;
        for parent in parents {
            match at.get(*parent) {
                Some(Value::Table(inner)) => at = inner,
                _ => return false,
            }
        }
        at.contains_key(*last)
    }
}

/// The configuration in force.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// The home folder, absolute. It need not exist yet.
    pub home: PathBuf,
    /// Where our own data lives; absolute, need not exist yet.
    pub data_dir: PathBuf,
    /// The model of new threads.
    pub model: Option<String>,
    /// The provider of new threads, known or configured; none is the offline model.
    pub model_provider: Option<String>,
    /// The configured providers by id.
    pub model_providers: BTreeMap<String, ProviderConfig>,
    /// The configured MCP servers by name.
    pub mcp_servers: BTreeMap<String, McpServerConfig>,
    /// How hard the model thinks; which efforts there are depends on the model.
    pub model_reasoning_effort: Option<String>,
    /// Tokens that the model can take in.
    pub model_context_window: Option<i64>,
    /// Whether clients are shown what the model thinks in full, where it tells that, and not only summed up.
    pub show_raw_agent_reasoning: bool,
    /// Tokens at which the history is compacted.
    pub model_auto_compact_token_limit: Option<i64>,
    /// Text that the model gets as the developer's.
    pub developer_instructions: Option<String>,
    /// Text that the model gets as its instructions.
    pub instructions: Option<String>,
    /// When agents ask.
    pub approval_policy: Option<ApprovalPolicy>,
    /// The sandbox of commands.
    pub sandbox_mode: Option<SandboxMode>,
    /// What `workspace-write` means.
    pub sandbox_workspace_write: SandboxWorkspaceWrite,
    /// What the user says about the project that this configuration was made for.
    pub trust: Option<Trust>,
    /// What is switched on and off.
    pub features: Features,
    /// Which skills are switched off.
    pub skills: SkillSettings,
    /// A thread that nobody needs is unloaded after this; zero is at once.
    pub thread_unload_delay: Duration,
    /// Our own keys.
    pub server: ServerConfig,
    /// The sources, weakest first.
    pub layers: Vec<Layer>,
    /// All sources merged, untyped, for `config/read`. It may hold secrets.
    pub effective: Table,
    /// Dotted names of the keys that mean nothing here.
    pub unknown_keys: Vec<String>,
}

/// Without what may hold secrets.
impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("home", &self.home)
            .field("model", &self.model)
            .field("model_provider", &self.model_provider)
            .field("model_providers", &self.model_providers)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The configuration for this process: the one place that reads the real environment.
    ///
    /// # Errors
    /// See [`Config::load`]; or the working directory is gone.
    pub fn from_process_env(flags: &Flags) -> Result<Self, StartError> {
        let cwd = std::env::current_dir()
            .map_err(|source| StartError::io("cannot tell the working directory", source))?;
        Self::load(flags, &|name| std::env::var_os(name), &cwd)
    }

    /// The configuration from flags, an environment and a working directory, and the file in the home that
    /// they name.
    ///
    /// # Errors
    /// [`StartError::Config`] and [`StartError::Path`], which name the file and the place in it, or the key
    /// and its source.
    pub fn load(
        flags: &Flags,
        env: &dyn Fn(&str) -> Option<OsString>,
        cwd: &Path,
    ) -> Result<Self, StartError> {
        let home = file::home(flags.home.as_deref(), env, cwd)?;
        let (path, table) = file::read(&home)?;
        let layers = vec![
            Layer::new(LayerSource::File(path), table),
            Layer::new(LayerSource::CommandLine, flags.table()),
        ];
        Self::from_layers(home, layers, /*trust*/ None)
    }

    /// The user's file, which need not be there.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.home.join(file::FILE_NAME)
    }

    /// This configuration with a client's keys on top, for one thread.
    ///
    /// # Errors
    /// [`StartError::Config`], which names the key.
    pub fn with_request(&self, overrides: &[Override]) -> Result<Self, StartError> {
        let mut table = Table::new();
        for set in overrides {
            set.apply(&mut table);
        }
        let mut layers = self.layers.clone();
        layers.push(Layer::new(LayerSource::Request, table));
        Self::from_layers(self.home.clone(), layers, self.trust)
    }

    /// The configuration as it is with what stands in the file now.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn reloaded(&self) -> Result<Self, StartError> {
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            if matches!(layer.source, LayerSource::File(_)) {
                layer.table = file::read(&self.home)?.1;
            }
        }
        Self::from_layers(self.home.clone(), layers, self.trust)
    }

    /// The configuration as it would be with this text in the file.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn with_file_text(&self, text: &str) -> Result<Self, StartError> {
        let table =
            file::table(text.as_bytes()).map_err(|why| StartError::Config(why.replacen(':', "", 1)))?;
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            if matches!(layer.source, LayerSource::File(_)) {
                layer.table.clone_from(&table);
            }
        }
        Self::from_layers(self.home.clone(), layers, self.trust)
    }

    /// A configuration without file and flags. `home` is taken as it is and should be absolute.
    #[must_use]
    pub fn for_test(home: PathBuf) -> Self {
        Self::from_layers(home, Vec::new(), /*trust*/ None).expect("no keys, nothing to refuse")
    }

    /// The providers that `model_provider` may name, in the order of messages.
    pub fn known_providers(&self) -> impl Iterator<Item = &str> {
        known_providers(&self.model_providers)
    }

    fn from_layers(home: PathBuf, layers: Vec<Layer>, trust: Option<Trust>) -> Result<Self, StartError> {
        let mut effective = Table::new();
        for layer in layers.iter().filter(|layer| layer.disabled.is_none()) {
            overrides::merge(&mut effective, &layer.table);
        }
        let mut unknown = Vec::new();
        let mut root = Section::root(&effective, &layers);
        // Read where it is asked whether a project is trusted.
        root.ignore("projects");
        let model_providers = read_providers(&mut root, &mut unknown)?;
        let config = Self {
            data_dir: home.join(DATA_DIR),
            home,
            model: root.text("model")?,
            model_provider: read_provider_id(&mut root, &model_providers)?,
            model_providers,
            mcp_servers: mcp::read_servers(&mut root, &mut unknown)?,
            model_reasoning_effort: root.text("model_reasoning_effort")?,
            model_context_window: root.integer("model_context_window", 1..=i64::MAX)?,
            model_auto_compact_token_limit: root.integer("model_auto_compact_token_limit", 1..=i64::MAX)?,
            show_raw_agent_reasoning: root.switch("show_raw_agent_reasoning")?.unwrap_or(false),
            developer_instructions: root.text("developer_instructions")?,
            instructions: root.text("instructions")?,
            approval_policy: ApprovalPolicy::read(&mut root, "approval_policy")?,
            sandbox_mode: root.choice("sandbox_mode", SandboxMode::CHOICES)?,
            sandbox_workspace_write: match root.table("sandbox_workspace_write")? {
                Some(section) => SandboxWorkspaceWrite::read(section, &mut unknown)?,
                None => SandboxWorkspaceWrite::none(),
            },
            trust,
            features: match root.table("features")? {
                Some(section) => Features::read(section, &mut unknown)?,
                None => Features::default(),
            },
            skills: match root.table("skills")? {
                Some(mut section) => SkillSettings::read(&mut section)?,
                None => SkillSettings::default(),
            },
            thread_unload_delay: root.seconds("thread_unload_delay_secs")?.unwrap_or(THREAD_UNLOAD_DELAY),
            server: match root.table("app_server")? {
                Some(section) => ServerConfig::read(section, &mut unknown)?,
                None => ServerConfig::usual(),
            },
            layers: Vec::new(),
            effective: Table::new(),
            unknown_keys: Vec::new(),
        };
        root.finish(&mut unknown);
        unknown.sort();
        Ok(Self { layers, effective, unknown_keys: unknown, ..config })
    }
}

fn known_providers(configured: &BTreeMap<String, ProviderConfig>) -> impl Iterator<Item = &str> {
    // A table for `openai` sets its details; it is the same provider.
    let others = configured.keys().map(String::as_str).filter(|id| *id != PROVIDER_OPENAI);
    [PROVIDER_OFFLINE, PROVIDER_OPENAI].into_iter().chain(others)
}

fn read_providers<'a>(
    root: &mut Section<'a>,
    unknown: &mut Vec<String>,
) -> Result<BTreeMap<String, ProviderConfig>, StartError> {
    let mut providers = BTreeMap::new();
    let Some(mut section) = root.table("model_providers")? else { return Ok(providers) };
    for id in section.keys() {
        if id == PROVIDER_OFFLINE {
            return Err(section.error(id, "this provider is built in and cannot be configured"));
        }
        if let Some(table) = section.table(id)? {
            providers.insert(id.to_owned(), ProviderConfig::read(id, table, unknown)?);
        }
    }
    Ok(providers)
}

fn read_provider_id(
    root: &mut Section<'_>,
    configured: &BTreeMap<String, ProviderConfig>,
) -> Result<Option<String>, StartError> {
    let id = root.text("model_provider")?;
    match id {
        Some(id) if !known_providers(configured).any(|known| known == id) => {
            let known: Vec<_> = known_providers(configured).collect();
            Err(root.error(
                "model_provider",
                format_args!(
                    "there is no provider {id:?}; there are {} (others need a table [model_providers.ID])",
                    known.join(", ")
                ),
            ))
        }
        id => Ok(id),
    }
}

#[cfg(test)]
mod tests;
