//! A server that is out of file descriptors or OS threads, in a process of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Client, PATIENCE, Server, UPGRADE, exchange, status, wait_for};

/// Set in the other process.
const SERVE: &str = "NET_SERVE";

/// A user that exists nowhere, so that nobody else's OS threads count: root has no limit of them.
const NOBODY: u32 = 61_213;

/// Ends the process also when a test fails.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Makes the other process do something and waits until it has.
    fn tell(&mut self, what: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{what}").expect("it listens");
        let done = format!("done: {what}");
        let mut lines = self.output.by_ref().lines().map_while(Result::ok);
        assert!(lines.any(|line| line == done), "the other process ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `test` in another process, in which it serves.
fn start(test: &str) -> (Process, SocketAddr) {
    start_by(test, Command::new(std::env::current_exe().expect("a test binary")))
}

/// The same as a user who has a limit of OS threads.
fn start_limited(test: &str) -> (Process, SocketAddr) {
    if !rustix::process::geteuid().is_root() {
        return start(test);
    }
    // By its descriptor, because another user may not be allowed to look into the folders above it.
    let binary = File::open(std::env::current_exe().expect("a test binary")).expect("it is running");
    fcntl_setfd(&binary, FdFlags::empty()).expect("an option");
    let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
    command.uid(NOBODY).gid(NOBODY);
    start_by(test, command)
}

fn start_by(test: &str, mut command: Command) -> (Process, SocketAddr) {
    let mut child = command
        .args(["--exact", &format!("exhaustion::{test}"), "--nocapture"])
        .env(SERVE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let address = output
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .find_map(|word| word.strip_prefix("ws://").and_then(|address| address.parse().ok()))
        .expect("a banner");
    (Process { child, output }, address)
}

fn is_other_process() -> bool {
    std::env::var_os(SERVE).is_some()
}

/// The other process: serves, and does what it is told, until its stdin ends.
fn serve(told: impl Fn(&str)) {
    let server = Server::start();
    writeln!(std::io::stdout(), "\n{}", server.listener.banner()).expect("stdout");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        told(&line);
        writeln!(std::io::stdout(), "done: {line}").expect("stdout");
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the kernel connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream
}

#[test]
fn a_server_survives_running_out_of_descriptors() {
    if is_other_process() {
        let limit = Rlimit { current: Some(64), maximum: Some(64) };
        setrlimit(Resource::Nofile, limit).expect("less is allowed");
        serve(|_| {});
        return;
    }
    let (_process, address) = start("a_server_survives_running_out_of_descriptors");
    let mut first = Client::over(connect(address)).initialized();
    // Far more than there are descriptors. The server turns the last ones away, and does not leave them
    // hanging.
    let mut crowd: Vec<TcpStream> = (0..150).map(|_| connect(address)).collect();
    let mut end = Vec::new();
    let last = crowd.last_mut().expect("a crowd");
    // An answer, an end or a reset: all of them are no hanging.
    let hung = last.read_to_end(&mut end).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!hung, "the last client was left hanging");
    assert_eq!(first.call("echo", 1.into())["result"], 1, "who was in is served");
    drop(crowd);
    wait_for("the server to accept again", || tungstenite::client("ws://host/", connect(address)).is_ok());
    assert_eq!(first.call("echo", 2.into())["result"], 2);
}

#[test]
fn a_server_survives_running_out_of_threads() {
    if is_other_process() {
        let maximum = getrlimit(Resource::Nproc).maximum;
        serve(|told| {
            // There is more than one already, so not one more can be started.
            let current = if told == "no threads" { Some(1) } else { maximum };
            setrlimit(Resource::Nproc, Rlimit { current, maximum }).expect("the soft limit is ours");
        });
        return;
    }
    let (mut process, address) = start_limited("a_server_survives_running_out_of_threads");
    let mut first = Client::over(connect(address)).initialized();
    let mut between = connect(address);
    // Its reader runs once the next client, who is accepted after it, is served.
    assert_eq!(status(&exchange(connect(address), b"GET /readyz HTTP/1.1\r\n\r\n")), "200");
    process.tell("no threads");
    for attempt in 0..3 {
        let answer = exchange(connect(address), UPGRADE.as_bytes());
        assert_eq!(status(&answer), "503", "attempt {attempt}: {answer}");
        assert!(answer.contains("Retry-After: "), "{answer}");
    }
    // There is a reader for this one, and no writer.
    let answer = exchange(&mut between, UPGRADE.as_bytes());
    assert_eq!(status(&answer), "503", "{answer}");
    assert_eq!(first.call("echo", 1.into())["result"], 1, "who was in is served");
    process.tell("threads");
    wait_for("the server to accept again", || tungstenite::client("ws://host/", connect(address)).is_ok());
    assert_eq!(first.call("echo", 2.into())["result"], 2);
}
