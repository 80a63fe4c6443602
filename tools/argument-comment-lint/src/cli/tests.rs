use super::{Cli, MessageFormat, Request, parse};
use crate::level::{Level, Lint};

fn cli(line: &str) -> Cli {
    with_environment("", line)
}

fn with_environment(environment: &str, line: &str) -> Cli {
    match parse(environment, line.split_whitespace().map(str::to_owned).collect()).unwrap() {
        Request::Check(cli) => *cli,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    format!("{:#}", parse("", line.split_whitespace().map(str::to_owned).collect()).unwrap_err())
}

#[test]
fn the_defaults() {
    let cli = cli("");
    assert_eq!(cli.levels.of(Lint::Mismatch), Level::Warn);
    assert_eq!(cli.levels.of(Lint::Uncommented), Level::Allow);
    assert_eq!(cli.format, MessageFormat::Human);
    assert!(!cli.fix && !cli.verbose && cli.manifest_path.is_none());
    assert!(cli.targets.with_default(false).with_tests());
}

#[test]
fn fixing_is_not_widened_to_tests() {
    assert!(!cli("--fix").targets.with_default(true).with_tests());
    assert!(cli("--fix -- --all-targets").targets.with_default(true).with_tests());
    assert!(!cli("-- --lib --bins --bin x --example y").targets.with_default(false).with_tests());
    assert!(cli("-- --test x").targets.with_default(false).with_tests());
    assert!(cli("-- --bench=x").targets.with_default(false).with_tests());
}

#[test]
fn levels_come_from_the_environment_first() {
    let cli = with_environment("-D uncommented-anonymous-literal-argument -Dwarnings", "");
    assert_eq!(cli.levels.of(Lint::Uncommented), Level::Deny);
    assert_eq!(cli.levels.of(Lint::Mismatch), Level::Deny);
    let cli = with_environment("-D argument_comment_mismatch", "--allow argument-comment-mismatch");
    assert_eq!(cli.levels.of(Lint::Mismatch), Level::Allow);
    let cli = with_environment("", "-W uncommented_anonymous_literal_argument -A warnings");
    assert_eq!(cli.levels.of(Lint::Uncommented), Level::Allow);
    assert_eq!(cli.levels.of(Lint::Mismatch), Level::Allow);
    let error = parse("--fix", Vec::new()).unwrap_err();
    assert!(format!("{error:#}").contains("ARGUMENT_COMMENT_LINT_FLAGS"), "{error:#}");
}

#[test]
fn packages_may_stand_on_both_sides() {
    let cli = cli("-p a --package=b --no-deps -- -p c --package d --manifest-path x/Cargo.toml --workspace");
    assert_eq!(cli.packages.named, ["a", "b", "c", "d"]);
    assert!(cli.packages.workspace && cli.packages.no_deps);
    assert_eq!(cli.manifest_path.unwrap().to_str(), Some("x/Cargo.toml"));
}

#[test]
fn cargo_flags_are_read_after_the_separator() {
    let cli = cli("-- --features a,b -F c --no-default-features --locked --offline --target t");
    assert_eq!(cli.features.named, ["a", "b", "c"]);
    assert!(cli.features.no_default && !cli.features.all);
    assert_eq!(cli.lock_flags, ["--locked", "--offline"]);
    assert_eq!(cli.target_triple.as_deref(), Some("t"));
}

#[test]
fn what_is_not_known_is_refused() {
    assert!(refused("--lib").contains("after `--`"));
    assert!(refused("--all-targets").contains("after `--`"));
    assert!(refused("--lib-path x").contains("--lib-path"));
    assert!(refused("-- --doc").contains("--doc"));
    assert!(refused("-- --fix").contains("--fix"));
    assert!(refused("-- -- --lib").contains("unexpected"));
    assert!(refused("src/main.rs").contains("src/main.rs"));
    assert!(refused("-D unused").contains("unknown lint `unused`"));
    assert!(refused("--message-format xml").contains("xml"));
    assert!(refused("-- --bin").contains("--bin"));
}
