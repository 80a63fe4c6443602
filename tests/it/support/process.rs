//! The real binary as a process: started in a home of its own, watched, and never left behind.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use app_server::sys::worker::Worker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::PATIENCE;
use super::home::Home;
use super::watched::Watched;

/// Marks a server and everything that it starts, so that what it leaves behind can be found.
const MARK: &str = "APP_SERVER_IT_MARK";

/// Stack of the small workers of the tests.
pub(crate) const STACK_BYTES: usize = 512 * 1024;

/// How to start the binary.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) home: Arc<Home>,
    /// A program and its arguments.
    launcher: Vec<String>,
    args: Vec<String>,
    envs: Vec<(String, String)>,
}

impl Launch {
    pub(crate) fn new(home: &Arc<Home>) -> Self {
        Self { home: Arc::clone(home), launcher: Vec::new(), args: Vec::new(), envs: Vec::new() }
    }

    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// By a program that becomes the binary.
    pub(crate) fn by<'a>(mut self, launcher: impl IntoIterator<Item = &'a str>) -> Self {
        self.launcher.extend(launcher.into_iter().map(str::to_owned));
        self
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.envs.push((key.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn start(self) -> Process {
        // Homes may be shared, marks are not.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        // Another build of it, for tests that measure.
        let other = std::env::var_os("APP_SERVER_IT_BINARY");
        let binary = other.unwrap_or_else(|| env!("CARGO_BIN_EXE_app-server").into());
        let mut words = self.launcher.iter().map(OsString::from).chain([binary]);
        let mut command = Command::new(words.next().expect("the binary"));
        command
            .args(words)
            .args(&self.args)
            .env_remove("CODEX_HOME")
            .env_remove("RUST_LOG")
            .env("HOME", self.home.path())
            .env("APP_SERVER_HOME", self.home.path())
            .env(MARK, &mark)
            .envs(self.envs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Process::of(command.spawn().expect("the binary starts"), mark, self.home)
    }

    /// Runs the binary with this input to its end.
    pub(crate) fn run(self, input: &[u8]) -> Output {
        let mut process = self.start();
        let mut stdin = process.stdin.take().expect("stdin is a pipe");
        let stdout = process.stdout.take().expect("stdout is a pipe");
        let (stdout, ()) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| read_all(stdout));
            // Who does not want input closes it; that is no failure of the test.
            let _ = stdin.write_all(input);
            drop(stdin);
            // A process that does not end is killed, so that its output ends.
            process.watch_exit(3 * PATIENCE);
            (reader.join().expect("the reader does not panic"), ())
        });
        let status = process.exits_within(Duration::ZERO);
        Output { status, stdout, stderr: process.stderr_at_end() }
    }
}

fn read_all(mut stdout: ChildStdout) -> String {
    let mut text = Vec::new();
    stdout.read_to_end(&mut text).expect("stdout can be read");
    String::from_utf8(text).expect("stdout is UTF-8")
}

/// What a process left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running binary. Killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Names the process even after it has ended, until it is reaped.
    pidfd: OwnedFd,
    ended: Option<ExitStatus>,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    stderr: Arc<Watched<Vec<String>>>,
    stderr_reader: Option<Worker>,
    mark: String,
    /// Outlives the process.
    pub(crate) home: Arc<Home>,
}

impl Process {
    fn of(mut child: Child, mark: String, home: Arc<Home>) -> Self {
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a descriptor of the process");
        let stderr = Arc::new(Watched::<Vec<String>>::default());
        let lines = BufReader::new(child.stderr.take().expect("stderr is a pipe")).lines();
        let heard = Arc::clone(&stderr);
        let stderr_reader = Worker::spawn("it-stderr", STACK_BYTES, move || {
            for line in lines.map_while(Result::ok) {
                heard.change(|lines| lines.push(line));
            }
        });
        Self {
            pidfd,
            ended: None,
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr,
            stderr_reader: Some(stderr_reader.expect("a worker")),
            child,
            mark,
            home,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.pidfd, signal).expect("the signal is sent");
    }

