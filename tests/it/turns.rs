//! The life of a turn: what is said, in which order, and what is kept.

use serde_json::{Value, json};

use crate::support::client::{column, methods_of, said, text};
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    a_turn_is_told_in_the_order_of_the_reference,
    deltas_add_up_to_the_message,
    a_second_turn_continues_the_thread,
    a_turn_without_input_works,
    too_long_an_input_is_refused_with_its_size,
    turns_of_unknown_threads_are_refused,
    settings_of_a_turn_stay_with_the_thread,
    the_offline_model_says_the_same_each_time,
);

fn a_turn_is_told_in_the_order_of_the_reference(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    client.settle();
    let asked = client.send("turn/start", json!({ "threadId": thread, "input": said("hello") }));
    let messages = client.all_until("turn/completed");

    assert_eq!(messages[0]["id"], asked, "the answer comes first");
    let begun = &messages[0]["result"]["turn"];
    assert_eq!((&begun["status"], &begun["items"]), (&json!("inProgress"), &json!([])));
    assert_eq!((&begun["itemsView"], &begun["startedAt"]), (&json!("notLoaded"), &Value::Null));
    let turn = text(&begun["id"]);

    let mut methods = methods_of(&messages);
    methods.dedup();
    assert_eq!(
        methods,
        [
            "thread/status/changed",
            "turn/started",
            "item/started",
            "item/completed",
            "item/started",
            "item/agentMessage/delta",
            "item/completed",
            "thread/tokenUsage/updated",
            "thread/readState/changed",
            "thread/status/changed",
            "turn/completed",
        ]
    );
    let params: Vec<&Value> = messages[1..].iter().map(|message| &message["params"]).collect();
    assert!(params.iter().all(|params| params["threadId"] == thread.as_str()));
    assert_eq!(params[0]["status"], json!({ "type": "active", "activeFlags": [] }));
    assert_eq!(
        (&params[1]["turn"]["id"], &params[1]["turn"]["status"]),
        (&json!(turn), &json!("inProgress"))
    );
    let (user_started, user) = (&params[2]["item"], &params[3]["item"]);
    assert_eq!((&user_started["type"], &user_started["id"]), (&json!("userMessage"), &user["id"]));
    assert_eq!((&user["type"], &user["content"][0]["text"]), (&json!("userMessage"), &json!("hello")));
    assert_eq!(
        (&params[4]["item"]["type"], &params[4]["item"]["text"]),
        (&json!("agentMessage"), &json!(""))
    );

    let [.., answered, usage, unread, idle, completed] = params.as_slice() else { panic!("{messages:?}") };
    assert_eq!((&answered["item"]["type"], &answered["turnId"]), (&json!("agentMessage"), &json!(turn)));
    assert_eq!(answered["item"]["id"], params[4]["item"]["id"]);
    let total = &usage["tokenUsage"]["total"];
    let tokens = |key: &str| total[key].as_i64().expect("a number");
    assert!(tokens("inputTokens") > 0 && tokens("outputTokens") > 0, "{usage}");
    assert_eq!(tokens("totalTokens"), tokens("inputTokens") + tokens("outputTokens"));
    assert_eq!(unread["readState"]["firstUnread"]["turnId"], turn.as_str());
    assert_eq!(idle["status"], json!({ "type": "idle" }));
    let completed = &completed["turn"];
    assert_eq!((&completed["id"], &completed["status"]), (&json!(turn), &json!("completed")));
    assert_eq!((&completed["itemsView"], &completed["error"]), (&json!("summary"), &Value::Null));
    assert_eq!(completed["items"], json!([answered["item"]]));
    server.stop();
}

fn deltas_add_up_to_the_message(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    client.start_turn(&thread, "word  by\tword,\n über 𝄞 lines");
    let messages = client.all_until("turn/completed");
    let deltas = messages.iter().filter(|message| message["method"] == "item/agentMessage/delta");
    let deltas: Vec<&Value> = deltas.map(|message| &message["params"]).collect();
    assert!(deltas.len() > 10, "word by word: {}", deltas.len());
    let whole: String = deltas.iter().map(|delta| text(&delta["delta"])).collect();
    let done = messages.iter().rfind(|message| message["method"] == "item/completed").expect("an item");
    let item = &done["params"]["item"];
    assert_eq!(item["text"], whole.as_str());
    assert!(whole.ends_with("You said: word  by\tword,\n über 𝄞 lines"), "{whole}");
    assert!(deltas.iter().all(|delta| delta["itemId"] == item["id"]));
    // What was told is what is kept.
    let kept = &client.read(&thread)["turns"][0]["items"];
    assert_eq!(&kept[1], item);
}

