//! What the model is told before the user speaks: its rules, the project's, the circumstances.
//!
//! The rules go with each request. The rest are entries of the conversation, so that what the model has read
//! stays as it was (providers cache it); what changes is said again. Runs on a turn's worker and reads files,
//! each bounded.

use std::path::{Path, PathBuf};

use super::input::read_bounded;
use super::settings::Settings;
use super::skills::{self, Skill};
use crate::config::project_folders;
use crate::limits;
use crate::model::{Content, InputItem, Role};
use crate::proto::{AskForApproval, ModeKind, SandboxPolicy};

/// The built-in rules.
const PROMPT: &str = include_str!("prompt.md");

/// What is asked of the model in plan mode, unless the client says it in words of its own.
const PLAN_MODE: &str = "You and the user make a plan together. Find out what you need by reading and by \
    asking the user; change no files and run nothing that changes anything, also not if you are told to go \
    on. End with a plan that somebody else could carry out without asking again, in Markdown, between a line \
    `<proposed_plan>` and a line `</proposed_plan>`. Only a change of this mode ends it.";
/// What is said when that is over.
const USUAL_MODE: &str = "The mode before this is over. Do what the user asks.";

/// Names of a folder's instructions; the first that is there counts.
const AGENTS_FILES: [&str; 2] = ["AGENTS.override.md", "AGENTS.md"];

/// The rules: the client's own, or the built-in ones.
pub(super) fn rules(settings: &Settings) -> String {
    settings.base_instructions.clone().unwrap_or_else(|| PROMPT.to_owned())
}

/// What the conversation does not say yet of the project and the circumstances. `date` is that of today.
pub(super) fn news(
    settings: &Settings,
    home: &Path,
    skills: &[Skill],
    date: &str,
    said: &[InputItem],
) -> Option<InputItem> {
    let cwd = Path::new(&settings.cwd);
    let pieces = [
        Some(permissions(settings)),
        mode(settings, said),
        settings.developer_instructions.as_ref().map(|text| tagged("developer_instructions", text)),
        agents_files(home, cwd),
        skills::offer(skills),
        Some(environment(cwd, date)),
    ];
    let new: Vec<Content> = pieces
        .into_iter()
        .flatten()
        .filter(|piece| !is_said(piece, said))
        .map(|text| Content::Text { text })
        .collect();
    if new.is_empty() {
        return None;
    }
    // Some models take the program's words at the beginning only.
    let role = if said.is_empty() { Role::Developer } else { Role::User };
    Some(InputItem::Message { role, content: new, phase: None })
}

/// True if the last piece of its kind says the same.
fn is_said(piece: &str, said: &[InputItem]) -> bool {
    let Some(tag) = piece.split_inclusive('>').next() else { return false };
    let texts = said.iter().rev().filter_map(|item| match item {
        InputItem::Message { role: Role::Developer | Role::User, content, .. } => Some(content),
        _ => None,
    });
    let last = texts.flatten().find_map(|content| match content {
        Content::Text { text } if text.starts_with(tag) => Some(text),
        _ => None,
    });
    last.is_some_and(|last| last == piece)
}

/// True for words of this program in the user's place.
pub(super) fn is_ours(text: &str) -> bool {
    const TAGS: [&str; 7] = [
        "<permissions>",
        "<collaboration_mode>",
        "<developer_instructions>",
        "<project_instructions>",
        "<skills>",
        "<environment_context>",
        "<user_shell_command>",
    ];
    TAGS.iter().any(|tag| text.starts_with(tag))
}

fn tagged(tag: &str, text: &str) -> String {
    format!("<{tag}>\n{}\n</{tag}>", text.trim_end())
}

/// What the mode asks of the model; of the usual one only after another.
fn mode(settings: &Settings, said: &[InputItem]) -> Option<String> {
    const TAG: &str = "<collaboration_mode>";
    let is_said = |item: &InputItem| match item {
        InputItem::Message { role: Role::Developer | Role::User, content, .. } => {
            content.iter().any(|content| matches!(content, Content::Text { text } if text.starts_with(TAG)))
        }
        _ => false,
    };
    let text = match (&settings.mode_instructions, settings.mode) {
        (Some(text), _) => text,
        (None, ModeKind::Plan) => PLAN_MODE,
        (None, ModeKind::Default) if said.iter().any(is_said) => USUAL_MODE,
        (None, ModeKind::Default) => return None,
    };
    Some(tagged("collaboration_mode", text))
}

fn permissions(settings: &Settings) -> String {
    let sandbox = match &settings.sandbox {
        SandboxPolicy::DangerFullAccess => "Commands run without a sandbox.".to_owned(),
        SandboxPolicy::ExternalSandbox { .. } => {
            "Commands run without a sandbox of this program; something outside confines all of it.".to_owned()
        }
        SandboxPolicy::ReadOnly { network_access } => format!(
            "Commands run in a sandbox: files can be read and not written; {}.",
            network(*network_access)
        ),
        SandboxPolicy::WorkspaceWrite { writable_roots, network_access, .. } => {
            let more: String = writable_roots.iter().map(|root| format!(", {root}")).collect();
            format!(
                "Commands run in a sandbox: files can be read, and written in the working directory{more} \
                 and folders for temporary files; {}.",
                network(*network_access)
            )
        }
    };
    let asking = match settings.approval_policy {
        AskForApproval::Never => "Nobody is asked for approval: what is denied is denied.",
        AskForApproval::UnlessTrusted => "The user is asked before each command and patch.",
        AskForApproval::OnRequest | AskForApproval::Granular(_) => {
            "To leave the sandbox for one command, ask with sandbox_permissions \"require_escalated\" and a \
             justification; the user decides."
        }
    };
    tagged("permissions", &format!("{sandbox} {asking}"))
}

