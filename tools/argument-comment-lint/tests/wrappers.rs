//! The shell wrappers have tests of their own in POSIX sh, so that they also run where nothing is built.

#[test]
fn the_wrappers_complete_arguments_and_find_the_lint() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wrappers/test.sh");
    let output = std::process::Command::new("sh").arg(script).output().expect("sh starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