fn a_second_turn_continues_the_thread(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let first = client.turn(&thread, "one");
    let usage = client.received().iter().rfind(|m| m["method"] == "thread/tokenUsage/updated").cloned();
    let first_total = usage.expect("usage")["params"]["tokenUsage"]["total"]["totalTokens"].clone();
    client.start_turn(&thread, "two");
    let usage = client.next_notification("thread/tokenUsage/updated")["tokenUsage"].take();
    // The model saw the first turn as well, and the total counts both.
    assert!(usage["last"]["inputTokens"].as_i64() > first_total.as_i64(), "{usage} after {first_total}");
    let sum =
        first_total.as_i64().expect("a number") + usage["last"]["totalTokens"].as_i64().expect("a number");
    assert_eq!(usage["total"]["totalTokens"], sum);
    client.next_notification("turn/completed");
    let turns = client.read(&thread)["turns"].take();
    assert_eq!(turns.as_array().map(Vec::len), Some(2));
    assert_eq!(turns[0]["id"], first["id"]);
    assert_eq!(column(&turns, "status"), ["completed", "completed"]);
    assert_eq!(column(&turns[1]["items"], "type"), ["userMessage", "agentMessage"]);
}

fn a_turn_without_input_works(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    client.ok("turn/start", json!({ "threadId": thread, "input": [] }));
    client.next_notification("turn/completed");
    let kept = client.read(&thread);
    assert_eq!(column(&kept["turns"][0]["items"], "type"), ["agentMessage"]);
}

fn too_long_an_input_is_refused_with_its_size(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let max = 1_048_576;
    // Characters count, not bytes.
    let longest = "ä".repeat(max);
    let error =
        client.refused("turn/start", json!({ "threadId": thread, "input": said(&format!("{longest}x")) }));
    assert_eq!(error["code"], -32602);
    assert_eq!(error["message"], "Input exceeds the maximum length of 1048576 characters.");
    let data = &error["data"];
    assert_eq!(
        (&data["input_error_code"], &data["max_chars"], &data["actual_chars"]),
        (&json!("input_too_large"), &json!(max), &json!(max + 1))
    );
    assert_eq!(client.read(&thread)["turns"], json!([]), "nothing has begun");
    let params = json!({ "threadId": thread, "input": said(&longest) });
    let turn = client.ok("turn/start", params)["turn"]["id"].take();
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
    client.next_notification("turn/completed");
}

fn turns_of_unknown_threads_are_refused(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let nobody = "01990000-0000-7000-8000-000000000000";
    for (method, more) in [
        ("turn/start", json!({ "input": [] })),
        ("turn/steer", json!({ "input": said("x"), "expectedTurnId": "t" })),
        ("turn/interrupt", json!({ "turnId": "t" })),
    ] {
        let with_thread = |thread: &str| {
            let mut params = more.clone();
            params["threadId"] = thread.into();
            params
        };
        let error = client.refused(method, with_thread(nobody));
        let message = text(&error["message"]);
        assert!(message.starts_with(&format!("thread not found: {nobody}")), "{method}: {message}");
        assert_eq!(error["data"]["reason"], "threadNotFound");
        let error = client.refused(method, with_thread("nonsense"));
        assert!(text(&error["message"]).starts_with("invalid thread id: "), "{method}: {error}");
    }
}

fn settings_of_a_turn_stay_with_the_thread(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread_with(json!({ "cwd": "/srv/first" }));
    let params = json!({ "threadId": thread, "input": said("x"), "cwd": "/srv/second", "effort": "high" });
    client.ok("turn/start", params);
    client.next_notification("turn/completed");
    let resumed = client.ok("thread/resume", json!({ "threadId": thread }));
    assert_eq!((&resumed["cwd"], &resumed["reasoningEffort"]), (&json!("/srv/second"), &json!("high")));
}

fn the_offline_model_says_the_same_each_time(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let answers = [(); 2].map(|()| {
        let thread = client.thread();
        client.turn(&thread, "the same")["items"][0]["text"].take()
    });
    assert_eq!(answers[0], answers[1]);
    assert!(text(&answers[0]).contains("offline model"), "it says what it is: {}", answers[0]);
}
