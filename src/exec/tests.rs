//! Commands without a server around them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::*;
use crate::clock::{Clock, Monotonic};
use crate::limits;
use crate::proto::SandboxPolicy;
use crate::sandbox::SharedSandbox;
use crate::sync::{lock, wait};
use crate::timer::TimerWorker;

/// An executor and what it needs.
struct House {
    spawner: Spawner,
    executor: Executor,
    _timer: TimerWorker,
}

/// What a command said and how it ended.
#[derive(Debug, Default)]
struct Heard {
    said: HashMap<Stream, Vec<u8>>,
    room: Option<usize>,
    waker: Option<SinkWaker>,
    ending: Option<Ending>,
}

#[derive(Debug, Clone, Default)]
struct Ear(Arc<(Mutex<Heard>, Condvar)>);

impl Ear {
    fn change<R>(&self, change: impl FnOnce(&mut Heard) -> R) -> R {
        let changed = change(&mut lock(&self.0.0));
        self.0.1.notify_all();
        changed
    }

    fn wait_for<R>(&self, mut look: impl FnMut(&mut Heard) -> Option<R>) -> R {
        let mut heard = lock(&self.0.0);
        loop {
            if let Some(found) = look(&mut heard) {
                return found;
            }
            heard = wait(&self.0.1, heard);
        }
    }

    fn outcome(&self) -> ExitOutcome {
        match self.ending() {
            Ending::Exited(outcome) => outcome,
            Ending::NotStarted(error) => panic!("it did not start: {error}"),
        }
    }

    fn ending(&self) -> Ending {
        self.wait_for(|heard| heard.ending.take())
    }

    fn waits_for(&self, stream: Stream, text: &str) {
        self.wait_for(|heard| {
            let said = heard.said.get(&stream)?;
            String::from_utf8_lossy(said).contains(text).then_some(())
        });
    }

    fn said(&self, stream: Stream) -> String {
        self.change(|heard| String::from_utf8_lossy(heard.said.entry(stream).or_default()).into_owned())
    }
}

impl OutputSink for Ear {
    fn started(&mut self, waker: SinkWaker) {
        self.change(|heard| heard.waker = Some(waker));
    }

    fn room(&mut self, _: Stream) -> usize {
        self.change(|heard| heard.room.unwrap_or(usize::MAX))
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.change(|heard| {
            heard.said.entry(stream).or_default().extend_from_slice(bytes);
            if let Some(room) = &mut heard.room {
                *room = room.saturating_sub(bytes.len());
            }
        });
    }

    fn ended(self: Box<Self>, ending: Ending) {
        self.change(|heard| heard.ending = Some(ending));
    }
}

/// One by which nothing can be enforced.
fn sandbox() -> SharedSandbox {
    SharedSandbox::hopeless(crate::sandbox::Settings {
        home: "/nonexistent".into(),
        temp_dir: None,
        best_effort: false,
    })
}

impl House {
    fn new(running_max: usize) -> Self {
        let (timer_worker, timer) = TimerWorker::start(Clock::real()).expect("a timer");
        let (executor, spawner) = Executor::new(running_max, timer, sandbox());
        Self { spawner, executor, _timer: timer_worker }
    }

    fn start(&self, spec: CommandSpec) -> (Running, Ear) {
        let ear = Ear::default();
        let running = self.spawner.start(spec, Box::new(ear.clone())).expect("there is room");
        (running, ear)
    }

    fn shell(&self, script: &str) -> (Running, Ear) {
        self.start(shell(script))
    }
}

fn shell(script: &str) -> CommandSpec {
    let mut spec = CommandSpec::new("sh", "/", SandboxPolicy::DangerFullAccess);
    spec.args = vec!["-c".into(), script.into()];
    spec
}

/// Processes that carry this in their environment, zombies not among them.
fn marked(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let has_mark = |entry: &std::fs::DirEntry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
    };
    processes.filter(has_mark).count()
}