fn network(access: bool) -> &'static str {
    if access { "the network can be used" } else { "there is no network" }
}

fn environment(cwd: &Path, date: &str) -> String {
    let shell = super::terminals::shell(/*asked*/ None);
    let name = shell.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let cwd = cwd.display();
    format!(
        "<environment_context>\n  <cwd>{cwd}</cwd>\n  <shell>{name}</shell>\n  \
         <current_date>{date}</current_date>\n</environment_context>"
    )
}

/// The instructions of the home and of each folder from the project's root down to `cwd`.
fn agents_files(home: &Path, cwd: &Path) -> Option<String> {
    let texts: Vec<String> = agents_texts(home, cwd).into_iter().map(|(_, text)| text).collect();
    (!texts.is_empty()).then(|| tagged("project_instructions", &texts.join("\n\n")))
}

/// The files that say something to a thread in `cwd`, the outermost first. It reads them.
#[must_use]
pub fn sources(home: &Path, cwd: &Path) -> Vec<PathBuf> {
    agents_texts(home, cwd).into_iter().map(|(path, _)| path).collect()
}

/// Each file that says something, and what of it the model is told.
fn agents_texts(home: &Path, cwd: &Path) -> Vec<(PathBuf, String)> {
    let mut room = limits::AGENTS_BYTES_MAX;
    let mut texts = Vec::new();
    let folders = std::iter::once(home.to_owned()).chain(project_folders(cwd));
    for folder in folders {
        let Some((path, text)) = agents_file(&folder) else { continue };
        let text = text.trim();
        if text.is_empty() || room == 0 {
            continue;
        }
        let end = (0..=text.len().min(room)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        room -= end;
        let note = if end < text.len() { "\n[… the rest is left out: it is too long …]" } else { "" };
        let told = format!("From {}:\n\n{}{note}", path.display(), &text[..end]);
        texts.push((path, told));
    }
    texts
}

fn agents_file(folder: &Path) -> Option<(PathBuf, String)> {
    AGENTS_FILES.iter().find_map(|name| {
        let path = folder.join(name);
        match read_bounded(&path, limits::AGENTS_FILE_BYTES_MAX) {
            Ok(bytes) => Some((path, String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) => {
                tracing::debug!(path = %path.display(), error, "no instructions here");
                None
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::agent::tests::settings;
    use crate::scratch::Folder;

    fn folder() -> Folder {
        let folder = Folder::new();
        for name in ["home", "repo/.git", "repo/deep/er"] {
            folder.make(name);
        }
        folder
    }

    fn texts(item: &Option<InputItem>) -> Vec<String> {
        let Some(InputItem::Message { content, .. }) = item else { return Vec::new() };
        content.iter().map(|piece| crate::model::words(std::slice::from_ref(piece))).collect()
    }

    #[test]
    fn a_project_speaks_from_its_root_down_and_the_deepest_last() {
        let folder = folder();
        let at = |path: &str| folder.at(path);
        fs::write(at("AGENTS.md"), "outside").expect("a file");
        fs::write(at("home/AGENTS.md"), "of the user").expect("a file");
        fs::write(at("repo/AGENTS.md"), "of the root").expect("a file");
        fs::write(at("repo/deep/AGENTS.md"), "hidden").expect("a file");
        fs::write(at("repo/deep/AGENTS.override.md"), "instead").expect("a file");
        fs::write(at("repo/deep/er/AGENTS.md"), "x".repeat(limits::AGENTS_BYTES_MAX)).expect("a file");
        let text = agents_files(&at("home"), &at("repo/deep/er")).expect("there are some");
        let places: Vec<Option<usize>> =
            ["of the user", "of the root", "instead", "xxx"].map(|words| text.find(words)).to_vec();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
        assert!(!text.contains("outside") && !text.contains("hidden") && text.contains("too long"));
        assert!(text.len() < limits::AGENTS_BYTES_MAX + 1000);
    }

    #[test]
    fn only_what_is_new_is_said_again() {
        let folder = folder();
        let mut settings = settings();
        settings.cwd = folder.at("repo").display().to_string();
        let home = folder.at("home");
        let first = news(&settings, &home, &[], "2026-01-02", &[]);
        let said = texts(&first);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("without a sandbox") && said[1].contains("<current_date>2026-01-02<"));
        assert!(matches!(&first, Some(InputItem::Message { role: Role::Developer, .. })));
        let said: Vec<InputItem> = first.into_iter().collect();
        assert_eq!(news(&settings, &home, &[], "2026-01-02", &said), None);
        settings.sandbox = SandboxPolicy::ReadOnly { network_access: false };
        settings.developer_instructions = Some("be kind".to_owned());
        let more = news(&settings, &home, &[], "2026-01-02", &said);
        assert_eq!(texts(&more)[1], "<developer_instructions>\nbe kind\n</developer_instructions>");
        assert!(texts(&more)[0].contains("not written") && texts(&more).len() == 2);
        settings.base_instructions = Some("mine".to_owned());
        assert_eq!(rules(&settings), "mine");
    }
}
