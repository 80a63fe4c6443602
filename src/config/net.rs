//! Where the server listens, and the limits of its network connections.
//!
//! Plain values and pure parsing: nothing here binds, reads a file or knows a connection.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::StartError;
use crate::limits;

pub mod auth;

use auth::AuthConfig;

/// What `--listen URL` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `stdio://`: one client on stdin and stdout.
    Stdio,
    /// `off`: no transport of its own.
    Off,
    /// A socket.
    Socket(Endpoint),
}

/// A socket to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `ws://IP:PORT`; port 0 lets the operating system choose.
    Tcp(SocketAddr),
    /// `unix://PATH`.
    Unix(PathBuf),
}

/// The socket below the home when `unix://` names none (as the reference has it).
const UNIX_DEFAULT: [&str; 2] = ["app-server-control", "app-server-control.sock"];

impl Listen {
    /// Understands the value of `--listen`. A relative unix path is left relative to the working directory.
    ///
    /// # Errors
    /// Two kinds, both naming the URL: a `ws://` URL that is not `IP:PORT`, and anything that is no form at
    /// all.
    pub fn parse(url: &str, home: &Path) -> Result<Self, StartError> {
        if url == "stdio://" {
            return Ok(Self::Stdio);
        }
        if url == "off" {
            return Ok(Self::Off);
        }
        if let Some(path) = url.strip_prefix("unix://") {
            let path = if path.is_empty() {
                UNIX_DEFAULT.iter().fold(home.to_owned(), |path, part| path.join(part))
            } else {
                PathBuf::from(path)
            };
            return Ok(Self::Socket(Endpoint::Unix(path)));
        }
        if let Some(address) = url.strip_prefix("ws://") {
            return address.parse().map(|address| Self::Socket(Endpoint::Tcp(address))).map_err(|_| {
                StartError::Usage(format!("invalid websocket --listen URL `{url}`; expected `ws://IP:PORT`"))
            });
        }
        Err(StartError::Usage(format!(
            "unsupported --listen URL `{url}`; expected `stdio://`, `unix://`, `unix://PATH`, \
             `ws://IP:PORT`, or `off`"
        )))
    }
}

impl Endpoint {
    /// True if only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

/// Understands the value of `--unix-socket-mode`.
///
/// # Errors
/// It is no octal number, or not one of permissions.
pub fn parse_unix_mode(text: &str) -> Result<u32, StartError> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(StartError::Usage(format!(
            "invalid value `{text}` for `--unix-socket-mode`; expected octal permissions such as `600`"
        ))),
    }
}

/// The limits and deadlines of network connections.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// Who may open a WebSocket.
    pub auth: AuthConfig,
    /// Refuse to listen beyond this machine without auth (`--require-auth`).
    pub require_auth: bool,
    /// Permissions of a unix socket (`--unix-socket-mode`).
    pub unix_mode: u32,
    /// Open connections, counting those in the handshake (`--max-connections`).
    pub connections_max: usize,
    /// Bytes of one message.
    pub message_bytes_max: usize,
    /// Bytes of one message before `initialize` was answered.
    pub message_bytes_max_before_initialize: usize,
    /// Messages in one connection's outbox.
    pub outbox_messages: usize,
    /// Bytes in one connection's outbox.
    pub outbox_bytes: usize,
    /// For the whole HTTP head.
    pub head_deadline: Duration,
    /// From the upgrade to the answer of `initialize`.
    pub initialize_deadline: Duration,
    /// Silence before a ping.
    pub ping_interval: Duration,
    /// From a ping to a sign of life.
    pub pong_deadline: Duration,
    /// For the client to take one batch of bytes.
    pub write_stall_deadline: Duration,
    /// From the server's Close to the client's.
    pub close_deadline: Duration,
}

impl NetConfig {
    /// The built-in limits.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default would hide where the numbers come from")]
    pub fn new() -> Self {
        Self {
            auth: AuthConfig::Off,
            require_auth: false,
            unix_mode: limits::UNIX_SOCKET_MODE,
            connections_max: limits::CONNECTIONS_MAX,
            message_bytes_max: limits::MESSAGE_BYTES_MAX,
            message_bytes_max_before_initialize: limits::MESSAGE_BYTES_MAX_BEFORE_INITIALIZE,
            outbox_messages: limits::OUTBOX_MESSAGES,
            outbox_bytes: limits::OUTBOX_BYTES,
            head_deadline: limits::HEAD_DEADLINE,
            initialize_deadline: limits::INITIALIZE_DEADLINE,
            ping_interval: limits::PING_INTERVAL,
            pong_deadline: limits::PONG_DEADLINE,
            write_stall_deadline: limits::WRITE_STALL_DEADLINE,
            close_deadline: limits::CLOSE_DEADLINE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Listen, String> {
        Listen::parse(url, Path::new("/home/me/.codex")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(parse("stdio://"), Ok(Listen::Stdio));
        assert_eq!(parse("off"), Ok(Listen::Off));
        for address in ["127.0.0.1:1234", "[::1]:0", "0.0.0.0:65535"] {
            let expected = Endpoint::Tcp(address.parse().expect("an address"));
            assert_eq!(parse(&format!("ws://{address}")), Ok(Listen::Socket(expected)));
        }
        let unix = |path: &str| Ok(Listen::Socket(Endpoint::Unix(path.into())));
        assert_eq!(parse("unix:///run/a.sock"), unix("/run/a.sock"));
        assert_eq!(parse("unix://a.sock"), unix("a.sock"));
        assert_eq!(parse("unix://"), unix("/home/me/.codex/app-server-control/app-server-control.sock"));
    }

    #[test]
    fn the_two_errors_name_the_url() {
        for url in ["ws://localhost:1", "ws://127.0.0.1", "ws://127.0.0.1:1/", "ws://u@127.0.0.1:1", "ws://"]
        {
            let error = parse(url).expect_err(url);
            assert!(error.contains(&format!("invalid websocket --listen URL `{url}`")), "{error}");
            assert!(error.contains("ws://IP:PORT"), "{error}");
        }
        for url in ["", "http://127.0.0.1:1", "wss://127.0.0.1:1", "WS://127.0.0.1:1", "stdio", "OFF"] {
            let error = parse(url).expect_err(url);
            assert!(error.contains(&format!("unsupported --listen URL `{url}`")), "{error}");
        }
    }

    #[test]
    fn a_unix_mode_is_octal() {
        assert_eq!(parse_unix_mode("660").ok(), Some(0o660));
        assert_eq!(parse_unix_mode("0600").ok(), Some(0o600));
        for text in ["", "8", "1777", "-1", "rw"] {
            let error = parse_unix_mode(text).expect_err(text).to_string();
            assert!(error.contains("--unix-socket-mode"), "{error}");
        }
    }

    #[test]
    fn loopback_is_a_property_of_the_address() {
        let local = |url: &str| match parse(url) {
            Ok(Listen::Socket(endpoint)) => endpoint.is_local(),
            other => panic!("{other:?}"),
        };
        assert!(local("ws://127.9.9.9:1") && local("ws://[::1]:1") && local("unix://x"));
        assert!(local("ws://[::ffff:127.0.0.1]:1"));
        assert!(!local("ws://0.0.0.0:1") && !local("ws://[::]:1") && !local("ws://192.168.0.1:1"));
    }
}
