//! A server that has said who it is: the handshake, its lists, its calls. Runs on the OS thread of whoever
//! asks.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::CallError;
use super::channel::{Ask, Channel};
use super::wire::REVISION;
use crate::clock::Monotonic;
use crate::limits::{MCP_LIST_MAX, MCP_PAGES_MAX};
use crate::model::Cancel;
use crate::sync::lock;

/// A tool as its server describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTool {
    /// Its name there.
    pub name: String,
    /// The whole description, as it is shown to clients.
    pub definition: Value,
}

/// A connection that has been opened.
pub(super) struct Session {
    channel: Channel,
    /// What it said of itself: `serverInfo`, `capabilities`, `instructions`.
    pub(super) hello: Value,
    tools: Mutex<Vec<ServerTool>>,
    pub(super) ready_at: Monotonic,
}

impl ServerTool {
    /// None if it is no tool.
    #[must_use]
    pub fn from_definition(definition: Value) -> Option<Self> {
        let name = definition.get("name")?.as_str()?.to_owned();
        definition.get("inputSchema")?.as_object()?;
        Some(Self { name, definition })
    }

    /// What it does, for the model.
    #[must_use]
    pub fn description(&self) -> &str {
        self.definition.get("description").and_then(Value::as_str).unwrap_or_default()
    }

    /// JSON schema of its arguments.
    #[must_use]
    pub fn input_schema(&self) -> &Value {
        &self.definition["inputSchema"]
    }

    /// Whether it says that it changes nothing.
    #[must_use]
    pub fn read_only_hint(&self) -> Option<bool> {
        self.hint("readOnlyHint")
    }

    /// Whether it may change something that matters, by its own word; what it does not say counts as yes.
    #[must_use]
    pub fn may_matter(&self) -> bool {
        let is_yes = |hint: &str| self.hint(hint).unwrap_or(true);
        let destroys = self.hint("destructiveHint") == Some(true);
        destroys
            || (self.read_only_hint() != Some(true) && (is_yes("destructiveHint") || is_yes("openWorldHint")))
    }

    /// What it says of its nature; opaque.
    #[must_use]
    pub fn annotations(&self) -> Option<&Value> {
        self.definition.get("annotations").filter(|annotations| !annotations.is_null())
    }

    fn hint(&self, name: &str) -> Option<bool> {
        self.annotations()?.get(name)?.as_bool()
    }
}

impl Session {
    /// The handshake, and the list of tools, all within one timeout each.
    pub(super) fn open(
        channel: Channel,
        within: Duration,
        now: impl Fn() -> Monotonic,
        cancel: &Cancel,
    ) -> Result<Session, CallError> {
        let hello = json!({
            "protocolVersion": REVISION,
            "capabilities": { "elicitation": {} },
            "clientInfo": { "name": "app-server", "version": env!("CARGO_PKG_VERSION") },
        });
        let ask = Ask { method: "initialize", params: &hello, within, host: None, cancel };
        let hello = channel.request(ask)?;
        if !hello.is_object() {
            return Err(CallError::Malformed("the answer to `initialize` is no object".to_owned()));
        }
        channel.initialized(&hello, within, cancel)?;
        let session = Session { channel, hello, tools: Mutex::default(), ready_at: now() };
        session.list_tools(within, cancel)?;
        Ok(session)
    }

    /// Its tools; asked for again if it said that they changed. If that fails, those of before.
    pub(super) fn tools(&self, within: Duration, cancel: &Cancel) -> Vec<ServerTool> {
        if self.channel.take_tools_changed()
            && let Err(error) = self.list_tools(within, cancel)
        {
            tracing::debug!(%error, "an MCP server changed its tools, but does not list them");
        }
        lock(&self.tools).clone()
    }

    fn list_tools(&self, within: Duration, cancel: &Cancel) -> Result<(), CallError> {
        let listed = match self.has("tools") {
            true => self.list("tools/list", "tools", within, cancel)?,
            false => Vec::new(),
        };
        *lock(&self.tools) = listed.into_iter().filter_map(ServerTool::from_definition).collect();
        Ok(())
    }

    /// Its resources and templates of them; what it does not have is empty.
    pub(super) fn resources(&self, within: Duration, cancel: &Cancel) -> (Vec<Value>, Vec<Value>) {
        if !self.has("resources") {
            return Default::default();
        }
        let list = |method, key| self.list(method, key, within, cancel).unwrap_or_default();
        (list("resources/list", "resources"), list("resources/templates/list", "resourceTemplates"))
    }

    pub(super) fn request(&self, ask: Ask<'_>) -> Result<Value, CallError> {
        self.channel.request(ask)
    }

    /// Why it can no longer be asked, if so.
    pub(super) fn gone(&self) -> Option<String> {
        self.channel.gone()
    }

    pub(super) fn close(&self, why: &str) {
        self.channel.close(why);
    }

    fn has(&self, capability: &str) -> bool {
        self.hello.get("capabilities").is_some_and(|all| all.get(capability).is_some())
    }

    /// All pages of a list.
    fn list(
        &self,
        method: &str,
        key: &str,
        within: Duration,
        cancel: &Cancel,
    ) -> Result<Vec<Value>, CallError> {
        let mut entries = Vec::new();
        let mut params = json!({});
        for _ in 0..MCP_PAGES_MAX {
            let mut page =
                self.channel.request(Ask { method, params: &params, within, host: None, cancel })?;
            let Some(Value::Array(listed)) = page.get_mut(key).map(Value::take) else {
                return Err(CallError::Malformed(format!("the answer to `{method}` has no `{key}`")));
            };
            entries.extend(listed);
            match page.get_mut("nextCursor").map(Value::take) {
                Some(cursor @ Value::String(_)) if entries.len() < MCP_LIST_MAX => params["cursor"] = cursor,
                _ => break,
            }
        }
        entries.truncate(MCP_LIST_MAX);
        Ok(entries)
    }
}
