//! The protocol's types against recorded conversations: what the reference sent is written again with the
//! same keys in the same order, and what clients sent is taken, or refused in the reference's words.
//!
//! Skipped without the shared folder, as the schema checks are.

use std::collections::BTreeMap;

use app_server::proto::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::support::recordings::{compact, recorded};
use crate::support::schema::SchemaChecker;

/// The types of parameters and answers, by method.
macro_rules! families {
    ($call:ident, $method:expr, $json:expr, $($name:literal: $params:ty => $answer:ty,)*) => {
        match $method {
            $($name => families!(@ $call, $json, $params, $answer),)*
            _ => None,
        }
    };
    (@ answer, $json:expr, $params:ty, $answer:ty) => { Some(again::<$answer>($json)) };
    (@ params, $json:expr, $params:ty, $answer:ty) => { Some(decode::<$params>($json).map(|_| ())) };
}

macro_rules! known {
    ($call:ident, $method:expr, $json:expr) => {
        families! { $call, $method, $json,
            "account/rateLimits/read": Value => GetAccountRateLimitsResponse,
            "account/read": GetAccountParams => GetAccountResponse,
            "collaborationMode/list": CollaborationModeListParams => CollaborationModeListResponse,
            "config/read": ConfigReadParams => ConfigReadResponse,
            "configRequirements/read": NoParams => ConfigRequirementsReadResponse,
            "experimentalFeature/enablement/set": FeatureEnablement => FeatureEnablement,
            "experimentalFeature/list": ExperimentalFeatureListParams => ExperimentalFeatureListResponse,
            "fs/copy": FsCopyParams => EmptyResponse,
            "fs/createDirectory": FsCreateDirectoryParams => EmptyResponse,
            "fs/getMetadata": FsPathParams => FsGetMetadataResponse,
            "fs/readDirectory": FsPathParams => FsReadDirectoryResponse,
            "fs/readFile": FsPathParams => FsReadFileResponse,
            "fs/remove": FsRemoveParams => EmptyResponse,
            "fs/unwatch": FsUnwatchParams => EmptyResponse,
            "fs/watch": FsWatchParams => FsWatchResponse,
            "fs/writeFile": FsWriteFileParams => EmptyResponse,
            "fuzzyFileSearch": FuzzyFileSearchParams => FuzzyFileSearchResponse,
            "hooks/list": HooksListParams => HooksListResponse,
            "initialize": InitializeParams => InitializeResponse,
            "mcpServerStatus/list": ListMcpServerStatusParams => ListMcpServerStatusResponse,
            "model/list": ModelListParams => ModelListResponse,
            "modelProvider/list": ModelProviderListParams => ModelProviderListResponse,
            "permissionProfile/list": PermissionProfileListParams => PermissionProfileListResponse,
            "skills/config/write": SkillsConfigWriteParams => SkillsConfigWriteResponse,
            "skills/extraRoots/set": SkillsExtraRootsSetParams => EmptyResponse,
            "skills/list": SkillsListParams => SkillsListResponse,
            "thread/archive": ThreadIdParams => EmptyResponse,
            "thread/delete": ThreadIdParams => EmptyResponse,
            "thread/attachment/add": ThreadAttachmentAddParams => ThreadAttachmentAddResponse,
            "thread/attachment/list": ThreadAttachmentListParams => ThreadAttachmentListResponse,
            "thread/attachment/remove": ThreadAttachmentRemoveParams => EmptyResponse,
            "thread/attachmentOwner/list": ThreadAttachmentOwnerListParams
                => ThreadAttachmentOwnerListResponse,
            "thread/fork": ThreadForkParams => ThreadForkResponse,
            "thread/goal/clear": ThreadGoalClearParams => ThreadGoalClearResponse,
            "thread/goal/get": ThreadIdParams => ThreadGoalGetResponse,
            "thread/goal/set": ThreadGoalSetParams => ThreadGoalSetResponse,
            "thread/inject_items": ThreadInjectItemsParams => EmptyResponse,
            "thread/items/list": ThreadItemsListParams => ThreadItemsListResponse,
            "thread/items/read": ThreadItemsReadParams => ThreadItemsReadResponse,
            "thread/list": ThreadListParams => ThreadListResponse,
            "thread/loaded/list": ThreadLoadedListParams => ThreadLoadedListResponse,
            "thread/metadata/update": ThreadMetadataUpdateParams => ThreadResponse,
            "thread/name/set": ThreadSetNameParams => EmptyResponse,
            "thread/queue/add": ThreadQueueAddParams => ThreadQueuedResponse,
            "thread/queue/delete": ThreadQueueDeleteParams => ThreadQueueDeleteResponse,
            "thread/queue/list": ThreadQueueListParams => ThreadQueueListResponse,
            "thread/queue/reorder": ThreadQueueReorderParams => EmptyResponse,
            "thread/queue/start": ThreadQueueStartParams => ThreadQueueStartResponse,
            "thread/queue/update": ThreadQueueUpdateParams => ThreadQueuedResponse,
            "thread/read": ThreadReadParams => ThreadReadResponse,
            "thread/readState/update": ThreadReadStateUpdateParams => ThreadReadStateUpdateResponse,
            "thread/resume": ThreadResumeParams => ThreadResumeResponse,
            "thread/search": ThreadSearchParams => ThreadSearchResponse,
            "thread/searchOccurrences": ThreadSearchOccurrencesParams => ThreadSearchOccurrencesResponse,
            "thread/settings/update": ThreadSettingsUpdateParams => EmptyResponse,
            "thread/start": ThreadStartParams => ThreadStartResponse,
            "thread/turns/list": ThreadTurnsListParams => ThreadTurnsListResponse,
            "thread/unarchive": ThreadIdParams => ThreadResponse,
            "thread/unsubscribe": ThreadIdParams => ThreadUnsubscribeResponse,
            "turn/interrupt": TurnInterruptParams => EmptyResponse,
            "turn/start": TurnStartParams => TurnStartResponse,
            "turn/steer": TurnSteerParams => TurnSteerResponse,
        }
    };
}

