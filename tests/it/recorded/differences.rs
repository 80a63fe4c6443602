//! Where this server differs from the reference in the recorded sessions, and why.

/// Lines that one side says and the other does not. A line that comes at another place is one of each.
pub(crate) struct Difference {
    /// The session, or `*`.
    pub(crate) session: &'static str,
    /// The section of the session, or `*`.
    pub(crate) section: &'static str,
    /// `-` for what only the reference says, `+` for what only this server says, and how the line begins.
    pub(crate) line: &'static str,
    /// Why that is better, or wanted.
    #[allow(dead_code, reason = "for readers")]
    reason: &'static str,
    /// False for what may or may not show.
    pub(crate) is_certain: bool,
}

impl Difference {
    /// Whether this line, `[section] message`, is meant.
    pub(crate) fn fits(&self, sign: char, line: &str) -> bool {
        let (section, line) = line.split_once("] ").unwrap_or(("", line));
        let (own_sign, begin) = self.line.split_at(2);
        own_sign.starts_with(sign)
            && matches(line, begin)
            && (self.section == "*" || section.trim_start_matches('[').starts_with(self.section))
    }
}

/// Whether the line begins so; `…` stands for anything.
fn matches(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// The differences of one session.
pub(crate) fn of(session: &str) -> impl Iterator<Item = &'static Difference> {
    DIFFERENCES.iter().filter(move |difference| ["*", session].contains(&difference.session))
}

