//! Commands and what is around them: connections, slow clients, floods, the server's end, limits.

use std::path::Path;
use std::time::Duration;

use app_server::clock::Clock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::command_exec::{FREE, elapsed, server, sh, streamed, wait_for_output, with};
use crate::command_floods::flooded;
use crate::support::client::{Client, text};
use crate::support::home::Home;
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

/// Something that runs until it is ended.
fn endless(id: &str) -> Value {
    let script = "echo up; sleep 3600 & sleep 3600; true";
    with(sh(script), json!({ "processId": id, "disableTimeout": true, "streamStdoutStderr": true }))
}

#[test]
fn names_belong_to_a_connection_and_end_with_it() {
    let mut server = server(Transport::WebSocket);
    let (mut one, mut two) = (server.client(), server.client());
    let id = one.send("command/exec", endless("same"));
    two.send("command/exec", endless("same"));
    wait_for_output(&one, "same", "up");
    wait_for_output(&two, "same", "up");
    let tty = with(endless("tty"), json!({ "tty": true }));
    two.send("command/exec", tty);
    wait_for_output(&two, "tty", "up");
    let refused = two.refused("command/exec/terminate", json!({ "processId": "other" }));
    assert_eq!(refused["message"], "no active command/exec for process id \"other\"");
    drop(two);
    // Both of the second connection are gone, with all that they had started; the first one's goes on.
    server.until("its commands end", |server| server.children().len() == 1);
    one.ok("command/exec/terminate", json!({ "processId": "same" }));
    assert_eq!(one.answer(&id).expect("it ends")["exitCode"], 137);
    let heard = one.received();
    assert!(heard.iter().all(|message| message["params"]["processId"] != "tty"), "nothing leaks");
    server.assert_nothing_runs();
    server.stop_or_close(one);
}

#[test]
fn a_client_that_does_not_read_stops_its_command_and_nobody_else() {
    let mut server = server(Transport::WebSocket);
    let mut other = server.client();
    other.ok("command/exec", sh("true"));
    // Its receiver is kept and never read.
    let (mut silent, _unread) = flooded(&server);
    let written = |server: &Server| {
        let child = server.children().first().cloned().unwrap_or_default();
        bytes_written(child.split(' ').next().unwrap_or_default()).unwrap_or_default()
    };
    server.until("the flood begins", |_| written(&server) > 1 << 20);
    let (memory, clock) = (server.resident_bytes(), Clock::real());
    for _ in 0..50 {
        other.ok("command/exec", sh("echo quick"));
    }
    assert!(elapsed(&clock) < PATIENCE, "{:?}", elapsed(&clock));
    let grown = server.resident_bytes().saturating_sub(memory);
    assert!(grown < 8 << 20, "{grown} bytes more");
    // What the server lets through, what sockets and a pipe hold; in this time it could have been gigabytes.
    let written = written(&server);
    assert!(written < 32 << 20, "{written} bytes were read for a client that takes none");
    // Nor does it keep the command from being ended.
    let end = json!({ "id": 3, "method": "command/exec/terminate", "params": { "processId": "y" } });
    silent.send(&end.to_string()).expect("it is taken");
    server.until("the command ends", |server| server.children().is_empty());
    server.assert_nothing_runs();
    silent.close();
    server.stop_or_close(other);
}

