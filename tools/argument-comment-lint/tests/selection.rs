//! Which files are looked at: each case names the files that something was said about.

mod support;

use support::Fixture;

/// The files beside `src` that are named, and `src` itself as `lib`, `main` and `unit` (tests in the lib).
fn named(fixture: &Fixture, flags: &[&str], cargo: &[&str]) -> Vec<String> {
    let run =
        fixture.run_without_std(&[&["-W", "uncommented-anonymous-literal-argument"], flags].concat(), cargo);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let said = |file: &str| run.messages_about(file);
    let mut named: Vec<String> = fixture
        .rust_files()
        .into_iter()
        .filter(|file| !file.starts_with("src/") && !said(file).is_empty())
        .collect();
    let conditional = said("src/conditional.rs");
    named.extend((!said("src/functions.rs").is_empty()).then(|| "lib".to_owned()));
    named.extend((!said("src/main.rs").is_empty()).then(|| "main".to_owned()));
    named.extend(conditional.contains("super::connect(false)").then(|| "unit".to_owned()));
    named
}

#[test]
fn targets_are_narrowed_as_cargo_does() {
    let fixture = Fixture::new("rules");
    let case = |cargo: &[&str], wanted: &[&str]| {
        assert_eq!(named(&fixture, &["-p", "rules", "--no-deps"], cargo), wanted, "{cargo:?}");
    };
    let (bench, common, one, two) =
        ("benches/speed.rs", "tests/common/mod.rs", "tests/one.rs", "tests/two.rs");
    case(&[], &[bench, common, one, two, "lib", "main", "unit"]);
    case(&["--all-targets"], &[bench, common, one, two, "lib", "main", "unit"]);
    case(&["--lib"], &["lib"]);
    case(&["--bins"], &["main"]);
    case(&["--bin=rules", "--bench", "speed"], &[bench, "main"]);
    case(&["--tests"], &[common, one, two, "lib", "main", "unit"]);
    case(&["--test", "two"], &[common, two]);
    case(&["--benches"], &[bench, "lib", "main", "unit"]);
    case(&["--examples"], &[]);
    case(&["--examples", "--features", "extra"], &["examples/shown.rs"]);
}

#[test]
fn packages_are_selected_as_cargo_does() {
    let fixture = Fixture::new("rules");
    let case = |flags: &[&str], wanted: &[&str]| {
        assert_eq!(named(&fixture, flags, &["--lib"]), wanted, "{flags:?}");
    };
    let (beside, member) = ("beside/src/lib.rs", "member/src/lib.rs");
    case(&[], &[beside, member, "lib"]);
    case(&["--workspace", "--no-deps"], &[member, "lib"]);
    case(&["-p", "member"], &[member]);
    case(&["-p", "member@0.2.0", "--package=rules"], &[beside, member, "lib"]);
    case(&["--manifest-path", "member/Cargo.toml"], &[member]);
    case(&["--manifest-path", "Cargo.toml"], &[beside, "lib"]);
    case(&["--manifest-path", "member/Cargo.toml", "--workspace"], &[beside, member, "lib"]);
}
