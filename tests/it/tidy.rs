//! The house rules that no compiler knows: who may import whom, how large files are, how they begin.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of the house, from the ground up; a module imports only from below, or from itself. Where a
/// floor cannot stand without steps (a configuration has limits and errors), its second number says which.
const FLOORS: &[((u32, u32), &[&str])] = &[
    ((1, 1), &["limits", "error", "scratch", "sync"]),
    ((1, 2), &["clock", "config"]),
    ((1, 3), &["cli"]),
    ((2, 1), &["sys"]),
    ((2, 2), &["obs"]),
    ((3, 1), &["queue", "timer"]),
    ((4, 1), &["rpc"]),
    ((5, 1), &["proto"]),
    ((6, 1), &["net", "sandbox", "store", "patch", "files", "schema"]),
    ((6, 2), &["exec"]),
    ((7, 1), &["model"]),
    ((7, 2), &["mcp"]),
    ((8, 1), &["agent"]),
    ((9, 1), &["server"]),
    ((10, 1), &["run"]),
    ((10, 2), &["main"]),
];

const LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 110;

struct Source {
    /// Below the package's folder.
    path: String,
    text: String,
}

impl Source {
    /// The top module that the file belongs to; none for the crate's own root.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let module = inside.split('/').next()?.trim_end_matches(".rs");
        (module != "lib").then_some(module)
    }

    fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.trim_end_matches(".rs").split('/').collect();
        self.path.starts_with("tests/") || parts.contains(&"tests")
    }

    /// Numbered lines of what is no comment and no test. Test modules stand at the end of a file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("#[cfg(test)]\nmod ").or_else(|| self.text.find("#[cfg(test)]\n#[path"));
        let code = &self.text[..tests.unwrap_or(self.text.len())];
        let lines = code.lines().enumerate().map(|(at, line)| (at + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(folder)];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the package").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a source file"),
        path: path.strip_prefix(root).expect("below the package").display().to_string(),
    };
    files.into_iter().map(read).collect()
}

fn floor(module: &str) -> Option<(u32, u32)> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

/// The modules of this crate that a piece of code names: behind `crate::`, `app_server::`, and in the braces
/// of a `use` of them.
fn named_modules(code: &str, root: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices(root) {
        let is_word = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        if is_word {
            continue;
        }
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            None => named.push(identifier(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut starts = true;
                for (at, character) in group.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => starts = true,
                        c if starts && !c.is_whitespace() => {
                            named.push(identifier(&group[at..]));
                            starts = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    named
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Each broken rule on a line of its own, so that all are seen at once.
fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn every_module_stands_on_a_floor() {
    let sources = sources("src");
    let modules: Vec<&str> = sources.iter().filter_map(Source::module).collect();
    assert!(modules.len() > 50, "the sources are found");
    let homeless: Vec<String> =
        modules.iter().filter(|module| floor(module).is_none()).map(|module| (*module).to_owned()).collect();
    assert_none(&homeless);
}

#[test]
fn modules_import_only_from_the_floors_below() {
    let mut broken = Vec::new();
    let mut imports = 0;
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        let Some(module) = source.module() else { continue };
        let own = floor(module).unwrap_or_default();
        // Without comments, but whole: an import may go over several lines.
        let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
        // The binary knows the library by its name.
        let named =
            named_modules(&code, if module == "main" { "app_server::" } else { "crate::" }).into_iter();
        for other in named.filter(|other| other != module) {
            imports += 1;
            match floor(&other) {
                Some(floor) if floor < own => {}
                Some(floor) => {
                    broken.push(format!("{} (floor {own:?}) imports {other} (floor {floor:?})", source.path))
                }
                None => broken.push(format!("{} imports {other}, which stands on no floor", source.path)),
            }
        }
    }
    assert!(imports > 100, "the imports are found: {imports}");
    broken.sort();
    broken.dedup();
    assert_none(&broken);
}

#[test]
fn files_and_lines_are_short() {
    let mut broken = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{}: {lines} lines", source.path));
        }
        let tests_from = if source.is_test() { 0 } else { source.code().last().map_or(0, |(at, _)| at) };
        for (at, line) in source.text.lines().enumerate() {
            // What was recorded is written as it was recorded, and a table's row cannot be broken.
            let is_row = line.trim_start().starts_with("//! |");
            let is_data = is_row || at >= tests_from && holds_recorded_text(line);
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !is_data {
                broken.push(format!("{}:{}: {columns} columns", source.path, at + 1));
            }
        }
    }
    assert_none(&broken);
}

/// True for a line of a test that consists of one text, but for what binds it to a name.
fn holds_recorded_text(line: &str) -> bool {
    let line = line.trim();
    if line.starts_with("//") {
        return false;
    }
    let text = line.split_once(" = ").map_or(line, |(_, text)| text);
    ["r#\"", "r##\"", "\""].iter().any(|quote| line.starts_with(quote) || text.starts_with(quote))
}

#[test]
fn every_file_says_what_it_is() {
    let all = sources("src").into_iter().chain(sources("tests"));
    let without: Vec<String> =
        all.filter(|source| !source.text.starts_with("//! ")).map(|source| source.path).collect();
    assert_none(&without);
}

#[test]
fn unsafe_code_is_below_sys_only_and_no_queue_is_without_bound() {
    // Put together here, so that this file does not break its own rule.
    let (unsafe_word, endless_queue) = (concat!("un", "safe "), concat!("un", "bounded("));
    let mut broken = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        for (line, text) in source.text.lines().enumerate() {
            let code = text.split("//").next().unwrap_or_default();
            if code.contains(unsafe_word) && source.module() != Some("sys") {
                broken.push(format!("{}:{}: {unsafe_word}", source.path, line + 1));
            }
            if code.contains(endless_queue) {
                broken.push(format!("{}:{}: {endless_queue}", source.path, line + 1));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::rpc::{Reply, Id};\n\
                use crate::{agent::{A, B}, model, queue as q};\n\
                let x = crate::limits::MIB;\n\
                use mycrate::net;";
    let mut counts = BTreeMap::<String, usize>::new();
    for module in named_modules(code, "crate::") {
        *counts.entry(module).or_default() += 1;
    }
    let found: Vec<&str> = counts.keys().map(String::as_str).collect();
    assert_eq!(found, ["agent", "limits", "model", "queue", "rpc"]);
}
