//! The sandbox: each policy against everything that a command might try.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;

use app_server::proto::SandboxPolicy;
use app_server::sandbox::{Confinement, Sandbox, Settings, SpawnError};
use app_server::sys::child::{self, Child, ChildEnd, ChildLimits, ChildSpec};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use serde_json::json;

use crate::support::Transport;
use crate::support::home::Home;
use crate::support::server::Server;

pub(crate) fn sandbox(home: &Path) -> Sandbox {
    Sandbox::probe(Settings { home: home.to_owned(), temp_dir: None, best_effort: false })
}

const READ_ONLY: SandboxPolicy = SandboxPolicy::ReadOnly { network_access: false };

/// A command by pipes or on a terminal, with nothing in its environment but this.
fn spawn(
    sandbox: &Sandbox,
    policy: &SandboxPolicy,
    cwd: &Path,
    command: &[&str],
    terminal: bool,
) -> Result<Child, SpawnError> {
    let confinement = sandbox.confine(policy, cwd).expect("it can be enforced");
    spawn_confined(&confinement, cwd, command, terminal)
}

fn spawn_confined(
    confinement: &Confinement,
    cwd: &Path,
    command: &[&str],
    terminal: bool,
) -> Result<Child, SpawnError> {
    let mut env: Vec<(OsString, Option<OsString>)> =
        std::env::vars_os().map(|(name, _)| (name, None)).collect();
    env.push(("PATH".into(), Some("/usr/bin:/bin".into())));
    env.push(("MINE".into(), Some("1".into())));
    let args: Vec<OsString> = command[1..].iter().map(OsString::from).collect();
    let spec = ChildSpec {
        program: command[0].as_ref(),
        args: &args,
        cwd,
        env: &env,
        stdin: false,
        terminal: terminal.then_some((24, 80)),
        limits: ChildLimits::default(),
        mark: None,
    };
    confinement.spawn(&spec)
}

/// [`run`] with a policy that is made ready.
pub(crate) fn run_confined(
    confinement: &Confinement,
    cwd: &Path,
    command: &[&str],
    terminal: bool,
) -> (Option<ChildEnd>, String) {
    to_the_end(spawn_confined(confinement, cwd, command, terminal).expect("it begins"))
}

/// Runs a command to its end; gives how it ended and all that it said.
pub(crate) fn run(
    sandbox: &Sandbox,
    policy: &SandboxPolicy,
    cwd: &Path,
    command: &[&str],
    terminal: bool,
) -> (Option<ChildEnd>, String) {
    to_the_end(spawn(sandbox, policy, cwd, command, terminal).expect("it begins"))
}

/// Waits for a command's end; gives how it ended and all that it said.
fn to_the_end(child: Child) -> (Option<ChildEnd>, String) {
    let mut output = Vec::new();
    for stream in [Some(&child.stdout), child.stderr.as_ref()].into_iter().flatten() {
        let mut buffer = [0; 4096];
        loop {
            poll(&mut [PollFd::new(stream, PollFlags::IN)], /*timeout*/ None).expect("polls");
            match rustix::io::read(stream, &mut buffer) {
                // A terminal that nobody is on any more.
                Ok(0) | Err(rustix::io::Errno::IO) => break,
                Ok(count) => output.extend_from_slice(&buffer[..count]),
                Err(error) => panic!("{error}"),
            }
        }
    }
    child::wait_for_end(child.pid);
    let end = child::has_ended(child.pid);
    child::signal_group(child.pid, Signal::KILL);
    child::reap(child.pid);
    (end, String::from_utf8_lossy(&output).replace("\r\n", "\n"))
}

fn shell(sandbox: &Sandbox, policy: &SandboxPolicy, cwd: &Path, script: &str) -> String {
    run(sandbox, policy, cwd, &["sh", "-c", script], /*terminal*/ false).1
}

#[test]
fn the_command_gets_its_environment_arguments_and_streams_and_nothing_else() {
    let home = Home::new();
    let sandbox = sandbox(home.path());
    let script = "echo $0 $1; env | grep -v -e PWD -e SHLVL -e _= | sort; ls /proc/self/fd";
    for policy in [SandboxPolicy::DangerFullAccess, READ_ONLY] {
        for terminal in [false, true] {
            let command = ["sh", "-c", script, "zero", "one"];
            let (end, output) = run(&sandbox, &policy, home.path(), &command, terminal);
            // 3 is the listing's own.
            let expected = "zero one\nMINE=1\nPATH=/usr/bin:/bin\n0";
            assert!(output.starts_with(expected), "{policy:?} {terminal}: {output}");
            let listed: Vec<&str> = output[expected.len() - 1..].split_whitespace().collect();
            assert_eq!(listed, ["0", "1", "2", "3"], "{policy:?} {terminal}");
            assert_eq!(end, Some(ChildEnd::Code(0)));
        }
    }
}

