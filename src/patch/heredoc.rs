//! Finds a patch that came as a shell command: models that know the tool by its name type
//! `apply_patch <<'EOF'` where commands are expected, sometimes inside `bash -lc '…'`, sometimes behind
//! `cd folder &&`. Only what is that and nothing else is taken; all else is a command. Knows text only; runs
//! on its caller's OS thread.

use std::path::PathBuf;

/// Names by which the tool is typed.
const NAMES: [&str; 2] = ["apply_patch", "applypatch"];
/// Shells whose `-c` argument is looked into.
const SHELLS: [&str; 3] = ["bash", "sh", "zsh"];
/// Shells in shells that are looked into.
const DEPTH_MAX: usize = 3;

/// A patch found in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The folder of a `cd` before it, as written.
    pub folder: Option<PathBuf>,
    /// The patch's text.
    pub patch: String,
}

/// The patch in a shell's script, if the script is nothing but that.
#[must_use]
pub fn extract(script: &str) -> Option<Heredoc> {
    in_script(script, /*depth*/ 0)
}

/// The patch in a command of several arguments: `["bash", "-lc", SCRIPT]` or `["apply_patch", PATCH]`.
#[must_use]
pub fn extract_from_arguments(arguments: &[String]) -> Option<Heredoc> {
    in_arguments(arguments, /*depth*/ 0)
}

fn in_arguments(arguments: &[String], depth: usize) -> Option<Heredoc> {
    match arguments {
        [name, patch] if NAMES.contains(&name.as_str()) => {
            Some(Heredoc { folder: None, patch: patch.clone() })
        }
        [shell, flag, script] if depth < DEPTH_MAX => {
            let shell = shell.rsplit('/').next().unwrap_or_default();
            let takes_script = SHELLS.contains(&shell) && ["-c", "-lc", "-cl"].contains(&flag.as_str());
            takes_script.then(|| in_script(script, depth + 1)).flatten()
        }
        _ => None,
    }
}

fn in_script(script: &str, depth: usize) -> Option<Heredoc> {
    let mut rest = script.trim();
    let mut folder = None;
    if let Some((words, after)) = words(rest)
        && let [cd, target] = &words[..]
        && cd == "cd"
        && let Some(after) = after.strip_prefix("&&")
    {
        folder = Some(PathBuf::from(target));
        rest = after.trim_start();
    }
    let (words, after) = words(rest)?;
    let inner = match &words[..] {
        [name] if NAMES.contains(&name.as_str()) => {
            document(after.strip_prefix("<<")?).map(|patch| Heredoc { folder: None, patch })
        }
        _ if after.is_empty() => in_arguments(&words, depth),
        _ => None,
    }?;
    let folder = match (folder, inner.folder) {
        (Some(outer), Some(inner)) => Some(outer.join(inner)),
        (outer, inner) => outer.or(inner),
    };
    Some(Heredoc { folder, patch: inner.patch })
}

/// The body of a here-document, from behind its `<<`; none if anything follows its end.
fn document(text: &str) -> Option<String> {
    let (head, body) = text.split_once('\n')?;
    let (strips_tabs, head) = match head.strip_prefix('-') {
        Some(head) => (true, head),
        None => (false, head),
    };
    let (tag, after) = words(head.trim())?;
    let [tag] = &tag[..] else { return None };
    if !after.is_empty() || tag.is_empty() {
        return None;
    }
    let mut patch = String::new();
    let mut lines = body.split('\n');
    for line in lines.by_ref() {
        let line = if strips_tabs { line.trim_start_matches('\t') } else { line };
        if line.strip_suffix('\r').unwrap_or(line) == tag {
            return lines.all(|line| line.trim().is_empty()).then_some(patch);
        }
        patch.push_str(line);
        patch.push('\n');
    }
    None
}

/// The words of a command that is nothing but words: no operator, and nothing that needs a shell to be
/// understood.
#[must_use]
pub fn plain_words(text: &str) -> Option<Vec<String>> {
    words(text).filter(|(_, rest)| rest.is_empty()).map(|(words, _)| words)
}

