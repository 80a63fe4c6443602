//! `initialize`: who the client is, who we are.

use std::sync::Arc;

use serde::Serialize;

use crate::proto::{InitializeParams, InitializeResponse};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::dispatch::Caller;
use crate::server::observe;
use crate::server::processor::Processor;
use crate::server::session::Client;
use crate::server::{PROTOCOL_RELEASE, VERSION};

/// The reference's answer, and plainly who answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(flatten)]
    initialized: InitializeResponse,
    server_info: ServerInfo,
}

#[derive(Serialize)]
struct ServerInfo {
    name: &'static str,
    /// The protocol's release first: clients take what stands before the first blank for the version whose
    /// features they may use (the Python SDK wants 0.151.0 for some fields).
    version: String,
}

/// Runs in the processor before the connection's next message. The answer goes first; only then is the
/// client a target of broadcasts, so that none can precede it.
pub(in crate::server) fn initialize(
    processor: &mut Processor,
    caller: Caller,
    params: InitializeParams,
    reply: Reply,
) {
    let Some(session) = processor.sessions.get_mut(caller.connection) else { return };
    if session.client.is_some() {
        let error = RpcError::invalid_request("Already initialized").with(Reason::AlreadyInitialized);
        return reply.refuse(error);
    }
    let name = params.client_info.name;
    if !is_header_value(&name) {
        let text = format!("Invalid clientInfo.name: '{name}'. Must be a valid HTTP header value.");
        return reply.refuse(RpcError::invalid_request(text).with(Reason::InvalidParams));
    }
    let version = params.client_info.version;
    observe::name_client(&reply, &name, &version);
    let capabilities = params.capabilities.unwrap_or_default();
    let opted_out = capabilities.opt_out_notification_methods.unwrap_or_default();
    tracing::info!(
        connection = session.id.0,
        client = %name,
        %version,
        experimental = capabilities.experimental_api,
        "client initialized"
    );
    let answer = Answer {
        initialized: InitializeResponse {
            user_agent: format!(
                "{name}/{PROTOCOL_RELEASE} ({}) app-server/{VERSION}",
                processor.facts.system
            ),
            codex_home: processor.facts.home.clone(),
            platform_family: "unix".to_owned(),
            platform_os: std::env::consts::OS.to_owned(),
        },
        server_info: ServerInfo {
            name: "app-server",
            version: format!("{PROTOCOL_RELEASE} (app-server {VERSION})"),
        },
    };
    // The transport takes larger messages from here on, before the client can know that it may send them.
    session.admit();
    reply.send(Ok(answer));
    let client = Client {
        name,
        version,
        experimental: capabilities.experimental_api,
        event_replay: capabilities.event_replay,
        opted_out: Arc::new(opted_out.into_iter().map(String::into_boxed_str).collect()),
    };
    processor.sessions.introduce(caller.connection, client);
}

/// What HTTP allows in a header (RFC 9110, 5.5) without the obsolete bytes above ASCII.
fn is_header_value(name: &str) -> bool {
    name.chars().all(|c| c == '\t' || c == ' ' || c.is_ascii_graphic())
}