/// Bytes that a process has written.
fn bytes_written(pid: &str) -> Option<u64> {
    let io = std::fs::read_to_string(Path::new("/proc").join(pid).join("io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
}

#[test]
fn a_command_that_ignores_its_input_can_still_be_ended() {
    let mut server = server(Transport::WebSocket);
    let mut client = server.client();
    let id = client.send("command/exec", with(endless("deaf"), json!({ "streamStdin": true })));
    wait_for_output(&client, "deaf", "up");
    let megabyte = STANDARD.encode(vec![b'x'; 1 << 20]);
    let writes: Vec<Value> = (0..12)
        .map(|_| client.send("command/exec/write", json!({ "processId": "deaf", "deltaBase64": megabyte })))
        .collect();
    // What does not fit is refused, and the reason can be matched on.
    let refused = client.answer(&writes[11]).expect_err("there is no room");
    assert_eq!((&refused["code"], &refused["data"]["reason"]), (&json!(-32001), &json!("limitReached")));
    client.ok("command/exec/terminate", json!({ "processId": "deaf" }));
    assert_eq!(client.answer(&id).expect("it ends")["exitCode"], 137);
    let over = client.answer(&writes[0]).expect_err("it was never read");
    assert_eq!(over["message"], "command/exec \"deaf\" is no longer running");
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

#[test]
fn too_many_commands_are_refused_with_a_reason() {
    let home = Home::new();
    let limits = ["-c", "app_server.commands_max=3", "-c", "app_server.commands_per_connection_max=2"];
    let mut server = Server::start_with(Transport::WebSocket, &home, FREE.into_iter().chain(limits));
    let (mut one, mut two) = (server.client(), server.client());
    let [first, _] = ["a", "b"].map(|id| {
        let asked = one.send("command/exec", endless(id));
        wait_for_output(&one, id, "up");
        asked
    });
    two.send("command/exec", endless("c"));
    wait_for_output(&two, "c", "up");
    let own = one.refused("command/exec", sh("true"));
    let all = two.refused("command/exec", sh("true"));
    assert_eq!(
        own["message"],
        "2 commands of this connection are running, the limit; retry when one has ended"
    );
    assert_eq!(all["message"], "3 commands are running, the limit of this server; retry when one has ended");
    for refused in [own, all] {
        assert_eq!((&refused["code"], &refused["data"]["reason"]), (&json!(-32001), &json!("limitReached")));
    }
    drop(two);
    server.until("the end of its command", |server| server.children().len() == 2);
    one.ok("command/exec/terminate", json!({ "processId": "a" }));
    // From its answer on it is not counted any more; the process is gone before that.
    assert_eq!(one.answer(&first).expect("it ends")["exitCode"], 137);
    assert_eq!(one.ok("command/exec", sh("true"))["exitCode"], 0);
    server.stop_or_close(one);
}

#[test]
fn limits_of_a_command_come_from_the_configuration() {
    let home = Home::with_config(
        "sandbox_mode = \"danger-full-access\"\n\
         [app_server.command_limits]\ncpu_secs = 1\nopen_files = 33\naddress_space_bytes = 500_000_000\n",
    );
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let shown = client.ok("command/exec", sh("ulimit -t; ulimit -n; ulimit -v"));
    assert_eq!(shown["stdout"], "1\n33\n488281\n");
    // A second of its own may take long on a busy machine.
    let endless = with(sh("while :; do :; done"), json!({ "timeoutMs": 120_000 }));
    let long = client.ok("command/exec", endless);
    assert_eq!(
        (&long["exitCode"], &long["limitReached"]),
        (&json!(152), &json!("cpu_secs")),
        "killed by SIGXCPU, and it says so"
    );
    // The other limits show in what the command says, if it fails.
    let files = "i=3; while [ $i -lt 99 ]; do eval \"exec $i</dev/null\" || exit 1; i=$((i+1)); done";
    let bash = |script: &str| json!({ "command": ["bash", "-c", script] });
    for (command, key) in [
        (bash(files), "open_files"),
        (
            json!({ "command": ["dd", "if=/dev/zero", "of=/dev/null", "bs=900M", "count=1"] }),
            "address_space_bytes",
        ),
        (sh("echo Cannot allocate memory"), ""),
    ] {
        let answer = client.ok("command/exec", command);
        assert_eq!(answer["limitReached"].as_str().unwrap_or_default(), key, "{answer}");
    }
    server.stop_or_close(client);
}

#[test]
fn the_servers_own_limit_of_descriptors_is_not_told_as_the_commands() {
    let home = Home::with_config(
        "sandbox_mode = \"danger-full-access\"\n[app_server.command_limits]\nopen_files = 1000\n",
    );
    let launch = Launch::new(&home).by(["sh", "-c", "ulimit -n 48; exec \"$@\"", "sh"]);
    let mut server = Server::launch(Transport::Stdio, launch);
    let mut client = server.client();
    // Each holds some descriptors of the server's as long as it runs.
    for number in 0..48 {
        client.send("command/exec", endless(&number.to_string()));
    }
    let refused = client.next_fitting("a refusal", |message| message.get("error").is_some());
    let told = text(&refused["error"]["message"]);
    assert!(told.contains("Too many open files (os error 24)"), "{told}");
    assert!(!told.contains("command_limits"), "{told}");
    server.stop();
}

#[test]
fn more_output_than_can_be_kept_is_an_error_and_not_a_lie() {
    let mut server = server(Transport::Stdio);
    let mut client = server.client();
    let params = json!({ "command": ["yes"], "disableOutputCap": true, "disableTimeout": true });
    let refused = client.refused("command/exec", params);
    assert_eq!((&refused["code"], &refused["data"]["reason"]), (&json!(-32001), &json!("limitReached")));
    assert!(text(&refused["message"]).contains("streamStdoutStderr"));
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

#[test]
fn who_opts_out_of_the_output_gets_the_end_all_the_same() {
    let mut server = server(Transport::Stdio);
    let mut client = server.connect();
    client.initialize_with(json!({ "optOutNotificationMethods": ["command/exec/outputDelta"] }));
    let params = json!({ "processId": "q", "streamStdoutStderr": true, "disableOutputCap": true });
    let answer = client.ok("command/exec", with(sh("seq 1 100000"), params));
    assert_eq!(answer["exitCode"], 0);
    assert_eq!(streamed(&client, "q", "stdout").0, b"");
    server.stop_or_close(client);
}

#[test]
fn the_limit_of_open_files_is_the_one_that_the_server_was_started_with() {
    let mut server = server(Transport::WebSocket);
    let mut client = server.client();
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let shown = client.ok("command/exec", sh("ulimit -n"));
    assert_eq!(text(&shown["stdout"]).trim_end(), own.map_or("unlimited".to_owned(), |own| own.to_string()));
    server.stop_or_close(client);
}

#[test]
fn commands_sent_before_the_end_of_input_are_answered() {
    let home = Home::new();
    let params = json!({ "clientInfo": { "name": "script", "version": "1" } });
    let lines = [
        json!({ "id": 0, "method": "initialize", "params": params }),
        json!({ "id": 1, "method": "command/exec", "params": sh("sleep 0.3; echo late") }),
        json!({ "id": 2, "method": "command/exec",
            "params": with(sh("cat; echo ended"), json!({ "processId": "c", "streamStdin": true })) }),
        json!({ "id": 3, "method": "command/exec",
            "params": with(sh("sleep 60"), json!({ "timeoutMs": 200 })) }),
    ];
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let output = Launch::new(&home).args(FREE).run(input.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    let answers: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let answer = |id: i64| answers.iter().find(|answer| answer["id"] == id).expect("an answer");
    assert_eq!(answer(1)["result"]["stdout"], "late\n");
    assert_eq!(answer(2)["result"]["stdout"], "ended\n");
    assert_eq!(answer(3)["result"]["exitCode"], 124);
}

#[test]
fn the_drain_timeout_bounds_commands_after_the_end_of_input() {
    let args = FREE.into_iter().chain(["--drain-timeout", "0.2"]);
    let mut server = Server::start_with(Transport::Stdio, &Home::new(), args);
    let mut client = server.client();
    let id = client.send("command/exec", endless("e"));
    wait_for_output(&client, "e", "up");
    client.close_input();
    let error = client.answer(&id).expect_err("it was not awaited any longer");
    assert_eq!(error["data"]["reason"], "serverShuttingDown");
    server.ends_well_within(PATIENCE);
}

#[test]
fn a_running_command_does_not_hold_up_the_end() {
    for transport in [Transport::Stdio, Transport::WebSocket] {
        let mut server = server(transport);
        let mut client = server.client();
        let id = client.send("command/exec", with(endless("e"), json!({ "streamStdin": true })));
        wait_for_output(&client, "e", "up");
        let clock = Clock::real();
        server.signal(Signal::TERM);
        server.ends_well_within(PATIENCE);
        assert!(elapsed(&clock) < Duration::from_secs(5), "{:?}", elapsed(&clock));
        let error = client.answer(&id).expect_err("it was killed");
        assert_eq!(error["data"]["reason"], "serverShuttingDown");
    }
}

#[test]
fn commands_die_with_a_server_that_is_killed() {
    let mut server = server(Transport::WebSocket);
    let mut client = server.client();
    let stubborn = |more: Value| {
        let params = json!({ "disableTimeout": true, "streamStdoutStderr": true });
        with(with(sh("trap '' TERM HUP; sleep 3600 & echo up; sleep 3600; true"), params), more)
    };
    for (id, tty) in [("pipe", false), ("tty", true)] {
        client.send("command/exec", stubborn(json!({ "processId": id, "tty": tty })));
        wait_for_output(&client, id, "up");
    }
    let spawn = stubborn(json!({ "processHandle": "p", "cwd": "/", "timeoutMs": null }));
    client.ok("process/spawn", spawn);
    wait_for_output(&client, "p", "up");
    server.kill_with_children();
}

/// Half of them have made themselves unknown: they carry no mark of a command any more.
#[test]
fn what_dies_of_what_a_running_command_has_left_behind_is_reaped() {
    let mut server = server(Transport::Stdio);
    let mut client = server.client();
    let script = "for i in {1..20}; do (env true &); ((ulimit -Sx 1; exec env true) &); done; \
                  (setsid sleep 3600 >/dev/null 2>&1 &); echo up; sleep 3600";
    let params = json!({ "processId": "b", "disableTimeout": true, "streamStdoutStderr": true });
    let command = with(json!({ "command": ["bash", "-c", script] }), params);
    let id = client.send("command/exec", command);
    wait_for_output(&client, "b", "up");
    server.until("one orphan is left, which lives", |server| server.orphans() == 1);
    assert_eq!(server.children().len(), 1, "the command itself");
    client.ok("command/exec/terminate", json!({ "processId": "b" }));
    assert_eq!(client.answer(&id).expect("it ends")["exitCode"], 137);
    server.until("none is left", |server| server.orphans() == 0);
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

/// Starts a process that leaves its group and session, loses its parent and empties its environment, and
/// tells its number; then waits.
fn daemon(id: &str) -> Value {
    let script = "env -i setsid sh -c 'echo pid $$; exec sleep 3600 >/dev/null 2>&1' & sleep 0.1; sleep 3600";
    with(sh(script), json!({ "processId": id, "disableTimeout": true, "streamStdoutStderr": true }))
}

/// The number that a daemon has told, once it sleeps.
fn daemon_of(client: &Client, id: &str) -> u32 {
    wait_for_output(client, id, "pid ");
    wait_for_output(client, id, "\n");
    let said = String::from_utf8(streamed(client, id, "stdout").0).expect("text");
    said.split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).expect("a number")
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn daemons_of_commands_end_with_them() {
    let mut server = server(Transport::WebSocket);
    let (mut one, mut two) = (server.client(), server.client());
    let ended = one.send("command/exec", daemon("ended"));
    one.send("command/exec", daemon("killed"));
    two.send("command/exec", daemon("left"));
    let (first, second, third) =
        (daemon_of(&one, "ended"), daemon_of(&one, "killed"), daemon_of(&two, "left"));
    assert!(lives(first) && lives(second) && lives(third));
    one.ok("command/exec/terminate", json!({ "processId": "ended" }));
    assert_eq!(one.answer(&ended).expect("it ends")["exitCode"], 137);
    server.until("the daemon of an ended command is gone", |_| !lives(first));
    drop(two);
    server.until("the daemon of a client that left is gone", |_| !lives(third));
    assert!(lives(second), "it belongs to a command that runs");
    server.kill_with_children();
    server.until("the daemon of a killed server is gone", |_| !lives(second));
}

#[test]
fn daemons_do_not_outlive_the_end_of_the_server() {
    let mut server = server(Transport::WebSocket);
    let mut client = server.client();
    client.send("command/exec", daemon("d"));
    let pid = daemon_of(&client, "d");
    assert!(lives(pid));
    server.signal(Signal::TERM);
    server.ends_well_within(PATIENCE);
    assert!(!lives(pid), "it ended before the server did");
}

#[test]
fn the_jobs_of_a_shell_on_a_terminal_end_with_it() {
    let mut server = server(Transport::WebSocket);
    let mut client = server.client();
    let params = json!({ "command": ["sh", "-i"], "processId": "i", "tty": true, "disableTimeout": true });
    let id = client.send("command/exec", params);
    let typed = STANDARD.encode("trap '' HUP TERM; nohup sleep 3600 >/dev/null 2>&1 & echo st''arted\n");
    client.ok("command/exec/write", json!({ "processId": "i", "deltaBase64": typed }));
    wait_for_output(&client, "i", "started");
    client.ok("command/exec/terminate", json!({ "processId": "i" }));
    assert_eq!(client.answer(&id).expect("it ends")["exitCode"], 137);
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

#[test]
fn commands_end_although_who_started_the_server_ignores_their_end() {
    let launch = Launch::new(&Home::new()).by(["env", "--ignore-signal=CHLD"]).args(FREE);
    let mut server = Server::launch(Transport::Stdio, launch);
    let mut client = server.client();
    assert!(server.ignores(Signal::CHILD), "it was started so");
    assert_eq!(client.ok("command/exec", sh("exit 3"))["exitCode"], 3);
    // Nor does a command take over what the server holds back.
    let held_back = client.ok("command/exec", sh("grep SigBlk /proc/self/status"));
    assert_eq!(held_back["stdout"], "SigBlk:\t0000000000000000\n");
    assert_eq!(
        client.ok("command/exec", with(sh("exit 4"), json!({ "tty": true, "processId": "t" })))["exitCode"],
        4
    );
    server.assert_nothing_runs();
    server.stop_or_close(client);
}

#[test]
fn five_hundred_at_once_are_all_answered() {
    let mut server = server(Transport::WebSocket);
    let mut client = server.client();
    client.ok("command/exec", sh("true"));
    server.settles(&mut client);
    // By number: a worker that has just begun may not have its name yet.
    let before = server.footprint();
    let ids: Vec<Value> = (0..500)
        .map(|number| {
            let params = with(sh(&format!("sleep 2; echo {number}")), json!({ "timeoutMs": 60_000 }));
            client.send("command/exec", params)
        })
        .collect();
    server.wait_for_children(/*at_least*/ 20);
    assert!(server.workers().len() <= before.1, "no OS thread more: {:?}", server.workers());
    for (number, id) in ids.iter().enumerate() {
        let answer = client.answer(id).expect("it runs");
        assert_eq!(answer, json!({ "exitCode": 0, "stdout": format!("{number}\n"), "stderr": "" }));
    }
    server.assert_nothing_runs();
    server.shrinks_to(before);
    server.stop_or_close(client);
}

/// How many; more by `APP_SERVER_IT_COMMANDS`.
#[test]
fn many_in_a_row_leave_nothing_behind() {
    let many = std::env::var("APP_SERVER_IT_COMMANDS").ok().and_then(|count| count.parse().ok());
    let many: usize = many.unwrap_or(300);
    let mut server = server(Transport::Stdio);
    let mut client = server.client();
    for _ in 0..20 {
        client.ok("command/exec", json!({ "command": ["true"] }));
    }
    server.settles(&mut client);
    let before = server.footprint();
    let memory = server.resident_bytes();
    for number in 0..many {
        let more = match number % 10 {
            0 => json!({ "tty": true, "processId": "t" }),
            1 => json!({ "streamStdin": true, "streamStdoutStderr": true, "processId": "s" }),
            _ => json!({}),
        };
        assert_eq!(client.ok("command/exec", with(json!({ "command": ["true"] }), more))["exitCode"], 0);
    }
    server.assert_nothing_runs();
    server.shrinks_to(before);
    let grown = server.resident_bytes().saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more");
    server.stop_or_close(client);
}
