//! Tools of an MCP server, which is a shell script here.

use serde_json::json;

use super::*;
use crate::config::{Config, Flags, Override};
use crate::mcp::McpParts;
use crate::model::{Content, words};

/// Answers by what the line contains; the second call of a tool ends it.
const SCRIPT: &str = r#"
say() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
hello='{"capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}'
tool='"name":"look up","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}'
picture='{"type":"image","data":"AAAA","mimeType":"image/png"}'
while read -r line; do
  id=${line#*'"id":'}; id=${id%%,*}
  case $line in
    *'"initialize"'*) say "$hello" ;;
    *'"tools/list"'*) say "{\"tools\":[{$tool}]}" ;;
    *'"second"'*) exit 7 ;;
    *'"tools/call"'*) say "{\"content\":[{\"type\":\"text\",\"text\":\"found\"},$picture]}" ;;
  esac
done
"#;

#[test]
fn a_call_is_an_item_and_its_answer_is_said_to_the_model() {
    let mut bench = Bench::new(Clock::real());
    let script = bench.dir.join("server.sh");
    std::fs::write(&script, SCRIPT).expect("written");
    let mut flags = Flags::none();
    flags.home = Some(bench.dir.clone());
    let set = format!("mcp_servers.mysrv={{command='sh', args=['{}']}}", script.display());
    flags.overrides = vec![Override::parse(&set).expect("key=value")];
    let config = Config::load(&flags, &|_| None, &bench.dir).expect("a configuration");
    bench.mcp = Some(McpOwner::new(
        config.mcp_servers,
        McpParts {
            cwd: bench.dir.clone(),
            clock: bench.clock.clone(),
            spawner: bench.spawner.clone(),
            told: Box::new(|_| {}),
        },
    ));
    let name = "mcp__mysrv__look_up";
    let model = Scripted::new(vec![
        vec![calls("c1", name, r#"{"what":"first"}"#), completed()],
        vec![calls("c2", name, r#"{"what":"second"}"#), completed()],
        says("m", "done"),
    ]);
    let mut turn = bench.start(model.clone(), "look it up");
    let started = turn.until("item/started");
    assert_eq!(started["item"]["type"], "userMessage");
    let started = turn.until("item/started");
    assert_eq!(
        (&started["item"]["type"], &started["item"]["status"]),
        (&json!("mcpToolCall"), &json!("inProgress"))
    );
    let done = turn.until("item/completed")["item"].clone();
    assert_eq!((&done["server"], &done["tool"]), (&json!("mysrv"), &json!("look up")));
    assert_eq!((&done["status"], &done["arguments"]), (&json!("completed"), &json!({ "what": "first" })));
    assert_eq!(
        (&done["result"]["content"][0]["text"], &done["readOnlyHint"]),
        (&json!("found"), &json!(true))
    );
    let failed = turn.until("item/completed")["item"].clone();
    assert_eq!((&failed["status"], &failed["result"]), (&json!("failed"), &json!(null)));
    let expected = "the MCP server `mysrv` failed: it ended with exit code 7";
    assert_eq!(failed["error"]["message"], expected);
    assert_eq!(turn.end().status, TurnStatus::Completed);

    let outputs: Vec<(Vec<Content>, bool)> = model
        .last_asked()
        .into_iter()
        .filter_map(|entry| match entry {
            InputItem::ToolOutput { content, success, .. } => Some((content, success)),
            _ => None,
        })
        .collect();
    assert_eq!(words(&outputs[0].0), "found");
    assert!(matches!(&outputs[0].0[1], Content::Image { url } if url == "data:image/png;base64,AAAA"));
    assert_eq!((words(&outputs[1].0).as_str(), outputs[0].1, outputs[1].1), (expected, true, false));
}