    /// Kills the process as the machine's death would, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        let status = self.exits_within(PATIENCE);
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it ended before the kill: {status}");
    }

    /// True if the process ends within the deadline.
    fn waits(&mut self, deadline: Duration) -> bool {
        if self.ended.is_some() {
            return true;
        }
        let timeout = Timespec::try_from(deadline).expect("a deadline");
        let mut watched = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let ready = loop {
            match poll(&mut watched, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                polled => break polled.expect("the process can be watched"),
            }
        };
        if ready > 0 {
            self.ended = Some(self.child.wait().expect("the process is reaped"));
        }
        ready > 0
    }

    /// Kills the process if it does not end by itself within the deadline.
    fn watch_exit(&mut self, deadline: Duration) {
        if !self.waits(deadline) {
            self.signal(Signal::KILL);
            self.waits(PATIENCE);
        }
    }

    /// Waits for the process's end, which must come within the deadline and leave no child behind.
    pub(crate) fn exits_within(&mut self, deadline: Duration) -> ExitStatus {
        if !self.waits(deadline) {
            let doing = self.workers().join(", ");
            panic!("the process still runs after {deadline:?}; workers: {doing}; stderr:\n{}", self.said());
        }
        let left = leftovers(&self.mark);
        assert!(left.is_empty(), "the process left these behind: {left:?}");
        self.ended.expect("it has ended")
    }

    /// Everything that it has said on stderr so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.now().join("\n")
    }

    /// Everything that it said on stderr; the process must have ended.
    pub(crate) fn stderr_at_end(&mut self) -> String {
        if let Some(reader) = self.stderr_reader.take() {
            reader.join_within(PATIENCE);
        }
        self.said()
    }

    /// Waits for something on stderr.
    pub(crate) fn says<R>(&self, what: &str, mut look: impl FnMut(&str) -> Option<R>) -> R {
        let found = self.stderr.wait(PATIENCE, |lines| lines.iter().find_map(|line| look(line)));
        found.unwrap_or_else(|| panic!("stderr never had {what}:\n{}", self.said()))
    }

    fn proc(&self, entry: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{entry}", self.child.id()))
    }

    /// Names of its OS threads.
    pub(crate) fn workers(&self) -> Vec<String> {
        let Ok(tasks) = fs::read_dir(self.proc("task")) else { return Vec::new() };
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
        let mut names: Vec<String> =
            tasks.flatten().filter_map(name).map(|name| name.trim_end().to_owned()).collect();
        names.sort();
        names
    }

    /// How often its OS threads have gone to sleep or been sent to it.
    pub(crate) fn wakeups(&self) -> u64 {
        let tasks = fs::read_dir(self.proc("task")).expect("its workers").flatten();
        let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let switches = |status: String| -> u64 {
            let lines = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
            lines.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum()
        };
        tasks.map(|task| switches(status(task))).sum()
    }

    /// Time on a processor that it has used, all its OS threads together.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).expect("its numbers");
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let ticks = |at: usize| fields.split(' ').nth(at).and_then(|ticks| ticks.parse::<u32>().ok());
        let own_and_the_systems = ticks(11).zip(ticks(12)).map(|(own, system)| own + system);
        let a_second = u32::try_from(rustix::param::clock_ticks_per_second()).expect("few");
        Duration::from_secs(1) * own_and_the_systems.expect("two numbers") / a_second
    }

    /// How many watches it has with the system's inotify.
    pub(crate) fn inotify_watches(&self) -> usize {
        let infos = fs::read_dir(self.proc("fdinfo")).expect("its descriptors").flatten();
        let lines = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
        lines.map(|text| text.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
    }

    /// What its descriptors lead to.
    pub(crate) fn open_files(&self) -> Vec<PathBuf> {
        let descriptors = fs::read_dir(self.proc("fd")).expect("its descriptors").flatten();
        descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok()).collect()
    }

    /// Looks again and again until something about the process is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let never = crossbeam_channel::never::<()>();
        let mut waited = Duration::ZERO;
        while !is_so(self) {
            const STEP: Duration = Duration::from_millis(10);
            assert!(
                waited < PATIENCE,
                "in vain: {what}; {:?}, {} inotify watches, {} descriptors: {:?}",
                self.workers(),
                self.inotify_watches(),
                self.descriptors(),
                self.open_files()
            );
            let _ = never.recv_timeout(STEP);
            waited += STEP;
        }
    }

    /// Waits until none of its OS threads has a name that begins so.
    pub(crate) fn until_gone(&self, name: &str) {
        self.until(&format!("the end of {name}"), |process| {
            !process.workers().iter().any(|worker| worker.starts_with(name))
        });
    }

    /// The processes of its commands, zombies among them, as `pid state`.
    pub(crate) fn children(&self) -> Vec<String> {
        let Ok(tasks) = fs::read_dir(self.proc("task")) else { return Vec::new() };
        // Those of its first OS thread are what commands have left behind, another one tries out the sandbox.
        let starts = |task: &fs::DirEntry| {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            name.trim_end() == "exec-spawn"
        };
        let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids: String = tasks.flatten().filter(starts).map(of).collect();
        // Its guard is no command.
        let is_command = |pid: &&str| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim_end() != app_server::sys::guard::NAME
        };
        let state = |pid: &str| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
            format!("{pid} {}", state.unwrap_or("gone"))
        };
        pids.split_whitespace().filter(is_command).map(state).collect()
    }

    /// The processes that it has inherited from its commands, zombies among them.
    pub(crate) fn orphans(&self) -> usize {
        let of_the_first = self.proc(&format!("task/{}/children", self.child.id()));
        fs::read_to_string(of_the_first).unwrap_or_default().split_whitespace().count()
    }

    /// Waits until so many child processes run.
    pub(crate) fn wait_for_children(&self, at_least: usize) {
        self.until("children", |process| process.children().len() >= at_least);
    }

    /// Kills the process as the machine's death would; everything that it runs has to die with it.
    pub(crate) fn kill_with_children(&mut self) {
        assert!(!self.children().is_empty(), "there is something to die");
        self.signal(Signal::KILL);
        self.waits(PATIENCE);
        self.until("end of what it ran", |process| leftovers(&process.mark).is_empty());
    }

    /// Whether it ignores this signal.
    pub(crate) fn ignores(&self, signal: Signal) -> bool {
        let status = fs::read_to_string(self.proc("status")).expect("its status");
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a set");
        let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a number");
        ignored & 1 << (signal.as_raw() - 1) != 0
    }

    /// Bytes of memory that it occupies.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that it ever occupied.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a size");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// Nothing of what it has run is left: no process, not even a zombie, and nothing that a process left.
    /// Its own children are gone at once; what those had started was killed and may take a moment to die.
    pub(crate) fn assert_nothing_runs(&self) {
        let children = self.children();
        assert!(children.is_empty(), "these children are left: {children:?}");
        let own = self.child.id().to_string();
        let is_own = |process: &String| {
            let pid = process.split(' ').next().unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            pid == own || name.trim_end() == app_server::sys::guard::NAME
        };
        self.until("end of what its commands had started", |process| {
            let left_behind = process.proc("task").join(&own).join("children");
            fs::read_to_string(left_behind).unwrap_or_default().is_empty()
                && leftovers(&process.mark).iter().all(is_own)
        });
    }

    /// How many descriptors and OS threads it has.
    pub(crate) fn footprint(&self) -> (usize, usize) {
        (self.descriptors(), self.workers().len())
    }

    /// Waits until it has no more descriptors and OS threads than it had.
    pub(crate) fn shrinks_to(&self, (descriptors, workers): (usize, usize)) {
        self.until("the end of what it had opened", |process| {
            process.descriptors() <= descriptors && process.workers().len() <= workers
        });
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).expect("its descriptors").count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            let _ = self.child.wait();
        }
        if let Some(reader) = self.stderr_reader.take() {
            reader.join_within(Duration::from_secs(1));
        }
        if std::thread::panicking() && !self.said().is_empty() {
            super::conversation::tell_failed_test(&format!("--- stderr of the server ---\n{}", self.said()));
        }
    }
}

