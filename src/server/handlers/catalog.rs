//! What clients read at their start: account, models, configuration, and lists of what this server has.
//! Where it has nothing, the list is empty and says so.

use serde_json::Value;

use super::super::dispatch::Caller;
use super::super::processor::Processor;
use super::{invalid_cursor, page_limit};
use crate::config::PROVIDER_OPENAI;
use crate::model::{OFFLINE_MODEL, OFFLINE_PROVIDER};
use crate::proto::{
    CollaborationModeListParams, CollaborationModeListResponse, CollaborationModeMask,
    ConfigRequirementsReadResponse, GetAccountRateLimitsResponse, HooksListEntry, HooksListParams,
    HooksListResponse, InputModality, ModeKind, Model, ModelListParams, ModelListResponse,
    ModelProviderListParams, ModelProviderListResponse, ModelProviderSummary, NoParams,
    PermissionProfileListParams, PermissionProfileListResponse, PermissionProfileSummary, ProviderSettings,
    RateLimitSnapshot, ReasoningEffort, ReasoningEffortOption, SandboxMode,
};
use crate::rpc::RpcError;

/// The named permission profiles and the sandbox that each of them is.
pub(super) const PROFILES: &[(&str, SandboxMode)] = &[
    (":read-only", SandboxMode::ReadOnly),
    (":workspace", SandboxMode::WorkspaceWrite),
    (":danger-full-access", SandboxMode::DangerFullAccess),
];

/// `account/rateLimits/read`: nobody limits. The reference takes any parameters here, and so do we.
pub(in crate::server) fn rate_limits(
    _: &mut Processor,
    _: Caller,
    _: Option<Value>,
) -> Result<GetAccountRateLimitsResponse, RpcError> {
    Ok(GetAccountRateLimitsResponse { rate_limits: RateLimitSnapshot::default(), ..Default::default() })
}

/// `model/list`: the configured model first, and the offline one.
pub(in crate::server) fn models(
    processor: &mut Processor,
    _: Caller,
    params: ModelListParams,
) -> Result<ModelListResponse, RpcError> {
    let defaults = &processor.facts.defaults;
    let provider = params.model_provider.as_deref().unwrap_or(&defaults.model_provider);
    let mut data = Vec::new();
    if provider == defaults.model_provider && defaults.model != OFFLINE_MODEL {
        data.push(model(&defaults.model, "The model named in the configuration", /*is_default*/ true));
    }
    if provider == OFFLINE_PROVIDER {
        let text = "Answers by repeating what it is told; needs no network and no key";
        data.push(model(OFFLINE_MODEL, text, data.is_empty()));
    }
    if params.cursor.is_some() {
        data.clear();
    }
    Ok(ModelListResponse { data, next_cursor: None })
}

fn model(name: &str, description: &str, is_default: bool) -> Model {
    let effort = ReasoningEffort::from("medium");
    Model {
        id: name.to_owned(),
        model: name.to_owned(),
        upgrade: None,
        upgrade_info: None,
        availability_nux: None,
        display_name: name.to_owned(),
        description: description.to_owned(),
        model_specialty: None,
        hidden: false,
        supported_reasoning_efforts: vec![ReasoningEffortOption {
            reasoning_effort: effort.clone(),
            description: "The model's own".to_owned(),
        }],
        default_reasoning_effort: effort,
        input_modalities: vec![InputModality::Text],
        supports_personality: false,
        multi_agent_version: None,
        additional_speed_tiers: Vec::new(),
        service_tiers: Vec::new(),
        default_service_tier: None,
        available_access_programs: None,
        is_default,
    }
}

