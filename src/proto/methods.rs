//! The methods of the protocol, as published: data only.
//!
//! Made by a script from the schemas of release 0.169, the experimental and the stable one. What this server
//! serves is the dispatch table's business; this list tells a method that exists elsewhere from one that
//! exists nowhere, and what is closed to clients without the `experimentalApi` capability.

/// A request method of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its name, for example `thread/start`.
    pub name: &'static str,
    /// Whether only clients with the `experimentalApi` capability may call it.
    pub experimental: bool,
}

const fn stable(name: &'static str) -> Method {
    Method { name, experimental: false }
}

const fn experimental(name: &'static str) -> Method {
    Method { name, experimental: true }
}

/// The published method of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Method> {
    let at = PUBLISHED.binary_search_by(|method| method.name.cmp(name)).ok()?;
    Some(&PUBLISHED[at])
}

/// The fields of a stable method's parameters that need the `experimentalApi` capability.
pub fn experimental_fields(method: &str) -> impl Iterator<Item = &'static str> {
    let from = EXPERIMENTAL_FIELDS.partition_point(|(name, _)| *name < method);
    let to = EXPERIMENTAL_FIELDS.partition_point(|(name, _)| *name <= method);
    EXPERIMENTAL_FIELDS[from..to].iter().map(|(_, field)| *field)
}