#[test]
fn a_command_that_cannot_begin_is_an_error_of_its_own() {
    let home = Home::new();
    let sandbox = sandbox(home.path());
    let plain = home.path().join("plain");
    fs::write(&plain, "text").expect("a file that is no program");
    for policy in [SandboxPolicy::DangerFullAccess, READ_ONLY] {
        for terminal in [false, true] {
            let error = |cwd: &Path, program: &str| match spawn(&sandbox, &policy, cwd, &[program], terminal)
            {
                Err(SpawnError::Command(error)) => error.to_string(),
                other => panic!("{other:?}"),
            };
            let missing = "No such file or directory (os error 2)";
            assert_eq!(error(home.path(), "nothing-by-this-name"), missing);
            assert_eq!(error(home.path(), "/nowhere/at/all"), missing);
            assert_eq!(error(&home.path().join("nowhere"), "true"), missing);
            let plain = plain.to_str().expect("text");
            assert_eq!(error(home.path(), plain), "Permission denied (os error 13)");
        }
    }
}

#[test]
fn what_is_protected_stays_and_the_rest_of_the_workspace_is_writable() {
    let home = Home::new();
    let work = home.path().join("work");
    fs::create_dir_all(work.join(".git/hooks")).expect("a folder");
    let sandbox = sandbox(&home.path().join("settings"));
    if !sandbox.report().held.protected_paths {
        let text = "SKIPPED: this machine cannot keep a folder inside a writable one read-only";
        let _ = writeln!(std::io::stderr(), "{text}");
        return;
    }
    let policy = SandboxPolicy::WorkspaceWrite {
        writable_roots: Vec::new(),
        network_access: false,
        exclude_tmpdir_env_var: true,
        exclude_slash_tmp: true,
    };
    let script = "echo new > top && mkdir deep && echo x > deep/y && mv top top2 && cat top2 deep/y; \
                  echo bad > .git/hooks/pre-commit || echo kept; mv .git .git2 || echo kept; \
                  echo bad > ../outside || echo kept";
    let output = shell(&sandbox, &policy, &work, script);
    assert!(output.contains("new\nx\n"), "{output}");
    assert_eq!(output.matches("kept\n").count(), 3, "{output}");
    assert!(work.join(".git/hooks").is_dir() && !work.join(".git/hooks/pre-commit").exists());
    assert!(work.join("top2").exists() && !home.path().join("outside").exists());
}

#[test]
fn a_confined_command_dies_with_the_os_thread_that_started_it() {
    let home = Home::new();
    let sandbox = sandbox(home.path());
    let start = || {
        let command = ["sleep", "600"];
        spawn(&sandbox, &READ_ONLY, home.path(), &command, /*terminal*/ false).expect("it begins")
    };
    let child = std::thread::scope(|scope| scope.spawn(start).join().expect("it does not panic"));
    child::wait_for_end(child.pid);
    assert_eq!(child::has_ended(child.pid), Some(ChildEnd::Signal(Signal::KILL.as_raw())));
    child::reap(child.pid);
}

#[test]
fn limits_hold_for_a_confined_command() {
    let home = Home::new();
    let sandbox = sandbox(home.path());
    let args = ["-c".into(), "ulimit -n; ulimit -t; ulimit -v".into()];
    let spec = ChildSpec {
        program: "sh".as_ref(),
        args: &args,
        cwd: home.path(),
        env: &[],
        stdin: false,
        terminal: None,
        limits: ChildLimits {
            cpu_secs: Some(7),
            address_space_bytes: Some(512 << 20),
            open_files: Some(9),
            processes: None,
        },
        mark: None,
    };
    let child = sandbox.confine(&READ_ONLY, home.path()).expect("enforced").spawn(&spec).expect("begins");
    assert_eq!(to_the_end(child).1, "9\n7\n524288\n");
}

#[test]
fn diagnostics_tell_what_can_be_enforced() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    let answer = client.ok("server/diagnostics", json!({}));
    assert_eq!(answer["version"], app_server::server::VERSION);
    let report = serde_json::to_value(sandbox(server.home.path()).report()).expect("encodes");
    assert_eq!(answer["sandbox"], report);
    assert!(answer["process"]["residentMemoryBytes"].as_u64() > Some(0), "{answer}");
    let names: Vec<_> = answer["gauges"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["app.requests.in_flight", "core.threads.live", "core.turns.active"]);
    server.stop_or_close(client);
}

#[test]
fn a_best_effort_is_asked_for_in_the_configuration() {
    let home = Home::with_config("[app_server]\nsandbox_best_effort = true\n");
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    assert_eq!(client.ok("server/diagnostics", json!({}))["sandbox"]["bestEffort"], true);
    server.stop_or_close(client);
}
