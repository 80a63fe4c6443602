//! Which types the methods have: parameters and answers of what is served, notifications, requests of the
//! server. A name behind `as` is the published one, where it is not that of the type.

use serde_json::Value;

use super::collect::Collected;
use crate::proto::*;

macro_rules! name {
    () => {
        None
    };
    ($name:ident) => {
        Some(stringify!($name))
    };
}

macro_rules! requests {
    ($all:ident: $($method:literal $params:ty $(as $name:ident)? => $answer:ty $(as $answered:ident)?;)*) => {
        $($all.request::<$params, $answer>($method, name!($($name)?), name!($($answered)?));)*
    };
}

macro_rules! notifications {
    ($all:ident: $($params:ty $(as $name:ident)?;)*) => {
        $($all.notification::<$params>(name!($($name)?));)*
    };
}

macro_rules! server_requests {
    ($all:ident: $($params:ty $(as $name:ident => $answer_name:ident)?;)*) => {
        $($all.server_request::<$params>(name!($($name)?), name!($($answer_name)?));)*
    };
}

/// Adds every type that crosses the wire.
pub(super) fn add_all(all: &mut Collected) {
    requests!(all:
        "account/login/cancel" CancelLoginAccountParams => CancelLoginAccountResponse;
        "account/login/start" LoginAccountParams => LoginAccountResponse;
        "account/logout" NoParams => EmptyResponse as LogoutAccountResponse;
        "account/rateLimits/read" Option<Value> as GetAccountRateLimitsParams => GetAccountRateLimitsResponse;
        "account/read" GetAccountParams => GetAccountResponse;
        "collaborationMode/list" CollaborationModeListParams => CollaborationModeListResponse;
        "command/exec" CommandExecParams => CommandExecResponse;
        "command/exec/resize" CommandExecResizeParams => EmptyResponse as CommandExecResizeResponse;
        "command/exec/terminate" CommandExecTerminateParams => EmptyResponse as CommandExecTerminateResponse;
        "command/exec/write" CommandExecWriteParams => EmptyResponse as CommandExecWriteResponse;
        "config/batchWrite" ConfigBatchWriteParams => ConfigWriteResponse;
        "config/mcpServer/reload" NoParams => EmptyResponse as McpServerRefreshResponse;
        "config/read" ConfigReadParams => ConfigReadResponse;
        "config/value/write" ConfigValueWriteParams => ConfigWriteResponse;
        "configRequirements/read" NoParams => ConfigRequirementsReadResponse;
        "experimentalFeature/enablement/set"
            FeatureEnablement as ExperimentalFeatureEnablementSetParams
            => FeatureEnablement as ExperimentalFeatureEnablementSetResponse;
        "experimentalFeature/list" ExperimentalFeatureListParams => ExperimentalFeatureListResponse;
        "fs/copy" FsCopyParams => EmptyResponse as FsCopyResponse;
        "fs/createDirectory" FsCreateDirectoryParams => EmptyResponse as FsCreateDirectoryResponse;
        "fs/getMetadata" FsPathParams as FsGetMetadataParams => FsGetMetadataResponse;
        "fs/readDirectory" FsPathParams as FsReadDirectoryParams => FsReadDirectoryResponse;
        "fs/readFile" FsPathParams as FsReadFileParams => FsReadFileResponse;
        "fs/remove" FsRemoveParams => EmptyResponse as FsRemoveResponse;
        "fs/unwatch" FsUnwatchParams => EmptyResponse as FsUnwatchResponse;
        "fs/watch" FsWatchParams => FsWatchResponse;
        "fs/writeFile" FsWriteFileParams => EmptyResponse as FsWriteFileResponse;
        "fuzzyFileSearch" FuzzyFileSearchParams => FuzzyFileSearchResponse;
        "fuzzyFileSearch/sessionStart"
            FuzzyFileSearchSessionStartParams
            => EmptyResponse as FuzzyFileSearchSessionStartResponse;
        "fuzzyFileSearch/sessionStop"
            FuzzyFileSearchSessionStopParams
            => EmptyResponse as FuzzyFileSearchSessionStopResponse;
        "fuzzyFileSearch/sessionUpdate"
            FuzzyFileSearchSessionUpdateParams
            => EmptyResponse as FuzzyFileSearchSessionUpdateResponse;
        "hooks/list" HooksListParams => HooksListResponse;
        "initialize" InitializeParams => InitializeResponse;
        "mcpServer/oauth/login" McpServerOauthLoginParams => EmptyResponse as McpServerOauthLoginResponse;
        "mcpServer/resource/read" McpResourceReadParams => McpResourceReadResponse;
        "mcpServer/tool/call" McpServerToolCallParams => McpServerToolCallResponse;
        "mcpServerStatus/list" ListMcpServerStatusParams => ListMcpServerStatusResponse;
        "model/list" ModelListParams => ModelListResponse;
        "modelProvider/list" ModelProviderListParams => ModelProviderListResponse;
        "permissionProfile/list" PermissionProfileListParams => PermissionProfileListResponse;
        "process/kill" ProcessKillParams => EmptyResponse as ProcessKillResponse;
        "process/resizePty" ProcessResizePtyParams => EmptyResponse as ProcessResizePtyResponse;
        "process/spawn" ProcessSpawnParams => EmptyResponse as ProcessSpawnResponse;
        "process/writeStdin" ProcessWriteStdinParams => EmptyResponse as ProcessWriteStdinResponse;
        "review/start" ReviewStartParams => ReviewStartResponse;
        "server/diagnostics" NoParams as ServerDiagnosticsParams => ServerDiagnosticsResponse;
        "skills/config/write" SkillsConfigWriteParams => SkillsConfigWriteResponse;
        "skills/extraRoots/set" SkillsExtraRootsSetParams => EmptyResponse as SkillsExtraRootsSetResponse;
        "skills/list" SkillsListParams => SkillsListResponse;
        "thread/archive" ThreadIdParams as ThreadArchiveParams => EmptyResponse as ThreadArchiveResponse;
        "thread/attachment/add" ThreadAttachmentAddParams => ThreadAttachmentAddResponse;
        "thread/attachment/list" ThreadAttachmentListParams => ThreadAttachmentListResponse;
        "thread/attachment/remove"
            ThreadAttachmentRemoveParams
            => EmptyResponse as ThreadAttachmentRemoveResponse;
        "thread/attachmentOwner/list" ThreadAttachmentOwnerListParams => ThreadAttachmentOwnerListResponse;
        "thread/backgroundTerminals/clean"
            ThreadIdParams as ThreadBackgroundTerminalsCleanParams
            => EmptyResponse as ThreadBackgroundTerminalsCleanResponse;
        "thread/backgroundTerminals/list"
            BackgroundTerminalsListParams as ThreadBackgroundTerminalsListParams
            => BackgroundTerminalsListResponse as ThreadBackgroundTerminalsListResponse;
        "thread/backgroundTerminals/terminate"
            BackgroundTerminalsTerminateParams as ThreadBackgroundTerminalsTerminateParams
            => BackgroundTerminalsTerminateResponse as ThreadBackgroundTerminalsTerminateResponse;
        "thread/compact/start"
            ThreadIdParams as ThreadCompactStartParams
            => EmptyResponse as ThreadCompactStartResponse;
        "thread/delete" ThreadIdParams as ThreadDeleteParams => EmptyResponse as ThreadDeleteResponse;
        "thread/fork" ThreadForkParams => ThreadStartResponse as ThreadForkResponse;
        "thread/goal/clear" ThreadGoalClearParams => ThreadGoalClearResponse;
        "thread/goal/get" ThreadIdParams as ThreadGoalGetParams => ThreadGoalGetResponse;
        "thread/goal/set" ThreadGoalSetParams => ThreadGoalSetResponse;
        "thread/inject_items" ThreadInjectItemsParams => EmptyResponse as ThreadInjectItemsResponse;
        "thread/items/list" ThreadItemsListParams => ThreadItemsListResponse;
        "thread/items/read" ThreadItemsReadParams => ThreadItemsReadResponse;
        "thread/list" ThreadListParams => ThreadListResponse;
        "thread/loaded/list" ThreadLoadedListParams => ThreadLoadedListResponse;
        "thread/metadata/update" ThreadMetadataUpdateParams => ThreadResponse as ThreadMetadataUpdateResponse;
        "thread/name/set" ThreadSetNameParams => EmptyResponse as ThreadSetNameResponse;
        "thread/queue/add" ThreadQueueAddParams => ThreadQueuedResponse as ThreadQueueAddResponse;
        "thread/queue/delete" ThreadQueueDeleteParams => ThreadQueueDeleteResponse;
        "thread/queue/list" ThreadQueueListParams => ThreadQueueListResponse;
        "thread/queue/reorder" ThreadQueueReorderParams => EmptyResponse as ThreadQueueReorderResponse;
        "thread/queue/start" ThreadQueueStartParams => ThreadQueueStartResponse;
        "thread/queue/update" ThreadQueueUpdateParams => ThreadQueuedResponse as ThreadQueueUpdateResponse;
        "thread/read" ThreadReadParams => ThreadReadResponse;
        "thread/readState/update" ThreadReadStateUpdateParams => ThreadReadStateUpdateResponse;
        "thread/resume" ThreadResumeParams => ThreadResumeResponse;
        "thread/revert" ThreadRevertParams => ThreadRevertResponse;
        "thread/search" ThreadSearchParams => ThreadSearchResponse;
        "thread/searchOccurrences" ThreadSearchOccurrencesParams => ThreadSearchOccurrencesResponse;
        "thread/settings/update" ThreadSettingsUpdateParams => EmptyResponse as ThreadSettingsUpdateResponse;
        "thread/shellCommand" ThreadShellCommandParams => EmptyResponse as ThreadShellCommandResponse;
        "thread/start" ThreadStartParams => ThreadStartResponse;
        "thread/turns/list" ThreadTurnsListParams => TurnsPage as ThreadTurnsListResponse;
        "thread/unarchive"
            ThreadIdParams as ThreadUnarchiveParams
            => ThreadResponse as ThreadUnarchiveResponse;
        "thread/unsubscribe" ThreadIdParams as ThreadUnsubscribeParams => ThreadUnsubscribeResponse;
        "turn/interrupt" TurnInterruptParams => EmptyResponse as TurnInterruptResponse;
        "turn/start" TurnStartParams => TurnStartResponse;
        "turn/steer" TurnSteerParams => TurnSteerResponse;
    );
    notifications!(all:
        AccountLoginCompleted<'_> as AccountLoginCompletedNotification;
        AccountUpdated<'_> as AccountUpdatedNotification;
        CommandExecOutputDelta<'_> as CommandExecOutputDeltaNotification;
        ProcessOutputDelta<'_> as ProcessOutputDeltaNotification;
        ProcessExited<'_> as ProcessExitedNotification;
        FsChanged<'_> as FsChangedNotification;
        McpToolCallProgress<'_> as McpToolCallProgressNotification;
        McpServerStatusUpdated<'_> as McpServerStatusUpdatedNotification;
        SkillsChanged as SkillsChangedNotification;
        ThreadStarted<'_> as ThreadStartedNotification;
        ThreadStatusChanged<'_> as ThreadStatusChangedNotification;
        ThreadNameUpdated<'_> as ThreadNameUpdatedNotification;
        ThreadSettingsUpdated<'_> as ThreadSettingsUpdatedNotification;
        ThreadReadStateChanged<'_> as ThreadReadStateChangedNotification;
        ThreadClosed<'_> as ThreadClosedNotification;
        ThreadReverted<'_> as ThreadRevertedNotification;
        ThreadArchived<'_> as ThreadArchivedNotification;
        ThreadUnarchived<'_> as ThreadUnarchivedNotification;
        ThreadDeleted<'_> as ThreadDeletedNotification;
        ThreadTokenUsageUpdated<'_> as ThreadTokenUsageUpdatedNotification;
        TurnStarted<'_> as TurnStartedNotification;
        TurnCompleted<'_> as TurnCompletedNotification;
        TurnPlanUpdated<'_> as TurnPlanUpdatedNotification;
        TurnDiffUpdated<'_> as TurnDiffUpdatedNotification;
        ErrorNotification<'_>;
        Warning<'_> as WarningNotification;
        ConfigWarning<'_> as ConfigWarningNotification;
        DeprecationNotice<'_> as DeprecationNoticeNotification;
        ServerRequestResolved<'_> as ServerRequestResolvedNotification;
        RateLimitsUpdated<'_> as AccountRateLimitsUpdatedNotification;
        ItemStarted<'_> as ItemStartedNotification;
        ItemCompleted<'_> as ItemCompletedNotification;
        AgentMessageDelta<'_> as AgentMessageDeltaNotification;
        PlanDelta<'_> as PlanDeltaNotification;
        ReasoningSummaryPartAdded<'_> as ReasoningSummaryPartAddedNotification;
        ReasoningSummaryTextDelta<'_> as ReasoningSummaryTextDeltaNotification;
        ReasoningTextDelta<'_> as ReasoningTextDeltaNotification;
        CommandExecutionOutputDelta<'_> as CommandExecutionOutputDeltaNotification;
        TerminalInteraction<'_> as TerminalInteractionNotification;
        FuzzyFileSearchSessionUpdated<'_> as FuzzyFileSearchSessionUpdatedNotification;
        FuzzyFileSearchSessionCompleted<'_> as FuzzyFileSearchSessionCompletedNotification;
        ThreadAttachmentUpdated<'_> as ThreadAttachmentUpdatedNotification;
        ThreadGoalUpdated<'_> as ThreadGoalUpdatedNotification;
        ThreadGoalCleared<'_> as ThreadGoalClearedNotification;
        ThreadQueueChanged<'_> as ThreadQueueChangedNotification;
    );
    server_requests!(all:
        CommandApprovalParams
            as CommandExecutionRequestApprovalParams
            => CommandExecutionRequestApprovalResponse;
        FileChangeApprovalParams as FileChangeRequestApprovalParams => FileChangeRequestApprovalResponse;
        UserInputParams as ToolRequestUserInputParams => ToolRequestUserInputResponse;
        ElicitationParams as McpServerElicitationRequestParams => McpServerElicitationRequestResponse;
        DynamicToolCallParams;
    );
}
