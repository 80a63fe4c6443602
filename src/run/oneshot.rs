//! `app-server exec`: one thread and one turn, through the same stdio code as any client, in one process.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;

use serde_json::{Value, json};

use super::Assembly;
use super::serve::{Clients, StdioStop, at_once, watch_signals, working_directory};
use super::watchdog::Watchdog;
use crate::cli::{ExecArgs, Prompt};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Exit, StartError};
use crate::limits;
use crate::net::stdio::{Stdio, StdioConfig};
use crate::proto::SessionSource;
use crate::server::StopCause;

/// Runs one prompt and prints the answer as it comes.
///
/// # Errors
/// What kept the prompt from being run. A turn that fails is told on stderr and is [`Exit::Failed`].
pub fn exec(args: &ExecArgs) -> Result<Exit, StartError> {
    let config = Config::from_process_env(&args.config)?;
    let prompt = match &args.prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Stdin => read_prompt()?,
    };
    let piped = |error| StartError::io("cannot make a pipe", error);
    let (to_server, requests) = {
        let (reader, writer) = io::pipe().map_err(piped)?;
        (OwnedFd::from(reader), writer)
    };
    let (answers, from_server) = {
        let (reader, writer) = io::pipe().map_err(piped)?;
        (reader, OwnedFd::from(writer))
    };
    let clock = Clock::real();
    let watchdog = Watchdog::new(&clock);
    let on_step = at_once(&watchdog);
    let assembly = Assembly::start(&config, &working_directory()?, SessionSource::Exec, &clock, on_step)?;
    let stop = StdioStop::default();
    let (signals, _signalled) = watch_signals(&assembly, Clients::Stdio(stop.clone()), &watchdog)?;
    let stdio =
        Stdio::start(to_server, from_server, StdioConfig::standard(), &assembly.ids, &assembly.inbox)?;
    stop.set(stdio.outbox());

    let cwd = args.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
    let mut client = Client { requests, answers: BufReader::new(answers), raw: args.json };
    let outcome = client.run(&prompt, cwd);

    // The end of our input is the end of the server.
    drop(client);
    let ended = assembly.wait();
    watchdog.bound(limits::END_DEADLINE);
    stdio.stop(limits::STDIO_STOP_DEADLINE);
    drop(signals);
    if let StopCause::Store(error) = &ended.cause {
        return Err(StartError::Other(format!("cannot open the store: {error}")));
    }
    outcome
}

fn read_prompt() -> Result<String, StartError> {
    let mut text = String::new();
    io::stdin()
        .take(limits::MESSAGE_BYTES_MAX as u64)
        .read_to_string(&mut text)
        .map_err(|error| StartError::io("cannot read the prompt from stdin", error))?;
    Ok(text)
}

struct Client<W, R> {
    requests: W,
    answers: R,
    /// Print what the server says as it says it.
    raw: bool,
}

impl<W: Write, R: BufRead> Client<W, R> {
    fn run(&mut self, prompt: &str, cwd: Option<String>) -> Result<Exit, StartError> {
        let client = json!({ "name": "app-server-exec", "title": null, "version": crate::server::VERSION });
        let capabilities = json!({ "experimentalApi": true });
        self.request("initialize", json!({ "clientInfo": client, "capabilities": capabilities }))?;
        let started = self.request("thread/start", json!({ "cwd": cwd }))?;
        if started["modelProvider"] == crate::model::OFFLINE_PROVIDER && !self.raw {
            note("answered by the built-in offline model: no model provider is configured");
        }
        let input = json!([{ "type": "text", "text": prompt }]);
        self.request("turn/start", json!({ "threadId": started["thread"]["id"], "input": input }))?;
        // The message that came piece by piece; not every provider sends pieces.
        let mut streamed = Value::Null;
        loop {
            let mut message = self.next()?;
            if message.get("id").is_some() && message["method"].is_string() {
                self.decline(&message)?;
                continue;
            }
            let mut params = message["params"].take();
            match message["method"].as_str() {
                Some("item/agentMessage/delta") => {
                    self.print(params["delta"].as_str().unwrap_or_default())?;
                    streamed = params["itemId"].take();
                }
                Some("item/completed")
                    if params["item"]["type"] == "agentMessage" && params["item"]["id"] != streamed =>
                {
                    self.print(params["item"]["text"].as_str().unwrap_or_default())?;
                }
                Some("turn/completed") => return self.end(&params["turn"]),
                _ => {}
            }
        }
    }

    /// Answers a request of the server: nobody is at hand who could decide.
    fn decline(&mut self, request: &Value) -> Result<(), StartError> {
        let method = request["method"].as_str().unwrap_or_default();
        let answer = if method.ends_with("/requestApproval") {
            note(&format!("declined, as nobody is asked here: {method}"));
            json!({ "id": request["id"], "result": { "decision": "decline" } })
        } else {
            let error = json!({ "code": -32601, "message": "exec answers no questions" });
            json!({ "id": request["id"], "error": error })
        };
        self.requests
            .write_all(format!("{answer}\n").as_bytes())
            .map_err(|error| StartError::io("the server took no answer", error))
    }

    fn end(&self, turn: &Value) -> Result<Exit, StartError> {
        self.print("\n")?;
        match turn["status"].as_str() {
            Some("completed") => Ok(Exit::Done),
            Some("interrupted") => {
                note("the turn was interrupted");
                Ok(Exit::Failed)
            }
            _ => {
                note(turn["error"]["message"].as_str().unwrap_or("the turn failed"));
                Ok(Exit::Failed)
            }
        }
    }

    /// Sends a request and waits for its answer; the method is the id.
    fn request(&mut self, method: &str, params: Value) -> Result<Value, StartError> {
        let request = json!({ "id": method, "method": method, "params": params });
        self.requests
            .write_all(format!("{request}\n").as_bytes())
            .map_err(|error| StartError::io("the server took no request", error))?;
        loop {
            let mut message = self.next()?;
            if message["id"] == method {
                if let Some(error) = message.get("error") {
                    return Err(StartError::Other(format!(
                        "{method} was refused: {}",
                        error["message"].as_str().unwrap_or("without a reason")
                    )));
                }
                return Ok(message["result"].take());
            }
        }
    }

    fn next(&mut self) -> Result<Value, StartError> {
        let mut line = String::new();
        let count = self
            .answers
            .read_line(&mut line)
            .map_err(|error| StartError::io("the server could not be read", error))?;
        if count == 0 {
            return Err(StartError::Other("the server stopped before the turn ended".to_owned()));
        }
        if self.raw {
            write_out(&line)?;
        }
        serde_json::from_str(&line).map_err(|error| {
            StartError::Other(format!("the server said something that is not JSON: {error}"))
        })
    }

    fn print(&self, text: &str) -> Result<(), StartError> {
        if self.raw { Ok(()) } else { write_out(text) }
    }
}

fn write_out(text: &str) -> Result<(), StartError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| StartError::io("cannot write to stdout", error))
}

/// For the person at the terminal; a closed stderr is no reason to stop.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "app-server: {text}");
}
