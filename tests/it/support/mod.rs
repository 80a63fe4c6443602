//! What the scenarios stand on.

pub(crate) mod client;
pub(crate) mod connect_proxy;
pub(crate) mod conversation;
pub(crate) mod home;
pub(crate) mod inside;
pub(crate) mod mock_model;
pub(crate) mod process;
pub(crate) mod recordings;
pub(crate) mod schema;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod watched;
pub(crate) mod wire;

use std::time::Duration;

/// How long a test waits for what must come. Generous, because the machine may be busy: it is only ever used
/// up by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a client speaks to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Stdio,
    WebSocket,
}

/// Makes each scenario, a function of a [`Transport`], a test over stdio and one over WebSocket.
macro_rules! over_stdio_and_websocket {
    ($($scenario:ident),* $(,)?) => {
        mod over_stdio {
            $(#[test] fn $scenario() { super::$scenario($crate::support::Transport::Stdio) })*
        }
        mod over_websocket {
            $(#[test] fn $scenario() { super::$scenario($crate::support::Transport::WebSocket) })*
        }
    };
}
pub(crate) use over_stdio_and_websocket;
