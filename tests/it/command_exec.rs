//! `command/exec` and `process/…` by what clients see: answers, output, input, terminals, ends, refusals.

use std::time::Duration;

use app_server::clock::{Clock, Monotonic};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::client::{Client, text};
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

/// Commands run without a sandbox, whatever this machine can enforce.
pub(crate) const FREE: [&str; 2] = ["-c", "sandbox_mode=\"danger-full-access\""];

pub(crate) fn server(transport: Transport) -> Server {
    Server::start_with(transport, &Home::new(), FREE)
}

pub(crate) fn sh(script: &str) -> Value {
    json!({ "command": ["sh", "-c", script] })
}

/// Time since the clock was made.
pub(crate) fn elapsed(clock: &Clock) -> Duration {
    clock.now().since(Monotonic::default())
}

/// The same parameters with some more.
pub(crate) fn with(mut params: Value, more: Value) -> Value {
    let fields = params.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    params
}

/// All output that was streamed under this name on this stream, and whether its cap was reached.
pub(crate) fn streamed(client: &Client, id: &str, stream: &str) -> (Vec<u8>, bool) {
    let (mut bytes, mut cap_reached) = (Vec::new(), false);
    for message in client.received() {
        let params = &message["params"];
        let is_it = [&params["processId"], &params["processHandle"]].iter().any(|name| **name == id)
            && params["stream"] == stream;
        if is_it {
            assert!(!cap_reached, "nothing comes after the cap");
            bytes.extend(STANDARD.decode(text(&params["deltaBase64"])).expect("base64"));
            cap_reached = params["capReached"].as_bool().expect("a bool");
        }
    }
    (bytes, cap_reached)
}

/// Waits until this was streamed on stdout.
pub(crate) fn wait_for_output(client: &Client, id: &str, what: &str) {
    loop {
        let seen = client.received().len();
        if String::from_utf8_lossy(&streamed(client, id, "stdout").0).contains(what) {
            return;
        }
        client
            .wait_until(&format!("{what:?} from {id}"), |heard| (heard.received.len() > seen).then_some(()));
    }
}

over_stdio_and_websocket!(
    what_was_said_and_returned_is_answered,
    refusals_are_those_of_the_reference,
    output_is_streamed_before_the_answer,
    input_is_written_and_closed,
    a_terminal_is_one,
    a_command_is_terminated,
    processes_tell_their_end,
);