/// Answers with maps or opaque objects in them: their keys come in another order, and that is all right.
const UNORDERED: &[&str] = &["config/read", "skills/list", "thread/list"];

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

/// Decoded through a value, as the server does it: then the reference's error texts have no line and column.
fn decode<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::from_str(json).expect("JSON")).map_err(|error| error.to_string())
}

/// Decoded and written again.
fn again<T: DeserializeOwned + Serialize>(json: &str) -> Result<String, String> {
    let value: T = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Ok(compact(&serde_json::to_string(&value).expect("it can be written")))
}

/// One field of an object, decoded.
fn field<T: DeserializeOwned>(json: &str, key: &str) -> T {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).expect("an object");
    let raw = fields.remove(key).map_or("null".to_owned(), |raw| raw.get().to_owned());
    serde_json::from_str(&raw).unwrap_or_else(|error| panic!("{key}: {error} in {raw}"))
}

fn same(sent: &str, written: &str, ordered: bool) -> bool {
    let value = |json: &str| serde_json::from_str::<Value>(json).expect("JSON");
    if ordered { sent == written } else { value(sent) == value(written) }
}

#[test]
fn recorded_answers_are_written_as_they_were_sent() {
    if SchemaChecker::get().is_none() {
        return;
    }
    let all = recorded();
    let mut seen = BTreeMap::<&str, usize>::new();
    for answer in &all {
        let Some(method) = answer.request.and_then(|at| all[at].method()) else { continue };
        let message: Message<'_> = serde_json::from_str(&answer.text).expect("a message");
        let Some(result) = message.result else { continue };
        let Some(written) = known!(answer, method, result.get()) else { continue };
        let written = written.unwrap_or_else(|error| panic!("{} {method}: {error}", answer.place));
        let ordered = !UNORDERED.contains(&method);
        assert!(
            same(result.get(), &written, ordered),
            "{}\nsent    {}\nwritten {written}",
            answer.place,
            result.get()
        );
        *seen.entry(method).or_default() += 1;
    }
    // Every answer but that to account/rateLimits/read, which was never more than an error.
    assert!(seen.len() >= 30, "{seen:?}");
}

