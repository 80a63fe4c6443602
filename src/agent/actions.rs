//! What a command line does, as far as it can be told from its words: reads a file, lists files, searches, or
//! anything else. Clients show that instead of the command.
//!
//! A line is told apart only if all of it is understood: a part that may do anything else makes the whole
//! line unknown. It only looks at text and runs nothing; it runs on the worker that shows the command.

use std::path::Path;

use crate::limits;
use crate::proto::{AbsolutePath, CommandAction};

/// What the parts of a shell script do; at least one action.
pub(super) fn of(script: &str, cwd: &Path) -> Vec<CommandAction> {
    understood(script, cwd).unwrap_or_else(|| vec![CommandAction::Unknown { command: script.to_owned() }])
}

/// None if a part is not understood.
fn understood(script: &str, cwd: &Path) -> Option<Vec<CommandAction>> {
    if script.len() > limits::COMMAND_ACTIONS_SCRIPT_BYTES_MAX {
        return None;
    }
    let mut folder = cwd.to_owned();
    let mut actions = Vec::new();
    for part in parts(script)? {
        let words = shlex::split(part.text)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (&words[..], part.piped) {
            ([], _) => return None,
            (["cd", to], false) => folder = folder.join(to),
            (words, true) if only_formats(words) => {}
            (words, false) => {
                let command = part.text.trim().to_owned();
                actions.push(action(words, command, &folder)?);
            }
            _ => return None,
        }
    }
    (!actions.is_empty()).then_some(actions)
}

/// A simple command of a script.
struct Part<'a> {
    text: &'a str,
    /// Its input is the output of the one before it.
    piped: bool,
}

/// The simple commands of a script; none if it has anything but such commands one after the other.
fn parts(script: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let (mut quote, mut escaped, mut from, mut piped) = (None, false, 0, false);
    let mut chars = script.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => escaped = true,
            // These run commands and change words, also between double quotes.
            (_, '$' | '`') => return None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '<' | '>' | '(' | ')' | '{' | '}' | '#' | '!') => return None,
            (None, '&' | '|' | ';' | '\n') => {
                let doubled = chars.next_if(|&(_, next)| next == c && c != '\n').is_some();
                if (c == '&' && !doubled) || (c == ';' && doubled) {
                    return None;
                }
                parts.push(Part { text: &script[from..at], piped });
                piped = c == '|' && !doubled;
                from = at + 1 + usize::from(doubled);
            }
            _ => {}
        }
    }
    if quote.is_some() || escaped {
        return None;
    }
    if !script[from..].trim().is_empty() {
        parts.push(Part { text: &script[from..], piped });
    }
    Some(parts)
}

/// True for what only shapes the output of the command before it.
fn only_formats(words: &[&str]) -> bool {
    let Some((&program, rest)) = words.split_first() else { return false };
    match program {
        "wc" | "sort" | "uniq" | "tr" | "cut" | "column" | "fold" => true,
        "head" | "tail" | "nl" | "cat" => operands(rest, &["-n"]).is_empty(),
        "sed" => matches!(rest, ["-n", range] if is_range(range)),
        _ => false,
    }
}

/// What one simple command does; none if that is not known.
fn action(words: &[&str], command: String, folder: &Path) -> Option<CommandAction> {
    let (&program, rest) = words.split_first()?;
    match program {
        "cat" | "bat" | "less" | "more" => read(&operands(rest, &[]), command, folder),
        "nl" => read(&operands(rest, &["-b", "-s", "-w", "-v", "-i"]), command, folder),
        "head" | "tail" if rest.iter().all(|word| !word.starts_with("-c")) => {
            read(&operands(rest, &["-n"]), command, folder)
        }
        "sed" => match rest {
            ["-n", range, file] if is_range(range) => read(&[file], command, folder),
            _ => None,
        },
        "ls" | "tree" | "eza" | "exa" => list(&operands(rest, &["-I", "-L", "-w"]), command),
        "rg" | "ag" if rest.contains(&"--files") => list(&operands(rest, RG_VALUES), command),
        "rg" | "ag" => search(&operands(rest, RG_VALUES), command),
        "grep" | "egrep" | "fgrep" => search(&operands(rest, GREP_VALUES), command),
        "git" => match rest.split_first()? {
            (&"grep", rest) => search(&operands(rest, GREP_VALUES), command),
            (&"ls-files", rest) => list(&operands(rest, &[]), command),
            _ => None,
        },
        "fd" | "fdfind" => search(&operands(rest, &["-t", "-e", "-d", "-E"]), command),
        "find" => find(rest, command),
        _ => None,
    }
}

/// Flags of `rg` with a value of their own.
const RG_VALUES: &[&str] = &[
    "-A",
    "-B",
    "-C",
    "-g",
    "-m",
    "-t",
    "-T",
    "-j",
    "-M",
    "--glob",
    "--type",
    "--max-count",
    "--context",
    "--sort",
];
/// The same of `grep`.
const GREP_VALUES: &[&str] = &["-A", "-B", "-C", "-m", "--include", "--exclude", "--exclude-dir"];

