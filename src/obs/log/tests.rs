//! Lines from events to a sink that a test holds.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crossbeam_channel::{Receiver, bounded};
use tracing::{debug, error, warn};

use super::*;
use crate::limits::STACK_BYTES_IO;
use crate::sync::lock;
use crate::sys::worker::Worker;

const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).expect("lines are UTF-8")
    }

    fn open(&self) -> OpenSink {
        let written = self.clone();
        Box::new(move || Box::new(written.clone()))
    }

    /// A sink that waits for the other end before each write, and tells that it does.
    fn open_behind(&self, gate: &Receiver<()>, at_gate: &crossbeam_channel::Sender<()>) -> OpenSink {
        let (written, gate, at_gate) = (self.clone(), gate.clone(), at_gate.clone());
        Box::new(move || {
            Box::new(Gated { written: written.clone(), gate: gate.clone(), at_gate: at_gate.clone() })
        })
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Gated {
    written: Written,
    gate: Receiver<()>,
    at_gate: crossbeam_channel::Sender<()>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.at_gate.try_send(());
        // A gate that is gone is open.
        let _ = self.gate.recv();
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `events` write with a filter, at 2024-02-29 12:34:56.789.
fn logged(filter: &str, events: impl FnOnce()) -> String {
    logged_as(Format::Text, filter, events)
}

fn logged_as(format: Format, filter: &str, events: impl FnOnce()) -> String {
    let written = Written::default();
    let lane =
        Lane::new(LOG_LINES, format, written.open(), Clock::simulated(/*wall_start_ms*/ 1_709_210_096_789));
    let subscriber = subscriber(&lane, Filter::parse(Some(filter)));
    subscriber::with_default(subscriber, events);
    lane.end(PATIENCE);
    written.text()
}

/// The name of the test's own OS thread.
fn worker() -> String {
    std::thread::current().name().expect("tests have names").to_owned()
}

#[test]
fn a_line_has_time_level_worker_target_message_and_fields() {
    let text = logged("debug", || {
        warn!(target: "app_server::net", connection = 7, peer = "a b", open = true, "too slow");
        debug!(target: "t", only = %"field");
        error!(target: "t", "failed: {}", io::Error::other("why"));
    });
    let worker = worker();
    let wanted = format!(
        "2024-02-29T12:34:56.789Z  WARN [{worker}] app_server::net: too slow connection=7 peer=\"a b\" open=true\n\
         2024-02-29T12:34:56.789Z DEBUG [{worker}] t: only=field\n\
         2024-02-29T12:34:56.789Z ERROR [{worker}] t: failed: why\n"
    );
    assert_eq!(text, wanted);
}

#[test]
fn in_json_a_line_is_an_object_with_the_spans_and_the_ids_of_the_trace() {
    let text = logged_as(Format::Json, "info", || {
        let outer = tracing::info_span!(target: "t", "outer", trace_id = "aa", span_id = "bb");
        let _in_outer = outer.enter();
        let inner = tracing::info_span!(target: "t", "inner", trace_id = "aa", span_id = "cc",
            parent_span_id = "bb", number = 7, late = tracing::field::Empty);
        inner.record("late", "x");
        let _in_inner = inner.enter();
        warn!(target: "t", size = 3, open = true, "said \"so\"\n\u{2028}{}", "z".repeat(9000));
    });
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["fields"]["message"].as_str()).collect();
    assert_eq!((messages[0], messages[1], messages[3], messages[4]), ("new", "new", "close", "close"));
    let said = &lines[2];
    assert_eq!(said["timestamp"], "2024-02-29T12:34:56.789Z");
    assert_eq!((&said["level"], &said["target"]), (&"WARN".into(), &"t".into()));
    assert_eq!((&said["fields"]["size"], &said["fields"]["open"]), (&3.into(), &true.into()));
    let message = said["fields"]["message"].as_str().expect("text");
    assert!(message.starts_with("said \"so\"\n\u{2028}zzz") && message.ends_with("more bytes)"));
    assert_eq!((&said["trace_id"], &said["span_id"]), (&"aa".into(), &"cc".into()));
    assert_eq!(said["parent_span_id"], "bb");
    let inner = serde_json::json!({"trace_id": "aa", "span_id": "cc", "parent_span_id": "bb", "number": 7,
        "late": "x", "name": "inner"});
    assert_eq!(said["span"], inner);
    assert_eq!(said["spans"][0]["name"], "outer");
    assert!(lines[3]["fields"]["time.busy"].is_string(), "{}", lines[3]);
}

#[test]
fn in_text_the_spans_stand_before_the_target() {
    let text = logged("info", || {
        let span = tracing::info_span!(target: "t", "outer", trace_id = "aa", number = 7);
        let _entered = span.enter();
        tracing::info!(target: "u", "said");
    });
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(r#"] outer{trace_id="aa" number=7}: t: new"#), "{text}");
    assert!(lines[1].ends_with(r#"] outer{trace_id="aa" number=7}: u: said"#), "{text}");
    assert!(lines[2].contains("t: close time.busy=0ns time.idle=0ns"), "{text}");
}

#[test]
fn what_is_for_people_is_an_object_a_line_in_json() {
    let text = for_people_as(Format::Json, "one\n  two: ws://x\n\n", &Clock::simulated(/*wall_start_ms*/ 0));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["fields"]["message"], "two: ws://x");
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    assert_eq!(for_people_as(Format::Text, "one\n", &clock), "one\n");
}

#[test]
fn the_filter_holds() {
    let text = logged("warn,app_server::net=debug", || {
        debug!(target: "app_server::net", "yes");
        debug!(target: "app_server::store", "no");
    });
    assert!(text.ends_with("app_server::net: yes\n") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_clients_text_cannot_forge_a_line_or_steer_a_terminal() {
    let evil = "a\r\n2024 ERROR [x] y: forged\u{1b}[2J\u{85}\u{2028}\0";
    let text = logged("debug", || {
        warn!(target: "t", display = %evil, debug = ?evil, text = evil, "{evil}");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    let body = text.strip_suffix('\n').expect("a line ends with a newline");
    assert!(!body.contains(|c: char| c.is_control() || c == '\u{2028}'), "{body:?}");
    assert!(
        body.contains("display=a\\r\\n2024 ERROR [x] y: forged\\u{1b}[2J\\u{85}\\u{2028}\\u{0}"),
        "{body}"
    );
}

#[test]
fn a_full_lane_drops_and_counts_and_nobody_waits() {
    const LINES: usize = 4;
    let written = Written::default();
    let (open_gate, gate) = bounded::<()>(0);
    let (at_gate, sink_is_at_gate) = bounded(1);
    let lane = Lane::new(
        LINES,
        Format::Text,
        written.open_behind(&gate, &at_gate),
        Clock::simulated(/*wall_start_ms*/ 0),
    );
    lane.offer("in the write\n".to_owned());
    sink_is_at_gate.recv_timeout(PATIENCE).expect("the sink is reached");
    for number in 0..LINES + 3 {
        lane.offer(format!("{number}\n"));
    }
    assert_eq!(written.text(), "");
    drop((open_gate, gate));
    lane.end(PATIENCE);
    let text = written.text();
    assert!(text.starts_with("in the write\n0\n1\n2\n3\n"), "{text}");
    assert!(text.contains("WARN [log] app_server::obs::log: 3 log lines were dropped"), "{text}");
    assert_eq!(text.lines().count(), 1 + LINES + 1, "{text}");
}

#[test]
fn a_blocked_stderr_costs_the_deadline_and_no_more() {
    let written = Written::default();
    let (open_gate, gate) = bounded::<()>(0);
    let (at_gate, sink_is_at_gate) = bounded(1);
    let lane = Lane::new(/*lines*/ 2, Format::Text, written.open_behind(&gate, &at_gate), Clock::real());
    lane.offer("stuck\n".to_owned());
    sink_is_at_gate.recv_timeout(PATIENCE).expect("the sink is reached");
    assert!(!lane.flush(Duration::from_millis(1)));
    lane.end(Duration::from_millis(1));
    lane.offer("after the end\n".to_owned());
    assert_eq!(written.text(), "");
    drop(open_gate);
}

#[test]
fn a_closed_stderr_is_no_harm() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lane = Lane::new(/*lines*/ 2, Format::Text, Box::new(|| Box::new(Closed)), Clock::real());
    for _ in 0..10 {
        lane.offer("lost\n".to_owned());
        assert!(lane.flush(PATIENCE), "the worker goes on");
    }
    lane.end(PATIENCE);
}

#[test]
fn without_a_line_there_is_no_worker() {
    let lane =
        Lane::new(/*lines*/ 2, Format::Text, Box::new(|| panic!("opened for nothing")), Clock::real());
    let quiet = subscriber(&lane, Filter::parse(/*text*/ None));
    subscriber::with_default(quiet, || debug!("not wanted"));
    assert!(lane.flush(Duration::ZERO));
    lane.end(Duration::ZERO);
}

#[test]
fn a_panic_message_is_found_in_what_was_thrown() {
    assert_eq!(panic_message(&"text"), "text");
    assert_eq!(panic_message(&"text".to_owned()), "text");
    assert_eq!(panic_message(&7), "(a value that is no text)");
}

/// Tells [`the_log_of_a_process`] that it is the child, and what to do.
const CHILD: &str = "APP_SERVER_TEST_LOG_CHILD";

/// Not a test by itself: the process in which the two tests below see [`init`] at work.
#[test]
fn the_log_of_a_process() {
    let Some(task) = std::env::var_os(CHILD) else { return };
    let _guard = init(&Wanted { filter: Some("info,nonsense=x=y".to_owned()), ..Wanted::default() });
    if task == "panic" {
        let worker = Worker::spawn("unlucky", STACK_BYTES_IO, || panic!("first line\nsecond line"));
        worker.expect("a worker starts").join();
        debug!("not wanted");
        tracing::info!("the end");
    } else {
        // More than a pipe and the lane take together.
        for number in 0..20_000 {
            warn!(
                number,
                "a line that nobody reads, of more than a hundred bytes, so that the pipe is soon full"
            );
        }
    }
}

/// Runs [`the_log_of_a_process`]; returns its stderr if that `is_read`.
fn process(task: &str, is_read: bool) -> String {
    let mut child = Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", "obs::log::tests::the_log_of_a_process"])
        .env(CHILD, task)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary starts");
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    let (ended, end) = bounded(1);
    let watch = Worker::spawn("watch", STACK_BYTES_IO, move || {
        // The end of its stdout is the end of the child.
        let _ = io::copy(&mut stdout, &mut io::sink());
        let _ = ended.send(());
    });
    let in_time = end.recv_timeout(PATIENCE).is_ok();
    if !in_time {
        child.kill().expect("the child can be killed");
    }
    let mut text = String::new();
    let mut stderr = child.stderr.take().expect("stderr is a pipe");
    if is_read {
        stderr.read_to_string(&mut text).expect("stderr is text");
    }
    let status = child.wait().expect("the child can be waited for");
    drop(watch);
    assert!(in_time && status.success(), "in time: {in_time}, {status}, stderr: {text}");
    text
}

#[test]
fn a_panic_is_one_line_with_the_workers_name() {
    let text = process("panic", /*is_read*/ true);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("RUST_LOG: \"nonsense=x=y\" is ignored"),
        "{text}"
    );
    let place = "ERROR [unlucky] app_server::panic: panicked at src/obs/log/tests.rs:";
    assert!(lines[1].contains(place) && lines[1].ends_with(": first line\\nsecond line"), "{text}");
    assert!(lines[2].ends_with("app_server::obs::log::tests: the end"), "{text}");
}

#[test]
fn a_process_whose_stderr_nobody_reads_ends() {
    process("flood", /*is_read*/ false);
}
