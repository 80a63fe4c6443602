//! What the binary does: serve, answer one prompt, bridge. Puts the parts together and takes them apart again.

mod assembly;
mod oneshot;
mod serve;
mod shown;

pub use assembly::{Assembly, Ended};
pub use oneshot::exec;
pub use serve::serve;

use crate::cli::Command;
use crate::error::{Exit, StartError};

/// Carries out a command line.
///
/// # Errors
/// What kept the command from being carried out; stderr has not been told yet.
pub fn run(command: Command) -> Result<Exit, StartError> {
    match command {
        Command::Serve(args) => serve(&args),
        Command::Exec(args) => exec(&args),
        Command::Proxy(args) => {
            Err(StartError::Other(format!("cannot bridge to {}: not in this build", args.url)))
        }
        Command::Help(topic) => print(&crate::cli::help(topic)),
        Command::Version => print(&format!("app-server {}\n", crate::server::VERSION)),
    }
}

/// Writes to stdout what the user asked for; a reader that has had enough is no failure.
fn print(text: &str) -> Result<Exit, StartError> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(StartError::io("cannot write to stdout", error))
        }
        _ => Ok(Exit::Done),
    }
}