/// Every request method of clients, sorted by name.
pub const PUBLISHED: &[Method] = &[
    experimental("account/bedrock/checkGovCloudRequirements"),
    experimental("account/bedrock/discover"),
    experimental("account/bedrock/setup"),
    stable("account/gatewayOAuth/cancel"),
    stable("account/gatewayOAuth/login"),
    stable("account/gatewayOAuth/read"),
    experimental("account/gcp/setup"),
    stable("account/login/cancel"),
    stable("account/login/start"),
    stable("account/logout"),
    stable("account/rateLimitResetCredit/consume"),
    stable("account/rateLimits/read"),
    stable("account/read"),
    stable("account/securitySetup/read"),
    stable("account/sendAddCreditsNudgeEmail"),
    stable("account/usage/read"),
    stable("account/workspaceMessages/read"),
    experimental("accountSession/list"),
    experimental("accountSession/switch"),
    stable("app/installed"),
    stable("app/list"),
    stable("app/read"),
    experimental("collaborationMode/list"),
    stable("command/exec"),
    stable("command/exec/resize"),
    stable("command/exec/terminate"),
    stable("command/exec/write"),
    stable("config/batchWrite"),
    stable("config/mcpServer/reload"),
    stable("config/read"),
    stable("config/value/write"),
    stable("configRequirements/read"),
    experimental("environment/add"),
    experimental("environment/info"),
    experimental("environment/status"),
    stable("experimentalFeature/enablement/set"),
    stable("experimentalFeature/list"),
    stable("externalAgentConfig/detect"),
    stable("externalAgentConfig/import"),
    stable("externalAgentConfig/import/readHistories"),
    stable("externalAgentConfig/import/recordHistory"),
    stable("feedback/save"),
    stable("feedback/upload"),
    stable("fs/copy"),
    stable("fs/createDirectory"),
    stable("fs/getMetadata"),
    stable("fs/readDirectory"),
    stable("fs/readFile"),
    stable("fs/remove"),
    stable("fs/unwatch"),
    stable("fs/watch"),
    stable("fs/writeFile"),
    stable("fuzzyFileSearch"),
    experimental("fuzzyFileSearch/sessionStart"),
    experimental("fuzzyFileSearch/sessionStop"),
    experimental("fuzzyFileSearch/sessionUpdate"),
    stable("hooks/list"),
    stable("initialize"),
    stable("marketplace/add"),
    stable("marketplace/remove"),
    stable("marketplace/upgrade"),
    experimental("mcpServer/event/stream/start"),
    experimental("mcpServer/event/stream/stop"),
    stable("mcpServer/oauth/login"),
    stable("mcpServer/resource/read"),
    stable("mcpServer/tool/call"),
    stable("mcpServerStatus/list"),
    experimental("memory/reset"),
    experimental("memory/status"),
    experimental("mock/experimentalMethod"),
    stable("model/list"),
    stable("modelProvider/capabilities/read"),
    stable("modelProvider/config/write"),
    stable("modelProvider/list"),
    stable("permissionProfile/list"),
    stable("plugin/install"),
    stable("plugin/installed"),
    stable("plugin/list"),
    stable("plugin/read"),
    stable("plugin/reconcile"),
    experimental("plugin/search"),
    stable("plugin/share/checkout"),
    stable("plugin/share/delete"),
    stable("plugin/share/list"),
    stable("plugin/share/save"),
    stable("plugin/share/updateTargets"),
    stable("plugin/skill/read"),
    stable("plugin/uninstall"),
    experimental("process/kill"),
    experimental("process/resizePty"),
    experimental("process/spawn"),
    experimental("process/writeStdin"),
    experimental("project/create"),
    experimental("project/delete"),
    experimental("project/import"),
    experimental("project/list"),
    experimental("project/move"),
    experimental("project/read"),
    experimental("project/update"),
    experimental("remoteControl/client/list"),
    experimental("remoteControl/client/revoke"),
    experimental("remoteControl/disable"),
    experimental("remoteControl/enable"),
    experimental("remoteControl/pairing/start"),
    experimental("remoteControl/pairing/status"),
    experimental("remoteControl/status/read"),
    stable("review/start"),
    experimental("rollout/compress"),
    experimental("server/diagnostics"),
    stable("skills/config/write"),
    stable("skills/extraRoots/set"),
    stable("skills/list"),
    stable("thread/approveGuardianDeniedAction"),
    stable("thread/archive"),
    stable("thread/attachment/add"),
    stable("thread/attachment/list"),
    stable("thread/attachment/remove"),
    stable("thread/attachmentOwner/list"),
    experimental("thread/backgroundTerminals/clean"),
    experimental("thread/backgroundTerminals/list"),
    experimental("thread/backgroundTerminals/terminate"),
    stable("thread/compact/start"),
    experimental("thread/decrement_elicitation"),
    stable("thread/delete"),
    stable("thread/fork"),
    stable("thread/goal/clear"),
    stable("thread/goal/get"),
    stable("thread/goal/set"),
    experimental("thread/guardianReview"),
    experimental("thread/increment_elicitation"),
    stable("thread/inject_items"),
    stable("thread/items/list"),
    experimental("thread/items/read"),
    stable("thread/list"),
    stable("thread/loaded/list"),
    experimental("thread/memory/read"),
    experimental("thread/memoryMode/set"),
    stable("thread/metadata/update"),
    stable("thread/name/set"),
    experimental("thread/prediction/request"),
    experimental("thread/prepareApprovedPlan"),
    experimental("thread/queue/add"),
    experimental("thread/queue/delete"),
    experimental("thread/queue/list"),
    experimental("thread/queue/reorder"),
    experimental("thread/queue/start"),
    experimental("thread/queue/update"),
    stable("thread/read"),
    experimental("thread/readState/update"),
    experimental("thread/realtime/appendAudio"),
    experimental("thread/realtime/appendSpeech"),
    experimental("thread/realtime/appendText"),
    experimental("thread/realtime/listVoices"),
    experimental("thread/realtime/start"),
    experimental("thread/realtime/stop"),
    stable("thread/resume"),
    stable("thread/revert"),
    experimental("thread/sample"),
    experimental("thread/sample/cancel"),
    experimental("thread/search"),
    experimental("thread/searchOccurrences"),
    stable("thread/section/move"),
    experimental("thread/settings/update"),
    stable("thread/shellCommand"),
    stable("thread/start"),
    experimental("thread/timeline/list"),
    stable("thread/turns/list"),
    stable("thread/unarchive"),
    stable("thread/unsubscribe"),
    stable("threadSection/create"),
    stable("threadSection/delete"),
    stable("threadSection/list"),
    stable("threadSection/update"),
    stable("turn/interrupt"),
    experimental("turn/settings/update"),
    stable("turn/start"),
    stable("turn/steer"),
    experimental("userVerification/cancel"),
    experimental("userVerification/delete"),
    experimental("userVerification/enroll"),
    experimental("userVerification/status"),
    experimental("userVerification/verify"),
    stable("windowsSandbox/readiness"),
    stable("windowsSandbox/setupStart"),
];

