//! Commands and patches: what is told, what the model hears, and that nothing is left behind.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::limits;
use crate::model::words;
use crate::proto::{CommandApprovalResponse, CommandDecision};

/// What the model was told of a call.
fn output(model: &Scripted, call_id: &str) -> String {
    let output = |item: InputItem| match item {
        InputItem::ToolOutput { call_id: id, content, .. } if id == call_id => Some(words(&content)),
        _ => None,
    };
    model.last_asked().into_iter().rev().find_map(output).expect("the call has an output")
}

/// Without a login shell: what the machine's profile does takes time, and must not be killed half-way.
fn command(call_id: &str, mut arguments: Value) -> Step {
    arguments["login"] = false.into();
    calls(call_id, "exec_command", &arguments.to_string())
}

fn one(arguments: Value) -> Arc<Scripted> {
    Scripted::new(vec![vec![command("c1", arguments), completed()], says("m", "done")])
}

fn item(turn: &Running, method: &str) -> Vec<Value> {
    let items = turn.told.iter().filter(|(told, _)| told == method).map(|(_, told)| &told["params"]["item"]);
    items.filter(|item| item["type"] != "userMessage" && item["type"] != "agentMessage").cloned().collect()
}

fn lives(pid: &str) -> bool {
    // A process that has ended and whose parent has not looked yet is dead.
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn a_command_is_an_item_with_its_output_and_the_model_hears_it() {
    let bench = real();
    let model = one(json!({ "cmd": "echo out; echo err >&2; exit 3" }));
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let (started, done) = (item(&turn, "item/started"), item(&turn, "item/completed"));
    assert_eq!((started.len(), done.len()), (1, 1));
    assert_eq!(
        (&started[0]["status"], &started[0]["source"]),
        (&json!("inProgress"), &json!("unifiedExecStartup"))
    );
    assert_eq!(
        (&done[0]["id"], &done[0]["status"], &done[0]["exitCode"]),
        (&json!("c1"), &json!("failed"), &json!(3))
    );
    let shown = done[0]["aggregatedOutput"].as_str().expect("output");
    assert!(shown.contains("out\n") && shown.contains("err\n"), "{shown}");
    let deltas: String = turn
        .told
        .iter()
        .filter(|(method, _)| method == "item/commandExecution/outputDelta")
        .filter_map(|(_, told)| told["params"]["delta"].as_str())
        .collect();
    assert_eq!(deltas.len(), shown.len(), "both streams are shown live: {deltas}");
    let heard = output(&model, "c1");
    assert!(heard.contains("Process exited with code 3\nOriginal token count: 2\nOutput:\n"), "{heard}");
}

#[test]
fn a_flood_stays_small_for_item_model_and_clients() {
    let bench = real();
    let model = one(
        json!({ "cmd": "head -c 60000000 /dev/zero | tr '\\0' x; echo; echo end", "yield_time_ms": 30000 }),
    );
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let done = &item(&turn, "item/completed")[0];
    let kept = done["aggregatedOutput"].as_str().expect("output");
    assert!(kept.len() <= limits::COMMAND_KEPT_BYTES + 100 && kept.ends_with("\nend\n"), "{}", kept.len());
    assert!(kept.contains("bytes left out"));
    let shown: usize = turn
        .told
        .iter()
        .filter(|(method, _)| method == "item/commandExecution/outputDelta")
        .filter_map(|(_, told)| told["params"]["delta"].as_str().map(str::len))
        .sum();
    // The stock, and what fills up in the seconds that it may take.
    assert!(shown < 20 * 1024 * 1024, "{shown} bytes were shown live");
    let heard = output(&model, "c1");
    assert!(heard.len() < limits::COMMAND_OUTPUT_TOKENS * limits::BYTES_PER_TOKEN + 500, "{}", heard.len());
    assert!(
        heard.contains("truncated output (original token count: 15000002)") && heard.ends_with("\nend\n")
    );
}

#[test]
fn a_command_that_outlives_its_yield_time_goes_on_behind_the_turn() {
    let bench = real();
    let gate = bench.dir.join("gate");
    let wait = format!("echo first; while [ ! -e {} ]; do sleep 0.01; done; echo last", gate.display());
    let model = one(json!({ "cmd": wait, "yield_time_ms": 250 }));
    let mut turn = bench.start(model.clone(), "go");
    let ended_turn = turn.end();
    assert_eq!(ended_turn.status, TurnStatus::Completed);
    assert!(output(&model, "c1").contains("Process running with session ID 1\n"), "{}", output(&model, "c1"));
    assert_eq!(bench.terminals.background().len(), 1);
    assert!(item(&turn, "item/completed").is_empty());
    fs::write(&gate, "").expect("a file");
    let done = turn.until("item/completed");
    assert_eq!((&done["turnId"], &done["item"]["exitCode"]), (&json!(ended_turn.id), &json!(0)));
    assert_eq!(done["item"]["aggregatedOutput"], "first\nlast\n");
    // The model can still look at its end, once.
    let look = |id: &str| calls(id, "write_stdin", r#"{"session_id":1}"#);
    let model = Scripted::new(vec![vec![look("c2"), look("c3"), completed()], says("m", "done")]);
    bench.start(model.clone(), "again").end();
    assert!(output(&model, "c2").contains("exited with code 0") && output(&model, "c2").ends_with("last\n"));
    assert!(output(&model, "c3").contains("there is no session 1"));
    assert!(bench.terminals.background().is_empty());
}

#[test]
fn a_terminal_can_be_typed_into() {
    let bench = real();
    let typed = |id: &str, chars: &str| {
        calls(
            id,
            "write_stdin",
            &json!({ "session_id": 1, "chars": chars, "yield_time_ms": 30000 }).to_string(),
        )
    };
    let script = "read line; echo got $line; exit 4";
    let model = Scripted::new(vec![
        vec![command("c1", json!({ "cmd": script, "tty": true, "yield_time_ms": 250 })), completed()],
        vec![typed("c2", "typed\n"), completed()],
        says("m", "done"),
    ]);
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    assert!(turn.methods().contains(&"item/commandExecution/terminalInteraction"));
    let heard = output(&model, "c2");
    assert!(heard.contains("exited with code 4") && heard.contains("got typed"), "{heard}");
    let without = one(json!({ "cmd": "sleep 60", "yield_time_ms": 250 }));
    bench.start(without, "go").end();
    let model = Scripted::new(vec![
        vec![calls("c3", "write_stdin", r#"{"session_id":2,"chars":"x"}"#), completed()],
        says("m", "done"),
    ]);
    bench.start(model.clone(), "go").end();
    assert!(output(&model, "c3").contains("start it with tty"), "{}", output(&model, "c3"));
    drop(bench.terminals.let_go());
}

#[test]
fn what_is_typed_is_told_before_the_end_that_it_brings() {
    const COMMANDS: usize = 8;
    let bench = real();
    let cat = json!({ "cmd": "cat", "tty": true, "yield_time_ms": 250 });
    let start = (0..COMMANDS).map(|at| command(&format!("c{at}"), cat.clone()));
    let end = (1..=COMMANDS).map(|session| {
        let typed = json!({ "session_id": session, "chars": "\u{4}", "yield_time_ms": 30000 });
        calls(&format!("w{session}"), "write_stdin", &typed.to_string())
    });
    let model = Scripted::new(vec![
        start.chain([completed()]).collect(),
        end.chain([completed()]).collect(),
        says("m", "done"),
    ]);
    let mut turn = bench.start(model, "go");
    assert_eq!(turn.end().status, TurnStatus::Completed);
    for at in 0..COMMANDS {
        let place = |method: &str, key: &str| {
            let id = json!(format!("c{at}"));
            let fits =
                |(told, message): &(String, Value)| told == method && message.pointer(key) == Some(&id);
            turn.told.iter().position(fits).expect("it is told")
        };
        let typed = place("item/commandExecution/terminalInteraction", "/params/itemId");
        let ended = place("item/completed", "/params/item/id");
        assert!(typed < ended, "c{at}: typed at {typed}, ended at {ended}");
    }
}

#[test]
fn an_interrupt_kills_commands_with_all_that_they_started() {
    let bench = real();
    let (pid, children) = (bench.dir.join("pid"), bench.dir.join("children"));
    // One that ignores a polite request, and a grandchild in the background.
    let script = format!(
        "trap '' TERM; \
         (sleep 1000 & echo $! > {children}.new; mv {children}.new {children}; wait) & \
         echo $$ > {pid}.new; mv {pid}.new {pid}; \
         while true; do sleep 1000; done",
        children = children.display(),
        pid = pid.display()
    );
    let model = one(json!({ "cmd": script, "yield_time_ms": 30000 }));
    let mut turn = bench.start(model, "go");
    turn.until("item/started");
    turn.until("item/started");
    while !(children.exists() && pid.exists()) {
        std::thread::yield_now();
    }
    let pids = [&pid, &children].map(|file| fs::read_to_string(file).expect("a number"));
    assert!(pids.iter().all(|pid| lives(pid)), "{pids:?}");
    turn.handle.interrupter.interrupt();
    assert_eq!(ended(&turn.end()), TurnStatus::Interrupted);
    assert!(!pids.iter().any(|pid| lives(pid)), "dead when the end is told: {pids:?}");
    let done = item(&turn, "item/completed");
    assert_eq!((&done[0]["status"], &done[0]["exitCode"]), (&json!("failed"), &json!(137)));
    let ends = turn.told.iter().filter(|(method, _)| method == "turn/completed").count();
    assert_eq!(ends, 1);
}

/// Reads on until the turn asks, and answers.
fn answer(turn: &mut Running, decision: CommandDecision) -> (String, Value) {
    loop {
        if let Change::Asked(ask) = turn.next().change {
            let params = serde_json::from_str(ask.params.get()).expect("JSON");
            let response = serde_json::value::to_raw_value(&CommandApprovalResponse { decision });
            ask.outcome.send(Outcome::Result(response.expect("it encodes")));
            return (ask.method.to_owned(), params);
        }
    }
}

#[test]
fn what_needs_an_approval_waits_for_it() {
    let mut bench = real();
    bench.settings.approval_policy = AskForApproval::OnRequest;
    bench.settings.sandbox = SandboxPolicy::ReadOnly { network_access: false };
    let wanted = json!({ "cmd": "echo free", "justification": "May I?",
        "sandbox_permissions": "require_escalated",
        "login": false, "yield_time_ms": 30000 });
    for (decision, status, said) in [
        (CommandDecision::Accept, "completed", "free\n"),
        (CommandDecision::Decline, "declined", "rejected by user"),
    ] {
        let model = one(wanted.clone());
        let mut turn = bench.start(model.clone(), "go");
        let (method, params) = answer(&mut turn, decision);
        assert_eq!(method, "item/commandExecution/requestApproval");
        assert_eq!((&params["reason"], &params["itemId"]), (&json!("May I?"), &json!("c1")));
        assert_eq!(params["proposedExecpolicyAmendment"], json!(["echo", "free"]));
        assert_eq!(ended(&turn.end()), TurnStatus::Completed);
        assert_eq!(item(&turn, "item/completed")[0]["status"], status);
        assert!(output(&model, "c1").ends_with(said), "{}", output(&model, "c1"));
    }
    let mut turn = bench.start(one(wanted.clone()), "go");
    answer(&mut turn, CommandDecision::Cancel);
    assert_eq!(ended(&turn.end()), TurnStatus::Interrupted);
    // Interrupted while it waits: the item does not stay open.
    let mut turn = bench.start(one(wanted.clone()), "go");
    while !matches!(turn.next().change, Change::Asked(_)) {}
    turn.handle.interrupter.interrupt();
    assert_eq!(ended(&turn.end()), TurnStatus::Interrupted);
    assert_eq!(item(&turn, "item/completed")[0]["status"], "declined");
    // Nobody may be asked: there is no item, and the model is told.
    bench.settings.approval_policy = AskForApproval::Never;
    let model = one(wanted);
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    assert!(item(&turn, "item/completed").is_empty());
    assert!(output(&model, "c1").starts_with("approval policy is Never"));
}

#[test]
fn patches_are_items_and_add_up_to_the_diff_of_the_turn() {
    let bench = real();
    let patch = |id: &str, text: &str| {
        Step::Say(ModelEvent::ToolCall(ToolCall {
            call_id: id.to_owned(),
            name: "apply_patch".to_owned(),
            input: ToolInput::Freeform(format!("*** Begin Patch\n{text}\n*** End Patch")),
        }))
    };
    let heredoc = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: b.txt\n+two\n*** End Patch\nEOF";
    let model = Scripted::new(vec![
        vec![
            patch("c1", "*** Add File: a.txt\n+one"),
            patch("c2", "*** Update File: missing.txt\n@@\n-x\n+y"),
            command("c3", json!({ "cmd": heredoc })),
            completed(),
        ],
        says("m", "done"),
    ]);
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let done = item(&turn, "item/completed");
    let kinds: Vec<(&Value, &Value)> = done.iter().map(|item| (&item["type"], &item["status"])).collect();
    assert_eq!(kinds, [(&json!("fileChange"), &json!("completed")); 2], "a patch that does not fit is none");
    let diffs = turn.told.iter().filter(|(method, _)| method == "turn/diff/updated");
    let diffs: Vec<&str> = diffs.filter_map(|(_, told)| told["params"]["diff"].as_str()).collect();
    assert!(diffs.len() == 2 && diffs[1].contains("+one") && diffs[1].contains("+two"), "{diffs:?}");
    assert_eq!(fs::read_to_string(bench.dir.join("b.txt")).expect("it is there"), "two\n");
    assert!(output(&model, "c1").ends_with("A a.txt\n"), "{}", output(&model, "c1"));
    assert!(output(&model, "c2").starts_with("apply_patch verification failed: "));
}

#[test]
fn what_cannot_start_is_told_to_the_model_and_is_no_item() {
    let bench = real();
    let model = Scripted::new(vec![
        vec![
            command("c1", json!({ "cmd": "ls", "workdir": "/nowhere" })),
            command("c2", json!({ "cmd": "ls", "shell": "/nowhere/sh" })),
            completed(),
        ],
        says("m", "done"),
    ]);
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    assert!(item(&turn, "item/started").is_empty());
    for id in ["c1", "c2"] {
        assert!(output(&model, id).contains("No such file or directory"), "{}", output(&model, id));
    }
}

#[test]
fn a_thread_has_only_so_many_commands() {
    let bench = real();
    let sleep = || command("c", json!({ "cmd": "sleep 1000", "yield_time_ms": 250 }));
    let mut answer: Vec<Step> = (0..limits::TERMINALS_PER_THREAD).map(|_| sleep()).collect();
    answer.push(completed());
    let more = vec![command("more", json!({ "cmd": "true" })), completed()];
    let model = Scripted::new(vec![answer, more, says("m", "done")]);
    bench.start(model.clone(), "go").end();
    assert!(
        output(&model, "more").contains("commands run in this thread, the limit"),
        "{}",
        output(&model, "more")
    );
    assert_eq!(bench.terminals.background().len(), limits::TERMINALS_PER_THREAD);
    let first = bench.terminals.background()[0].process_id.clone();
    assert!(bench.terminals.terminate(&first) && !bench.terminals.terminate("99999"));
    for worker in bench.terminals.let_go() {
        assert_ne!(worker.join_within(Duration::from_secs(30)), crate::sys::worker::Ended::Late);
    }
    assert!(bench.terminals.background().is_empty());
}