/// The words of a simple command up to the first operator, and the rest from there. None if a word needs a
/// shell to be understood.
fn words(text: &str) -> Option<(Vec<String>, &str)> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '&' | '|' | ';' | '<' | '>' | '(' | ')' | '\n' => {
                words.extend(word.take());
                return Some((words, &text[at..]));
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()?.1 {
                        '\'' => break,
                        character => word.push(character),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()?.1 {
                        '"' => break,
                        '\\' => match characters.next()?.1 {
                            '\n' => {}
                            escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        '$' | '`' => return None,
                        character => word.push(character),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next()?.1),
            '$' | '`' | '*' | '?' | '[' | '{' | '#' => return None,
            '~' if word.is_none() => return None,
            character => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Some((words, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "*** Begin Patch\n*** Add File: a\n+it's $HOME\n*** End Patch\n";

    fn found(folder: Option<&str>) -> Option<Heredoc> {
        Some(Heredoc { folder: folder.map(PathBuf::from), patch: PATCH.to_owned() })
    }

    #[test]
    fn here_documents_are_found() {
        for (before, tag) in
            [("apply_patch <<", "'EOF'"), ("applypatch<<", "\"EOF\""), ("apply_patch << ", "EOF")]
        {
            assert_eq!(
                extract(&format!("{before}{tag}\n{PATCH}EOF\n")),
                found(/*folder*/ None),
                "{before}{tag}"
            );
        }
        let script = format!("cd 'a b/c' && apply_patch <<'PATCH'\n{PATCH}PATCH");
        assert_eq!(extract(&script), found(Some("a b/c")));
        let arguments = ["/bin/bash", "-lc", &script].map(str::to_owned);
        assert_eq!(extract_from_arguments(&arguments), found(Some("a b/c")));
        assert_eq!(
            extract_from_arguments(&["apply_patch".to_owned(), PATCH.to_owned()]),
            found(/*folder*/ None)
        );
        let tabs = format!("apply_patch <<-EOF\n\t{}\tEOF", PATCH.trim_end().replace('\n', "\n\t") + "\n");
        assert_eq!(extract(&tabs), found(/*folder*/ None));
    }

    #[test]
    fn a_shell_inside_the_command_is_looked_into() {
        let inner = format!("apply_patch <<EOF\n{PATCH}EOF\n");
        let quoted = format!("'{}'", inner.replace('\'', "'\\''"));
        assert_eq!(extract(&format!("bash -lc {quoted}")), found(/*folder*/ None));
        assert_eq!(extract(&format!("cd x && bash -lc {quoted}")), found(Some("x")));
        assert_eq!(
            extract(&format!("apply_patch '{}'", PATCH.replace('\'', "'\\''"))),
            found(/*folder*/ None)
        );
        let nest = |script: String| format!("bash -c '{}'", script.replace('\'', "'\\''"));
        let deep = (0..=DEPTH_MAX).fold(inner, |script, _| nest(script));
        assert_eq!(extract(&deep), None, "deeper than what is looked into");
    }

    #[test]
    fn all_else_stays_a_command() {
        let document = format!("<<'EOF'\n{PATCH}EOF\n");
        for script in [
            "ls".to_owned(),
            "apply_patch".to_owned(),
            String::new(),
            "apply_patch <<'EOF'\nno end".to_owned(),
            format!("apply_patch {document}echo done\n"),
            format!("apply_patch -x {document}"),
            format!("cat {document}"),
            format!("cd a; apply_patch {document}"),
            format!("cd $HOME && apply_patch {document}"),
            format!("cd ~/x && apply_patch {document}"),
            format!("cd a b && apply_patch {document}"),
            format!("cd a || apply_patch {document}"),
            format!("true && apply_patch {document}"),
            "apply_patch <<'EOF' | cat\nx\nEOF".to_owned(),
            "bash -lc 'unclosed".to_owned(),
        ] {
            assert_eq!(extract(&script), None, "{script}");
        }
    }
}