/// Waits until so many carry it: what was started by a command is no child of ours, so its death after the
/// kill can only be watched, and in the middle of its exec a process has no environment.
fn until_marked(mark: &str, count: usize) {
    let clock = Clock::real();
    while marked(mark) != count {
        assert!(clock.now() < Monotonic(20_000), "{} and not {count}", marked(mark));
        std::thread::yield_now();
    }
}

fn with_mark(mut spec: CommandSpec, mark: &str) -> CommandSpec {
    let (name, value) = mark.split_once('=').expect("a variable");
    spec.env.push((name.into(), Some(value.into())));
    spec
}

#[test]
fn both_outputs_and_the_code_come() {
    let house = House::new(/*running_max*/ 4);
    let (_running, ear) = house.shell("echo out; echo err >&2; exit 3");
    let outcome = ear.outcome();
    assert_eq!((outcome.code, outcome.cause, outcome.drain_timed_out), (3, EndCause::Exited, false));
    assert_eq!((ear.said(Stream::Stdout).as_str(), ear.said(Stream::Stderr).as_str()), ("out\n", "err\n"));
    assert_eq!(house.spawner.running(), 0);
}

#[test]
fn what_cannot_be_started_says_why() {
    let house = House::new(/*running_max*/ 4);
    let mut missing = shell("true");
    missing.cwd = "/nonexistent/x".into();
    for spec in [CommandSpec::new("no-such-program-xyz", "/", SandboxPolicy::DangerFullAccess), missing] {
        for terminal in [None, Some(TerminalSize::default())] {
            let (_running, ear) = house.start(CommandSpec { terminal, ..spec.clone() });
            let Ending::NotStarted(error) = ear.ending() else { panic!("it started") };
            assert_eq!(error.to_string(), "No such file or directory (os error 2)");
        }
    }
    assert_eq!(house.spawner.running(), 0);
}

#[test]
fn input_goes_in_and_its_end_too() {
    let house = House::new(/*running_max*/ 4);
    let (running, ear) = house.start(CommandSpec { stdin: true, ..shell("cat; echo end") });
    let large = vec![b'x'; 300_000];
    running.write_stdin(large.clone(), /*close*/ false, Written::nobody());
    running.write_stdin(&b"last"[..], /*close*/ true, Written::nobody());
    let told = Ear::default();
    let late = told.clone();
    let done = Written::to(move |outcome| {
        assert_eq!(outcome, Err(StdinError::Closed));
        late.change(|heard| heard.room = Some(1));
    });
    running.write_stdin(&b"more"[..], /*close*/ false, done);
    told.wait_for(|heard| heard.room);
    assert_eq!(ear.outcome().code, 0);
    assert_eq!(ear.said(Stream::Stdout).len(), large.len() + "lastend\n".len());
}

#[test]
fn a_terminal_has_a_size_and_an_end_of_input() {
    let house = House::new(/*running_max*/ 4);
    let terminal = Some(TerminalSize { rows: 31, columns: 101 });
    let script = "trap 'stty size; exit 0' WINCH; test -t 0 && stty size; cat; while :; do sleep .05; done";
    let (running, ear) = house.start(CommandSpec { terminal, ..shell(script) });
    ear.waits_for(Stream::Stdout, "31 101");
    running.write_stdin(Vec::new(), /*close*/ true, Written::nobody());
    running.resize(TerminalSize { rows: 45, columns: 132 }).expect("it is one");
    ear.waits_for(Stream::Stdout, "45 132");
    assert_eq!(ear.outcome().code, 0);
    assert!(matches!(running.resize(TerminalSize::default()), Err(ResizeError::Ended)));
}