fn what_was_said_and_returned_is_answered(transport: Transport) {
    let mut server = server(transport);
    let mut client = server.client();
    let mut run = |params: Value| client.ok("command/exec", params);
    assert_eq!(
        run(sh("echo out; echo err >&2")),
        json!({ "exitCode": 0, "stdout": "out\n", "stderr": "err\n" })
    );
    assert_eq!(run(sh("exit 3"))["exitCode"], 3);
    assert_eq!(run(sh("kill -9 $$"))["exitCode"], 137);
    let late = run(with(sh("echo before; sleep 60; echo after"), json!({ "timeoutMs": 3000 })));
    assert_eq!((&late["exitCode"], &late["stdout"]), (&json!(124), &json!("before\n")));
    assert_eq!(run(json!({ "command": ["echo", "x"], "disableTimeout": true }))["stdout"], "x\n");
    // Without input there is nothing to wait for.
    assert_eq!(run(json!({ "command": ["cat"] }))["exitCode"], 0);
    assert_eq!(run(json!({ "command": ["echo", "x"], "processId": "b" }))["stdout"], "x\n");

    let both = sh("echo 0123456789; echo abcdefghij >&2");
    let capped = run(with(both.clone(), json!({ "outputBytesCap": 5 })));
    assert_eq!((&capped["stdout"], &capped["stderr"]), (&json!("01234"), &json!("abcde")));
    let nothing = run(with(both, json!({ "outputBytesCap": 0 })));
    assert_eq!((&nothing["stdout"], &nothing["stderr"]), (&json!(""), &json!("")));
    let large = sh("head -c 3000000 /dev/zero | tr '\\0' a; echo END");
    assert_eq!(text(&run(large.clone())["stdout"]).len(), 1_048_576);
    let whole = text(&run(with(large, json!({ "disableOutputCap": true })))["stdout"]);
    assert_eq!((whole.len(), &whole[2_999_998..]), (3_000_004, "aaEND\n"));

    let env = json!({ "env": { "FOO": "bar", "HOME": null } });
    assert_eq!(run(with(sh("echo $FOO ${HOME-unset}"), env))["stdout"], "bar unset\n");
    assert_eq!(run(json!({ "command": ["pwd"], "cwd": "/usr" }))["stdout"], "/usr\n");
    let free = json!({ "type": "externalSandbox" });
    assert_eq!(run(with(sh("echo x"), json!({ "sandboxPolicy": free })))["stdout"], "x\n");
    let profile = json!({ "permissionProfile": ":danger-full-access" });
    assert_eq!(run(with(sh("echo x"), profile))["stdout"], "x\n");
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

fn refusals_are_those_of_the_reference(transport: Transport) {
    let mut server = server(transport);
    let mut client = server.client();
    let tty = json!({ "tty": true, "processId": "t" });
    let missing = "failed to spawn command: No such file or directory (os error 2)";
    let no_terminal = "failed to resize PTY: process is not attached to a PTY";
    client.send("command/exec", with(sh("sleep 60"), json!({ "processId": "i3", "disableTimeout": true })));
    let size = |rows: u32, cols: u32| json!({ "size": { "rows": rows, "cols": cols } });
    let true_with = |more: Value| with(json!({ "command": ["true"] }), more);
    let cases: Vec<(&str, Value, i64, &str)> = vec![
        ("command/exec", json!({ "command": [] }), -32600, "command must not be empty"),
        (
            "command/exec",
            true_with(json!({ "permissionProfile": ":read-only", "sandboxPolicy": { "type": "readOnly" } })),
            -32600,
            "`permissionProfile` cannot be combined with `sandboxPolicy`",
        ),
        (
            "command/exec",
            true_with(json!({ "permissionProfile": "nope" })),
            -32600,
            "invalid permission profile: `nope`; see permissionProfile/list",
        ),
        ("command/exec", true_with(size(1, 1)), -32602, "command/exec size requires tty: true"),
        (
            "command/exec",
            true_with(json!({ "outputBytesCap": 5, "disableOutputCap": true })),
            -32602,
            "command/exec cannot set both outputBytesCap and disableOutputCap",
        ),
        (
            "command/exec",
            true_with(json!({ "timeoutMs": 5, "disableTimeout": true })),
            -32602,
            "command/exec cannot set both timeoutMs and disableTimeout",
        ),
        (
            "command/exec",
            true_with(json!({ "timeoutMs": -1 })),
            -32602,
            "command/exec timeoutMs must be non-negative, got -1",
        ),
        (
            "command/exec",
            with(true_with(tty.clone()), size(0, 5)),
            -32602,
            "command/exec size rows and cols must be greater than 0",
        ),
        (
            "command/exec",
            true_with(json!({ "streamStdoutStderr": true })),
            -32600,
            "command/exec tty or streaming requires a client-supplied processId",
        ),
        (
            "command/exec",
            true_with(json!({ "tty": true })),
            -32600,
            "command/exec tty or streaming requires a client-supplied processId",
        ),
        (
            "command/exec",
            true_with(json!({ "processId": "i3" })),
            -32600,
            "duplicate active command/exec process id: \"i3\"",
        ),
        ("command/exec", json!({ "command": ["no-such-prog-xyz"] }), -32603, missing),
        ("command/exec", true_with(json!({ "cwd": "/nonexistent/x" })), -32603, missing),
        ("command/exec", with(json!({ "command": ["no-such-prog-xyz"] }), tty.clone()), -32603, missing),
        ("command/exec", with(true_with(tty), json!({ "cwd": "/nonexistent/x" })), -32603, missing),
        (
            "command/exec",
            json!({ "command": "ls" }),
            -32600,
            "Invalid request: invalid type: string \"ls\", expected a sequence",
        ),
        (
            "command/exec",
            true_with(json!({ "env": { "A": 1 } })),
            -32600,
            "Invalid request: invalid type: integer `1`, expected a string",
        ),
        (
            "command/exec/write",
            json!({ "processId": "i3" }),
            -32602,
            "command/exec/write requires deltaBase64 or closeStdin",
        ),
        (
            "command/exec/write",
            json!({ "processId": "i3", "deltaBase64": "%%%" }),
            -32602,
            "invalid deltaBase64: Invalid symbol 37, offset 0.",
        ),
        (
            "command/exec/write",
            json!({ "processId": "zz", "deltaBase64": "" }),
            -32600,
            "no active command/exec for process id \"zz\"",
        ),
        (
            "command/exec/write",
            json!({ "processId": "i3", "deltaBase64": "eA==" }),
            -32600,
            "stdin streaming is not enabled for this command/exec",
        ),
        ("command/exec/resize", with(json!({ "processId": "i3" }), size(10, 20)), -32600, no_terminal),
        (
            "command/exec/resize",
            with(json!({ "processId": "i3" }), size(10, 0)),
            -32602,
            "command/exec size rows and cols must be greater than 0",
        ),
        (
            "command/exec/resize",
            with(json!({ "processId": "i3" }), size(70_000, 1)),
            -32600,
            "Invalid request: invalid value: integer `70000`, expected u16",
        ),
        (
            "command/exec/resize",
            with(json!({ "processId": "zz" }), size(1, 1)),
            -32600,
            "no active command/exec for process id \"zz\"",
        ),
        (
            "command/exec/terminate",
            json!({ "processId": "" }),
            -32600,
            "no active command/exec for process id \"\"",
        ),
        (
            "process/spawn",
            json!({ "command": ["true"], "processHandle": "h", "cwd": "x" }),
            -32600,
            "Invalid request: AbsolutePathBuf deserialized without a base path",
        ),
        (
            "process/spawn",
            json!({ "command": ["nope-prog"], "processHandle": "h", "cwd": "/" }),
            -32603,
            "failed to spawn process: No such file or directory (os error 2)",
        ),
        (
            "process/spawn",
            json!({ "command": [], "processHandle": "h", "cwd": "/" }),
            -32600,
            "command must not be empty",
        ),
        (
            "process/kill",
            json!({ "processHandle": "i3" }),
            -32600,
            "no active process for process handle \"i3\"",
        ),
    ];
    for (method, params, code, message) in cases {
        let refused = client.refused(method, params.clone());
        assert_eq!((&refused["code"], &refused["message"]), (&json!(code), &json!(message)), "{params}");
    }
    // Refused is not taken: the name that was asked for is free.
    assert_eq!(client.ok("command/exec", true_with(json!({ "processId": "t" })))["exitCode"], 0);
    client.ok("command/exec/terminate", json!({ "processId": "i3" }));
    server.stop_or_close(client);
}

fn output_is_streamed_before_the_answer(transport: Transport) {
    let mut server = server(transport);
    let mut client = server.client();
    let stream = |id: &str| json!({ "processId": id, "streamStdoutStderr": true });
    let answer =
        client.ok("command/exec", with(sh("echo one; echo two >&2; printf 'a\\377b'; exit 4"), stream("s1")));
    assert_eq!(answer, json!({ "exitCode": 4, "stdout": "", "stderr": "" }));
    let last = client.received().pop().expect("the answer");
    assert_eq!(last["result"], answer, "everything came before it");
    assert_eq!(streamed(&client, "s1", "stdout"), (b"one\na\xffb".to_vec(), false));
    assert_eq!(streamed(&client, "s1", "stderr"), (b"two\n".to_vec(), false));

    let capped = with(sh("echo 0123456789; echo abcde >&2; sleep 60"), stream("s2"));
    let id = client.send("command/exec", with(capped, json!({ "outputBytesCap": 5 })));
    client.next_fitting("the end of the second stream", |message| {
        message["params"]["processId"] == "s2" && message["params"]["stream"] == "stderr"
    });
    client.ok("command/exec/terminate", json!({ "processId": "s2" }));
    assert_eq!(client.answer(&id), Ok(json!({ "exitCode": 137, "stdout": "", "stderr": "" })));
    assert_eq!(streamed(&client, "s2", "stdout"), (b"01234".to_vec(), true));
    assert_eq!(streamed(&client, "s2", "stderr"), (b"abcde".to_vec(), true));
    // The name is free again once the end was told, and a cap that is just reached is reached.
    let exact = with(sh("printf 12345"), with(stream("s1x"), json!({ "outputBytesCap": 5 })));
    client.ok("command/exec", exact);
    assert_eq!(streamed(&client, "s1x", "stdout"), (b"12345".to_vec(), true));
    // Much of it, all in its place.
    client.ok(
        "command/exec",
        with(sh("seq 1 200000"), with(stream("s4"), json!({ "disableOutputCap": true }))),
    );
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(streamed(&client, "s4", "stdout"), (expected.into_bytes(), false));
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

fn input_is_written_and_closed(transport: Transport) {
    let mut server = server(transport);
    let mut client = server.client();
    let both = json!({ "processId": "i1", "streamStdin": true, "streamStdoutStderr": true });
    let id = client.send("command/exec", with(json!({ "command": ["cat"] }), both));
    client.ok("command/exec/write", json!({ "processId": "i1", "deltaBase64": STANDARD.encode("hello\n") }));
    wait_for_output(&client, "i1", "hello");
    let last = json!({ "processId": "i1", "deltaBase64": STANDARD.encode("last"), "closeStdin": true });
    client.ok("command/exec/write", last);
    assert_eq!(client.answer(&id).expect("it ends")["exitCode"], 0);
    assert_eq!(streamed(&client, "i1", "stdout").0, b"hello\nlast");

    let params = with(sh("cat; sleep 60"), json!({ "processId": "i2", "streamStdin": true }));
    let id = client.send("command/exec", params);
    client.ok("command/exec/write", json!({ "processId": "i2", "closeStdin": true }));
    client.ok("command/exec/write", json!({ "processId": "i2", "closeStdin": true }));
    let refused = client.refused("command/exec/write", json!({ "processId": "i2", "deltaBase64": "eA==" }));
    assert_eq!(refused["message"], "stdin is already closed");
    client.ok("command/exec/terminate", json!({ "processId": "i2" }));
    client.answer(&id).expect("it ends");
    server.stop_or_close(client);
}

fn a_terminal_is_one(transport: Transport) {
    let mut server = server(transport);
    let mut client = server.client();
    let size = |rows: u32, cols: u32| json!({ "rows": rows, "cols": cols });
    let script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo tty; echo e >&2; echo ${TERM:+term}";
    let tty = json!({ "processId": "t1", "tty": true, "size": size(31, 101) });
    let answer = client.ok("command/exec", with(sh(script), tty));
    assert_eq!(answer, json!({ "exitCode": 0, "stdout": "", "stderr": "" }));
    assert_eq!(streamed(&client, "t1", "stdout").0, b"31 101\r\ntty\r\ne\r\nterm\r\n");
    client.ok("command/exec", json!({ "command": ["stty", "size"], "processId": "t2", "tty": true }));
    assert_eq!(streamed(&client, "t2", "stdout").0, b"24 80\r\n");

    let resized = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep .05; done";
    let id = client.send("command/exec", with(sh(resized), json!({ "processId": "t3", "tty": true })));
    wait_for_output(&client, "t3", "ready");
    client.ok("command/exec/resize", json!({ "processId": "t3", "size": size(45, 132) }));
    assert_eq!(client.answer(&id).expect("it ends")["exitCode"], 0);
    assert_eq!(streamed(&client, "t3", "stdout").0, b"ready\r\n45 132\r\n");

    // Echo by the terminal and by the program; then the end of input, as a byte and as a request.
    for (id, end) in
        [("t4", json!({ "deltaBase64": STANDARD.encode("\x04") })), ("t5", json!({ "closeStdin": true }))]
    {
        let running =
            client.send("command/exec", json!({ "command": ["cat"], "processId": id, "tty": true }));
        let typed = json!({ "processId": id, "deltaBase64": STANDARD.encode("typed\r") });
        client.ok("command/exec/write", typed);
        wait_for_output(&client, id, "typed\r\ntyped\r\n");
        client.ok("command/exec/write", with(json!({ "processId": id }), end));
        assert_eq!(client.answer(&running).expect("it ends")["exitCode"], 0);
    }
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

fn a_command_is_terminated(transport: Transport) {
    let mut server = server(transport);
    let mut client = server.client();
    // Sent right behind: it need not have started.
    let id = client.send("command/exec", with(sh("sleep 60"), json!({ "processId": "k0" })));
    client.ok("command/exec/terminate", json!({ "processId": "k0" }));
    assert_eq!(client.answer(&id).expect("it ends")["exitCode"], 137);
    for (id, script) in
        [("k1", "echo kept; sleep 60"), ("k2", "trap '' TERM; echo kept; while :; do sleep 60; done")]
    {
        let running = client.send("command/exec", with(sh(script), json!({ "processId": id })));
        server.wait_for_children(/*at_least*/ 1);
        client.ok("command/exec/terminate", json!({ "processId": id }));
        assert_eq!(client.answer(&running).expect("it ends")["exitCode"], 137);
        let gone = client.refused("command/exec/terminate", json!({ "processId": id }));
        assert_eq!(gone["message"], format!("no active command/exec for process id \"{id}\""));
    }
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

fn processes_tell_their_end(transport: Transport) {
    let mut server = server(transport);
    let mut client = server.client();
    let spawn = |handle: &str, script: &str, more: Value| {
        with(with(sh(script), json!({ "processHandle": handle, "cwd": "/" })), more)
    };
    let script = "echo o; echo e >&2; exit 4";
    assert_eq!(client.ok("process/spawn", spawn("h1", script, json!({}))), json!({}));
    let expected = json!({
        "processHandle": "h1", "exitCode": 4, "outputDrainTimedOut": false,
        "stdout": "o\n", "stdoutCapReached": false, "stderr": "e\n", "stderrCapReached": false,
    });
    assert_eq!(client.next_notification("process/exited"), expected);
    let streaming = json!({ "streamStdoutStderr": true, "streamStdin": true });
    client.ok("process/spawn", spawn("h2", "cat; exit 5", streaming.clone()));
    let twice = client.refused("process/spawn", spawn("h2", "true", json!({})));
    assert_eq!(twice["message"], "duplicate active process handle: \"h2\"");
    let input = json!({ "processHandle": "h2", "deltaBase64": STANDARD.encode("in\n") });
    assert_eq!(client.ok("process/writeStdin", input), json!({}));
    wait_for_output(&client, "h2", "in\n");
    let resize = json!({ "processHandle": "h2", "size": { "rows": 1, "cols": 1 } });
    let refused = client.refused("process/resizePty", resize);
    assert_eq!(refused["message"], "failed to resize PTY: process is not attached to a PTY");
    client.ok("process/kill", json!({ "processHandle": "h2" }));
    assert_eq!(client.next_notification("process/exited")["exitCode"], 137);
    let gone = client.refused("process/kill", json!({ "processHandle": "h2" }));
    assert_eq!(gone["message"], "no active process for process handle \"h2\"");
    // Null takes the limits off, and the answer comes before any output.
    let free = with(streaming, json!({ "outputBytesCap": null, "timeoutMs": null, "streamStdin": false }));
    let id = client.send("process/spawn", spawn("h3", "seq 1 300000", free));
    let first = client.next_fitting("the answer or output", |message| {
        message["id"] == id || message["params"]["processHandle"] == "h3"
    });
    assert_eq!(first["id"], id);
    assert_eq!(client.next_notification("process/exited")["exitCode"], 0);
    assert!(streamed(&client, "h3", "stdout").0.len() > 1_048_576);
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

#[test]
fn a_timeout_is_ten_seconds_unless_said_otherwise() {
    let mut server = server(Transport::Stdio);
    let mut client = server.client();
    let clock = Clock::real();
    assert_eq!(client.ok("command/exec", sh("sleep 15"))["exitCode"], 124);
    // By the timeout, as the code says, and not before it.
    assert!(elapsed(&clock).as_secs() >= 9, "{:?}", elapsed(&clock));
    server.stop_or_close(client);
}

#[test]
fn who_holds_the_pipes_delays_the_answer_by_two_seconds() {
    let mut server = server(Transport::Stdio);
    let mut client = server.client();
    let clock = Clock::real();
    let answer = client.ok("command/exec", sh("(sleep 60; echo late) & echo parent"));
    assert_eq!((&answer["exitCode"], &answer["stdout"]), (&json!(0), &json!("parent\n")));
    assert!((1900..8000).contains(&elapsed(&clock).as_millis()), "{:?}", elapsed(&clock));
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

#[test]
fn a_policy_is_held_or_refused() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    let policy = json!({ "sandboxPolicy": { "type": "bogus" } });
    let refused = client.refused("command/exec", with(sh("true"), policy));
    assert_eq!(
        refused["message"],
        "Invalid request: unknown variant `bogus`, expected one of `dangerFullAccess`, `readOnly`, `externalSandbox`, `workspaceWrite`"
    );
    // With no policy, what is configured holds: reading only. It is held, or it is refused.
    let file = server.home.path().join("written");
    match client.request("command/exec", sh(&format!("echo x > {}", file.display()))) {
        Ok(answer) => assert_ne!(answer["exitCode"], 0),
        Err(refused) => {
            let message = text(&refused["message"]);
            assert!(message.starts_with("invalid sandbox policy: "), "{message}");
        }
    }
    assert!(!file.exists());
    server.stop_or_close(client);
}