#[test]
fn recorded_params_are_taken_or_refused_as_the_reference_did() {
    if SchemaChecker::get().is_none() {
        return;
    }
    let all = recorded();
    let mut checked = 0;
    for answer in &all {
        let Some(request) = answer.request.map(|at| &all[at]) else { continue };
        let method = request.method().expect("a request has a method");
        let message: Message<'_> = serde_json::from_str(&request.text).expect("a message");
        let Some(params) = message.params else { continue };
        let Some(taken) = known!(params, method, params.get()) else { continue };
        let refused =
            answer.message["error"]["message"].as_str().and_then(|m| m.strip_prefix("Invalid request: "));
        match (taken, refused) {
            (Ok(()), None) => {}
            (Err(error), Some(reason)) => assert_eq!(error, reason, "{}", request.place),
            (Err(error), None) => panic!("{} {method}: refused with: {error}", request.place),
            // Elsewhere a relative path is taken.
            (Ok(()), Some("AbsolutePathBuf deserialized without a base path"))
                if !method.starts_with("fs/") => {}
            (Ok(()), Some(reason)) => panic!("{} {method}: taken in spite of: {reason}", request.place),
        }
        checked += 1;
    }
    assert!(checked >= 500, "only {checked} requests checked");
}

#[test]
fn recorded_notifications_are_written_as_they_were_sent() {
    if SchemaChecker::get().is_none() {
        return;
    }
    let all = recorded();
    let mut seen = BTreeMap::<&str, usize>::new();
    for sent in all.iter().filter(|one| one.by_server && one.message.get("id").is_none()) {
        let method = sent.method().expect("a notification has a method");
        let message: Message<'_> = serde_json::from_str(&sent.text).expect("a message");
        let json = message.params.expect("parameters").get();
        let Some(written) = write_again(method, json) else { continue };
        assert_eq!(written, json, "{}", sent.place);
        *seen.entry(method).or_default() += 1;
    }
    assert!(seen.len() >= 24, "{seen:?}");
}

#[test]
fn recorded_requests_of_the_server_and_their_answers_keep_their_form() {
    let Some(checker) = SchemaChecker::get() else { return };
    let (mut asked, mut answered) = (BTreeMap::<String, usize>::new(), 0);
    let all = recorded();
    let mut open = BTreeMap::<String, String>::new();
    for one in &all {
        let message: Message<'_> = serde_json::from_str(&one.text).expect("a message");
        let id = one.message["id"].to_string();
        match (one.by_server, one.method(), message.params, message.result) {
            (true, Some(method), Some(params), _) if one.message.get("id").is_some() => {
                let written = ask_again(method, params.get()).unwrap_or_else(|| panic!("{method}"));
                assert_eq!(written.as_deref(), Ok(params.get()), "{}", one.place);
                checker.check(&one.message, /*response_to*/ None).expect("it fits");
                open.insert(id, method.to_owned());
                *asked.entry(method.to_owned()).or_default() += 1;
            }
            (false, None, _, Some(result)) => {
                let Some(method) = open.get(&id) else { continue };
                // Some answers were recorded to be refused.
                if let Some(Ok(written)) = answer_again(method, result.get()) {
                    assert!(same(result.get(), &written, /*ordered*/ false), "{} {written}", one.place);
                    answered += 1;
                }
            }
            _ => {}
        }
    }
    assert!(asked.len() >= 4 && answered >= 20, "{asked:?} {answered}");
}