#[test]
fn a_timeout_ends_even_who_ignores_the_request() {
    let house = House::new(/*running_max*/ 4);
    // Long enough for the shell to come to its trap on a busy machine.
    let timeout = Some(Duration::from_secs(2));
    let (_running, ear) = house.start(CommandSpec { timeout, ..shell("trap '' TERM; echo x; sleep 60") });
    let outcome = ear.outcome();
    assert_eq!((outcome.code, outcome.cause), (124, EndCause::TimedOut));
    assert_eq!(ear.said(Stream::Stdout), "x\n");
}

#[test]
fn a_timeout_of_nothing_is_the_shortest_there_is() {
    let house = House::new(/*running_max*/ 4);
    let (timeout, clock) = (Some(Duration::ZERO), Clock::real());
    let (_running, ear) = house.start(CommandSpec { timeout, ..shell("sleep 60") });
    assert_eq!(ear.outcome().cause, EndCause::TimedOut);
    let least = Monotonic(limits::COMMAND_TIMEOUT_MIN.as_millis() as u64);
    assert!(clock.now() >= least, "{:?}", clock.now());
}

#[test]
fn more_writes_than_a_command_reads_are_refused() {
    let house = House::new(/*running_max*/ 4);
    let (running, ear) = house.start(CommandSpec { stdin: true, ..shell("echo up; sleep 60") });
    ear.waits_for(Stream::Stdout, "up");
    // More than its pipe holds: from here on every write waits.
    let full = vec![b'x'; limits::COMMAND_PIPE_BYTES];
    running.write_stdin(full, /*close*/ false, Written::nobody());
    let refused = Arc::new(AtomicUsize::new(0));
    for _ in 0..limits::COMMAND_STDIN_WRITES {
        let refused = Arc::clone(&refused);
        let done = Written::to(move |outcome| {
            if outcome == Err(StdinError::Full) {
                refused.fetch_add(1, Ordering::SeqCst);
            }
        });
        running.write_stdin(&b"x"[..], /*close*/ false, done);
    }
    assert_eq!(refused.load(Ordering::SeqCst), 1, "the last one");
    running.kill();
    assert_eq!(ear.outcome().cause, EndCause::Killed);
}

#[test]
fn what_a_pipe_holds_at_the_end_is_read_without_room() {
    let house = House::new(/*running_max*/ 4);
    let ear = Ear::default();
    ear.change(|heard| heard.room = Some(0));
    let spec = shell("head -c 60000 /dev/zero; echo done >&2");
    let _running = house.spawner.start(spec, Box::new(ear.clone())).expect("there is room");
    let outcome = ear.outcome();
    assert_eq!((outcome.code, outcome.drain_timed_out), (0, false));
    assert_eq!((ear.said(Stream::Stdout).len(), ear.said(Stream::Stderr).as_str()), (60_000, "done\n"));
}

#[test]
fn a_kill_and_a_drop_reach_the_whole_group() {
    let house = House::new(/*running_max*/ 4);
    for terminal in [None, Some(TerminalSize::default())] {
        let mark = format!("EXEC_TEST_GROUP={}-{}", std::process::id(), terminal.is_some());
        let spec = with_mark(shell("sleep 60 & sleep 60 & echo two; wait"), &mark);
        let (running, ear) = house.start(CommandSpec { terminal, ..spec });
        ear.waits_for(Stream::Stdout, "two");
        until_marked(&mark, /*count*/ 3);
        if terminal.is_some() {
            drop(running);
        } else {
            running.kill();
        }
        let outcome = ear.outcome();
        assert_eq!((outcome.code, outcome.cause), (137, EndCause::Killed));
        until_marked(&mark, /*count*/ 0);
    }
}

/// Processes that were called with this among their arguments.
fn called_with(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let is_one = |entry: &std::fs::DirEntry| {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words.split(|&byte| byte == 0).any(|word| word == argument.as_bytes())
    };
    processes.filter(is_one).count()
}

/// Waits until so many processes were called with this.
fn until_called_with(argument: &str, count: usize) {
    let clock = Clock::real();
    while called_with(argument) != count {
        assert!(clock.now() < Monotonic(20_000), "{argument}: {} and not {count}", called_with(argument));
        std::thread::yield_now();
    }
}

