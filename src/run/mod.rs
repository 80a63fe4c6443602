//! What the binary does: serve, answer one prompt, bridge, prune, write the protocol's types. Puts the parts
//! together and takes them apart again.

mod assembly;
mod generate;
mod oneshot;
pub mod proxy;
mod prune;
mod serve;
mod status;
mod watchdog;

pub use assembly::{Assembly, Ended};
pub use oneshot::exec;
pub use serve::serve;

use crate::cli::{Command, ProxyArgs};
use crate::clock::Clock;
use crate::config;
use crate::config::Config;
use crate::config::net::{Endpoint, Listen};
use crate::error::{Exit, StartError};
use crate::limits;
use crate::timer::TimerWorker;
use proxy::{ProxyConfig, Target};

/// Carries out a command line.
///
/// # Errors
/// What kept the command from being carried out; stderr has not been told yet.
pub fn run(command: Command) -> Result<Exit, StartError> {
    match command {
        Command::Serve(args) => serve(&args),
        Command::Exec(args) => exec(&args),
        Command::Proxy(args) => bridge(&args),
        Command::Status(args) => status::status(&args),
        Command::Prune(args) => prune::prune(&args),
        Command::Generate(args) => generate::generate(&args),
        Command::Completions(shell) => print(&crate::cli::completions(shell)),
        Command::Man => print(&crate::cli::man(crate::server::VERSION)),
        Command::Help(topic) => print(&crate::cli::help(topic)),
        Command::Version => print(&format!("app-server {}\n", crate::server::VERSION)),
    }
}

/// Bridges stdin and stdout to a running server.
fn bridge(args: &ProxyArgs) -> Result<Exit, StartError> {
    let proxy = reach(&args.url, args.token_env.as_deref(), &args.config)?;
    let (_worker, timer) =
        TimerWorker::start(Clock::real()).map_err(|error| StartError::io("cannot start the proxy", error))?;
    proxy::run(&proxy, &timer, std::io::stdin(), std::io::stdout()).map(|()| Exit::Done)
}

/// How to reach a running server.
fn reach(url: &str, token_env: Option<&str>, flags: &config::Flags) -> Result<ProxyConfig, StartError> {
    let target = if url == "unix://" {
        // Only the socket below the home needs one.
        let home = Config::from_process_env(flags)?.home;
        match Listen::parse(url, &home)? {
            Listen::Socket(Endpoint::Unix(path)) => Target::Unix(path),
            _ => Target::parse(url)?,
        }
    } else {
        Target::parse(url)?
    };
    let token = match token_env {
        Some(name) => Some(ProxyConfig::token_from(name, std::env::var(name).ok())?),
        None => None,
    };
    Ok(ProxyConfig { target, token, drain_deadline: limits::PROXY_DRAIN_DEADLINE })
}

/// Writes to stdout what the user asked for; a reader that has had enough is no failure.
fn print(text: &str) -> Result<Exit, StartError> {
    tell(text).map(|_| Exit::Done)
}

/// Writes to stdout. False if the reader has had enough.
fn tell(text: &str) -> Result<bool, StartError> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(StartError::io("cannot write to stdout", error)),
    }
}
