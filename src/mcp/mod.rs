//! MCP servers: programs and HTTP services whose tools and resources agents and clients may use.
//!
//! [`Mcp`] knows the configured servers. Each is started when somebody needs it first and shared by all
//! threads; one that dies or hangs costs the calls that wait for it, and is started again by the next that
//! needs it, after a pause that grows. A call blocks the OS thread that makes it, until the answer, its
//! timeout, or its cancellation; nothing here is for the processor, but to own it as an [`McpOwner`].
//!
//! It may not know who calls: connections, agent threads.
//!
//! OS threads: a server's start runs on a worker `mcp-start`; what a program says is read by the workers that
//! serve all commands (`exec-spawn`, `exec-io`), what an HTTP service says by whoever called it.

mod channel;
mod error;
mod host;
mod http;
mod names;
mod server;
mod session;
mod stdio;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::{McpServerConfig, McpTransport, ToolApproval};
use crate::exec::Spawner;
use crate::model::Cancel;
use crate::sync::lock;
use server::Server;

pub use error::{CallError, McpError};
pub use host::CallHost;
pub use server::{Report, StartState, StartStatus};
pub use session::ServerTool;

/// What the servers are started with.
pub struct McpParts {
    /// The folder that servers start in, unless their configuration names one.
    pub cwd: PathBuf,
    /// Timeouts and pauses go by it.
    pub clock: Clock,
    /// Runs their processes, among all others.
    pub spawner: Spawner,
    /// Told of each start, on the worker that starts.
    pub told: Box<dyn Fn(StartStatus) + Send + Sync>,
}

/// The configured MCP servers; clones are the same.
#[derive(Clone)]
pub struct Mcp(Arc<Shared>);

/// Whose drop ends all servers, also for those who still hold an [`Mcp`].
#[derive(Debug)]
pub struct McpOwner(Mcp);

impl McpOwner {
    /// These servers, none of them started.
    #[must_use]
    pub fn new(configs: BTreeMap<String, McpServerConfig>, parts: McpParts) -> Self {
        Self(Mcp::new(configs, parts))
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &Mcp {
        &self.0
    }
}

impl Drop for McpOwner {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What all servers share.
struct Shared {
    parts: McpParts,
    servers: Mutex<BTreeMap<String, Arc<Server>>>,
    is_closed: AtomicBool,
}

/// A tool under the name by which models call it.
#[derive(Debug, Clone, PartialEq)]
pub struct QualifiedTool {
    /// `mcp__SERVER__TOOL`, in letters that models accept.
    pub name: String,
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: ServerTool,
    /// When an agent has to ask before it uses it.
    pub approval: ToolApproval,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The server's whole result, as it is shown to clients: `content`, `structuredContent`, `_meta`.
    pub result: Value,
    /// The tool says that it failed.
    pub is_error: bool,
}

impl fmt::Debug for Mcp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = lock(&self.0.servers);
        formatter.debug_list().entries(servers.keys()).finish()
    }
}

impl Mcp {
    fn new(configs: BTreeMap<String, McpServerConfig>, parts: McpParts) -> Self {
        let shared = Arc::new(Shared { parts, servers: Mutex::default(), is_closed: AtomicBool::new(false) });
        let mcp = Self(shared);
        mcp.replace(configs);
        mcp
    }