/// A script that starts processes which leave its group and session, lose their parent and empty their
/// environment, all of them sleepers of this length.
fn daemons(length: &str) -> String {
    format!(
        "setsid sleep {length} >/dev/null 2>&1 & \
         env -i setsid sleep {length} >/dev/null 2>&1 & \
         (setsid sh -c 'sleep {length} & setsid sleep {length} & wait' >/dev/null 2>&1 &) ; \
         setsid -f sleep {length} </dev/null >/dev/null 2>&1; "
    )
}

#[test]
fn daemons_end_with_their_command_however_it_ends() {
    let house = House::new(/*running_max*/ 4);
    for (number, terminal) in [None, Some(TerminalSize::default())].into_iter().enumerate() {
        for (way, rest) in
            ["kill", "timeout", "exit"].into_iter().zip(["echo up; sleep 60", "echo up; sleep 60", "read x"])
        {
            let length = format!("6{number}{}.{}", way.len(), std::process::id());
            let timeout = (way == "timeout").then_some(Duration::from_secs(1));
            let script = daemons(&length) + rest;
            let spec = CommandSpec { terminal, timeout, stdin: true, ..shell(&script) };
            let (running, ear) = house.start(spec);
            match way {
                "timeout" => {}
                "kill" => {
                    until_called_with(&length, /*count*/ 5);
                    running.kill();
                }
                _ => {
                    until_called_with(&length, /*count*/ 5);
                    running.write_stdin(&b"x\n"[..], /*close*/ false, Written::nobody());
                }
            }
            let outcome = ear.outcome();
            let expected = match way {
                "timeout" => EndCause::TimedOut,
                "kill" => EndCause::Killed,
                _ => EndCause::Exited,
            };
            assert_eq!((outcome.cause, outcome.drain_timed_out), (expected, false), "{way}");
            until_called_with(&length, /*count*/ 0);
        }
    }
}

#[test]
fn a_daemon_that_holds_the_pipes_of_a_killed_command_delays_nothing() {
    let house = House::new(/*running_max*/ 4);
    let length = format!("607.{}", std::process::id());
    let (running, ear) = house.shell(&format!("env -i setsid sleep {length} & echo up; sleep 60"));
    ear.waits_for(Stream::Stdout, "up");
    until_called_with(&length, /*count*/ 1);
    running.kill();
    let outcome = ear.outcome();
    assert_eq!((outcome.cause, outcome.drain_timed_out), (EndCause::Killed, false));
    until_called_with(&length, /*count*/ 0);
}

#[test]
fn daemons_of_one_command_outlive_the_end_of_another() {
    let house = House::new(/*running_max*/ 4);
    let length = format!("608.{}", std::process::id());
    let (running, ear) = house.shell(&format!("setsid -f sleep {length} >/dev/null 2>&1; sleep 60"));
    until_called_with(&length, /*count*/ 1);
    assert_eq!(house.shell("setsid -f true").1.outcome().code, 0);
    assert_eq!(called_with(&length), 1);
    running.kill();
    ear.outcome();
    until_called_with(&length, /*count*/ 0);
}

#[test]
fn who_holds_the_pipes_delays_the_end_a_little_and_goes_then() {
    let house = House::new(/*running_max*/ 4);
    let mark = format!("EXEC_TEST_HOLD={}", std::process::id());
    let (_running, ear) = house.start(with_mark(shell("sleep 60 & echo parent"), &mark));
    let outcome = ear.outcome();
    assert_eq!((outcome.code, outcome.drain_timed_out), (0, true));
    assert_eq!(ear.said(Stream::Stdout), "parent\n");
    until_marked(&mark, /*count*/ 0);
}

