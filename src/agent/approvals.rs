//! Whether a command or a patch runs, is asked about, or is refused; and what clients have allowed for
//! longer.
//!
//! The decision is a function of the thread's policy, its sandbox, what the model wants, and what was allowed
//! before. It asks nobody itself and knows no connection. It runs on the worker of the turn or of its tool.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::ask::Answered;
use super::command_rules::CommandRules;
use crate::limits;
use crate::patch::heredoc::plain_words;
use crate::proto::{
    AskForApproval, CommandApprovalResponse, CommandDecision, FileChangeApprovalResponse, FileChangeDecision,
    SandboxPolicy,
};
use crate::sync::lock;

/// What the model is told when it wants more than the sandbox allows and nobody may be asked.
pub const ESCALATION_REFUSED: &str = concat!(
    "approval policy is Never; reject command — ",
    "you cannot ask for escalated permissions if the approval policy is Never"
);
/// What the model is told when a patch would write where the sandbox forbids it and nobody may be asked.
pub const PATCH_REFUSED: &str =
    "patch rejected: writing is blocked by read-only sandbox; rejected by user approval settings";

/// What happens with something that the model wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Run {
        /// Without the sandbox.
        unconfined: bool,
    },
    /// The clients are asked first.
    Ask {
        /// Without the sandbox, if they accept.
        unconfined: bool,
    },
    /// It is not done, and nobody is asked; the model is told this.
    Refuse(&'static str),
}

/// What became of something that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It is done.
    Run {
        /// Without the sandbox.
        unconfined: bool,
    },
    /// It is not done; the turn goes on.
    Declined,
    /// It is not done, and the turn ends as interrupted.
    Cancelled,
    /// There was no usable answer; the model is told that the approval request failed.
    Failed,
    /// The turn was interrupted.
    Interrupted,
}

/// A command as it is decided about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedCommand {
    /// The command line as the model wrote it.
    pub command: String,
    /// Where it runs.
    pub cwd: String,
    /// The model wants it to run without the sandbox.
    pub escalated: bool,
}

/// What was allowed before, as far as it matters for one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Nothing.
    No,
    /// The same command, for as long as the thread is loaded.
    ForSession,
    /// Commands that begin like it, for good.
    ByRule,
}

/// Decides about a command.
///
/// A rule lifts the sandbox as well, as the reference has it. Where there is no sandbox to leave, an
/// escalation asks for nothing.
#[must_use]
pub fn judge_command(
    policy: AskForApproval,
    sandbox: &SandboxPolicy,
    escalated: bool,
    allowed: Allowed,
) -> Verdict {
    let escalated = escalated && is_confining(sandbox);
    match (policy, allowed) {
        (_, Allowed::ByRule) => Verdict::Run { unconfined: true },
        (_, Allowed::ForSession) => Verdict::Run { unconfined: escalated },
        (AskForApproval::UnlessTrusted, Allowed::No) => Verdict::Ask { unconfined: escalated },
        _ if !escalated => Verdict::Run { unconfined: false },
        (AskForApproval::Granular(switches), _) if !switches.sandbox_approval => {
            Verdict::Refuse(ESCALATION_REFUSED)
        }
        (AskForApproval::Never, _) => Verdict::Refuse(ESCALATION_REFUSED),
        _ => Verdict::Ask { unconfined: true },
    }
}

/// Decides about a patch. `inside`: the sandbox lets commands write all of its files. `allowed`: a client has
/// allowed changes of each of these files while the thread is loaded.
#[must_use]
pub fn judge_patch(policy: AskForApproval, sandbox: &SandboxPolicy, inside: bool, allowed: bool) -> Verdict {
    let inside = inside || !is_confining(sandbox);
    match policy {
        _ if allowed => Verdict::Run { unconfined: !inside },
        AskForApproval::UnlessTrusted => Verdict::Ask { unconfined: !inside },
        _ if inside => Verdict::Run { unconfined: false },
        AskForApproval::Never => Verdict::Refuse(PATCH_REFUSED),
        AskForApproval::Granular(switches) if !switches.sandbox_approval => Verdict::Refuse(PATCH_REFUSED),
        _ => Verdict::Ask { unconfined: true },
    }
}

/// True if the policy is one that this server enforces.
pub(super) fn is_confining(sandbox: &SandboxPolicy) -> bool {
    !matches!(sandbox, SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. })
}