    /// True if no server is configured: nothing here will ever do anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock(&self.0.servers).is_empty()
    }

    /// The tools of all servers that can be used now. Starts those that are needed, together, and waits for
    /// those that did not fail before; what fails is left out, and was told. Names are unique and in order.
    pub fn tools(&self, cancel: &Cancel) -> Vec<QualifiedTool> {
        let servers = self.all();
        servers.iter().for_each(|server| server.begin());
        let mut tools = Vec::new();
        for server in &servers {
            match server.tools(cancel) {
                Ok(listed) => tools.extend(listed.into_iter().map(|tool| QualifiedTool {
                    name: String::new(),
                    server: server.name.clone(),
                    approval: server.config.approval_of(&tool.name),
                    tool,
                })),
                Err(error) => tracing::debug!(server = server.name, %error, "an MCP server gives no tools"),
            }
        }
        names::qualify(tools)
    }

    /// Calls a tool of a server; `meta` is passed on. `host` hears of its progress and answers what the
    /// server asks; without one, questions are declined.
    ///
    /// # Errors
    /// Why there is no result; a result that says that the tool failed is none.
    pub fn call(
        &self,
        server: &str,
        tool: &str,
        arguments: Option<&Value>,
        meta: Option<&Value>,
        host: Option<&dyn CallHost>,
        cancel: &Cancel,
    ) -> Result<ToolResult, McpError> {
        let server = self.server(server)?;
        if !server.config.allows(tool) {
            return Err(McpError::ToolDisabled { server: server.name.clone(), tool: tool.to_owned() });
        }
        let mut params = json!({ "name": tool });
        if let Some(arguments) = arguments.filter(|arguments| !arguments.is_null()) {
            params["arguments"] = arguments.clone();
        }
        if let Some(meta) = meta.filter(|meta| !meta.is_null()) {
            params["_meta"] = meta.clone();
        }
        let result = server.request("tools/call", &params, host, cancel)?;
        if !result.get("content").is_some_and(Value::is_array) {
            let error = CallError::Malformed("the result has no `content`".to_owned());
            return Err(McpError::Call { server: server.name.clone(), error });
        }
        let is_error = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
        Ok(ToolResult { result, is_error })
    }

    /// Reads a resource of a server: the result with its `contents`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn read_resource(&self, server: &str, uri: &str, cancel: &Cancel) -> Result<Value, McpError> {
        let server = self.server(server)?;
        let result = server.request("resources/read", &json!({ "uri": uri }), /*host*/ None, cancel)?;
        match result.get("contents").is_some_and(Value::is_array) {
            true => Ok(result),
            false => {
                let error = CallError::Malformed("the result has no `contents`".to_owned());
                Err(McpError::Call { server: server.name.clone(), error })
            }
        }
    }

    /// The names of the configured servers, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        lock(&self.0.servers).keys().cloned().collect()
    }

    /// Whether a server is reached over HTTP; none if there is no such server.
    #[must_use]
    pub fn is_http(&self, name: &str) -> Option<bool> {
        let server = self.server(name).ok()?;
        Some(matches!(server.config.transport, McpTransport::Http { .. }))
    }

    /// What is known of these servers; starts them if needed, together, and asks them for their resources
    /// `with_resources`.
    pub fn reports(&self, names: &[String], with_resources: bool, cancel: &Cancel) -> Vec<Report> {
        let servers: Vec<_> = names.iter().filter_map(|name| self.server(name).ok()).collect();
        servers.iter().for_each(|server| server.begin());
        servers.iter().map(|server| server.report(with_resources, cancel)).collect()
    }

    /// Ends all servers; calls that wait fail, and later ones too.
    fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        let servers = std::mem::take(&mut *lock(&self.0.servers));
        servers.values().for_each(|server| server.close());
    }

    /// Takes the servers as they are configured now. Those whose table did not change go on as they are; the
    /// others are let go, with all that they started.
    pub fn replace(&self, configs: BTreeMap<String, McpServerConfig>) {
        let mut gone = Vec::new();
        {
            let mut servers = lock(&self.0.servers);
            let mut before = std::mem::take(&mut *servers);
            for (name, config) in configs {
                let kept = before.remove(&name);
                let server = match kept {
                    Some(server) if server.config == config => server,
                    changed => {
                        gone.extend(changed);
                        Arc::new(Server::new(name.clone(), config, Arc::downgrade(&self.0)))
                    }
                };
                servers.insert(name, server);
            }
            gone.extend(before.into_values());
        }
        gone.iter().for_each(|server| server.close());
    }

    fn all(&self) -> Vec<Arc<Server>> {
        lock(&self.0.servers).values().cloned().collect()
    }

    fn server(&self, name: &str) -> Result<Arc<Server>, McpError> {
        let known = lock(&self.0.servers).get(name).cloned();
        known.ok_or_else(|| McpError::UnknownServer(name.to_owned()))
    }
}

impl Shared {
    /// Where a server's process can be started.
    fn spawner(&self) -> Result<Spawner, String> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err("this server is shutting down".to_owned());
        }
        Ok(self.parts.spawner.clone())
    }
}
