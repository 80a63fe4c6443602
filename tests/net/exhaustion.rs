//! A server that is out of file descriptors, in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::{Client, PATIENCE, Server, wait_for};

const SERVE: &str = "NET_SERVE_WITH_OPEN_FILES";

/// Ends the process also when a test fails.
struct Process {
    child: Child,
    /// Held open: the other process may still be writing.
    _output: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(open_files: u64) -> (Process, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().expect("a test binary"))
        .args(["--exact", "exhaustion::a_server_survives_running_out_of_descriptors", "--nocapture"])
        .env(SERVE, open_files.to_string())
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
    (Process { child, _output: output }, address)
}

/// The other process: serves until its stdin ends.
fn serve(open_files: u64) {
    let limit = Rlimit { current: Some(open_files), maximum: Some(open_files) };
    setrlimit(Resource::Nofile, limit).expect("less is allowed");
    let server = Server::start();
    use std::io::Write;
    writeln!(std::io::stdout(), "\n{}", server.listener.banner()).expect("stdout");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the kernel connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream
}

#[test]
fn a_server_survives_running_out_of_descriptors() {
    if let Some(open_files) = std::env::var(SERVE).ok().and_then(|text| text.parse().ok()) {
        serve(open_files);
        return;
    }
    let (_process, address) = start(/*open_files*/ 64);
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