#[test]
fn an_output_is_read_as_far_as_there_is_room() {
    let house = House::new(/*running_max*/ 4);
    let ear = Ear::default();
    ear.change(|heard| heard.room = Some(100_000));
    let spec = shell("head -c 1000000 /dev/zero; echo done >&2");
    let _running = house.spawner.start(spec, Box::new(ear.clone())).expect("there is room");
    ear.wait_for(|heard| (heard.room == Some(0)).then_some(()));
    // An answer of another command: whatever was read beyond the room would have been read by now.
    assert_eq!(house.shell("true").1.outcome().code, 0);
    assert_eq!(ear.said(Stream::Stdout).len(), 100_000);
    let waker = ear.change(|heard| {
        heard.room = None;
        heard.waker.clone()
    });
    waker.expect("it has started").wake();
    assert_eq!(ear.outcome().code, 0);
    assert_eq!(ear.said(Stream::Stdout).len(), 1_000_000);
}

#[test]
fn too_many_are_refused_and_an_end_makes_room() {
    let house = House::new(/*running_max*/ 1);
    let (running, ear) = house.shell("echo here; sleep 60");
    ear.waits_for(Stream::Stdout, "here");
    let refused = house.spawner.start(shell("true"), Box::new(Ear::default()));
    assert_eq!(refused.err(), Some(Refusal::TooMany(1)));
    running.kill();
    ear.outcome();
    assert_eq!(house.shell("true").1.outcome().code, 0);
}

#[test]
fn a_sandbox_is_never_dropped_in_silence() {
    let house = House::new(/*running_max*/ 1);
    let policy = SandboxPolicy::ReadOnly { network_access: false };
    let spec = CommandSpec { sandbox: policy, ..shell("true") };
    // The first one finds out what can be enforced; from then on it is known.
    let (_running, ear) = house.start(spec.clone());
    assert!(matches!(ear.ending(), Ending::NotStarted(SpawnError::Sandbox(_))));
    let refused = house.spawner.start(spec, Box::new(Ear::default()));
    assert!(matches!(refused.err(), Some(Refusal::Sandbox(_))));
}

#[test]
fn the_end_of_the_executor_is_the_end_of_its_commands() {
    let house = House::new(/*running_max*/ 64);
    let mark = format!("EXEC_TEST_END={}", std::process::id());
    let started: Vec<_> =
        (0..20).map(|_| house.start(with_mark(shell("trap '' TERM; sleep 60"), &mark))).collect();
    drop(house.executor);
    until_marked(&mark, /*count*/ 0);
    for (_, ear) in &started {
        match ear.ending() {
            Ending::Exited(outcome) => assert_eq!(outcome.code, 137),
            Ending::NotStarted(error) => assert!(matches!(error, SpawnError::Killed)),
        }
    }
    let refused = house.spawner.start(shell("true"), Box::new(Ear::default()));
    assert_eq!(refused.err(), Some(Refusal::Ending));
}

#[test]
fn a_limit_of_processor_time_is_told() {
    let house = House::new(/*running_max*/ 1);
    let limits = ResourceLimits { cpu_secs: Some(1), open_files: Some(17), ..ResourceLimits::default() };
    let (_running, ear) = house.start(CommandSpec { limits, ..shell("ulimit -n; while :; do :; done") });
    let outcome = ear.outcome();
    assert_eq!((outcome.code, outcome.cause), (152, EndCause::Limit(ResourceLimit::CpuSeconds)));
    assert_eq!(ear.said(Stream::Stdout), "17\n");
}

#[test]
fn nothing_is_inherited_but_the_standard_descriptors() {
    let house = House::new(/*running_max*/ 1);
    // One that is not marked to be closed, as a careless parent of the server may pass it on.
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    rustix::io::fcntl_setfd(&reader, rustix::io::FdFlags::empty()).expect("it can be unmarked");
    let (_running, ear) = house.shell("ls /proc/self/fd");
    assert_eq!(ear.outcome().code, 0);
    // The fourth is the folder that is being listed.
    assert_eq!(ear.said(Stream::Stdout), "0\n1\n2\n3\n");
}
