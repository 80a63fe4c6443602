//! Methods about MCP servers. Each waits for servers on a worker of its own, `mcp-call`, so that a server
//! that hangs keeps nobody else waiting.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::super::dispatch::Caller;
use super::super::event::Event;
use super::super::processor::Processor;
use super::{invalid_cursor, loaded, page_limit};
use crate::limits::{MCP_REQUESTS_MAX, STACK_BYTES_WORK};
use crate::mcp::{CallError, Mcp, McpError, Report, StartState, StartStatus};
use crate::model::{Cancel, cancellation};
use crate::proto::{
    EmptyResponse, ListMcpServerStatusParams, ListMcpServerStatusResponse, McpAuthStatus,
    McpResourceReadParams, McpResourceReadResponse, McpServerConnectionStatus, McpServerOauthLoginParams,
    McpServerStartupState, McpServerStatus, McpServerStatusDetail, McpServerStatusUpdated,
    McpServerToolCallParams, McpServerToolCallResponse, NoParams,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::sys::worker::Worker;

/// `mcpServerStatus/list`: starts the servers that were not needed yet.
pub(in crate::server) fn statuses(
    processor: &mut Processor,
    _: Caller,
    params: ListMcpServerStatusParams,
    reply: Reply,
) {
    if let Some(thread) = &params.thread_id
        && let Err(error) = loaded(processor, thread)
    {
        return reply.refuse(error);
    }
    processor.ask_mcp(reply, move |mcp, cancel| {
        let with_resources = params.detail != Some(McpServerStatusDetail::ToolsAndAuthOnly);
        let mut names = mcp.names();
        if let Some(only) = &params.server_name {
            names.retain(|name| name == only);
        }
        let begin = match &params.cursor {
            None => 0,
            Some(cursor) => match names.binary_search(cursor) {
                Ok(at) => at + 1,
                Err(_) => return Err(invalid_cursor(cursor)),
            },
        };
        let limit = page_limit(params.limit) as usize;
        let page: Vec<String> = names.iter().skip(begin).take(limit).cloned().collect();
        let is_last = begin + page.len() >= names.len();
        let data = mcp.reports(&page, with_resources, cancel).into_iter().map(status).collect();
        Ok(ListMcpServerStatusResponse { data, next_cursor: page.last().cloned().filter(|_| !is_last) })
    });
}

/// `mcpServer/tool/call`
pub(in crate::server) fn call_tool(
    processor: &mut Processor,
    _: Caller,
    params: McpServerToolCallParams,
    reply: Reply,
) {
    if let Err(error) = loaded(processor, &params.thread_id) {
        return reply.refuse(error);
    }
    processor.ask_mcp(reply, move |mcp, cancel| {
        let (arguments, meta) = (params.arguments.as_ref(), params.meta.as_ref());
        let answer = mcp
            .call(&params.server, &params.tool, arguments, meta, /*host*/ None, cancel)
            .map_err(refusal)?;
        let mut result = answer.result;
        let mut take = |key: &str| result.get_mut(key).map(Value::take).filter(|value| !value.is_null());
        let content = match take("content") {
            Some(Value::Array(content)) => content,
            _ => Vec::new(),
        };
        Ok(McpServerToolCallResponse {
            content,
            structured_content: take("structuredContent"),
            is_error: Some(answer.is_error),
            meta: take("_meta"),
        })
    });
}

/// `mcpServer/resource/read`
pub(in crate::server) fn read_resource(
    processor: &mut Processor,
    _: Caller,
    params: McpResourceReadParams,
    reply: Reply,
) {
    if let Some(thread) = &params.thread_id
        && let Err(error) = loaded(processor, thread)
    {
        return reply.refuse(error);
    }
    processor.ask_mcp(reply, move |mcp, cancel| {
        let mut result = mcp.read_resource(&params.server, &params.uri, cancel).map_err(refusal)?;
        match result.get_mut("contents").map(Value::take) {
            Some(Value::Array(contents)) => Ok(McpResourceReadResponse { contents }),
            _ => Ok(McpResourceReadResponse { contents: Vec::new() }),
        }
    });
}

/// `mcpServer/oauth/login`: there is none here; servers are given tokens.
pub(in crate::server) fn oauth_login(
    processor: &mut Processor,
    _: Caller,
    params: McpServerOauthLoginParams,
) -> Result<EmptyResponse, RpcError> {
    let name = &params.name;
    let text = match processor.services.mcp.servers().is_http(name) {
        None => format!("No MCP server named '{name}' found."),
        Some(false) => "OAuth login is only supported for streamable HTTP servers.".to_owned(),
        Some(true) => format!(
            "OAuth login is not supported here; set `bearer_token_env_var` in [mcp_servers.{name}] to the \
             name of an environment variable with a token, and call config/mcpServer/reload"
        ),
    };
    Err(RpcError::invalid_request(text).with(Reason::InvalidParams))
}

/// `config/mcpServer/reload`: reads the file anew. All that it says counts from now on.
pub(in crate::server) fn reload(processor: &mut Processor, caller: Caller, _: NoParams, reply: Reply) {
    processor.change_configuration(caller, reply, |configuration| {
        let current = configuration
            .anew()
            .map_err(|error| RpcError::invalid_request(error.to_string()).with(Reason::InvalidParams))?;
        Ok((current, EmptyResponse {}))
    });
}

impl Processor {
    /// Lets a worker ask MCP servers, and sends what it made. A worker more than the limit is refused.
    fn ask_mcp<R: Serialize>(
        &mut self,
        reply: Reply,
        ask: impl FnOnce(&Mcp, &Cancel) -> Result<R, RpcError> + Send + 'static,
    ) {
        // One is the processor's own.
        if Arc::strong_count(&self.mcp_requests) > MCP_REQUESTS_MAX {
            return reply.refuse(RpcError::overloaded());
        }
        let place = Arc::clone(&self.mcp_requests);
        let (events, mcp) = (self.services.events.clone(), self.services.mcp.servers().clone());
        // The end of the server ends the servers, and with them what is waited for here.
        let (_, cancel) = cancellation(self.services.clock.clone());
        let reply = reply.queueing();
        let worker = Worker::spawn("mcp-call", STACK_BYTES_WORK, move || {
            let reply = reply.arrived();
            let outcome = ask(&mcp, &cancel);
            drop(place);
            events.tell(Event::Answer(reply.encode(outcome)));
        });
        match worker {
            Ok(worker) => self.leaving.push(worker),
            // The reply was dropped with the work, and told the client so.
            Err(error) => tracing::warn!(%error, "no worker for a request to an MCP server"),
        }
    }

    /// Tells everybody how far a server's start is.
    pub(in crate::server) fn on_mcp_start(&mut self, start: &StartStatus) {
        let encoded = self.encode(&McpServerStatusUpdated {
            thread_id: None,
            name: &start.server,
            status: match start.state {
                StartState::Starting => McpServerStartupState::Starting,
                StartState::Ready => McpServerStartupState::Ready,
                StartState::Failed => McpServerStartupState::Failed,
                StartState::Cancelled => McpServerStartupState::Cancelled,
            },
            error: start.error.as_deref(),
            failure_reason: None,
        });
        if let Some(encoded) = encoded {
            self.sessions.broadcast(&encoded);
        }
    }
}

fn refusal(error: McpError) -> RpcError {
    match &error {
        McpError::Call { error: CallError::TooMany(_), .. } => {
            RpcError::invalid_request(error.to_string()).with(Reason::LimitReached)
        }
        McpError::Call { .. } | McpError::NotStarted { .. } => RpcError::internal(error.to_string()),
        McpError::UnknownServer(_) | McpError::Disabled(_) | McpError::ToolDisabled { .. } => {
            RpcError::invalid_request(error.to_string()).with(Reason::InvalidParams)
        }
    }
}

fn status(report: Report) -> McpServerStatus {
    let of_hello = |key: &str| report.hello.as_ref().and_then(|hello| hello.get(key)).cloned();
    let runtime_status = match (&report.hello, report.enabled) {
        (_, false) => McpServerConnectionStatus::Disabled,
        (Some(_), _) => McpServerConnectionStatus::Connected,
        (None, _) => McpServerConnectionStatus::Failed,
    };
    McpServerStatus {
        server_info: of_hello("serverInfo"),
        server_capabilities: of_hello("capabilities"),
        tools: report.tools.into_iter().map(|tool| (tool.name, tool.definition)).collect(),
        resources: report.resources,
        resource_templates: report.resource_templates,
        auth_status: match report.has_token {
            true => McpAuthStatus::BearerToken,
            false => McpAuthStatus::Unsupported,
        },
        runtime_status: Some(runtime_status),
        tools_error: report.error,
        http_origin: report.http_url.as_deref().and_then(origin),
        plugin_id: None,
        name: report.name,
    }
}

/// Scheme, host and port of a URL, without what may be secret in it.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let host = host.rsplit('@').next()?;
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_secrets() {
        let shown = origin("https://user:pass@example.com:8443/mcp?key=1#x");
        assert_eq!(shown.as_deref(), Some("https://example.com:8443"));
        assert_eq!(origin("nonsense"), None);
    }
}
