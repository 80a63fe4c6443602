//! What a client may say about how a thread runs, and how that becomes the thread's settings.

use std::path::Path;
use std::time::Duration;

use super::loaded;
use crate::agent::{self, Defaults, Overrides, Settings, ThreadId};
use crate::config::PROVIDER_OPENAI;
use crate::limits;
use crate::model::OFFLINE_PROVIDER;
use crate::proto::{
    AbsolutePath, DynamicToolSpec, EmptyResponse, SandboxMode, SandboxPolicy, ThreadForkParams,
    ThreadResumeParams, ThreadSettingsUpdateParams, ThreadSettingsUpdated, ThreadStartParams,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::configuration::Ground;
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;
use crate::server::threads::LoadedThread;
use crate::server::view;
use crate::store::{SettingsUpdate, ThreadRecord};

/// How long this thread is kept idle: as its starter says, else as configured.
pub(super) fn unload_delay(ground: &Ground, params: &ThreadStartParams) -> Result<Duration, RpcError> {
    let asked = params.config.as_ref().and_then(|config| config.get("thread_unload_delay_secs"));
    match asked {
        None | Some(serde_json::Value::Null) => Ok(ground.config.thread_unload_delay),
        Some(value) => {
            value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
                RpcError::invalid_request(format!(
                    "config.thread_unload_delay_secs: found {value}, accepted is a number of seconds from 0"
                ))
                .with(Reason::InvalidParams)
            })
        }
    }
}

/// What `thread/start`, `thread/resume` and `thread/fork` can all override; they name it alike.
macro_rules! overrides {
    ($processor:expr, $params:expr) => {{
        let base: &Path = $processor.facts.defaults.cwd.as_ref();
        Overrides {
            model: $params.model.clone(),
            model_provider: known_provider($processor, $params.model_provider.as_deref())?,
            cwd: $params.cwd.as_deref().map(|cwd| absolute(base, cwd)),
            approval_policy: $params.approval_policy,
            approvals_reviewer: $params.approvals_reviewer,
            sandbox_mode: sandbox_mode($params.permissions.as_deref(), $params.sandbox)?,
            service_tier: $params.service_tier.clone().map(Some),
            base_instructions: $params.base_instructions.clone(),
            developer_instructions: $params.developer_instructions.clone(),
            ..Overrides::default()
        }
    }};
}

pub(super) fn start_settings(
    processor: &Processor,
    ground: &Ground,
    params: &ThreadStartParams,
) -> Result<Settings, RpcError> {
    let overrides = Overrides { personality: params.personality, ..overrides!(processor, params) };
    let mut settings = ground.defaults.settings();
    settings.apply(overrides, &ground.defaults);
    settings.dynamic_tools = dynamic_tools(params)?;
    Ok(settings)
}

/// The tools that a client brings along, if the model can tell them apart.
fn dynamic_tools(params: &ThreadStartParams) -> Result<Vec<DynamicToolSpec>, RpcError> {
    let refuse = |text: String| Err(RpcError::invalid_request(text).with(Reason::InvalidParams));
    let specs = params.dynamic_tools.clone().unwrap_or_default();
    let tools = agent::client_tools(&specs);
    if tools.len() > limits::DYNAMIC_TOOLS_MAX {
        let most = limits::DYNAMIC_TOOLS_MAX;
        return refuse(format!("dynamicTools: {} tools are too many; the most are {most}", tools.len()));
    }
    let mut names = std::collections::BTreeSet::new();
    for tool in tools {
        let name = tool.spec().name().to_owned();
        // What the Responses API takes for the name of a function.
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
            return refuse(format!(
                "dynamicTools: `{name}` is no name for a tool; use letters, digits, `_` and `-`"
            ));
        }
        if !names.insert(name.clone()) {
            return refuse(format!("dynamicTools: there are two tools `{name}`"));
        }
    }
    Ok(specs)
}

pub(super) fn resume_overrides(
    processor: &Processor,
    params: &ThreadResumeParams,
) -> Result<Overrides, RpcError> {
    Ok(Overrides { personality: params.personality, ..overrides!(processor, params) })
}

/// The settings of a fork: its source's, with what the client overrides.
pub(super) fn override_settings(
    processor: &Processor,
    ground: &Ground,
    settings: &mut Settings,
    params: &ThreadForkParams,
) -> Result<(), RpcError> {
    let overrides = overrides!(processor, params);
    settings.apply(overrides, &ground.defaults);
    Ok(())
}

/// `thread/settings/update`: how the turns to come run; one that runs goes on as it began.
pub(in crate::server) fn update(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadSettingsUpdateParams,
    reply: Reply,
) {
    let prepared = loaded(processor, &params.thread_id)
        .and_then(|thread| Ok((thread.id, update_overrides(thread, params)?)));
    match prepared {
        Ok((id, overrides)) => {
            reply.send(Ok(EmptyResponse {}));
            change(processor, id, overrides);
        }
        Err(error) => reply.refuse(error),
    }
}

fn update_overrides(
    thread: &LoadedThread,
    params: ThreadSettingsUpdateParams,
) -> Result<Overrides, RpcError> {
    Ok(Overrides {
        model: params.model,
        cwd: params.cwd.map(|cwd| absolute(thread.settings.cwd.as_ref(), &cwd)),
        approval_policy: params.approval_policy,
        approvals_reviewer: params.approvals_reviewer,
        sandbox_mode: turn_sandbox(params.permissions.as_deref(), params.sandbox_policy.as_ref())?,
        sandbox: params.sandbox_policy,
        reasoning_effort: params.effort,
        reasoning_summary: params.summary,
        personality: params.personality,
        service_tier: params.service_tier,
        collaboration_mode: params.collaboration_mode,
        ..Overrides::default()
    })
}