/// `modelProvider/list`: the configured and the built-in ones.
pub(in crate::server) fn model_providers(
    processor: &mut Processor,
    _: Caller,
    _: ModelProviderListParams,
) -> Result<ModelProviderListResponse, RpcError> {
    let summary = |id: &str, name: &str, base_url: Option<String>| ModelProviderSummary {
        id: id.to_owned(),
        name: name.to_owned(),
        can_edit: false,
        base_url,
        settings: ProviderSettings::CustomGateway { auth: serde_json::json!({ "mode": "none" }) },
    };
    let facts = &processor.facts;
    let mut data: Vec<_> = facts
        .providers
        .iter()
        .map(|provider| summary(&provider.id, &provider.name, provider.base_url.clone()))
        .collect();
    let is_openai = |provider: &&mut ModelProviderSummary| provider.id == PROVIDER_OPENAI;
    match data.iter_mut().find(is_openai) {
        Some(openai) => openai.settings = ProviderSettings::OpenAi,
        None => {
            let openai = summary(PROVIDER_OPENAI, "OpenAI", None);
            data.push(ModelProviderSummary { settings: ProviderSettings::OpenAi, ..openai });
        }
    }
    data.push(summary(OFFLINE_PROVIDER, "Built-in offline model", None));
    Ok(ModelProviderListResponse {
        data,
        default_provider_id: facts.defaults.model_provider.clone(),
        can_change_default: false,
    })
}

/// `configRequirements/read`: nobody above the user requires anything.
pub(in crate::server) fn config_requirements(
    _: &mut Processor,
    _: Caller,
    _: NoParams,
) -> Result<ConfigRequirementsReadResponse, RpcError> {
    Ok(ConfigRequirementsReadResponse { supports_independent_speed_modes: Some(false), requirements: None })
}

/// `hooks/list`: one entry a folder, without hooks.
pub(in crate::server) fn hooks(
    processor: &mut Processor,
    _: Caller,
    params: HooksListParams,
) -> Result<HooksListResponse, RpcError> {
    let entry = |cwd| HooksListEntry { cwd, hooks: Vec::new(), warnings: Vec::new(), errors: Vec::new() };
    Ok(HooksListResponse { data: folders(processor, params.cwds).map(entry).collect() })
}

/// The folders that a client asks about; none means the server's own.
pub(super) fn folders(processor: &Processor, asked: Vec<String>) -> impl Iterator<Item = String> {
    let own = asked.is_empty().then(|| processor.facts.defaults.cwd.clone());
    own.into_iter().chain(asked)
}

/// `permissionProfile/list`: the three sandboxes by their profile names.
pub(in crate::server) fn permission_profiles(
    _: &mut Processor,
    _: Caller,
    params: PermissionProfileListParams,
) -> Result<PermissionProfileListResponse, RpcError> {
    let begin = match &params.cursor {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| invalid_cursor(cursor))?,
    };
    let rest = PROFILES.get(begin..).unwrap_or_default();
    let limit = page_limit(params.limit) as usize;
    let summary = |(id, _): &(&str, SandboxMode)| PermissionProfileSummary {
        id: (*id).to_owned(),
        description: None,
        allowed: true,
    };
    let data: Vec<_> = rest.iter().take(limit).map(summary).collect();
    let next = begin + data.len();
    Ok(PermissionProfileListResponse {
        next_cursor: (next < PROFILES.len() && !data.is_empty()).then(|| next.to_string()),
        data,
    })
}

/// `collaborationMode/list`: what `collaborationMode` of a turn may be, as the reference has it.
pub(in crate::server) fn collaboration_modes(
    _: &mut Processor,
    _: Caller,
    _: CollaborationModeListParams,
) -> Result<CollaborationModeListResponse, RpcError> {
    let mode = |name: &str, mode: ModeKind, effort: Option<&str>| CollaborationModeMask {
        name: name.to_owned(),
        mode: Some(mode),
        model: None,
        reasoning_effort: effort.map(ReasoningEffort::from),
    };
    let plan = mode("Plan", ModeKind::Plan, Some("medium"));
    Ok(CollaborationModeListResponse {
        data: vec![plan, mode("Default", ModeKind::Default, /*effort*/ None)],
    })
}