/// All of them.
pub(crate) const DIFFERENCES: &[Difference] = &[
    all("- account/rateLimits/updated", "there is no account whose limits could be told"),
    all("- remoteControl/status/changed", "there is no remote control"),
    all("- deprecationNotice", "whole histories are no trouble here"),
    all("- answer initialize", "`serverInfo` says who really answers"),
    all("+ answer initialize…serverInfo", "`serverInfo` says who really answers"),
    all("- thread/goal/cleared", "told when a goal was cleared, and not when there was none"),
    all("+ item/commandExecution/outputDelta", "output is told as it comes, the first piece too"),
    all("- item/commandExecution/outputDelta", "output that comes at once is told at once"),
    all("- turn/diff/updated", "told when it changes, and not again when it did not"),
    all("- answer…thread not found: <id>", "the text says what to do"),
    all("+ answer…thread not found: <id>; load it", "the text says what to do"),
    all("- answer…invalid character: expected an optional prefix", "the text counts from 0 and says less"),
    all("+ answer…invalid character: found", "the text counts from 0 and says less"),
    all("- thread/tokenUsage/updated", "told when something was used, and not again when it was not"),
    all("+ item/completed…\"type\":\"agentMessage\"}}", "what was said before it broke off is kept"),
    all("+ item/completed…\"type\":\"reasoning\"}}", "what was thought is kept"),
    all(
        "- turn/completed…\"items\":[],\"itemsView\":\"notLoaded\",\"status\":\"interrupted\"",
        "what was said before the interrupt is kept and shown",
    ),
    all(
        "+ turn/completed…\"itemsView\":\"summary\",\"status\":\"interrupted\"",
        "what was said before the interrupt is kept and shown",
    ),
    // ---- reads ----
    only("basic", "", "- answer thread/read -32601 list_turns", "an empty thread has an empty history"),
    only("basic", "", "+ answer thread/read [", "an empty thread has an empty history"),
    only("basic", "", "- answer thread/turns/list", "an empty thread has an empty history"),
    only("basic", "", "+ answer thread/turns/list [", "an empty thread has an empty history"),
    only("basic", "", "- answer thread/resume -32601 list_turns", "an empty thread can be resumed"),
    only("basic", "", "+ answer thread/resume [", "an empty thread can be resumed"),
    only(
        "basic",
        "",
        "+ answer thread/items/list -32600 turn not found",
        "a turn that is not there is an error",
    ),
    only(
        "basic",
        "",
        "- answer thread/items/list",
        "an error, and the one of all methods, for what is not there",
    ),
    only(
        "basic",
        "",
        "+ answer thread/items/list -32600 thread not loaded",
        "the error of all other methods",
    ),
    only("basic", "", "- answer thread/resume -32600 session <id> is archived", "the text names the method"),
    only("basic", "", "+ answer thread/resume -32600 session <id> is archived", "the text names the method"),
    only(
        "basic",
        "",
        "+ answer thread/inject_items -32600 items must not be empty",
        "checked before the thread is",
    ),
    only("basic", "", "- answer thread/start -32600 failed to load", "the text names the known providers"),
    only("basic", "", "+ answer thread/start -32600 unknown model provider", "the text names the known ones"),
    only("basic", "", "- answer thread/read -32600 ephemeral", "what is in memory can be read"),
    only("basic", "", "- answer thread/name/set -32600 ephemeral", "what is in memory can be named"),
    only("basic", "", "+ answer thread/name/set []", "what is in memory can be named"),
    only("basic", "", "+ thread/name/updated", "what is in memory can be named"),
    only(
        "variants",
        "",
        "- answer thread/read -32600…not materialized",
        "an empty thread has an empty history",
    ),
    only("variants", "", "- answer thread/turns/list -32600…not mat", "an empty thread has an empty history"),
    only("variants", "", "- answer thread/resume -32600 no rollout", "an empty thread can be resumed"),
    only("variants", "", "+ answer thread/read [", "an empty thread has an empty history"),
    only("variants", "", "+ answer thread/turns/list [", "an empty thread has an empty history"),
    only("variants", "", "+ answer thread/resume [", "an empty thread can be resumed"),
    only("variants", "", "- answer thread/items/", "legacy threads can do what others can"),
    only("variants", "", "+ answer thread/items/", "legacy threads can do what others can"),
    only("variants", "", "- answer thread/revert -32600", "legacy threads can do what others can"),
    only("variants", "", "+ answer thread/revert [", "legacy threads can do what others can"),
    only("variants", "", "+ thread/status/changed {\"type\":\"notLoaded\"}", "of that revert"),
    only("variants", "", "+ thread/status/changed {\"type\":\"idle\"}", "of that revert"),
    only("variants", "", "+ thread/reverted", "of that revert"),
    only("variants", "", "+ thread/readState/changed", "a command's output is something to read"),
    only("basic", "", "- thread/status/changed {\"type\":\"notLoaded\"}", "an unknown turn reverts nothing"),
    only("basic", "", "- thread/status/changed {\"type\":\"idle\"}", "an unknown turn reverts nothing"),
    only("basic", "", "+ thread/readState/changed", "threads in memory are read too"),
    chance("basic", "", "- answer nothing", "the recording is cut"),
    chance("basic", "", "+ answer nothing", "the recording is cut"),
    // ---- commands ----
    only("commands", "*", STATUS_GONE, ANSWERED),
    only("commands", "*", STATUS_MORE, ANSWERED),
    only("commands", "on-request, sandboxed write", "+ item/", "short commands have items too"),
    only("commands", "untrusted: untrusted command", "- item/commandExecution/req", RULE_OF_A_PART),
    only("commands", "untrusted: untrusted command", "+ item/commandExecution/req", RULE_OF_A_PART),
    only("commands", "never: require_escalated", "+ item/", "without a sandbox there is nothing to ask for"),
    chance("commands", "never: workdir", "- item/completed…\"err\\nout\\n\"", TWO_PIPES),
    chance("commands", "never: workdir", "+ item/completed…\"out\\nerr\\n\"", TWO_PIPES),
    only("commands", "missing cwd", "- item/", "a bad folder is a bad argument: the model is told, no item"),
    chance("commands", "big output", "- item/completed…aaaa", "the recording is cut"),
    chance("commands", "big output", "+ item/completed…aaaa", "the recording is cut"),
    chance("commands", "interactive", "- item/commandExecution/terminal", TYPED),
    chance("commands", "interactive", "+ item/commandExecution/terminal", TYPED),
    chance("commands", "two parallel calls", "- item/", "both run at once"),
    chance("commands", "two parallel calls", "+ item/", "both run at once"),
    only("commands", "pending", "+ item/completed…\"declined\"", "what has begun ends"),
    only("commands", "pending", "+ thread/tokenUsage", "told when the answer is complete"),
    only("commands", "unsubscribe with", "+ thread/tokenUsage", "a resumed thread tells its usage"),
    // ---- patches ----
    only("patches", "untrusted: add, cancel", "+ item/completed…\"declined\"", "what has begun ends"),
    // ---- plans ----
    only("plans", "empty response", "+ thread/readState", "an end is something to know of"),
    only("plans", "web_search_call", "- item/", "no search of the web is offered to the model"),
    only("plans", "raw events", "- rawResponse", "the model's own words stay between it and the server"),
    only("plans", "message that arrives only", "- item/started", "an item begins empty"),
    only("plans", "message that arrives only", "+ item/started", "an item begins empty"),
    // ---- steering ----
    chance("steering", "thread/unsubscribe", "- item/agentMessage/delta", "a matter of time"),
    chance("steering", "thread/unsubscribe", "+ item/agentMessage/delta", "a matter of time"),
    only("steering", "steer during a running command", "+ item/completed…\"exitCode\":137", KILLED),
    only("steering", "steer during a running command", "- item/completed…\"exitCode\":-1", KILLED),
    chance("steering", "*", "- answer turn/interrupt []", AT_ONCE),
    chance("steering", "*", "+ answer turn/interrupt []", AT_ONCE),
    chance("steering", "steer during a running", "+ thread/tokenUsage", AT_ONCE),
    only("steering", "steer during a running", "+ item/started…userMessage", "what was said is kept"),
    only("steering", "steer during a running", "+ item/completed…userMessage", "what was said is kept"),
    chance("steering", "interrupt right after", "- answer turn/start", AT_ONCE),
    chance("steering", "interrupt right after", "+ answer turn/start", AT_ONCE),
    // ---- followups ----
    chance("followups", "sandbox denial 2", "- item/completed…\"start\\nmkdir: end\\n", TWO_PIPES),
    chance("followups", "sandbox denial 2", "+ item/completed…\"start\\n", TWO_PIPES),
    // ---- failures ----
    only("failures", "429 usage_limit", "- error {", "the provider's own words; there is no account"),
    only("failures", "429 usage_limit", "+ error {", "the provider's own words; there is no account"),
    only("failures", "429 usage_limit", "- turn/completed…\"failed\"", "the provider's own words"),
    only("failures", "429 usage_limit", "+ turn/completed…\"failed\"", "the provider's own words"),
    only("failures", "401", "- error {", "the text says that no key was sent"),
    only("failures", "401", "+ error {…No key was sent", "the text says that no key was sent"),
    only("failures", "401", "- turn/completed…\"failed\"", "the text says that no key was sent"),
    only(
        "failures",
        "401",
        "+ turn/completed…No key was sent…\"failed\"",
        "the text says that no key was sent",
    ),
    only(
        "failures",
        "*",
        "- turn/completed…\"items\":[],\"itemsView\":\"notLoaded\",\"status\":\"failed\"",
        KEPT,
    ),
    only("failures", "*", "+ turn/completed…\"itemsView\":\"summary\",\"status\":\"failed\"", KEPT),
    only("failures", "connection refused", "- error {", "the text names the address and what to look at"),
    only("failures", "connection refused", "+ error {…connection refused", "the text names the address"),
    only(
        "failures",
        "connection refused",
        "+ turn/completed…connection refused",
        "the text names the address",
    ),
    chance("failures", "connection refused (", "+ thread/", BOUNDED),
    chance("failures", "connection refused (", "- thread/status", BOUNDED),
    chance("failures", "connection refused (", "- turn/completed", BOUNDED),
    chance("failures", "connection refused (", "- answer turn/interrupt []", BOUNDED),
    chance("failures", "connection refused (", "+ answer turn/interrupt -32600", BOUNDED),
];

const STATUS_GONE: &str = "- thread/status/changed {\"activeFlags\":[],\"type\":\"active\"}";
const STATUS_MORE: &str = "+ thread/status/changed {\"activeFlags\":[],\"type\":\"active\"}";
const ANSWERED: &str = "told with the answer, as after `accept`, and not after the item's end";
const RULE_OF_A_PART: &str = "a rule for the first of several commands would not let the line pass";
const TWO_PIPES: &str = "which of two pipes is read first is chance";
const TYPED: &str = "told before what the typing brings about";
const AT_ONCE: &str = "two things at once: answers come as work finishes";
const KILLED: &str = "an interrupt kills the turn's commands; the code says by what";
const KEPT: &str = "what was said before it broke off is kept and shown";
const BOUNDED: &str = "a refused connection is tried again as often as configured, and not for ever";

const fn only(
    session: &'static str,
    section: &'static str,
    line: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { session, section, line, reason, is_certain: true }
}

const fn chance(
    session: &'static str,
    section: &'static str,
    line: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { session, section, line, reason, is_certain: false }
}

const fn all(line: &'static str, reason: &'static str) -> Difference {
    Difference { session: "*", section: "*", line, reason, is_certain: false }
}