/// What a client may allow for good when it is asked about `command`: the beginning that the model proposes,
/// if the command begins so, else all of it. None if the command is more than plain words.
#[must_use]
pub fn proposed_rule(command: &str, prefix: Option<&[String]>) -> Option<Vec<String>> {
    let words = plain_words(command).filter(|words| !words.is_empty())?;
    match prefix {
        Some(prefix) if !prefix.is_empty() && words.starts_with(prefix) => Some(prefix.to_vec()),
        _ => Some(words),
    }
}

/// What clients have allowed: in one thread while it is loaded, and for good. Clones share it.
#[derive(Debug, Clone)]
pub struct Approvals {
    session: Arc<Mutex<Session>>,
    rules: Arc<CommandRules>,
}

#[derive(Debug, Default)]
struct Session {
    commands: BTreeSet<WantedCommand>,
    files: BTreeSet<String>,
    /// Tools of MCP servers: server and tool.
    tools: BTreeSet<(String, String)>,
}

impl Approvals {
    /// Those of a thread that was just loaded.
    #[must_use]
    pub fn new(rules: Arc<CommandRules>) -> Self {
        Self { session: Arc::default(), rules }
    }

    /// What was allowed that matters for this command.
    #[must_use]
    pub fn allowed(&self, wanted: &WantedCommand) -> Allowed {
        if plain_words(&wanted.command).is_some_and(|words| self.rules.allow(&words)) {
            return Allowed::ByRule;
        }
        if lock(&self.session).commands.contains(wanted) { Allowed::ForSession } else { Allowed::No }
    }

    /// True if changes of all of these files were allowed while the thread is loaded.
    #[must_use]
    pub fn allow_files(&self, paths: &[String]) -> bool {
        let session = lock(&self.session);
        !paths.is_empty() && paths.iter().all(|path| session.files.contains(path))
    }

    /// True if a client has allowed this tool of an MCP server while the thread is loaded.
    #[must_use]
    pub fn allows_tool(&self, server: &str, tool: &str) -> bool {
        lock(&self.session).tools.contains(&(server.to_owned(), tool.to_owned()))
    }

    /// Keeps that a client allows a tool of an MCP server while the thread is loaded.
    pub fn allow_tool(&self, server: &str, tool: &str) {
        let mut session = lock(&self.session);
        if session.tools.len() < limits::SESSION_APPROVALS_MAX {
            session.tools.insert((server.to_owned(), tool.to_owned()));
        }
    }

    /// Takes the answer about a command, and keeps what it allows for longer. `unconfined` is that of
    /// [`Verdict::Ask`].
    #[must_use]
    pub fn decide_command(
        &self,
        wanted: WantedCommand,
        unconfined: bool,
        answered: Answered<CommandApprovalResponse>,
    ) -> Decided {
        let decision = match answered {
            Answered::Given(answer) => answer.decision,
            other => return undecided(&other),
        };
        match decision {
            CommandDecision::Accept => Decided::Run { unconfined },
            CommandDecision::AcceptForSession => {
                let mut session = lock(&self.session);
                if session.commands.len() < limits::SESSION_APPROVALS_MAX {
                    session.commands.insert(wanted);
                }
                Decided::Run { unconfined }
            }
            CommandDecision::AcceptWithExecpolicyAmendment { execpolicy_amendment } => {
                if let Err(error) = self.rules.add(&execpolicy_amendment) {
                    tracing::warn!(%error, "a rule for commands could not be kept; it will be asked again");
                }
                Decided::Run { unconfined }
            }
            // Not offered: what commands reach is not decided host by host here.
            CommandDecision::ApplyNetworkPolicyAmendment { .. } => Decided::Failed,
            CommandDecision::Decline => Decided::Declined,
            CommandDecision::Cancel => Decided::Cancelled,
        }
    }

    /// Takes the answer about a patch of these files, and keeps what it allows for longer.
    #[must_use]
    pub fn decide_patch(
        &self,
        paths: &[String],
        unconfined: bool,
        answered: Answered<FileChangeApprovalResponse>,
    ) -> Decided {
        let decision = match answered {
            Answered::Given(answer) => answer.decision,
            other => return undecided(&other),
        };
        match decision {
            FileChangeDecision::Accept => Decided::Run { unconfined },
            FileChangeDecision::AcceptForSession => {
                let mut session = lock(&self.session);
                for path in paths {
                    if session.files.len() < limits::SESSION_APPROVALS_MAX {
                        session.files.insert(path.clone());
                    }
                }
                Decided::Run { unconfined }
            }
            FileChangeDecision::Decline => Decided::Declined,
            FileChangeDecision::Cancel => Decided::Cancelled,
        }
    }
}

