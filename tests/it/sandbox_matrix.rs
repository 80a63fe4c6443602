//! Each sandbox policy against everything that a command might try, by pipes and on a terminal, in the
//! sandbox itself, through a server, and where there are no mount namespaces, as in most containers.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use app_server::proto::{NetworkAccess, SandboxPolicy};
use app_server::sandbox::{Mounts, Sandbox, Settings, SharedSandbox};
use serde_json::json;

use crate::command_exec::{streamed, with};
use crate::sandbox::{run, run_confined, sandbox};
use crate::sandbox_attempts::{ABSTRACT, BASE, LEFT_OUT, Targets};
use crate::support::Transport;
use crate::support::home::Home;
use crate::support::server::Server;

/// What comes of an attempt under each of [`policies`], and under the third where there are no mounts: `y`
/// it is done, `n` it is refused, `S` it is refused where landlock knows scopes, `.` it is not tried, because
/// nobody would stop it.
const OUTCOMES: &[(&str, &str, char)] = &[
    ("read outside", "yyyyyy", 'y'),
    ("list outside", "yyyyyy", 'y'),
    ("create at the top", "nnyyyy", 'y'),
    ("make a folder at the top", "nnyyyy", 'y'),
    ("overwrite inside", "nnyyyy", 'y'),
    ("rename inside", "nnyyyy", 'y'),
    ("chmod inside", "nnyyyy", 'y'),
    ("write to /dev/null", "yyyyyy", 'y'),
    ("create outside", "nnnnyy", 'n'),
    ("make a folder outside", "nnnnyy", 'n'),
    ("overwrite outside", "nnnnyy", 'n'),
    ("cut outside", "nnnnyy", 'n'),
    ("remove outside", "nnnnyy", 'n'),
    // Landlock has no rule for modes.
    ("chmod outside", "nnnnyy", 'y'),
    // Nor for a part of what it allows.
    ("write .git", "nnnnyy", 'y'),
    ("overwrite .git", "nnnnyy", 'y'),
    ("rename .git", "nnnnyy", 'y'),
    ("write .codex", "nnnnyy", 'y'),
    ("out by a symbolic link", "nnnnyy", 'n'),
    ("out by a new symbolic link", "nnnnyy", 'n'),
    ("out by ..", "nnnnyy", 'n'),
    ("out by the working directory's ..", "nnnnyy", 'n'),
    ("out by a hard link", "nnnnyy", 'n'),
    ("rename to the outside", "nnnnyy", 'n'),
    ("rename from the outside", "nnnnyy", 'n'),
    ("out by /proc/self/root", "nnnnyy", 'n'),
    ("out by /proc/self/cwd", "nnnnyy", 'n'),
    ("out by a reopened descriptor", "nnnnyy", 'n'),
    ("out by a folder's descriptor", "nnnnyy", 'n'),
    ("write to /proc/sys", "nnnn..", 'n'),
    ("read another's environment", "nnnn..", 'n'),
    ("write another's memory", "nnnn..", 'n'),
    ("connect by TCP", "nynyny", 'n'),
    ("send by UDP", "nynyny", 'n'),
    ("listen by TCP", "nynyny", 'n'),
    ("a raw socket", "nnnnn.", 'n'),
    ("connect to a unix socket", "yyyyyy", 'y'),
    ("make a socket pair", "yyyyyy", 'y'),
    ("connect to an abstract socket", "SSSSyy", 'S'),
    ("signal another process", "SSSSyy", 'S'),
    ("signal an own child", "yyyyyy", 'y'),
    ("trace another process", "nnnnn.", 'n'),
    ("read another's memory", "nnnnn.", 'n'),
    ("take another's descriptor", "nnnnn.", 'n'),
    ("wipe off the command's mark", "nnnnn.", 'n'),
    ("mount", "nnnnn.", 'n'),
    ("unmount", "nnnnn.", 'n'),
    ("remount writable", "nnnnn.", 'n'),
    ("change the root", "nnnnn.", 'n'),
    ("enter another's namespace", "nnnnn.", 'n'),
];

fn workspace(network_access: bool) -> SandboxPolicy {
    SandboxPolicy::WorkspaceWrite {
        writable_roots: Vec::new(),
        network_access,
        // The playground is there.
        exclude_tmpdir_env_var: true,
        exclude_slash_tmp: true,
    }
}

/// The columns of [`OUTCOMES`].
fn policies() -> [SandboxPolicy; 6] {
    [
        SandboxPolicy::ReadOnly { network_access: false },
        SandboxPolicy::ReadOnly { network_access: true },
        workspace(/*network_access*/ false),
        workspace(/*network_access*/ true),
        SandboxPolicy::ExternalSandbox { network_access: NetworkAccess::Restricted },
        SandboxPolicy::DangerFullAccess,
    ]
}

/// Everything that the attempts are about, fresh for one run.
struct Playground {
    _home: Arc<Home>,
    base: PathBuf,
    victim: Child,
    _sockets: (TcpListener, UdpSocket, UnixListener, UnixListener),
}

