//! Beginnings of commands that the user has allowed for good: a file of our own, a JSON array of words a
//! line.
//!
//! It is read for each question, so that several servers on one home, and whoever edits it, agree at once;
//! commands are few and the file is small. It runs on the worker that asks, and knows nothing of policies.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::limits;

const FILE: &str = "allowed-commands.jsonl";

/// The rules of one home.
#[derive(Debug)]
pub struct CommandRules {
    path: PathBuf,
}

impl CommandRules {
    /// Those in this folder, which need not be there yet.
    #[must_use]
    pub fn below(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE) }
    }

    /// True if a rule is the beginning of these words. What cannot be read allows nothing.
    #[must_use]
    pub fn allow(&self, words: &[String]) -> bool {
        match self.text() {
            Ok(text) => text.lines().any(|line| is_beginning(line, words)),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the allowed commands cannot be read");
                false
            }
        }
    }

    /// Keeps a rule. One without words would allow everything and is not kept.
    ///
    /// # Errors
    /// The file cannot be written, or has no room.
    pub fn add(&self, prefix: &[String]) -> io::Result<()> {
        if prefix.iter().all(String::is_empty) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the rule has no words"));
        }
        let rule = serde_json::to_string(prefix)?;
        let text = self.text()?;
        if text.lines().any(|known| known == rule) {
            return Ok(());
        }
        // A last line without an end, which an editor may leave, stays a line of its own.
        let before = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let line = format!("{before}{rule}\n");
        if text.len() + line.len() > limits::COMMAND_RULES_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the file of rules is full"));
        }
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        // One write at the end of the file: other processes may do the same.
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        file.write_all(line.as_bytes())
    }

    fn text(&self) -> io::Result<String> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(limits::COMMAND_RULES_BYTES_MAX as u64).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// True if the line is a rule for these words; a line that is none is passed over.
fn is_beginning(line: &str, words: &[String]) -> bool {
    let prefix: Vec<String> = serde_json::from_str(line).unwrap_or_default();
    !prefix.is_empty() && words.starts_with(&prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn rules() -> CommandRules {
        CommandRules::below(&std::env::temp_dir().join(format!("app-server-rules-{}", uuid::Uuid::new_v4())))
    }

    #[test]
    fn a_rule_is_kept_once_and_seen_by_all() {
        let rules = rules();
        assert!(!rules.allow(&words("ls -l")));
        rules.add(&words("ls")).expect("it is kept");
        rules.add(&words("ls")).expect("it is known");
        assert_eq!(fs::read_to_string(&rules.path).expect("a file"), "[\"ls\"]\n");
        let other = CommandRules { path: rules.path.clone() };
        assert!(other.allow(&words("ls -l")) && !other.allow(&words("lsof")));
    }

    #[test]
    fn what_is_no_rule_allows_nothing() {
        let rules = rules();
        rules.add(&[]).expect_err("it would allow everything");
        rules.add(&[String::new()]).expect_err("so would this");
        rules.add(&words("ls")).expect("it is kept");
        fs::write(&rules.path, "[]\n[\"cat\"\n{}\n[\"pwd\"]").expect("it can be written");
        rules.add(&words("cal")).expect("it is kept");
        assert!(!rules.allow(&words("cat x")) && !rules.allow(&words("ls")) && rules.allow(&words("pwd")));
        assert!(rules.allow(&words("cal")));
    }

    #[test]
    fn a_full_file_takes_no_more() {
        let rules = rules();
        rules.add(&words("ls")).expect("it is kept");
        let long = "x".repeat(limits::COMMAND_RULES_BYTES_MAX);
        let error = rules.add(&[long]).expect_err("it is too much");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(rules.allow(&words("ls")));
    }
}
