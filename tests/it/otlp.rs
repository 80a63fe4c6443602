//! Spans exported to a collector: the mock takes what a collector would, and looks into it.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel};
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

const PARENT: &str = "00-11111111111111111111111111111111-2222222222222222-01";

fn launch(collector: &MockModel) -> Launch {
    Launch::new(&Home::new()).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url().trim_end_matches("/v1"))
}

fn collector() -> MockModel {
    let mock = MockModel::start();
    mock.respond(|_| Some(Answer::status(/*status*/ 200, "{}").header("content-type", "application/json")));
    mock
}

/// The resource's attributes and all spans that the collector was sent, by name.
fn sent(collector: &MockModel) -> (HashMap<String, String>, HashMap<String, Value>) {
    let (mut resource, mut spans) = (HashMap::new(), HashMap::new());
    for request in collector.seen() {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/traces"));
        for whose in request.body["resourceSpans"].as_array().expect("resources") {
            resource.extend(attributes(&whose["resource"]));
            for scope in whose["scopeSpans"].as_array().expect("scopes") {
                assert_eq!(scope["scope"]["name"], "app-server");
                for span in scope["spans"].as_array().expect("spans") {
                    spans.insert(span["name"].as_str().expect("a name").to_owned(), span.clone());
                }
            }
        }
    }
    (resource, spans)
}

fn attributes(of: &Value) -> HashMap<String, String> {
    let pairs = of["attributes"].as_array().map_or(&[][..], Vec::as_slice).iter();
    pairs
        .map(|pair| {
            let value = pair["value"].as_object().and_then(|value| value.values().next()).expect("a value");
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (pair["key"].as_str().expect("a key").to_owned(), text)
        })
        .collect()
}

fn traced(server: &mut Server, traceparent: &str) {
    let mut client = server.client();
    let thread = client.thread();
    let params =
        json!({ "threadId": thread, "input": [{ "type": "text", "text": "plan: a; b\ncanary-prompt" }] });
    let request = json!({ "id": "traced", "method": "turn/start", "params": params,
        "trace": { "traceparent": traceparent } });
    client.expect_answer_to("traced", "turn/start");
    client.send_raw(&request.to_string());
    let answer = client.answer(&json!("traced")).expect("it starts");
    client.turn_end(answer["turn"]["id"].as_str().expect("an id"));
    client.close_input();
    server.ends_well_within(PATIENCE);
}

#[test]
fn a_collector_is_sent_the_whole_trace() {
    let collector = collector();
    let launch = launch(&collector)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary-header")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        .env("RUST_LOG", "debug");
    let mut server = Server::launch(Transport::Stdio, launch);
    traced(&mut server, PARENT);
    let (resource, spans) = sent(&collector);
    assert_eq!(resource["service.name"], "app-server");
    assert_eq!(resource["deployment.environment.name"], "test");
    let span = |name: &str| spans.get(name).unwrap_or_else(|| panic!("no span {name} in {spans:#?}"));
    let (request, turn) = (span("turn/start"), span("turn"));
    assert_eq!((&request["kind"], &request["parentSpanId"]), (&json!(2), &json!("2222222222222222")));
    assert_eq!(turn["parentSpanId"], request["spanId"]);
    for name in ["turn/start", "turn", "model call", "tool call"] {
        assert_eq!(span(name)["traceId"], "1".repeat(32), "{name}");
        let ns = |key: &str| span(name)[key].as_str().expect("a text").parse::<u128>().expect("a number");
        assert!(ns("startTimeUnixNano") <= ns("endTimeUnixNano"), "{name}");
    }
    assert_eq!(span("model call")["parentSpanId"], turn["spanId"]);
    assert_eq!(span("tool call")["parentSpanId"], turn["spanId"]);
    let told = attributes(request);
    assert_eq!((told["rpc.method"].as_str(), told["rpc.system"].as_str()), ("turn/start", "jsonrpc"));
    assert_eq!(told["turn.id"], attributes(turn)["turn.id"]);
    let requests = collector.seen();
    assert!(requests.iter().all(|request| request.header("x-key") == Some("canary-header")));
    assert!(requests.iter().all(|request| !request.body.to_string().contains("canary-prompt")));
    assert!(!server.stderr_at_end().contains("canary-header"));
}

#[test]
fn what_the_client_does_not_want_recorded_is_not_sent() {
    let collector = collector();
    let mut server = Server::launch(Transport::Stdio, launch(&collector).env("OTEL_SERVICE_NAME", "mine"));
    traced(&mut server, &PARENT.replace("-01", "-00"));
    let (resource, spans) = sent(&collector);
    assert_eq!(resource["service.name"], "mine");
    assert!(spans.contains_key("initialize") && !spans.contains_key("turn"), "{:?}", spans.keys());
}

#[test]
fn nothing_is_sent_where_the_environment_says_so() {
    for (name, value) in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let collector = collector();
        let mut server = Server::launch(Transport::Stdio, launch(&collector).env(name, value));
        traced(&mut server, PARENT);
        assert!(collector.seen().is_empty(), "{name}");
    }
}

#[test]
fn a_collector_that_is_silent_or_gone_does_not_hold_up_the_end() {
    let silent = MockModel::start();
    silent.respond(|_| Some(Answer::silence()));
    for endpoint in [silent.base_url(), "http://127.0.0.1:1".to_owned()] {
        let launch = Launch::new(&Home::new()).env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint);
        let mut server = Server::launch(Transport::Stdio, launch);
        let mut client = server.client();
        client.ok("account/read", json!({}));
        client.close_input();
        server.ends_well_within(Duration::from_secs(5));
    }
}
