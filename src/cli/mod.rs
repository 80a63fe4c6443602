//! The command line: one table of flags drives the parser, the help and the tests.
//!
//! Parsing is pure: arguments in, a [`Command`] or a usage error out. It reads no environment, no file and
//! not stdin, and it knows nothing of what a listen URL or a token file has to look like; whoever uses a
//! value checks it.

mod completions;
mod flags;
mod help;
mod man;
mod near;
mod parse;

use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::config::net::auth::AuthFlags;

pub use completions::completions;
pub use flags::{FLAGS, Flag, Group};
pub use help::help;
pub use man::man;
pub use parse::parse;

/// A subcommand; also the topic of its help text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// `app-server [app-server] [serve]`.
    Serve,
    /// `app-server exec`.
    Exec,
    /// `app-server proxy`.
    Proxy,
    /// `app-server status`.
    Status,
    /// `app-server prune`.
    Prune,
    /// `app-server generate-json-schema`.
    GenerateJsonSchema,
    /// `app-server generate-ts`.
    GenerateTs,
    /// `app-server completions`.
    Completions,
    /// `app-server man`.
    Man,
}

impl Topic {
    /// Every subcommand, in the order of the help text.
    pub const ALL: &'static [Self] = &[
        Self::Serve,
        Self::Exec,
        Self::Proxy,
        Self::Status,
        Self::Prune,
        Self::GenerateJsonSchema,
        Self::GenerateTs,
        Self::Completions,
        Self::Man,
    ];

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Exec => "exec",
            Self::Proxy => "proxy",
            Self::Status => "status",
            Self::Prune => "prune",
            Self::GenerateJsonSchema => "generate-json-schema",
            Self::GenerateTs => "generate-ts",
            Self::Completions => "completions",
            Self::Man => "man",
        }
    }

    /// What it does, in a few words.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Serve => "serve; on stdio unless --listen says otherwise",
            Self::Exec => "run one turn and print the answer",
            Self::Proxy => "bridge stdio to a running server",
            Self::Status => "tell how a running server is",
            Self::Prune => "remove old threads from the store",
            Self::GenerateJsonSchema => "write the protocol as JSON Schema",
            Self::GenerateTs => "write the protocol as TypeScript",
            Self::Completions => "print completions for a shell",
            Self::Man => "print the man page",
        }
    }
}

/// What the user asked for.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Serve clients until the transport says that it is over.
    Serve(ServeArgs),
    /// Run one turn on a new thread and print the answer.
    Exec(ExecArgs),
    /// Bridge stdio to a running server.
    Proxy(ProxyArgs),
    /// Tell how a running server is.
    Status(StatusArgs),
    /// Remove old threads.
    Prune(PruneArgs),
    /// Write the protocol's types to files.
    Generate(GenerateArgs),
    /// Print completions for a shell; see [`completions()`].
    Completions(Shell),
    /// Print the man page; see [`man()`].
    Man,
    /// Print a help text; see [`help()`].
    Help(Topic),
    /// Print the version.
    Version,
}

/// A shell that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// Bash 4 or newer.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
}

impl Shell {
    /// Every shell.
    pub const ALL: &'static [Self] = &[Self::Bash, Self::Zsh, Self::Fish];

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// Arguments of `serve`.
#[derive(Debug, PartialEq)]
pub struct ServeArgs {
    /// Where to listen, as written; `stdio://` if nothing was.
    pub listen: String,
    /// What goes into the configuration.
    pub config: config::Flags,
    /// The `--ws-*` flags, unchecked.
    pub auth: AuthFlags,
    /// Permissions of a unix socket.
    pub unix_socket_mode: Option<u32>,
    /// Launch flags that mean nothing here, as written, for the debug log.
    pub ignored: Vec<String>,
}

/// Arguments of `exec`.
#[derive(Debug, PartialEq)]
pub struct ExecArgs {
    /// What to ask the agent.
    pub prompt: Prompt,
    /// Print the raw events, one JSON object a line, instead of the answer's text.
    pub json: bool,
    /// Working directory of the thread, as written; none is the process's own.
    pub cwd: Option<PathBuf>,
    /// What goes into the configuration.
    pub config: config::Flags,
    /// Launch flags that mean nothing here, as written, for the debug log.
    pub ignored: Vec<String>,
}

/// Where the prompt of `exec` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// It was an argument.
    Text(String),
    /// The argument was `-`: all of stdin is the prompt.
    Stdin,
}

/// Arguments of `proxy`.
#[derive(Debug, PartialEq)]
pub struct ProxyArgs {
    /// The running server's address, as written.
    pub url: String,
    /// Name of the environment variable that holds the bearer token.
    pub token_env: Option<String>,
    /// Where the socket of an empty `unix://` is.
    pub config: config::Flags,
}

/// Arguments of `status`.
#[derive(Debug, PartialEq)]
pub struct StatusArgs {
    /// The running server's address, as written.
    pub url: String,
    /// Name of the environment variable that holds the bearer token.
    pub token_env: Option<String>,
    /// Tell it again and again.
    pub watch: bool,
    /// Where the socket of an empty `unix://` is.
    pub config: config::Flags,
}

/// Arguments of `prune`; without the first two there is nothing to do.
#[derive(Debug, PartialEq)]
pub struct PruneArgs {
    /// Threads that have not changed for this long go.
    pub older_than: Option<Duration>,
    /// The oldest threads go until the store uses at most this many bytes.
    pub max_bytes: Option<u64>,
    /// Only say what would go.
    pub dry_run: bool,
    /// Where the store is.
    pub config: config::Flags,
}

/// Arguments of `generate-json-schema` and `generate-ts`; without a folder there is nothing to do.
#[derive(Debug, PartialEq)]
pub struct GenerateArgs {
    /// In which language.
    pub language: Language,
    /// Where the files go.
    pub out: Option<PathBuf>,
    /// With what only clients with the `experimentalApi` capability may use.
    pub experimental: bool,
}

/// What the protocol's types are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// JSON Schema, draft 7.
    JsonSchema,
    /// TypeScript.
    TypeScript,
}