/// The parameters of a server's request, decoded and written again.
fn ask_again(method: &str, json: &str) -> Option<Result<String, String>> {
    match method {
        CommandApprovalParams::METHOD => Some(again::<CommandApprovalParams>(json)),
        FileChangeApprovalParams::METHOD => Some(again::<FileChangeApprovalParams>(json)),
        UserInputParams::METHOD => Some(again::<UserInputParams>(json)),
        DynamicToolCallParams::METHOD => Some(again::<DynamicToolCallParams>(json)),
        _ => None,
    }
}

/// A client's answer, decoded and written again.
fn answer_again(method: &str, json: &str) -> Option<Result<String, String>> {
    match method {
        CommandApprovalParams::METHOD => Some(again::<CommandApprovalResponse>(json)),
        FileChangeApprovalParams::METHOD => Some(again::<FileChangeApprovalResponse>(json)),
        UserInputParams::METHOD => Some(again::<UserInputResponse>(json)),
        DynamicToolCallParams::METHOD => Some(again::<DynamicToolCallResponse>(json)),
        _ => None,
    }
}

#[test]
fn an_elicitation_fits_the_schema() {
    let Some(checker) = SchemaChecker::get() else { return };
    let form = Elicitation::Form {
        meta: None,
        message: "Who?".to_owned(),
        requested_schema: serde_json::json!({
            "type": "object",
            "properties": { "n": { "type": "string" } },
        }),
    };
    let url = Elicitation::Url {
        meta: None,
        message: "Sign in".to_owned(),
        url: "https://example.com".to_owned(),
        elicitation_id: "e".to_owned(),
    };
    for request in [form, url] {
        let params = ElicitationParams {
            thread_id: "t".to_owned(),
            turn_id: None,
            server_name: "s".to_owned(),
            request,
        };
        let message = serde_json::json!({ "method": ElicitationParams::METHOD, "id": 0, "params": params });
        checker.check(&message, /*response_to*/ None).expect("it fits");
    }
    let answer: ElicitationResponse =
        serde_json::from_str(r#"{"action":"accept","content":{"n":"x"}}"#).expect("it is an answer");
    assert_eq!(answer.action, ElicitationAction::Accept);
}

fn wire<N: Notification>(method: &str, notification: &N) -> Option<String> {
    assert_eq!(N::METHOD, method);
    Some(serde_json::to_string(notification).expect("it can be written"))
}

/// The notification built by hand from the parts that were sent.
fn write_again(method: &str, json: &str) -> Option<String> {
    let text = |key: &str| -> String { field(json, key) };
    let number = |key: &str| -> i64 { field(json, key) };
    let (thread, turn, item) = (
        field::<Option<String>>(json, "threadId").unwrap_or_default(),
        field::<Option<String>>(json, "turnId").unwrap_or_default(),
        field::<Option<String>>(json, "itemId").unwrap_or_default(),
    );
    let (thread_id, turn_id, item_id) = (thread.as_str(), turn.as_str(), item.as_str());
    match method {
        "thread/started" => wire(method, &ThreadStarted { thread: &field(json, "thread") }),
        "thread/status/changed" => {
            wire(method, &ThreadStatusChanged { thread_id, status: &field(json, "status") })
        }
        "thread/name/updated" => {
            let name: Option<String> = field(json, "threadName");
            wire(method, &ThreadNameUpdated { thread_id, thread_name: name.as_deref() })
        }
        "thread/settings/updated" => wire(
            method,
            &ThreadSettingsUpdated { thread_id, thread_settings: &field(json, "threadSettings") },
        ),
        "thread/readState/changed" => {
            wire(method, &ThreadReadStateChanged { thread_id, read_state: &field(json, "readState") })
        }
        "thread/closed" => wire(method, &ThreadClosed { thread_id }),
        "thread/archived" => wire(method, &ThreadArchived { thread_id }),
        "thread/unarchived" => wire(method, &ThreadUnarchived { thread_id }),
        "thread/deleted" => wire(method, &ThreadDeleted { thread_id }),
        "thread/tokenUsage/updated" => {
            let token_usage = field(json, "tokenUsage");
            wire(method, &ThreadTokenUsageUpdated { thread_id, turn_id, token_usage: &token_usage })
        }
        "turn/started" => wire(method, &TurnStarted { thread_id, turn: &field(json, "turn") }),
        "turn/completed" => wire(method, &TurnCompleted { thread_id, turn: &field(json, "turn") }),
        "turn/plan/updated" => {
            let (explanation, plan): (Option<String>, Vec<TurnPlanStep>) =
                (field(json, "explanation"), field(json, "plan"));
            wire(
                method,
                &TurnPlanUpdated { thread_id, turn_id, explanation: explanation.as_deref(), plan: &plan },
            )
        }
        "turn/diff/updated" => wire(method, &TurnDiffUpdated { thread_id, turn_id, diff: &text("diff") }),
        "item/started" => {
            let started_at_ms = number("startedAtMs");
            wire(method, &ItemStarted { item: &field(json, "item"), thread_id, turn_id, started_at_ms })
        }
        "item/completed" => {
            let item = &field(json, "item");
            let (content_token_count, completed_at_ms) =
                (field(json, "contentTokenCount"), number("completedAtMs"));
            wire(method, &ItemCompleted { item, thread_id, turn_id, content_token_count, completed_at_ms })
        }
        "item/agentMessage/delta" => {
            wire(method, &AgentMessageDelta { thread_id, turn_id, item_id, delta: &text("delta") })
        }
        "item/plan/delta" => wire(method, &PlanDelta { thread_id, turn_id, item_id, delta: &text("delta") }),
        "item/reasoning/summaryPartAdded" => {
            let summary_index = number("summaryIndex");
            wire(method, &ReasoningSummaryPartAdded { thread_id, turn_id, item_id, summary_index })
        }
        "item/reasoning/summaryTextDelta" => {
            let (delta, summary_index) = (&text("delta"), number("summaryIndex"));
            wire(method, &ReasoningSummaryTextDelta { thread_id, turn_id, item_id, delta, summary_index })
        }
        "item/reasoning/textDelta" => {
            let (delta, content_index) = (&text("delta"), number("contentIndex"));
            wire(method, &ReasoningTextDelta { thread_id, turn_id, item_id, delta, content_index })
        }
        "item/commandExecution/outputDelta" => {
            wire(method, &CommandExecutionOutputDelta { thread_id, turn_id, item_id, delta: &text("delta") })
        }
        "item/commandExecution/terminalInteraction" => {
            let (process_id, stdin) = (&text("processId"), &text("stdin"));
            wire(method, &TerminalInteraction { thread_id, turn_id, item_id, process_id, stdin })
        }
        "error" => {
            let will_retry = field(json, "willRetry");
            wire(method, &ErrorNotification { error: &field(json, "error"), will_retry, thread_id, turn_id })
        }
        "warning" => {
            let thread: Option<String> = field(json, "threadId");
            wire(method, &Warning { thread_id: thread.as_deref(), message: &text("message") })
        }
        "configWarning" => {
            let details: Option<String> = field(json, "details");
            let (summary, details) = (&text("summary"), details.as_deref());
            wire(method, &ConfigWarning { summary, details, path: None, range: None })
        }
        "deprecationNotice" => {
            let details: Option<String> = field(json, "details");
            wire(method, &DeprecationNotice { summary: &text("summary"), details: details.as_deref() })
        }
        "fs/changed" => {
            let changed: Vec<std::path::PathBuf> = field(json, "changedPaths");
            wire(method, &FsChanged { watch_id: &text("watchId"), changed_paths: &changed })
        }
        "serverRequest/resolved" => {
            wire(method, &ServerRequestResolved { thread_id, request_id: number("requestId") })
        }
        "account/rateLimits/updated" => {
            wire(method, &RateLimitsUpdated { rate_limits: &field(json, "rateLimits") })
        }
        _ => None,
    }
}