/// Changes the settings of a loaded thread, writes them down, and tells subscribers if they are others now.
pub(super) fn change(processor: &mut Processor, id: ThreadId, overrides: Overrides) {
    let Some(thread) = processor.threads.get_mut(id) else { return };
    let before = thread.settings.clone();
    thread.settings.apply(overrides, &thread.ground.defaults);
    if thread.settings == before {
        return;
    }
    thread.record.model.clone_from(&thread.settings.model);
    thread.record.cwd.clone_from(&thread.settings.cwd);
    thread.record.reasoning_effort =
        thread.settings.reasoning_effort.as_ref().map(|effort| effort.as_str().to_owned());
    keep_settings(thread);
    let thread_settings = view::settings(&thread.settings);
    let updated = ThreadSettingsUpdated { thread_id: &id.to_string(), thread_settings: &thread_settings };
    if let Some(encoded) = processor.encode(&updated) {
        processor.notify_subscribers(id, &encoded);
    }
}

/// The sandbox behind a named permission profile, where a full policy can be given instead.
pub(super) fn turn_sandbox(
    profile: Option<&str>,
    direct: Option<&SandboxPolicy>,
) -> Result<Option<SandboxMode>, RpcError> {
    match (profile, direct) {
        (Some(_), Some(_)) => {
            Err(RpcError::invalid_request("`permissions` cannot be combined with `sandboxPolicy`")
                .with(Reason::InvalidParams))
        }
        (profile, _) => sandbox_mode(profile, /*direct*/ None),
    }
}

/// Writes changed settings of a loaded thread down; a failure is logged, because the change holds here
/// anyway.
pub(super) fn keep_settings(thread: &LoadedThread) {
    let (id, settings) = (thread.id.to_string(), thread.settings.clone());
    let queued = thread.store.write(
        move |database| {
            let update = SettingsUpdate {
                model_provider: &settings.model_provider,
                model: &settings.model,
                reasoning_effort: settings
                    .reasoning_effort
                    .as_ref()
                    .map(crate::proto::ReasoningEffort::as_str),
                cwd: &settings.cwd,
                settings: &settings_text(&settings),
            };
            database.set_settings(&id, &update)
        },
        |outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "changed settings could not be written");
            }
        },
    );
    if queued.is_err() {
        tracing::warn!(thread = %thread.id, "changed settings could not be written: the queue is full");
    }
}

/// The settings of a stored thread, which a program of another version may have written.
pub(super) fn stored_settings(record: &ThreadRecord, defaults: &Defaults) -> Settings {
    serde_json::from_str(&record.settings).unwrap_or_else(|error| {
        let thread = &record.id;
        tracing::warn!(%thread, %error, "the stored settings cannot be read; the defaults are used");
        defaults.settings()
    })
}

pub(super) fn settings_text(settings: &Settings) -> String {
    // Names, numbers and texts: nothing in it can fail to encode.
    serde_json::to_string(settings).unwrap_or_default()
}

fn known_provider(processor: &Processor, asked: Option<&str>) -> Result<Option<String>, RpcError> {
    let Some(id) = asked else { return Ok(None) };
    let known = [OFFLINE_PROVIDER, PROVIDER_OPENAI].contains(&id)
        || id == processor.facts.defaults.model_provider
        || processor.facts.providers.iter().any(|provider| provider.id == id);
    if known {
        return Ok(Some(id.to_owned()));
    }
    let mut ids: Vec<&str> = processor.facts.providers.iter().map(|provider| provider.id.as_str()).collect();
    for id in [OFFLINE_PROVIDER, PROVIDER_OPENAI] {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Err(RpcError::invalid_request(format!("unknown model provider `{id}`; known are: {}", ids.join(", ")))
        .with(Reason::InvalidParams))
}

/// The sandbox behind a named permission profile, or the one named directly.
fn sandbox_mode(profile: Option<&str>, direct: Option<SandboxMode>) -> Result<Option<SandboxMode>, RpcError> {
    match profile {
        None => Ok(direct),
        Some(_) if direct.is_some() => {
            Err(RpcError::invalid_request("`permissions` cannot be combined with `sandbox`")
                .with(Reason::InvalidParams))
        }
        Some(name) => super::catalog::PROFILES
            .iter()
            .find(|(id, _)| *id == name)
            .map(|(_, mode)| Some(*mode))
            .ok_or_else(|| {
                RpcError::invalid_request(format!(
                    "unknown permission profile `{name}`; see permissionProfile/list"
                ))
                .with(Reason::InvalidParams)
            }),
    }
}

/// A path as a client wrote it, made absolute as the reference does: from `base`, with the user's home for
/// `~` and a folder less for `..`. It is not checked: it may appear later.
pub(super) fn absolute(base: &Path, path: &str) -> String {
    absolute_for(base, path, std::env::home_dir().as_deref())
}

fn absolute_for(base: &Path, path: &str, home: Option<&Path>) -> String {
    let below_home = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let whole = match (below_home, home) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        _ => base.join(path),
    };
    let whole = AbsolutePath::new(&whole).map_or(whole, AbsolutePath::into_path);
    whole.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_absolute_however_they_are_written() {
        let of = |path| absolute_for("/work/deep".as_ref(), path, Some("/home/user".as_ref()));
        for (path, expected) in [
            ("sub", "/work/deep/sub"),
            ("../other/./x", "/work/other/x"),
            ("/a//b/../c", "/a/c"),
            ("~", "/home/user"),
            ("~/x", "/home/user/x"),
            ("~x", "/work/deep/~x"),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
        assert_eq!(absolute_for("/work".as_ref(), "~/x", /*home*/ None), "/work/~/x");
    }
}
