//! A copy of a fixture, the lint run in it, and what it said, taken apart.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

pub const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/expected");

/// A fixture in a folder of its own, because `cargo metadata` writes a lock file and `--fix` the sources.
pub struct Fixture {
    folder: PathBuf,
}

impl Fixture {
    pub fn new(name: &str) -> Fixture {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("argument-comment-lint-{unique}"));
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name), &folder);
        Fixture { folder }
    }

    /// With an empty standard library: for code that does not use it the outcome is the same, and it is much
    /// faster to load.
    pub fn run_without_std(&self, flags: &[&str], cargo: &[&str]) -> Run {
        let empty = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/empty-std");
        self.run(&[flags, &["--std-source", empty]].concat(), cargo)
    }

    pub fn run(&self, flags: &[&str], cargo: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_argument-comment-lint"))
            .args(flags)
            .args(if cargo.is_empty() { &[][..] } else { &["--"] })
            .args(cargo)
            .current_dir(&self.folder)
            .env_remove("ARGUMENT_COMMENT_LINT_FLAGS")
            .env("CARGO_NET_OFFLINE", "true")
            .output()
            .expect("the lint starts");
        let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
        let status = output.status.code().expect("it ends by itself");
        Run { status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).expect(file)
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text).expect(file);
    }

    /// Relative and sorted.
    pub fn rust_files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.folder, &self.folder, &mut found);
        found.sort();
        found
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // Nothing depends on it; the next run uses another folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn collect(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The findings on stderr, each with its lines.
    pub fn messages(&self) -> Vec<String> {
        let blocks = self.stderr.split("\n\n").map(|block| format!("{block}\n"));
        blocks.filter(|block| block.contains("--> ")).collect()
    }

    pub fn messages_about(&self, file: &str) -> String {
        let place = format!("--> {file}:");
        self.messages().into_iter().filter(|message| message.contains(&place)).collect::<Vec<_>>().join("\n")
    }

    pub fn summary(&self) -> String {
        let lines = self.stderr.lines().filter(|line| line.starts_with("argument-comment-lint: "));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

pub fn assert_expected(name: &str, got: &str) {
    let path = Path::new(EXPECTED).join(name);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::create_dir_all(EXPECTED).unwrap();
        fs::write(&path, got).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(expected == got, "{name} differs\n--- expected\n{expected}\n--- got\n{got}");
}
