//! Why our types differ from the published ones, by place; a star stands for any end.

use super::compare::Way::{self, Read, Sent};

const CLOUD: &str = "that way to sign in needs the vendor's cloud, and is refused";
const NULL: &str = "always null here";
const NEVER: &str = "never sent: nothing here makes one";
const OAUTH: &str = "the method says that it is not supported";
const OPAQUE: &str = "a kind of source that this build does not know is kept as it came";
const OWN_LIMITS: &str = "this server's limits of commands";
const TOLD: &str = "passed on as an MCP server says it";

/// Who sends, where, and the reason. The first that fits counts.
pub(super) const REASONS: &[(Way, &str, &str)] = &[
    (Read, "DynamicToolNamespaceTool.deferLoading", "every tool is shown to the model at once"),
    (Read, "DynamicToolSpec(function).deferLoading", "every tool is shown to the model at once"),
    (Read, "LoginAccountParams*", CLOUD),
    (Read, "McpResourceReadParams*", "of the vendor's connectors; a server is asked for the address alone"),
    (Read, "McpServerOauthLoginParams*", OAUTH),
    (Sent, "AgentMessageModeration", NULL),
    (Sent, "AsyncUserInputQuestion", NEVER),
    (Sent, "AuthMode", "`apikey` or null"),
    (Sent, "CommandExecResponse.limitReached", OWN_LIMITS),
    (
        Sent,
        "CommandExecutionRequestApprovalParams.availableDecisions",
        "experimental; of requests to clients the schema at hand has the stable ones",
    ),
    (Sent, "Config", "what the configuration says, as it is"),
    (Sent, "ConfigRequirements", NULL),
    (Sent, "DesktopOnboardingEntrypoint", NULL),
    (Sent, "FunctionCallOutputBody", "as the client gave it in `toolOutput`"),
    (Sent, "GatewayAuth", NEVER),
    (Sent, "HookMetadata", "there are no hooks: the list is empty"),
    (Sent, "ImageGeneration*", NEVER),
    (Sent, "McpAppUi", NULL),
    (Sent, "McpElicitationSchema", TOLD),
    (Sent, "McpServerInfo", TOLD),
    (Sent, "McpServerOauthLoginResponse.authorizationUrl", OAUTH),
    (Sent, "McpServerStartupFailureReason", NULL),
    (Sent, "McpToolCallAppContext", NULL),
    (Sent, "McpToolCallResult", TOLD),
    (Sent, "MemoryCitation", NULL),
    (Sent, "MisalignmentErrorDetails", NULL),
    (Sent, "ModelAccessPrograms", NULL),
    (Sent, "MultiAgentVersion", NULL),
    (Sent, "PlanType", "null or not sent: there is no cloud account"),
    (Sent, "ProcessExitedNotification.limitReached", OWN_LIMITS),
    (Sent, "RateLimitReachedType", NULL),
    (Sent, "RateLimitResetCreditsSummary", NULL),
    (Sent, "Resource", TOLD),
    (Sent, "ResourceContent", TOLD),
    (Sent, "ResourceTemplate", TOLD),
    (Sent, "SessionSource", OPAQUE),
    (Sent, "SkillDependencies", NULL),
    (Sent, "SkillInterface", NULL),
    (Sent, "SpendControlLimitSnapshot", NULL),
    (Sent, "SubAgentSource", OPAQUE),
    (Sent, "ThreadExtra", NULL),
    (Sent, "ThreadItem(imageGeneration)*", NEVER),
    (Sent, "ThreadSectionAppearance", "never sent: there are no sections"),
    (Sent, "WorkspaceRouting", NULL),
];