/// What another process would like to read.
static SECRET: u8 = 42;

impl Playground {
    fn new() -> Self {
        let home = Home::new();
        let base = home.path().join("base").canonicalize().unwrap_or_else(|_| home.path().join("base"));
        for folder in ["work/.git/hooks", "work/.codex", "outside"] {
            fs::create_dir_all(base.join(folder)).expect("a folder");
        }
        for file in ["file", "file2", "movable", ".git/config"] {
            fs::write(base.join("work").join(file), "inside").expect("a file");
        }
        for file in ["file", "file2", "removable"] {
            fs::write(base.join("outside").join(file), "outside").expect("a file");
        }
        std::os::unix::fs::symlink(base.join("outside"), base.join("work/link")).expect("a link");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("listens");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("listens");
        let unix = UnixListener::bind(base.join("outside/socket")).expect("listens");
        // One playground at a time has the name.
        let name = format!("{ABSTRACT}{}-{}", std::process::id(), base.display());
        let address = SocketAddr::from_abstract_name(name).expect("a name");
        let hidden = UnixListener::bind_addr(&address).expect("listens");
        let victim = Command::new("sleep").arg("600").spawn().expect("it runs");
        let targets = Targets {
            tcp: tcp.local_addr().expect("bound").port(),
            udp: udp.local_addr().expect("bound").port(),
            listener: std::process::id().cast_signed(),
            victim: victim.id().cast_signed(),
            address: (&raw const SECRET).addr(),
        };
        targets.write(&base);
        Self { _home: home, base, victim, _sockets: (tcp, udp, unix, hidden) }
    }

    /// Leaves out what nobody would stop in this column.
    fn leave_out(&self, column: usize) {
        let names = OUTCOMES.iter().filter(|(_, outcomes, _)| outcomes.as_bytes()[column] == b'.');
        let names: Vec<&str> = names.map(|(name, ..)| *name).collect();
        fs::write(self.base.join(LEFT_OUT), names.join("\n")).expect("written");
    }

