//! An MCP server for the tests: this test binary itself, started again in this mode. What it prints besides,
//! such as the test runner's greeting, is what a careless real server would print.

use std::io::{BufRead, Write};
use std::process::{Child, Command};

use serde_json::{Value, json};

/// Names the mode; without it nothing is served.
pub(crate) const MODE: &str = "APP_SERVER_TEST_MCP";

/// A server's table in `config.toml`, with further lines.
pub(crate) fn table(name: &str, mode: &str, more: &str) -> String {
    let program = std::env::current_exe().expect("this program").display().to_string();
    format!(
        "[mcp_servers.{name}]\ncommand = {program:?}\n\
         args = [\"--ignored\", \"--exact\", \"mcp_server::serves\", \"--nocapture\"]\n\
         env = {{ {MODE} = {mode:?} }}\n{more}\n"
    )
}

/// Questions that `pester` asks.
pub(crate) const QUESTIONS: usize = 200;

#[test]
#[ignore = "the server itself; started by the tests of MCP"]
fn serves() {
    let Ok(mode) = std::env::var(MODE) else { return };
    if mode == "dies" {
        std::process::exit(3);
    }
    writeln!(std::io::stderr(), "the server says something on stderr").expect("it is read");
    let mut server = TestServer { mode, ..TestServer::default() };
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        server.take(&serde_json::from_str(&line).expect("JSON"));
    }
    // What the test runner would add belongs to nobody.
    std::process::exit(0);
}

#[derive(Default)]
struct TestServer {
    mode: String,
    has_grown: bool,
    hangs: bool,
    /// It is to end: now, or once it hangs.
    dies: Option<bool>,
    waits_for_pong: Option<Value>,
    /// The call that asks so much, and what was answered.
    pesters: Option<(Value, Vec<String>)>,
    children: Vec<Child>,
}

impl TestServer {
    fn take(&mut self, message: &Value) {
        let id = &message["id"];
        match message["method"].as_str() {
            None => {
                if let Some((_, answers)) = &mut self.pesters {
                    answers.push(message["result"]["action"].as_str().unwrap_or_default().to_owned());
                }
                if let Some((asked, answers)) =
                    self.pesters.take_if(|(_, answers)| answers.len() == QUESTIONS)
                {
                    self.text(&asked, &answers.join(" "));
                }
                if let Some(asked) = self.waits_for_pong.take() {
                    self.text(&asked, &format!("answered {}", message["result"]));
                }
            }
            Some("initialize") if self.mode == "silent" => {}
            Some("initialize") => self.say(
                id,
                &json!({
                    "protocolVersion": message["params"]["protocolVersion"],
                    "capabilities": { "tools": { "listChanged": true }, "resources": {} },
                    "serverInfo": { "name": "test server", "version": "1.2.3" },
                }),
            ),
            Some("tools/list") => self.say(id, &self.tools(&message["params"]["cursor"])),
            Some("resources/list") => {
                self.say(id, &json!({ "resources": [{ "uri": "test://a", "name": "a" }] }));
            }
            Some("resources/templates/list") => {
                self.say(id, &json!({ "resourceTemplates": [{ "uriTemplate": "test://{x}", "name": "x" }] }));
            }
            Some("resources/read") => {
                let uri = &message["params"]["uri"];
                self.say(id, &json!({ "contents": [{ "uri": uri, "text": "the content" }] }));
            }
            Some("tools/call") => self.call(id, &message["params"]),
            Some(_) if id.is_null() => {}
            Some(_) => Self::write(&json!({
                "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "no such method" },
            })),
        }
    }

    /// Two pages.
    fn tools(&self, cursor: &Value) -> Value {
        let schema = json!({ "type": "object" });
        let tool = |name: &str| {
            let description = format!("does {name}");
            // All but one say that nobody has to be asked.
            let hints = json!({ "readOnlyHint": name != "spawn" });
            json!({ "name": name, "description": description, "inputSchema": schema, "annotations": hints })
        };
        if cursor.is_null() {
            return json!({ "tools": [tool("echo"), tool("fail")], "nextCursor": "second" });
        }
        let mut names = vec!["hang", "die", "spawn", "grow", "env", "ask", "flood", "wonder", "pester"];
        if self.has_grown {
            names.push("grown");
        }
        json!({ "tools": names.into_iter().map(tool).collect::<Vec<_>>() })
    }

    fn call(&mut self, id: &Value, params: &Value) {
        match params["name"].as_str() {
            Some("echo") => self.say(
                id,
                &json!({
                    "content": [{ "type": "text", "text": params["arguments"].to_string() }],
                    "structuredContent": { "said": params["arguments"] },
                    "_meta": { "asked": params["_meta"] },
                }),
            ),
            Some("fail") => {
                let content = json!([{ "type": "text", "text": "it failed" }]);
                self.say(id, &json!({ "content": content, "isError": true }));
            }
            Some("hang") => {
                self.hangs = true;
                self.die_if_due();
            }
            Some("die") => {
                self.dies = Some(params["arguments"]["once it hangs"] == true);
                self.die_if_due();
            }
            Some("spawn") => {
                let child = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
                self.text(id, &child.id().to_string());
                self.children.push(child);
            }
            Some("grow") => {
                self.has_grown = true;
                Self::write(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
                self.text(id, "grown");
            }
            Some("env") => {
                let names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
                self.text(id, &names.join(" "));
            }
            Some("ask") => {
                self.waits_for_pong = Some(id.clone());
                Self::write(&json!({ "jsonrpc": "2.0", "id": "our own", "method": "ping" }));
            }
            Some("wonder") => {
                self.waits_for_pong = Some(id.clone());
                let token = &params["_meta"]["progressToken"];
                let progress = json!({ "progressToken": token, "progress": 1, "total": 2 });
                let method = "notifications/progress";
                Self::write(&json!({ "jsonrpc": "2.0", "method": method, "params": progress }));
                let fields = json!({ "name": { "type": "string" } });
                let form = json!({ "type": "object", "properties": fields });
                let question = json!({ "message": "Who?", "requestedSchema": form });
                let method = "elicitation/create";
                Self::write(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": question }));
            }
            Some("pester") => {
                self.pesters = Some((id.clone(), Vec::new()));
                let form = json!({ "type": "object", "properties": {} });
                let question = json!({ "message": "Who?", "requestedSchema": form });
                let method = "elicitation/create";
                let ask = |id| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": question });
                let lines: String = (0..QUESTIONS).map(|id| format!("{}\n", ask(id))).collect();
                let mut stdout = std::io::stdout().lock();
                // All at once.
                let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
            }
            Some("flood") => {
                let mut stdout = std::io::stdout().lock();
                let megabyte = vec![b'x'; 1 << 20];
                // The reader may have gone by then.
                let _ = (0..20).try_for_each(|_| stdout.write_all(&megabyte)).and_then(|()| stdout.flush());
            }
            _ => Self::write(&json!({
                "jsonrpc": "2.0", "id": id, "error": { "code": -32602, "message": "no such tool" },
            })),
        }
    }

    /// Ends the process, if it was asked to; at once, or when the call that hangs has come.
    fn die_if_due(&self) {
        if self.dies.is_some_and(|once_it_hangs| self.hangs || !once_it_hangs) {
            std::process::exit(3);
        }
    }

    fn text(&self, id: &Value, text: &str) {
        self.say(id, &json!({ "content": [{ "type": "text", "text": text }] }));
    }

    fn say(&self, id: &Value, result: &Value) {
        Self::write(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }

    fn write(message: &Value) {
        // Whoever asked may have gone.
        let _ = writeln!(std::io::stdout().lock(), "{message}");
    }
}
