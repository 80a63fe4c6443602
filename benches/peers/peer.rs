//! A server under measurement: how it is started, and what it costs while it runs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::args::Args;
use super::clock::now;
use super::link::{Link, Missing};
use super::mock::MockModel;

/// A server that does not end by itself within this time is killed.
const END_MAX: Duration = Duration::from_secs(5);

/// The unit of processor time in `/proc/PID/stat` (`USER_HZ`, 100 on every Linux of today).
const TICKS_PER_SECOND: f64 = 100.0;

/// A server given by its command line.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// What the report calls it.
    pub(crate) name: String,
    argv: Vec<String>,
}

/// One workload for one peer in one round.
pub(crate) struct Stage<'a> {
    /// Who is measured.
    pub(crate) peer: &'a Peer,
    /// Who answers its turns.
    pub(crate) model: &'a MockModel,
    /// What was asked for.
    pub(crate) args: &'a Args,
}

/// A home folder that is removed at the end.
pub(crate) struct Home(PathBuf);

/// A running server; it is gone when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, if it does.
    address: String,
}

/// A server on stdio, with its one connection.
pub(crate) struct Piped {
    /// The connection.
    pub(crate) link: Link,
    server: Server,
}

impl Peer {
    /// A peer.
    pub(crate) fn new(name: &str, argv: Vec<String>) -> Self {
        Self { name: name.to_owned(), argv }
    }

    /// Its program, for its size.
    pub(crate) fn program(&self) -> &Path {
        Path::new(&self.argv[0])
    }

    fn command(&self, home: &Home) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]);
        command.env("APP_SERVER_HOME", &home.0).env("CODEX_HOME", &home.0).env("RUST_LOG", "error");
        command.env("MOCK_KEY", "bench");
        command
    }
}

impl Stage<'_> {
    /// A home with a configuration that sends turns to the mock model.
    pub(crate) fn home(&self) -> Result<Home, Missing> {
        let path = std::env::temp_dir().join(format!("app-server-bench-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).map_err(|error| format!("a home: {error}"))?;
        let config = format!(
            "model = \"mock-model\"\nmodel_provider = \"mock\"\napproval_policy = \"never\"\n\
             sandbox_mode = \"danger-full-access\"\n\n[model_providers.mock]\nname = \"mock\"\n\
             base_url = \"http://127.0.0.1:{}/v1\"\nwire_api = \"responses\"\n\
             supports_websockets = false\n\n[features]\nplugins = false\napps = false\n\n[analytics]\n\
             enabled = false\n",
            self.model.port
        );
        std::fs::write(path.join("config.toml"), config).map_err(|error| format!("a home: {error}"))?;
        Ok(Home(path))
    }

    /// Starts the peer on stdio; not initialized yet.
    pub(crate) fn piped(&self, home: &Home) -> Result<Piped, Missing> {
        let mut child = self
            .peer
            .command(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("start: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".to_owned());
        };
        let link = Link::Stdio { input, output: BufReader::new(output) };
        Ok(Piped { link, server: Server { child, address: String::new() } })
    }

    /// Starts the peer as a network server.
    pub(crate) fn listening(&self, home: &Home) -> Result<Server, Missing> {
        self.listening_with(home, &[])
    }

    /// Starts the peer as a network server with more flags.
    pub(crate) fn listening_with(&self, home: &Home, flags: &[&str]) -> Result<Server, Missing> {
        let mut child = self
            .peer
            .command(home)
            .args(["--listen", "ws://127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("start: {error}"))?;
        let stderr = child.stderr.take();
        let mut server = Server { child, address: String::new() };
        let mut lines = BufReader::new(stderr.ok_or("no stderr")?);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
            if let Some(address) = line.split_whitespace().find_map(|word| word.strip_prefix("ws://")) {
                // ANSI colours may follow.
                let end = address.find(|byte: char| !byte.is_ascii_digit() && !".:[]".contains(byte));
                server.address = address[..end.unwrap_or(address.len())].to_owned();
                // What it says later must not block it.
                super::clock::in_background(move || {
                    let _ = std::io::copy(&mut lines, &mut std::io::sink());
                });
                return Ok(server);
            }
            line.clear();
        }
        Err("it ended without a line that names its ws:// address".to_owned())
    }
}

impl Server {
    /// An initialized connection.
    pub(crate) fn client(&self) -> Result<Link, Missing> {
        let mut link = Link::connect(&self.address)?;
        link.initialize()?;
        Ok(link)
    }

    /// Resident memory in KiB.
    pub(crate) fn rss_kib(&self) -> f64 {
        status_field(self.child.id(), "VmRSS:")
    }

    /// The most memory that was resident, in KiB.
    pub(crate) fn peak_rss_kib(&self) -> f64 {
        status_field(self.child.id(), "VmHWM:")
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// OS threads.
    pub(crate) fn workers(&self) -> f64 {
        status_field(self.child.id(), "Threads:")
    }

    /// Processor time used so far, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The name in parentheses may contain anything; user and system time are the 12th and 13th after it.
        // They count the OS threads that have ended, too.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks =
            after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok());
        ticks.sum::<f64>() / TICKS_PER_SECOND
    }

    /// Times that one of its OS threads was woken so far.
    pub(crate) fn switches(&self) -> f64 {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return f64::NAN };
        let texts =
            tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
        let number = |text: String| -> Option<f64> {
            let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        texts.filter_map(number).sum()
    }
}

impl Piped {
    /// The process.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = now() + END_MAX;
        while let Ok(None) = self.child.try_wait() {
            if now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            super::clock::let_pass(Duration::from_millis(2));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn status_field(pid: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}