fn undecided<T>(answered: &Answered<T>) -> Decided {
    match answered {
        Answered::Undecided => Decided::Declined,
        Answered::Withdrawn => Decided::Interrupted,
        Answered::Given(_) => Decided::Failed,
        Answered::Failed(reason) => {
            tracing::warn!(reason, "an approval request failed");
            Decided::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::GranularApproval;

    const RUN: Verdict = Verdict::Run { unconfined: false };
    const FREE: Verdict = Verdict::Run { unconfined: true };
    const ASK: Verdict = Verdict::Ask { unconfined: false };
    const ASK_FREE: Verdict = Verdict::Ask { unconfined: true };
    const NO: Verdict = Verdict::Refuse(ESCALATION_REFUSED);
    const NO_PATCH: Verdict = Verdict::Refuse(PATCH_REFUSED);

    fn granular(sandbox_approval: bool) -> AskForApproval {
        AskForApproval::Granular(GranularApproval {
            sandbox_approval,
            rules: true,
            skill_approval: false,
            request_permissions: false,
            mcp_elicitations: false,
        })
    }

    fn policies() -> [AskForApproval; 5] {
        let (untrusted, on_request) = (AskForApproval::UnlessTrusted, AskForApproval::OnRequest);
        let (asks, asks_not) = (granular(/*sandbox_approval*/ true), granular(/*sandbox_approval*/ false));
        [untrusted, on_request, asks, asks_not, AskForApproval::Never]
    }

    #[test]
    fn commands_are_judged_by_the_table() {
        let read_only = SandboxPolicy::ReadOnly { network_access: false };
        let full = SandboxPolicy::DangerFullAccess;
        // untrusted, on-request, granular with and without sandbox_approval, never
        let table = [
            (&read_only, false, Allowed::No, [ASK, RUN, RUN, RUN, RUN]),
            (&read_only, true, Allowed::No, [ASK_FREE, ASK_FREE, ASK_FREE, NO, NO]),
            (&read_only, false, Allowed::ForSession, [RUN; 5]),
            (&read_only, true, Allowed::ForSession, [FREE; 5]),
            (&read_only, false, Allowed::ByRule, [FREE; 5]),
            (&read_only, true, Allowed::ByRule, [FREE; 5]),
            (&full, false, Allowed::No, [ASK, RUN, RUN, RUN, RUN]),
            (&full, true, Allowed::No, [ASK, RUN, RUN, RUN, RUN]),
        ];
        for (sandbox, escalated, allowed, verdicts) in table {
            for (policy, verdict) in policies().into_iter().zip(verdicts) {
                let judged = judge_command(policy, sandbox, escalated, allowed);
                assert_eq!(judged, verdict, "{policy:?} {sandbox:?} escalated={escalated} {allowed:?}");
            }
        }
    }

    #[test]
    fn patches_are_judged_by_the_table() {
        let read_only = SandboxPolicy::ReadOnly { network_access: false };
        let full = SandboxPolicy::DangerFullAccess;
        let table = [
            (&read_only, true, false, [ASK, RUN, RUN, RUN, RUN]),
            (&read_only, false, false, [ASK_FREE, ASK_FREE, ASK_FREE, NO_PATCH, NO_PATCH]),
            (&read_only, true, true, [RUN; 5]),
            (&read_only, false, true, [FREE; 5]),
            (&full, false, false, [ASK, RUN, RUN, RUN, RUN]),
        ];
        for (sandbox, inside, allowed, verdicts) in table {
            for (policy, verdict) in policies().into_iter().zip(verdicts) {
                let judged = judge_patch(policy, sandbox, inside, allowed);
                assert_eq!(judged, verdict, "{policy:?} {sandbox:?} inside={inside} allowed={allowed}");
            }
        }
    }

    #[test]
    fn a_rule_is_proposed_for_plain_words_only() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(proposed_rule("git 'log' -1", /*prefix*/ None), Some(words("git log -1")));
        assert_eq!(proposed_rule("git log -1", Some(&words("git log"))), Some(words("git log")));
        assert_eq!(proposed_rule("git log", Some(&words("rm"))), Some(words("git log")));
        for command in ["git log; rm -rf x", "echo $(id)", "ls > x", "", "a && b"] {
            assert_eq!(proposed_rule(command, /*prefix*/ None), None, "{command}");
        }
    }

    fn approvals(name: &str) -> Approvals {
        let dir = std::env::temp_dir().join(format!("app-server-{name}-{}", uuid::Uuid::new_v4()));
        Approvals::new(Arc::new(CommandRules::below(&dir)))
    }

    fn wanted(command: &str, escalated: bool) -> WantedCommand {
        WantedCommand { command: command.to_owned(), cwd: "/w".to_owned(), escalated }
    }

    fn given(decision: CommandDecision) -> Answered<CommandApprovalResponse> {
        Answered::Given(CommandApprovalResponse { decision })
    }

    #[test]
    fn what_is_accepted_for_the_session_is_the_same_command_in_the_same_place_only() {
        let approvals = approvals("session");
        let ls = wanted("ls", /*escalated*/ false);
        assert_eq!(approvals.allowed(&ls), Allowed::No);
        let decided =
            approvals.decide_command(ls.clone(), /*unconfined*/ false, given(CommandDecision::Accept));
        assert_eq!((decided, approvals.allowed(&ls)), (Decided::Run { unconfined: false }, Allowed::No));
        let for_session = given(CommandDecision::AcceptForSession);
        assert_eq!(
            approvals.decide_command(ls.clone(), /*unconfined*/ false, for_session),
            Decided::Run { unconfined: false }
        );
        assert_eq!(approvals.allowed(&ls), Allowed::ForSession);
        assert_eq!(approvals.allowed(&wanted("ls", /*escalated*/ true)), Allowed::No);
        assert_eq!(approvals.allowed(&WantedCommand { cwd: "/v".to_owned(), ..ls }), Allowed::No);
    }

    #[test]
    fn what_is_accepted_for_the_session_has_a_bound() {
        let approvals = approvals("bound");
        for number in 0..=limits::SESSION_APPROVALS_MAX {
            let command = wanted(&format!("echo {number}"), /*escalated*/ false);
            let _ = approvals.decide_command(
                command,
                /*unconfined*/ false,
                given(CommandDecision::AcceptForSession),
            );
        }
        let last = wanted(&format!("echo {}", limits::SESSION_APPROVALS_MAX), /*escalated*/ false);
        assert_eq!(approvals.allowed(&last), Allowed::No, "it is asked again");
        assert_eq!(approvals.allowed(&wanted("echo 0", /*escalated*/ false)), Allowed::ForSession);
    }

    #[test]
    fn a_patch_is_allowed_file_by_file() {
        let approvals = approvals("files");
        let (one, two) = ("/w/1".to_owned(), "/w/2".to_owned());
        let answer = FileChangeApprovalResponse { decision: FileChangeDecision::AcceptForSession };
        let both = [one.clone(), two.clone()];
        let decided = approvals.decide_patch(&both[..1], /*unconfined*/ true, Answered::Given(answer));
        assert_eq!(decided, Decided::Run { unconfined: true });
        assert!(approvals.allow_files(&both[..1]) && !approvals.allow_files(&both));
        assert!(!approvals.allow_files(&[]));
    }

    #[test]
    fn every_other_outcome_runs_nothing() {
        let approvals = approvals("outcomes");
        for (answered, expected) in [
            (given(CommandDecision::Decline), Decided::Declined),
            (given(CommandDecision::Cancel), Decided::Cancelled),
            (Answered::Undecided, Decided::Declined),
            (Answered::Failed("why".to_owned()), Decided::Failed),
            (Answered::Withdrawn, Decided::Interrupted),
        ] {
            let ls = wanted("ls", /*escalated*/ false);
            assert_eq!(approvals.decide_command(ls, /*unconfined*/ true, answered), expected);
        }
    }

    #[test]
    fn an_amendment_allows_what_begins_so_for_good() {
        let approvals = approvals("amendment");
        let amendment = vec!["git".to_owned(), "log".to_owned()];
        let decision = CommandDecision::AcceptWithExecpolicyAmendment { execpolicy_amendment: amendment };
        let decided = approvals.decide_command(
            wanted("git log", /*escalated*/ true),
            /*unconfined*/ true,
            given(decision),
        );
        assert_eq!(decided, Decided::Run { unconfined: true });
        let allowed = |command: &str| approvals.allowed(&wanted(command, /*escalated*/ false));
        assert_eq!(allowed("git log --oneline"), Allowed::ByRule);
        for command in ["git", "git push", "git log; rm x", "git logs", "X=1 git log"] {
            assert_eq!(allowed(command), Allowed::No, "{command}");
        }
    }
}
