//! What agents may do unless a client says otherwise: approvals and sandbox, as `config.toml` names them.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::section::{Section, choice_names, choose};
use crate::error::StartError;

/// When an agent asks before it acts.
#[derive(Debug, Clone, PartialEq)]
pub enum ApprovalPolicy {
    /// `untrusted`: asks for everything that is not known to be harmless.
    Untrusted,
    /// `on-failure`: asks when the sandbox made a command fail.
    OnFailure,
    /// `on-request`: the model asks when it wants more than the sandbox allows.
    OnRequest,
    /// `never`: what the sandbox refuses has failed.
    Never,
    /// `{ granular = { … } }`: each kind of question by itself; the switches as written.
    Granular(Table),
}

impl ApprovalPolicy {
    const CHOICES: &[(&str, Self)] = &[
        ("untrusted", Self::Untrusted),
        ("on-failure", Self::OnFailure),
        ("on-request", Self::OnRequest),
        ("never", Self::Never),
    ];

    pub(super) fn read<'a>(section: &mut Section<'a>, key: &'a str) -> Result<Option<Self>, StartError> {
        let Some(value) = section.value(key) else { return Ok(None) };
        let granular =
            value.as_table().filter(|table| table.len() == 1).and_then(|table| table.get("granular"));
        match (choose(value, Self::CHOICES), granular) {
            (Some(policy), _) => Ok(Some(policy)),
            (None, Some(Value::Table(switches))) => Ok(Some(Self::Granular(switches.clone()))),
            _ => {
                let names = choice_names(Self::CHOICES);
                Err(section.wrong(key, value, &format!("{names}, or a table {{ granular = {{ … }} }}")))
            }
        }
    }
}

/// The sandbox of commands, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxMode {
    /// `read-only`.
    ReadOnly,
    /// `workspace-write`; see [`SandboxWorkspaceWrite`].
    WorkspaceWrite,
    /// `danger-full-access`: no sandbox.
    DangerFullAccess,
}

impl SandboxMode {
    pub(super) const CHOICES: &[(&str, Self)] = &[
        ("read-only", Self::ReadOnly),
        ("workspace-write", Self::WorkspaceWrite),
        ("danger-full-access", Self::DangerFullAccess),
    ];
}

/// `[sandbox_workspace_write]`: what the mode of that name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxWorkspaceWrite {
    /// Folders that may be written beside the working directory; absolute.
    pub writable_roots: Vec<PathBuf>,
    /// Whether commands may use the network.
    pub network_access: bool,
    /// Whether `$TMPDIR` stays read-only.
    pub exclude_tmpdir_env_var: bool,
    /// Whether `/tmp` stays read-only.
    pub exclude_slash_tmp: bool,
}

impl SandboxWorkspaceWrite {
    /// Nothing but the working directory and the folders for temporary files.
    pub(super) fn none() -> Self {
        Self {
            writable_roots: Vec::new(),
            network_access: false,
            exclude_tmpdir_env_var: false,
            exclude_slash_tmp: false,
        }
    }

    pub(super) fn read(mut section: Section<'_>, unknown: &mut Vec<String>) -> Result<Self, StartError> {
        let roots = section.texts("writable_roots")?.unwrap_or_default();
        // From where a relative path should count depends on who wrote it, so it is not guessed.
        if let Some(relative) = roots.iter().find(|root| !Path::new(root).is_absolute()) {
            return Err(section.error("writable_roots", format_args!("{relative:?} is not an absolute path")));
        }
        let policy = Self {
            writable_roots: roots.into_iter().map(PathBuf::from).collect(),
            network_access: section.switch("network_access")?.unwrap_or(false),
            exclude_tmpdir_env_var: section.switch("exclude_tmpdir_env_var")?.unwrap_or(false),
            exclude_slash_tmp: section.switch("exclude_slash_tmp")?.unwrap_or(false),
        };
        section.finish(unknown);
        Ok(policy)
    }
}