/// Top-level fields of stable methods' parameters that only experimental clients may send, as method and
/// field, sorted.
pub const EXPERIMENTAL_FIELDS: &[(&str, &str)] = &[
    ("command/exec", "permissionProfile"),
    ("thread/fork", "attachToSource"),
    ("thread/fork", "beforeTurnId"),
    ("thread/fork", "deferGoalContinuation"),
    ("thread/fork", "experimentalDisablePredictionMcp"),
    ("thread/fork", "experimentalPredictionMode"),
    ("thread/fork", "path"),
    ("thread/fork", "permissions"),
    ("thread/fork", "runtimeWorkspaceRoots"),
    ("thread/list", "ancestorThreadId"),
    ("thread/list", "attachedToThreadId"),
    ("thread/list", "includeAttachedThreads"),
    ("thread/list", "parentThreadId"),
    ("thread/list", "projectId"),
    ("thread/metadata/update", "daybreakEnabled"),
    ("thread/metadata/update", "projectId"),
    ("thread/resume", "history"),
    ("thread/resume", "initialTurnsPage"),
    ("thread/resume", "path"),
    ("thread/resume", "permissions"),
    ("thread/resume", "runtimeWorkspaceRoots"),
    ("thread/start", "allowProviderModelFallback"),
    ("thread/start", "daybreakEnabled"),
    ("thread/start", "dynamicTools"),
    ("thread/start", "environments"),
    ("thread/start", "experimentalRawEvents"),
    ("thread/start", "historyMode"),
    ("thread/start", "mockExperimentalField"),
    ("thread/start", "multiAgentMode"),
    ("thread/start", "permissions"),
    ("thread/start", "projectId"),
    ("thread/start", "runtimeWorkspaceRoots"),
    ("thread/start", "selectedCapabilityRoots"),
    ("turn/start", "additionalContext"),
    ("turn/start", "collaborationMode"),
    ("turn/start", "cyberAccessProgram"),
    ("turn/start", "environments"),
    ("turn/start", "multiAgentMode"),
    ("turn/start", "permissions"),
    ("turn/start", "responsesapiClientMetadata"),
    ("turn/start", "responsesapiClientMetadataPatch"),
    ("turn/start", "runtimeWorkspaceRoots"),
    ("turn/steer", "additionalContext"),
    ("turn/steer", "responsesapiClientMetadata"),
    ("turn/steer", "responsesapiClientMetadataPatch"),
];

/// Fields of other published types that only experimental clients know of, as type and field, sorted. What
/// this server does not have itself is left out.
pub const EXPERIMENTAL_PROPERTIES: &[(&str, &str)] = &[
    ("CommandExecutionRequestApprovalParams", "additionalPermissions"),
    ("CommandExecutionRequestApprovalParams", "availableDecisions"),
    ("GetAccountResponse", "workspaceRouting"),
    ("Thread", "attachedToThreadId"),
    ("Thread", "canAcceptDirectInput"),
    ("Thread", "daybreakEnabled"),
    ("Thread", "environments"),
    ("Thread", "extra"),
    ("ThreadForkResponse", "activePermissionProfile"),
    ("ThreadForkResponse", "multiAgentMode"),
    ("ThreadForkResponse", "runtimeWorkspaceRoots"),
    ("ThreadItemEntry", "outputDeferred"),
    ("ThreadItemOutputDeferral", "commandExecution"),
    ("ThreadItemOutputDeferral", "mcpToolCall"),
    ("ThreadListResponse", "readStates"),
    ("ThreadReadResponse", "readState"),
    ("ThreadResumeResponse", "activePermissionProfile"),
    ("ThreadResumeResponse", "initialTurnsPage"),
    ("ThreadResumeResponse", "multiAgentMode"),
    ("ThreadResumeResponse", "runtimeWorkspaceRoots"),
    ("ThreadSettings", "environments"),
    ("ThreadSettings", "multiAgentMode"),
    ("ThreadStartResponse", "activePermissionProfile"),
    ("ThreadStartResponse", "multiAgentMode"),
    ("ThreadStartResponse", "runtimeWorkspaceRoots"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_without_doubles() {
        assert!(PUBLISHED.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(EXPERIMENTAL_PROPERTIES.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(EXPERIMENTAL_FIELDS.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(PUBLISHED.len(), 184);
    }

    #[test]
    fn fields_belong_to_stable_methods() {
        for (method, field) in EXPERIMENTAL_FIELDS {
            assert!(find(method).is_some_and(|found| !found.experimental), "{method}.{field}");
        }
    }

    #[test]
    fn methods_and_fields_are_found() {
        assert_eq!(find("thread/start"), Some(&stable("thread/start")));
        assert_eq!(find("mock/experimentalMethod"), Some(&experimental("mock/experimentalMethod")));
        assert_eq!(find("nope/nope"), None);
        assert!(experimental_fields("thread/start").any(|field| field == "historyMode"));
        assert!(experimental_fields("turn/steer").eq([
            "additionalContext",
            "responsesapiClientMetadata",
            "responsesapiClientMetadataPatch"
        ]));
        assert_eq!(experimental_fields("thread/read").count(), 0);
    }
}