/// Writes until the other side has taken nothing for a while, and gives the number of bytes that it took.
pub(crate) fn write_until_stuck(stdin: &mut ChildStdin, mut bytes: &[u8]) -> usize {
    const A_WHILE: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
    let flags = rustix::fs::fcntl_getfl(&*stdin).expect("the pipe's flags");
    rustix::fs::fcntl_setfl(&*stdin, flags | rustix::fs::OFlags::NONBLOCK).expect("it does not block");
    let before = bytes.len();
    while !bytes.is_empty() {
        let mut watched = [PollFd::new(&*stdin, PollFlags::OUT)];
        if poll(&mut watched, Some(&A_WHILE)) == Ok(0) {
            break;
        }
        match stdin.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("the server closed its input: {error}"),
        }
    }
    before - bytes.len()
}

/// Processes that carry a server's mark, as `pid command`.
pub(crate) fn leftovers(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let marked = processes.filter(|process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
    });
    marked
        .map(|process| {
            let command = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            format!("{} {}", process.file_name().display(), command.replace('\0', " "))
        })
        .collect()
}

#[test]
fn what_a_server_leaves_behind_is_found() {
    let mark = format!("leftover-{}", std::process::id());
    let mut child = Command::new("sleep").arg("60").env(MARK, &mark).spawn().expect("sleep starts");
    // The environment can be read once the new program runs; until then it is the test's own.
    let found = (0..10_000).map(|_| leftovers(&mark)).find(|found| !found.is_empty());
    child.kill().expect("it can be killed");
    child.wait().expect("it can be reaped");
    assert_eq!(found.unwrap_or_default().len(), 1);
    assert!(leftovers(&mark).is_empty());
}