    fn work(&self) -> PathBuf {
        self.base.join("work")
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

/// The shell command that has this binary try everything.
fn attempts(base: &Path) -> Vec<String> {
    let this = std::env::current_exe().expect("known");
    let variable = format!("{BASE}={}", base.display());
    let words = ["env", &variable, &this.to_string_lossy()].map(str::to_owned);
    let test =
        ["--ignored", "--exact", "--nocapture", "--test-threads=1", "sandbox_attempts::try_everything"];
    words.into_iter().chain(test.map(str::to_owned)).collect()
}

/// Compares what was said with a column; `scoped` tells whether signals and abstract sockets are held.
fn compare(column: &str, expected: impl Fn(usize) -> char, scoped: bool, output: &str) -> Vec<String> {
    assert!(output.contains("TRIED ALL"), "{column}: {output}");
    let mut wrong = Vec::new();
    for (row, (name, ..)) in OUTCOMES.iter().enumerate() {
        let lines: Vec<_> =
            output.lines().filter_map(|line| line.split_once("TRIED ")).map(|(_, rest)| rest).collect();
        let outcome = lines.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let Some(outcome) = outcome else {
            if expected(row) == '.' {
                continue;
            }
            wrong.push(format!("{column}: {name} was not tried"));
            continue;
        };
        let wanted = match expected(row) {
            'S' if scoped => 'n',
            'S' => 'y',
            other => other,
        };
        let is = if outcome == "done" { 'y' } else { 'n' };
        if is != wanted {
            wrong.push(format!("{column}: {name}: {outcome}"));
        }
    }
    wrong
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
}

/// True if this machine has nothing to hold a policy with; says so.
fn is_skipped(sandbox: &Sandbox) -> bool {
    let report = sandbox.report();
    let skipped = !report.held.protected_paths || !report.held.network;
    if skipped {
        let why = &report.missing;
        let _ = writeln!(std::io::stderr(), "SKIPPED: this machine cannot enforce the sandbox: {why:?}");
    }
    skipped
}

fn in_the_sandbox_itself(terminal: bool) {
    let sandbox = sandbox(Path::new("/nowhere"));
    if is_skipped(&sandbox) {
        return;
    }
    let scoped = sandbox.report().held.signals;
    let mut wrong = Vec::new();
    for (at, policy) in policies().iter().enumerate() {
        let ground = Playground::new();
        ground.leave_out(at);
        let command = attempts(&ground.base);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let (_, output) = run(&sandbox, policy, &ground.work(), &command, terminal);
        let column = |row: usize| OUTCOMES[row].1.as_bytes()[at] as char;
        wrong.extend(compare(&format!("{policy:?}"), column, scoped, &output));
    }
    assert_none(&wrong);
}

#[test]
fn each_policy_by_pipes() {
    in_the_sandbox_itself(/*terminal*/ false);
}

#[test]
fn each_policy_on_a_terminal() {
    in_the_sandbox_itself(/*terminal*/ true);
}

#[test]
fn each_policy_through_a_server() {
    let sandbox = sandbox(Path::new("/nowhere"));
    if is_skipped(&sandbox) {
        return;
    }
    let scoped = sandbox.report().held.signals;
    let mut wrong = Vec::new();
    for terminal in [false, true] {
        let mut server = Server::start(Transport::Stdio);
        let mut client = server.client();
        for (at, policy) in policies().iter().enumerate() {
            let ground = Playground::new();
            ground.leave_out(at);
            let mut params = json!({
                "command": attempts(&ground.base),
                "cwd": ground.work(),
                "sandboxPolicy": policy,
                "timeoutMs": 60_000,
            });
            let id = format!("attempts-{at}");
            if terminal {
                params = with(params, json!({ "tty": true, "processId": id }));
            }
            let answer = client.ok("command/exec", params);
            let output = match terminal {
                true => String::from_utf8_lossy(&streamed(&client, &id, "stdout").0).into_owned(),
                false => answer["stdout"].as_str().expect("text").to_owned(),
            };
            let column = |row: usize| OUTCOMES[row].1.as_bytes()[at] as char;
            wrong.extend(compare(&format!("terminal {terminal} {policy:?}"), column, scoped, &output));
        }
        server.stop_or_close(client);
    }
    assert_none(&wrong);
}

#[test]
fn the_socket_of_the_server_is_not_to_be_found() {
    let settings = Settings { home: "/nowhere".into(), temp_dir: None, best_effort: false };
    let sandbox = SharedSandbox::new(settings);
    if is_skipped(sandbox.wait()) {
        return;
    }
    let ground = Playground::new();
    sandbox.hide(&ground.base.join("outside/socket"));
    let command = attempts(&ground.base);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let confinement =
        sandbox.confine(&workspace(/*network_access*/ false), &ground.work()).expect("it can be enforced");
    let (_, output) = run_confined(&confinement, &ground.work(), &command, /*terminal*/ false);
    let outcome = output.lines().find_map(|line| line.strip_prefix("TRIED connect to a unix socket: "));
    assert!(outcome.is_some_and(|outcome| outcome.contains("refused")), "{outcome:?}: {output}");
}

/// Names the playground to the process that stands for a container.
const CONTAINED: &str = "SANDBOX_CONTAINED";

#[test]
fn without_mount_namespaces_it_holds_what_landlock_can_and_refuses_the_rest() {
    let outer = sandbox(Path::new("/nowhere"));
    if is_skipped(&outer) || outer.report().landlock_abi < 3 {
        return;
    }
    let ground = Playground::new();
    // A filter without mounts and namespaces is what most containers have.
    let container = SandboxPolicy::ExternalSandbox { network_access: NetworkAccess::Restricted };
    let this = std::env::current_exe().expect("known");
    let variable = format!("{CONTAINED}={}", ground.base.display());
    let test = "sandbox_matrix::contained";
    let command = ["env", &variable, &this.to_string_lossy(), "--ignored", "--exact", "--nocapture", test];
    let (end, output) = run(&outer, &container, &ground.work(), &command, /*terminal*/ false);
    assert!(output.contains("HELD AS IT SHOULD"), "{end:?}: {output}");
}

#[test]
#[ignore = "run by another test, in a process that stands for a container"]
fn contained() {
    let Some(base) = std::env::var_os(CONTAINED).map(PathBuf::from) else { return };
    let work = base.join("work");
    let settings = |best_effort| Settings { home: "/nowhere".into(), temp_dir: None, best_effort };
    let strict = Sandbox::probe(settings(/*best_effort*/ false));
    let report = strict.report();
    assert_eq!(report.mounts, Mounts::None, "{report:?}");
    assert!(report.held.files && report.held.network && !report.held.protected_paths, "{report:?}");
    // What cannot be held is refused, and the refusal says what to do.
    let refused = strict.confine(&workspace(/*network_access*/ false), &work).expect_err("refused");
    let text = refused.to_string();
    assert!(text.contains(".git") && text.contains("app_server.sandbox_best_effort = true"), "{text}");
    // Reading only needs no mounts; nor does a folder with nothing to protect.
    let command = attempts(&base);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let read_only = SandboxPolicy::ReadOnly { network_access: false };
    let (_, output) = run(&strict, &read_only, &work, &command, /*terminal*/ false);
    let mut wrong =
        compare("read only", |row| OUTCOMES[row].1.as_bytes()[0] as char, report.held.signals, &output);
    strict.confine(&workspace(/*network_access*/ false), &base.join("outside")).expect("nothing to protect");
    // Asked to, it holds the rest.
    let lenient = Sandbox::probe(settings(/*best_effort*/ true));
    let policy = workspace(/*network_access*/ false);
    let (_, output) = run(&lenient, &policy, &work, &command, /*terminal*/ false);
    wrong.extend(compare("best effort", |row| OUTCOMES[row].2, report.held.signals, &output));
    assert_none(&wrong);
    let _ = writeln!(std::io::stdout(), "HELD AS IT SHOULD");
}
