//! The mock by itself.

use super::*;

#[test]
fn the_mock_answers_by_its_script_and_shows_what_it_saw() {
    let mock = MockModel::with_script([Answer::text("two words")]);
    mock.respond(|seen| (seen.path == "/v1/b").then(|| Answer::text("x").slow(Duration::from_millis(1))));
    let mut stream = TcpStream::connect(mock.address).expect("it listens");
    let mut ask = |path: &str, end: &str| {
        let body = r#"{"input":[{"type":"function_call_output","call_id":"c","output":"o"}]}"#;
        let head = format!("POST {path} HTTP/1.1\r\nX-A: b\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(end.as_bytes()) && stream.read(&mut byte).expect("it answers") > 0 {
            text.push(byte[0]);
        }
        String::from_utf8(text).expect("text")
    };
    let answer = ask("/v1/a?q=1", "0\r\n\r\n");
    assert!(answer.contains("200 Mock") && answer.contains("\"delta\":\"two \""), "{answer}");
    assert!(ask("/v1/b", "0\r\n\r\n").contains("\"delta\":\"x\""));
    assert!(ask("/v1/c", "0\r\n\r\n").contains("418 Mock"));
    let [first, _, last] = &mock.wait_for_requests(/*count*/ 3)[..] else { panic!("three requests") };
    assert_eq!((first.path.as_str(), first.header("x-a"), last.connection), ("/v1/a?q=1", Some("b"), 0));
    assert_eq!((first.method.as_str(), first.tool_output("c")), ("POST", Some(json!("o"))));

    let unread = call("c", "t", &json!({})).into_iter().chain(call_freeform("d", "p", "q"));
    let steps: Vec<Step> = [created()].into_iter().chain(unread).map(Step::event).collect();
    mock.script([Answer::stream([vec![Step::Gate], steps].concat()).broken(/*after*/ 3, Step::Cut)]);
    mock.open_gate();
    let answer = ask("/v1/d", "never");
    assert!(answer.contains("\"call_id\":\"c\"") && !answer.contains("custom_tool_call"), "{answer}");
    mock.wait_for_gates(/*count*/ 1);
    mock.wait_for_open_connections(/*count*/ 0);
}
