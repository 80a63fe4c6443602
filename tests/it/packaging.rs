//! What packages take along: completions and the man page, as shells and man read them, and the units of
//! systemd.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::home::Home;
use crate::support::process::Launch;

fn printed(args: &[&str]) -> String {
    let output = Launch::new(&Home::new()).args(args.iter().copied()).run(b"");
    assert_eq!((output.status.code(), output.stderr.as_str()), (Some(0), ""), "{args:?}");
    output.stdout
}

/// What a program says to this input, with its stderr; none, said aloud, if the program is not there.
fn fed(program: &str, args: &[&str], input: &str) -> Option<(bool, String)> {
    let spawned = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no {program}");
        return None;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    // One that ends early has said why.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn completions_are_what_the_shells_understand() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        let check = if shell == "fish" { "--no-execute" } else { "-n" };
        if let Some(outcome) = fed(shell, &[check], &script) {
            assert_eq!(outcome, (true, String::new()), "{shell}");
        }
    }
}

#[test]
fn bash_completes_commands_flags_and_shells() {
    let script = printed(&["completions", "bash"]);
    let cases = [
        ("(app-server pr) COMP_CWORD=1", "proxy prune"),
        ("(app-server --lis) COMP_CWORD=1", "--listen"),
        ("(app-server exec --js) COMP_CWORD=2", "--json"),
        ("(app-server exec --lis) COMP_CWORD=2", ""),
        ("(app-server completions f) COMP_CWORD=2", "fish"),
        ("(app-server --ws-issuer a) COMP_CWORD=2", ""),
    ];
    for (words, completed) in cases {
        let asked = format!("{script}\nCOMP_WORDS={words}\n_app_server\necho \"${{COMPREPLY[*]}}\"\n");
        let Some((_, said)) = fed("bash", &["--norc"], &asked) else { return };
        assert_eq!(said.trim_end(), completed, "{words}");
    }
}

#[test]
fn the_man_page_is_what_man_understands() {
    let page = printed(&["man"]);
    if let Some((_, said)) = fed("mandoc", &["-Tlint", "-Wwarning"], &page) {
        // It has no date, so that the same program makes the same page.
        let wrong: Vec<_> = said.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    if let Some((well, said)) = fed("man", &["--warnings", "-E", "UTF-8", "-l", "-"], &page) {
        assert!(well && said.contains("--listen") && said.contains("NAME"), "{said}");
        assert!(!said.contains("warning:"), "{said}");
    }
}

#[test]
fn a_shell_that_is_not_known_is_refused() {
    for args in
        [&["completions"][..], &["completions", "tcsh"], &["man", "more"], &["man", "--listen", "off"]]
    {
        let output = Launch::new(&Home::new()).args(args.iter().copied()).run(b"");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", output.stderr);
    }
}

/// The units of the README, which operators copy as they are.
#[test]
fn the_systemd_units_of_the_readme_are_well_formed() {
    let readme = include_str!("../../README.md");
    let mut units = readme.split("```ini\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let (service, socket) = (units.next().expect("the service"), units.next().expect("the socket"));
    let home = Home::new();
    let dir = home.path();
    // Verifying wants the programs to be there.
    let service = service.replace("/usr/local/bin/app-server", env!("CARGO_BIN_EXE_app-server"));
    std::fs::write(dir.join("app-server.service"), service).expect("it can be written");
    std::fs::write(dir.join("app-server.socket"), socket).expect("it can be written");
    for unit in ["app-server.service", "app-server.socket"] {
        let path = dir.join(unit).display().to_string();
        let Some((well, said)) = fed("systemd-analyze", &["verify", "--man=no", &path], "") else { return };
        // Other units of the machine are none of ours.
        let ours: Vec<_> = said.lines().filter(|line| line.contains("app-server")).collect();
        assert!(ours.is_empty() && (well || !said.contains("app-server")), "{said}");
    }
}
