//! `experimentalFeature/list`, `experimentalFeature/enablement/set`: what can be switched off.

use super::super::dispatch::Caller;
use super::super::processor::Processor;
use super::{invalid_cursor, loaded, page_limit};
use crate::config::{Feature, Features};
use crate::proto::{
    ExperimentalFeature, ExperimentalFeatureListParams, ExperimentalFeatureListResponse,
    ExperimentalFeatureStage, FeatureEnablement,
};
use crate::rpc::{Reason, Reply, RpcError};

/// `experimentalFeature/list`: as they are for new threads, or for the one that is named.
pub(in crate::server) fn list(
    processor: &mut Processor,
    caller: Caller,
    params: ExperimentalFeatureListParams,
    reply: Reply,
) {
    if let Some(thread) = &params.thread_id {
        let features = loaded(processor, thread).map(|thread| thread.ground.config.features);
        return reply.send(features.and_then(|features| page(processor, features, &params)));
    }
    let cwd = processor.facts.defaults.cwd.clone();
    processor.with_ground(caller, reply, cwd, move |processor, reply, ground| {
        reply.send(page(processor, ground.config.features, &params));
    });
}

fn page(
    processor: &Processor,
    configured: Features,
    params: &ExperimentalFeatureListParams,
) -> Result<ExperimentalFeatureListResponse, RpcError> {
    let features = configured.over(processor.facts.switched);
    let begin = match &params.cursor {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| invalid_cursor(cursor))?,
    };
    let rest = Feature::ALL.get(begin..).ok_or_else(|| {
        let (cursor, all) = (params.cursor.as_deref().unwrap_or_default(), Feature::ALL.len());
        RpcError::invalid_request(format!("cursor {cursor} exceeds total feature flags {all}"))
            .with(Reason::InvalidParams)
    })?;
    let limit = match params.limit {
        None => rest.len(),
        limit => page_limit(limit) as usize,
    };
    let shown = |feature: &Feature| ExperimentalFeature {
        name: feature.key().to_owned(),
        stage: ExperimentalFeatureStage::Stable,
        display_name: None,
        description: None,
        announcement: None,
        enabled: features.has(*feature),
        default_enabled: Features::default().has(*feature),
    };
    let data: Vec<_> = rest.iter().take(limit).map(shown).collect();
    let next = begin + data.len();
    Ok(ExperimentalFeatureListResponse {
        data,
        next_cursor: (next < Feature::ALL.len()).then(|| next.to_string()),
    })
}

/// `experimentalFeature/enablement/set`: for the turns to come of all threads, as long as the server runs.
/// What the configuration says is stronger; names that mean nothing here are left out of the answer.
pub(in crate::server) fn switch(
    processor: &mut Processor,
    _: Caller,
    params: FeatureEnablement,
) -> Result<FeatureEnablement, RpcError> {
    let mut enablement = params.enablement;
    enablement.retain(|key, on| match Feature::find(key) {
        Some(feature) => {
            processor.facts.switched.set(feature, *on);
            true
        }
        None => false,
    });
    Ok(FeatureEnablement { enablement })
}
