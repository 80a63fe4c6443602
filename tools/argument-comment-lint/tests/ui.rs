//! Runs the lint over the fixtures and compares what it says, word by word, with `tests/expected`.
//! `UPDATE_EXPECTED=1` writes what it says there instead; read the difference before you commit it.

mod support;

use support::{Fixture, assert_expected};

const BOTH: &[&str] = &["-W", "uncommented-anonymous-literal-argument", "-W", "argument-comment-mismatch"];

/// Every file of the fixture has a file of what is said about it, which is empty if nothing may be.
#[test]
fn each_rule_says_what_it_should() {
    let fixture = Fixture::new("rules");
    let run = fixture.run(BOTH, &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for file in fixture.rust_files() {
        let expected = format!("{}.txt", file.replace('/', "__"));
        assert_expected(&expected, &run.messages_about(&file));
    }
    assert_expected("summary.txt", &run.summary());
}

#[test]
fn a_fix_writes_the_comments_and_nothing_else() {
    let fixture = Fixture::new("rules");
    let windows = fixture.read("src/functions.rs").replace('\n', "\r\n");
    fixture.write("src/functions.rs", &format!("\u{feff}{windows}"));
    let before: Vec<_> = fixture.rust_files().into_iter().map(|file| (fixture.read(&file), file)).collect();

    let run = fixture.run(&[BOTH, &["--fix"]].concat(), &["--all-targets", "--all-features"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for (text, file) in &before {
        assert_eq!(without_comments(text), without_comments(&fixture.read(file)), "{file}");
    }
    for name in ["mismatch", "multiline", "macros", "literals"] {
        assert_expected(&format!("fixed__{name}.rs"), &fixture.read(&format!("src/{name}.rs")));
    }
    assert!(fixture.read("src/functions.rs").contains("link(/*retry*/ true);\r\n"));

    let again =
        fixture.run(&["-D", "warnings", "-W", "uncommented-anonymous-literal-argument"], &["--all-features"]);
    assert_eq!((again.status, again.messages()), (0, Vec::<String>::new()));
}

/// The text without any `/*name*/`, and without the blank that a fix puts behind it.
fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        let (name, after) = comment.split_once("*/").expect("a comment ends");
        let is_name = name.chars().all(|letter| letter == '_' || letter.is_ascii_alphanumeric());
        if is_name {
            rest = after.strip_prefix(' ').unwrap_or(after);
        } else {
            kept.push_str("/*");
            rest = comment;
        }
    }
    kept + rest
}

#[test]
fn a_fix_touches_only_the_targets_that_were_asked_for() {
    let fixture = Fixture::new("rules");
    let (test, bin, unit_test) = ("tests/one.rs", "src/main.rs", "src/conditional.rs");
    let before = [test, bin].map(|file| fixture.read(file));

    fixture.run_without_std(&[BOTH, &["--fix"]].concat(), &[]);
    assert_eq!(fixture.read(test), before[0]);
    assert_ne!(fixture.read(bin), before[1]);
    assert!(fixture.read(unit_test).contains("super::connect(false)"));

    fixture.run_without_std(&[BOTH, &["--fix"]].concat(), &["--test", "one"]);
    assert_ne!(fixture.read(test), before[0]);
    assert!(fixture.read("tests/two.rs").contains("common::start(3)"));
}

/// Only what the level lets through is mended: this is how one lint is fixed and the other left.
#[test]
fn a_fix_leaves_what_is_allowed() {
    let fixture = Fixture::new("rules");
    fixture.run_without_std(&["--fix"], &["--all-targets"]);
    let mended = fixture.read("src/mismatch.rs");
    assert!(mended.contains("open(/*base_url*/ None, /*retry_count*/ 3, \"x\");"), "{mended}");
    assert!(fixture.read("src/main.rs").contains("run(true)"));
}

#[test]
fn json_has_the_shape_of_rustc() {
    let fixture = Fixture::new("rules");
    let run = fixture
        .run_without_std(&[BOTH, &["--message-format", "json"]].concat(), &["--bin", "rules", "--test=one"]);
    let objects: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("one object per line")).collect();
    assert_expected("findings.json", &format!("{}\n", serde_json::to_string_pretty(&objects).unwrap()));
    assert_eq!(run.messages(), Vec::<String>::new(), "nothing but the summary on stderr");
}

#[test]
fn what_cannot_be_resolved_is_counted_and_listed() {
    let fixture = Fixture::new("broken");
    assert_expected("broken.txt", &fixture.run(BOTH, &[]).stderr);
    assert_expected("broken_verbose.txt", &fixture.run(&["--verbose"], &[]).stderr);
}

#[test]
fn levels_decide_the_exit_status() {
    let fixture = Fixture::new("rules");
    let run = |flags: &[&str]| {
        let run = fixture.run_without_std(flags, &["--bin", "rules"]);
        (run.status, run.messages().first().and_then(|message| message.split(':').next()).map(str::to_owned))
    };
    let uncommented = "uncommented-anonymous-literal-argument";
    assert_eq!(run(&[]), (0, None));
    assert_eq!(run(&["-W", uncommented]), (0, Some("warning".to_owned())));
    assert_eq!(run(&["-W", uncommented, "-D", "warnings"]), (1, Some("error".to_owned())));
    assert_eq!(run(&["-D", uncommented]), (1, Some("error".to_owned())));
    assert_eq!(run(&["-D", uncommented, "-A", uncommented]), (0, None));
}

#[test]
fn bad_usage_is_no_finding() {
    let fixture = Fixture::new("rules");
    let refused = |flags: &[&str], cargo: &[&str], part: &str| {
        let run = fixture.run_without_std(flags, cargo);
        assert_eq!(run.status, 2, "{flags:?} {cargo:?}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(part), "{}", run.stderr);
    };
    refused(&["--all"], &[], "--all");
    refused(&["--manifest-path", "none/Cargo.toml"], &[], "none/Cargo.toml");
    refused(&["-p", "nobody"], &[], "no package `nobody`");
    refused(&["-p", "member@9.9.9"], &[], "no package `member@9.9.9`");
    refused(&[], &["--bin", "nothing"], "no bin target named `nothing`");
    refused(&[], &["--example", "shown"], "requires the features extra");
    refused(&[], &["--features", "nowhere"], "nowhere");
    fixture.write("Cargo.toml", "[package]\nname = 1\n");
    refused(&[], &[], "Cargo.toml");
}
