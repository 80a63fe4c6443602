//! What the model is told of a command: in the form that models of this protocol know.

use std::time::Duration;

use crate::agent::terminals::Heard;
use crate::limits;
use crate::proto::{AskForApproval, SandboxPolicy};

/// Words by which programs say that they were not let.
const DENIALS: [&str; 4] =
    ["Read-only file system", "Permission denied", "Operation not permitted", "Network is unreachable"];

/// What is known of a session at one moment.
pub(super) struct Report<'a> {
    pub(super) heard: Heard,
    pub(super) session_id: i64,
    pub(super) took: Duration,
    /// The sandbox that it ran in.
    pub(super) confined: Option<&'a SandboxPolicy>,
    pub(super) approval_policy: AskForApproval,
}

/// Bytes that a budget of tokens stands for.
pub(super) fn bytes_of(tokens: Option<u64>) -> usize {
    let tokens =
        tokens.map_or(limits::COMMAND_OUTPUT_TOKENS, |tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
    tokens.min(limits::COMMAND_OUTPUT_TOKENS_MAX) * limits::BYTES_PER_TOKEN
}

impl Report<'_> {
    pub(super) fn text(&self) -> String {
        let Heard { exit, text, bytes, cut_lines } = &self.heard;
        let mut lines = vec![format!("Wall time: {:.4} seconds", self.took.as_secs_f64())];
        lines.push(match exit {
            Some(exit) => format!("Process exited with code {}", exit.code),
            None => format!("Process running with session ID {}", self.session_id),
        });
        let tokens = bytes.div_ceil(limits::BYTES_PER_TOKEN as u64);
        lines.push(format!("Original token count: {tokens}"));
        lines.push("Output:".to_owned());
        if let Some(count) = cut_lines {
            lines.push(format!("Warning: truncated output (original token count: {tokens})"));
            lines.push(format!("Total output lines: {count}\n"));
        }
        lines.push(text.clone());
        let mut report = lines.join("\n");
        if let Some(note) = self.denial() {
            if !report.ends_with('\n') {
                report.push('\n');
            }
            report.push_str(&note);
        }
        report
    }

    /// What the sandbox seems to have denied. Programs say it in their own words, so this is a guess and says
    /// so.
    fn denial(&self) -> Option<String> {
        let name = match self.confined? {
            SandboxPolicy::ReadOnly { .. } => "read-only",
            SandboxPolicy::WorkspaceWrite { .. } => "workspace-write",
            SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. } => return None,
        };
        let failed = self.heard.exit.is_some_and(|exit| exit.code != 0);
        if !failed || !DENIALS.iter().any(|words| self.heard.text.contains(words)) {
            return None;
        }
        let what_now = if self.approval_policy == AskForApproval::Never {
            "Nobody can be asked for more; find a way within it."
        } else {
            "If it is needed, call again with sandbox_permissions \"require_escalated\" and a justification."
        };
        Some(format!(
            "Note: the command ran in the {name} sandbox, which seems to have denied something. {what_now}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::terminals::Exit;

    fn report<'a>(code: Option<i32>, text: &str, confined: Option<&'a SandboxPolicy>) -> Report<'a> {
        let exit = code.map(|code| Exit { code });
        let heard = Heard { exit, text: text.to_owned(), bytes: text.len() as u64, cut_lines: None };
        let took = Duration::from_millis(1500);
        Report { heard, session_id: 7, took, confined, approval_policy: AskForApproval::OnRequest }
    }

    #[test]
    fn the_end_or_the_session_is_told_with_the_output() {
        let ended = report(Some(0), "hi\n", /*confined*/ None).text();
        assert_eq!(
            ended,
            "Wall time: 1.5000 seconds\nProcess exited with code 0\nOriginal token count: 1\nOutput:\nhi\n"
        );
        assert!(report(/*code*/ None, "", /*confined*/ None).text().contains("running with session ID 7"));
        let mut cut = report(Some(0), "a", /*confined*/ None);
        cut.heard.cut_lines = Some(9);
        assert!(cut.text().contains("truncated output") && cut.text().contains("Total output lines: 9\n"));
    }

    #[test]
    fn what_the_sandbox_denied_is_said() {
        let policy = SandboxPolicy::ReadOnly { network_access: false };
        let denied = "touch: cannot touch 'x': Read-only file system";
        assert!(report(Some(1), denied, Some(&policy)).text().contains("require_escalated"));
        let mut never = report(Some(1), denied, Some(&policy));
        never.approval_policy = AskForApproval::Never;
        assert!(never.text().contains("Nobody can be asked"));
        for other in [report(Some(0), denied, Some(&policy)), report(Some(1), denied, /*confined*/ None)] {
            assert!(!other.text().contains("Note:"));
        }
    }

    #[test]
    fn a_budget_has_its_bounds() {
        assert_eq!(bytes_of(/*tokens*/ None), 40_000);
        assert_eq!(bytes_of(Some(10)), 40);
        assert_eq!(bytes_of(Some(u64::MAX)), limits::COMMAND_OUTPUT_TOKENS_MAX * limits::BYTES_PER_TOKEN);
    }
}
