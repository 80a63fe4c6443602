//! Tells a supervisor how the server does (`sd_notify(3)`): ready, and stopping.

use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The supervisor that started this process, if it wants to know.
#[derive(Debug, Clone, Default)]
pub struct Supervisor(Option<OsString>);

impl Supervisor {
    /// The one that the environment names.
    #[must_use]
    pub fn from_env() -> Self {
        Self::at(std::env::var_os("NOTIFY_SOCKET"))
    }

    /// The one behind a socket: a path, or an abstract name after `@`.
    #[must_use]
    pub fn at(socket: Option<OsString>) -> Self {
        Self(socket.filter(|name| !name.is_empty()))
    }

    /// The server serves.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The server finishes what runs and ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = send(socket, state) {
            tracing::warn!(%error, ?socket, state, "the supervisor could not be told");
        }
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        // Such names there are on Linux only.
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let size = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..size]).into_owned()
    }

    #[test]
    fn a_supervisor_hears_on_a_path_and_on_an_abstract_name() {
        let name = format!("app-server-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let _ = std::fs::remove_file(&path);
        let by_path = UnixDatagram::bind(&path).expect("a socket");
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let by_name = UnixDatagram::bind_addr(&address).expect("a socket");
        for (socket, at) in [(&by_path, path.clone().into_os_string()), (&by_name, format!("@{name}").into())]
        {
            let supervisor = Supervisor::at(Some(at));
            supervisor.ready();
            supervisor.stopping();
            assert_eq!((heard(socket), heard(socket)), ("READY=1".to_owned(), "STOPPING=1".to_owned()));
        }
        std::fs::remove_file(path).expect("it is there");
    }

    #[test]
    fn nobody_and_a_dead_supervisor_disturb_nothing() {
        for socket in [None, Some(OsString::new()), Some("/nonexistent/notify".into())] {
            Supervisor::at(socket).ready();
        }
    }
}