/// The words that are neither flags nor values of these flags. A pattern behind `-e` counts as one.
fn operands<'a>(words: &[&'a str], with_value: &[&str]) -> Vec<&'a str> {
    let (mut found, mut rest) = (Vec::new(), words.iter());
    while let Some(&word) = rest.next() {
        match word {
            "--" => {
                found.extend(rest);
                break;
            }
            "-e" => {}
            "-" => found.push(word),
            flag if with_value.contains(&flag) => drop(rest.next()),
            flag if flag.starts_with('-') => {}
            _ => found.push(word),
        }
    }
    found
}

/// Whether a word is what `sed -n` prints: `1p`, `10,20p`, `5,$p`.
fn is_range(word: &str) -> bool {
    let Some(lines) = word.strip_suffix('p') else { return false };
    let is_line = |line: &str| line == "$" || (!line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()));
    let mut ends = lines.splitn(2, ',');
    ends.all(is_line)
}

fn read(files: &[&str], command: String, folder: &Path) -> Option<CommandAction> {
    let [file] = files else { return None };
    let path = folder.join(file);
    let name = path.file_name()?.to_string_lossy().into_owned();
    let path = AbsolutePath::new(&path)?.as_path().display().to_string();
    Some(CommandAction::Read { command, name, path })
}

fn list(paths: &[&str], command: String) -> Option<CommandAction> {
    Some(CommandAction::ListFiles { command, path: paths.first().map(|path| (*path).to_owned()) })
}

fn search(words: &[&str], command: String) -> Option<CommandAction> {
    let mut words = words.iter().map(|word| (*word).to_owned());
    let query = words.next();
    Some(CommandAction::Search { command, query, path: words.next() })
}

/// `find` can also run and delete; only tests of names and kinds are understood.
fn find(words: &[&str], command: String) -> Option<CommandAction> {
    let roots = words.iter().take_while(|word| !word.starts_with('-')).count();
    let path = words[..roots].first().map(|path| (*path).to_owned());
    let (mut query, mut rest) = (None, words[roots..].iter());
    while let Some(&word) = rest.next() {
        match word {
            "-name" | "-iname" | "-path" | "-ipath" => query = Some((*rest.next()?).to_owned()),
            "-type" | "-maxdepth" | "-mindepth" | "-size" | "-mtime" | "-newer" => drop(rest.next()?),
            "-not" | "-o" | "-a" | "-print" | "-empty" => {}
            _ => return None,
        }
    }
    match query {
        Some(query) => Some(CommandAction::Search { command, query: Some(query), path }),
        None => Some(CommandAction::ListFiles { command, path }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(script: &str) -> Vec<String> {
        let show = |path: Option<String>| path.unwrap_or_else(|| "-".to_owned());
        let tell = |action| match action {
            CommandAction::Read { name, path, .. } => format!("read {name} {path}"),
            CommandAction::ListFiles { path, .. } => format!("list {}", show(path)),
            CommandAction::Search { query, path, .. } => format!("search {} {}", show(query), show(path)),
            CommandAction::Unknown { command } => format!("unknown {command}"),
        };
        of(script, Path::new("/w")).into_iter().map(tell).collect()
    }

    #[test]
    fn simple_commands_are_told_apart() {
        let cases = [
            ("ls", "list -"),
            ("ls -la src", "list src"),
            ("cat a/b.txt", "read b.txt /w/a/b.txt"),
            ("nl -ba ./x.rs", "read x.rs /w/x.rs"),
            ("sed -n '10,20p' ../x.rs", "read x.rs /x.rs"),
            ("head -n 20 /etc/hosts", "read hosts /etc/hosts"),
            ("tail -5 x", "read x /w/x"),
            ("cat x | head -n 5 | wc -l", "read x /w/x"),
            ("cd src && cat main.rs", "read main.rs /w/src/main.rs"),
            ("rg --files", "list -"),
            ("rg --files src -g '*.rs'", "list src"),
            ("rg -n -A 3 'fn main' src", "search fn main src"),
            ("grep -rn -e todo .", "search todo ."),
            ("git grep -n thing", "search thing -"),
            ("git ls-files", "list -"),
            ("find . -name '*.rs' -type f", "search *.rs ."),
            ("find src -maxdepth 2", "list src"),
        ];
        for (script, expected) in cases {
            assert_eq!(told(script), [expected], "{script}");
        }
        assert_eq!(told("ls; cat x\nrg y"), ["list -", "read x /w/x", "search y -"]);
    }

    #[test]
    fn whatever_else_a_line_may_do_makes_it_unknown() {
        let unknown = [
            "",
            "cat",
            "cat a b",
            "cat x > y",
            "cat <x",
            "cat $(ls)",
            "cat \"$HOME\"",
            "ls `pwd`",
            "ls & rm x",
            "ls && rm x",
            "sed -i s/a/b/ x",
            "sed -n 1w/tmp/x y",
            "find . -delete",
            "find . -exec rm {} +",
            "head -c 200000 /dev/zero | tr '\\0' a",
            "cat 'x",
            "cd src",
            "ls | xargs rm",
            "git log",
            "for i in 1 2; do echo $i; done",
            "cat x\\",
        ];
        for script in unknown {
            assert_eq!(told(script), [format!("unknown {script}")]);
        }
    }

    #[test]
    fn a_long_script_is_not_looked_at() {
        let script = format!("cat {}", "x".repeat(limits::COMMAND_ACTIONS_SCRIPT_BYTES_MAX));
        assert!(told(&script)[0].starts_with("unknown cat xx"));
        assert!(told(&script[..script.len() - 4])[0].starts_with("read xx"));
    }
}
