//! What one client feels: start to `initialize`, idle memory, one request after the other, many at once.
//!
//! `cargo bench --bench round_trip` measures the binary that it was built with; `-- PATH` measures another
//! one. Figures are medians with minimum and maximum of several rounds; compare ratios of one run, not
//! numbers of two machines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tungstenite::{Message, WebSocket};

const ROUNDS: usize = 5;
const INITIALIZE: &str =
    r#"{"id":0,"method":"initialize","params":{"clientInfo":{"name":"bench","version":"1"}}}"#;

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let binary = std::env::args()
        .skip(1)
        .find(|arg| !arg.starts_with('-'))
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_app-server")), PathBuf::from);
    say(&format!("binary: {} bytes", std::fs::metadata(&binary).map_or(0, |file| file.len())));
    let fresh: Vec<f64> = (0..ROUNDS).map(|_| start_to_initialize(&binary, &Home::new())).collect();
    report("stdio start to initialize, fresh home", "ms", fresh);
    let home = Home::new();
    let used: Vec<f64> = (0..ROUNDS * 4).map(|_| start_to_initialize(&binary, &home)).collect();
    report("stdio start to initialize, used home", "ms", used);
    idle(&binary);
    websocket(&binary);
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn report(what: &str, unit: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let median = values[values.len() / 2];
    say(&format!("{what}: {median:.3} {unit} (min {:.3}, max {:.3})", values[0], values[values.len() - 1]));
}

/// A home folder that is removed at the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("app-server-bench-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).expect("a folder in the temp dir");
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Piped {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Piped {
    fn start(binary: &Path, home: &Home) -> Self {
        let mut child = Command::new(binary)
            .env("APP_SERVER_HOME", &home.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, input, output }
    }

    fn ask(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).expect("the server reads");
        // Some servers say more than they are asked.
        let mut answer = String::new();
        while answer.is_empty() || is_notification(&answer) {
            answer.clear();
            let count = self.output.read_line(&mut answer).expect("the server answers");
            assert!(count > 0, "the server ended");
        }
        assert!(answer.contains("\"result\""), "{answer}");
    }

    fn end(mut self) {
        drop(self.input);
        let status = self.child.wait().expect("the server ends");
        assert!(status.success(), "{status}");
    }
}

fn start_to_initialize(binary: &Path, home: &Home) -> f64 {
    let started = now();
    let mut server = Piped::start(binary, home);
    server.ask(INITIALIZE);
    let took = started.elapsed();
    server.end();
    millis(took)
}

fn idle(binary: &Path) {
    let home = Home::new();
    let mut server = Piped::start(binary, &home);
    server.ask(INITIALIZE);
    server.ask(r#"{"id":1,"method":"thread/list","params":{}}"#);
    let pid = server.child.id();
    let switches = context_switches(pid);
    // The one place where time has to pass: an idle server must do nothing in it.
    let (_keep, never) = crossbeam_channel::bounded::<()>(0);
    let _ = never.recv_timeout(Duration::from_secs(3));
    let woken = context_switches(pid) - switches;
    say(&format!(
        "idle after initialize: {} KiB resident, {} OS threads, {woken} wakeups in 3 s",
        status_field(pid, "VmRSS:"),
        status_field(pid, "Threads:")
    ));
    server.end();
}

fn status_field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn context_switches(pid: u32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let count = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>()
    };
    tasks.flatten().map(count).sum()
}

fn websocket(binary: &Path) {
    let home = Home::new();
    let mut child = Command::new(binary)
        .args(["--listen", "ws://127.0.0.1:0"])
        .env("APP_SERVER_HOME", &home.0)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let address = banner_address(child.stderr.take().expect("piped"));
    let mut socket = connect(&address);
    sequential(&mut socket);
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        rates.push(pipelined(&mut socket));
    }
    report("pipelined thread/loaded/list, window 32, one connection", "requests/s", rates);
    turns(&mut socket);
    let _ = child.kill();
    let _ = child.wait();
}

fn banner_address(stderr: impl Read) -> String {
    for line in BufReader::new(stderr).lines() {
        let line = line.expect("stderr is text");
        if let Some(address) = line.split_whitespace().find_map(|word| word.strip_prefix("ws://")) {
            return address.to_owned();
        }
    }
    panic!("the server ended without a banner")
}

fn connect(address: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP stream");
    let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).expect("it upgrades");
    ask(&mut socket, INITIALIZE);
    socket
}

fn ask(socket: &mut WebSocket<TcpStream>, text: &str) -> String {
    socket.send(Message::text(text)).expect("the server reads");
    loop {
        let answer = next(socket);
        if !is_notification(&answer) {
            return answer;
        }
    }
}

fn is_notification(message: &str) -> bool {
    message.contains("\"method\":")
}

fn next(socket: &mut WebSocket<TcpStream>) -> String {
    loop {
        if let Message::Text(text) = socket.read().expect("the server answers") {
            return text.to_string();
        }
    }
}

fn sequential(socket: &mut WebSocket<TcpStream>) {
    let mut took: Vec<f64> = (0..20_000)
        .map(|_| {
            let started = now();
            ask(socket, r#"{"id":1,"method":"thread/loaded/list","params":{}}"#);
            micros(started.elapsed())
        })
        .collect();
    took.sort_by(f64::total_cmp);
    say(&format!(
        "sequential thread/loaded/list over WebSocket: p50 {:.1} us, p99 {:.1} us",
        took[took.len() / 2],
        took[took.len() * 99 / 100]
    ));
}

fn pipelined(socket: &mut WebSocket<TcpStream>) -> f64 {
    const REQUESTS: usize = 30_000;
    let request = r#"{"id":1,"method":"thread/loaded/list","params":{}}"#;
    let started = now();
    for _ in 0..32 {
        socket.send(Message::text(request)).expect("the server reads");
    }
    for answered in 0..REQUESTS {
        next(socket);
        if answered + 32 < REQUESTS {
            socket.send(Message::text(request)).expect("the server reads");
        }
    }
    REQUESTS as f64 / started.elapsed().as_secs_f64()
}

fn turns(socket: &mut WebSocket<TcpStream>) {
    let mut starts = Vec::new();
    let mut thread = String::new();
    for _ in 0..200 {
        let started = now();
        let message = ask(socket, r#"{"id":1,"method":"thread/start","params":{}}"#);
        starts.push(millis(started.elapsed()));
        let answer: serde_json::Value = serde_json::from_str(&message).expect("JSON");
        thread = answer["result"]["thread"]["id"].as_str().expect("an id").to_owned();
    }
    report("thread/start", "ms", starts);
    let request = serde_json::json!({ "id": 2, "method": "turn/start", "params": {
        "threadId": thread, "input": [{ "type": "text", "text": "one two three four" }] } })
    .to_string();
    let mut took = Vec::new();
    for _ in 0..200 {
        let started = now();
        let mut message = ask(socket, &request);
        while !message.contains(r#""turn/completed""#) {
            message = next(socket);
        }
        took.push(millis(started.elapsed()));
    }
    report("a turn of 20 words on the offline model", "ms", took);
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
