//! The table of flags, and what each of them sets.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Topic;
use crate::config::net::auth::AuthFlags;
use crate::config::net::parse_unix_mode;
use crate::config::{self, Override};
use crate::error::StartError;

/// One flag: everything that the parser, the help and the tests need to know of it.
#[derive(Debug)]
pub struct Flag {
    /// The name after `--`.
    pub long: &'static str,
    /// The letter after `-`.
    pub short: Option<char>,
    /// What the help says; starts in lower case, has no final stop.
    pub help: &'static str,
    /// The subcommands that it belongs to.
    pub commands: &'static [Topic],
    /// Its heading in the help.
    pub group: Group,
    pub(super) takes: Takes,
}

impl Flag {
    /// The name of its value in the help; none if it takes no value.
    #[must_use]
    pub fn value_name(&self) -> Option<&'static str> {
        match self.takes {
            Takes::Nothing(_) => None,
            Takes::Value(name, _) => Some(name),
        }
    }
}

/// Flags under one heading of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Where and how to serve.
    Serving,
    /// Home, keys and model.
    Configuration,
    /// Who may connect.
    Authentication,
    /// The one turn of `exec`, the connection of `proxy` and `status`, what `prune` and `generate-…` do.
    Running,
    /// Help and version.
    Information,
    /// What real clients pass and what has no meaning here.
    Compatibility,
}

impl Group {
    /// Every group, in the order of the help.
    pub const ALL: &'static [Self] = &[
        Self::Serving,
        Self::Running,
        Self::Configuration,
        Self::Authentication,
        Self::Information,
        Self::Compatibility,
    ];

    /// The heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Serving => "Serving",
            Self::Configuration => "Configuration",
            Self::Authentication => "WebSocket authentication",
            Self::Running => "Running",
            Self::Information => "Information",
            Self::Compatibility => "Accepted for compatibility, without effect",
        }
    }
}

/// What a flag does to the draft of a command.
pub(super) enum Takes {
    Nothing(fn(&mut Draft)),
    Value(&'static str, fn(&mut Draft, Given) -> Result<(), StartError>),
}

impl fmt::Debug for Takes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nothing(_) => "nothing",
            Self::Value(name, _) => name,
        })
    }
}

/// Everything that flags can set, whatever the subcommand turns out to be.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) listen: Option<String>,
    pub(super) stdio: bool,
    pub(super) home: Option<PathBuf>,
    pub(super) overrides: Vec<Override>,
    pub(super) model: Option<String>,
    pub(super) max_connections: Option<usize>,
    pub(super) drain_timeout: Option<Duration>,
    pub(super) require_auth: bool,
    pub(super) auth: AuthFlags,
    pub(super) unix_socket_mode: Option<u32>,
    pub(super) json: bool,
    pub(super) cwd: Option<PathBuf>,
    pub(super) token_env: Option<String>,
    pub(super) watch: bool,
    pub(super) older_than: Option<Duration>,
    pub(super) max_bytes: Option<u64>,
    pub(super) dry_run: bool,
    pub(super) out: Option<PathBuf>,
    pub(super) experimental: bool,
    pub(super) ignored: Vec<String>,
    pub(super) wants: Option<Wants>,
}

impl Draft {
    pub(super) fn config(&mut self) -> config::Flags {
        config::Flags {
            home: self.home.take(),
            overrides: std::mem::take(&mut self.overrides),
            model: self.model.take(),
            max_connections: self.max_connections,
            drain_timeout: self.drain_timeout,
            require_auth: self.require_auth,
        }
    }
}

/// A flag that replaces the command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wants {
    Help,
    Version,
}

/// A flag's value, with the flag's name for errors.
pub(super) struct Given {
    pub(super) flag: &'static Flag,
    pub(super) value: OsString,
}

impl Given {
    fn refused(&self, why: impl fmt::Display) -> StartError {
        StartError::Usage(format!("--{}: {why}", self.flag.long))
    }

    /// Text that is not empty.
    fn text(self) -> Result<String, StartError> {
        if self.value.is_empty() {
            return Err(self.refused("the value is empty"));
        }
        self.text_or_empty()
    }

    fn text_or_empty(self) -> Result<String, StartError> {
        match self.value.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(self.refused("the value is not valid UTF-8")),
        }
    }

    fn path(self) -> Result<PathBuf, StartError> {
        if self.value.is_empty() {
            return Err(self.refused("the path is empty"));
        }
        Ok(PathBuf::from(self.value))
    }

    fn number<N: FromStr>(&self, accepted: &str, fits: impl FnOnce(&N) -> bool) -> Result<N, StartError> {
        let shown = self.value.to_string_lossy();
        let number = shown.trim().parse::<N>().ok().filter(fits);
        number.ok_or_else(|| self.refused(format_args!("found `{shown}`, but {accepted} is needed")))
    }

    fn seconds(&self) -> Result<Duration, StartError> {
        let accepted = "a number of seconds, zero or more,";
        let seconds = self.number::<f64>(accepted, |seconds| *seconds >= 0.0)?;
        Duration::try_from_secs_f64(seconds).map_err(|error| self.refused(error))
    }

    /// A whole number and one of these units.
    fn with_unit(&self, accepted: &str, units: &[(&str, u64)]) -> Result<u64, StartError> {
        let shown = self.value.to_string_lossy();
        let text = shown.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
        let value = factor.zip(number.parse::<u64>().ok());
        let value = value.and_then(|((_, factor), number)| number.checked_mul(*factor));
        value.ok_or_else(|| self.refused(format_args!("found `{shown}`, but {accepted} is needed")))
    }

    /// How a flag without meaning goes into the debug log.
    fn as_written(&self) -> String {
        format!("--{} {}", self.flag.long, self.value.to_string_lossy())
    }
}

const SERVE: &[Topic] = &[Topic::Serve];
const EXEC: &[Topic] = &[Topic::Exec];
const CLIENT: &[Topic] = &[Topic::Proxy, Topic::Status];
const STATUS: &[Topic] = &[Topic::Status];
const PRUNE: &[Topic] = &[Topic::Prune];
const GENERATE: &[Topic] = &[Topic::GenerateJsonSchema, Topic::GenerateTs];
const AGENT: &[Topic] = &[Topic::Serve, Topic::Exec];
const HOMED: &[Topic] = &[Topic::Serve, Topic::Exec, Topic::Proxy, Topic::Status, Topic::Prune];

/// Every flag there is. If a flag is given twice, the later one counts; `-c` collects.
pub const FLAGS: &[Flag] = &[
    Flag {
        long: "listen",
        short: None,
        takes: Takes::Value("URL", |draft, given| {
            draft.listen = Some(given.text_or_empty()?);
            Ok(())
        }),
        help: "where to listen: stdio:// (default), ws://IP:PORT (port 0 picks one), unix://PATH, off",
        commands: SERVE,
        group: Group::Serving,
    },
    Flag {
        long: "stdio",
        short: None,
        takes: Takes::Nothing(|draft| draft.stdio = true),
        help: "the same as --listen stdio://",
        commands: SERVE,
        group: Group::Serving,
    },
    Flag {
        long: "max-connections",
        short: None,
        takes: Takes::Value("N", |draft, given| {
            let accepted = "a whole number of at least 1";
            // The number becomes a configuration value, and those are 64 bit signed.
            let fits = |number: &usize| *number >= 1 && i64::try_from(*number).is_ok();
            draft.max_connections = Some(given.number(accepted, fits)?);
            Ok(())
        }),
        help: "open connections at once; above it a client gets 503 with retry-after",
        commands: SERVE,
        group: Group::Serving,
    },
    Flag {
        long: "drain-timeout",
        short: None,
        takes: Takes::Value("SECONDS", |draft, given| {
            draft.drain_timeout = Some(given.seconds()?);
            Ok(())
        }),
        help: "after the first stop signal, wait at most this long for running turns; fractions are fine; \
               without it the wait has no end but a second signal",
        commands: SERVE,
        group: Group::Serving,
    },
    Flag {
        long: "unix-socket-mode",
        short: None,
        takes: Takes::Value("OCTAL", |draft, given| {
            draft.unix_socket_mode = Some(parse_unix_mode(&given.text()?)?);
            Ok(())
        }),
        help: "permissions of the socket of --listen unix://PATH (default 600)",
        commands: SERVE,
        group: Group::Serving,
    },
    Flag {
        long: "json",
        short: None,
        takes: Takes::Nothing(|draft| draft.json = true),
        help: "print the raw events, one JSON object a line",
        commands: EXEC,
        group: Group::Running,
    },
    Flag {
        long: "cd",
        short: Some('C'),
        takes: Takes::Value("DIR", |draft, given| {
            draft.cwd = Some(given.path()?);
            Ok(())
        }),
        help: "working directory of the thread",
        commands: EXEC,
        group: Group::Running,
    },
    Flag {
        long: "token-env",
        short: None,
        takes: Takes::Value("NAME", |draft, given| {
            draft.token_env = Some(given.text()?);
            Ok(())
        }),
        help: "environment variable that holds the bearer token for the server",
        commands: CLIENT,
        group: Group::Running,
    },
    Flag {
        long: "watch",
        short: None,
        takes: Takes::Nothing(|draft| draft.watch = true),
        help: "tell it again each second, until Ctrl-C",
        commands: STATUS,
        group: Group::Running,
    },
    Flag {
        long: "older-than",
        short: None,
        takes: Takes::Value("AGE", |draft, given| {
            let accepted = "an age like 90d (d days, w weeks, h hours, m minutes, s seconds)";
            let units = [("d", 86_400), ("w", 7 * 86_400), ("h", 3600), ("m", 60), ("s", 1)];
            draft.older_than = Some(Duration::from_secs(given.with_unit(accepted, &units)?));
            Ok(())
        }),
        help: "remove threads in which nothing happened for this long, for example 90d or 12h",
        commands: PRUNE,
        group: Group::Running,
    },
    Flag {
        long: "max-bytes",
        short: None,
        takes: Takes::Value("SIZE", |draft, given| {
            let accepted = "a size like 500MiB (K, M, G, T, or bytes)";
            let (k, m, g, t) = (1 << 10, 1 << 20, 1 << 30, 1 << 40);
            let units = [
                ("", 1),
                ("k", k),
                ("m", m),
                ("g", g),
                ("t", t),
                ("kib", k),
                ("mib", m),
                ("gib", g),
                ("tib", t),
            ];
            draft.max_bytes = Some(given.with_unit(accepted, &units)?);
            Ok(())
        }),
        help: "remove the oldest threads until the store uses at most this much, for example 500MiB",
        commands: PRUNE,
        group: Group::Running,
    },
    Flag {
        long: "dry-run",
        short: None,
        takes: Takes::Nothing(|draft| draft.dry_run = true),
        help: "only say what would be removed",
        commands: PRUNE,
        group: Group::Running,
    },
    Flag {
        long: "out",
        short: Some('o'),
        takes: Takes::Value("DIR", |draft, given| {
            draft.out = Some(given.path()?);
            Ok(())
        }),
        help: "folder for the files, made if it is not there",
        commands: GENERATE,
        group: Group::Running,
    },
    Flag {
        long: "experimental",
        short: None,
        takes: Takes::Nothing(|draft| draft.experimental = true),
        help: "also what only clients with the experimentalApi capability may use",
        commands: GENERATE,
        group: Group::Running,
    },
    Flag {
        long: "home",
        short: None,
        takes: Takes::Value("DIR", |draft, given| {
            draft.home = Some(given.path()?);
            Ok(())
        }),
        help: "folder of config.toml and of the server's data; else $APP_SERVER_HOME, $CODEX_HOME, ~/.codex",
        commands: HOMED,
        group: Group::Configuration,
    },
    Flag {
        long: "config",
        short: Some('c'),
        takes: Takes::Value("KEY=VALUE", |draft, given| {
            let flag = given.flag.long;
            let parsed = Override::parse(&given.text()?);
            draft.overrides.push(parsed.map_err(|why| StartError::Usage(format!("--{flag}: {why}")))?);
            Ok(())
        }),
        help: "set a configuration key (dotted) to a TOML value; may be repeated, the later one counts; \
               what is not TOML is taken as text",
        commands: AGENT,
        group: Group::Configuration,
    },
    Flag {
        long: "model",
        short: Some('m'),
        takes: Takes::Value("MODEL", |draft, given| {
            draft.model = Some(given.text()?);
            Ok(())
        }),
        help: "the model of new threads",
        commands: AGENT,
        group: Group::Configuration,
    },
    Flag {
        long: "require-auth",
        short: None,
        takes: Takes::Nothing(|draft| draft.require_auth = true),
        help: "refuse to start on an address that is not loopback unless --ws-auth is set",
        commands: SERVE,
        group: Group::Authentication,
    },
    Flag {
        long: "ws-auth",
        short: None,
        takes: Takes::Value("MODE", |draft, given| {
            draft.auth.mode = Some(given.text()?);
            Ok(())
        }),
        help: "capability-token or signed-bearer-token",
        commands: SERVE,
        group: Group::Authentication,
    },
    Flag {
        long: "ws-token-file",
        short: None,
        takes: Takes::Value("PATH", |draft, given| {
            draft.auth.token_file = Some(given.path()?);
            Ok(())
        }),
        help: "absolute path of the file with the capability token",
        commands: SERVE,
        group: Group::Authentication,
    },
    Flag {
        long: "ws-token-sha256",
        short: None,
        takes: Takes::Value("HEX", |draft, given| {
            draft.auth.token_sha256 = Some(given.text()?);
            Ok(())
        }),
        help: "SHA-256 of the capability token, 64 hex digits, instead of the file",
        commands: SERVE,
        group: Group::Authentication,
    },
    Flag {
        long: "ws-shared-secret-file",
        short: None,
        takes: Takes::Value("PATH", |draft, given| {
            draft.auth.shared_secret_file = Some(given.path()?);
            Ok(())
        }),
        help: "absolute path of the file with the secret that signs bearer tokens (HS256), at least 32 bytes",
        commands: SERVE,
        group: Group::Authentication,
    },
    Flag {
        long: "ws-issuer",
        short: None,
        takes: Takes::Value("TEXT", |draft, given| {
            draft.auth.issuer = Some(given.text_or_empty()?);
            Ok(())
        }),
        help: "issuer that a signed token must name",
        commands: SERVE,
        group: Group::Authentication,
    },
    Flag {
        long: "ws-audience",
        short: None,
        takes: Takes::Value("TEXT", |draft, given| {
            draft.auth.audience = Some(given.text_or_empty()?);
            Ok(())
        }),
        help: "audience that a signed token must name",
        commands: SERVE,
        group: Group::Authentication,
    },
    Flag {
        long: "ws-max-clock-skew-seconds",
        short: None,
        takes: Takes::Value("N", |draft, given| {
            draft.auth.max_clock_skew_seconds = Some(given.number("a whole number of seconds", |_| true)?);
            Ok(())
        }),
        help: "how far the clocks of token issuer and server may be apart; 30 without it",
        commands: SERVE,
        group: Group::Authentication,
    },
    Flag {
        long: "help",
        short: Some('h'),
        takes: Takes::Nothing(|draft| draft.wants = Some(Wants::Help)),
        help: "print this text",
        commands: Topic::ALL,
        group: Group::Information,
    },
    Flag {
        long: "version",
        short: Some('V'),
        takes: Takes::Nothing(|draft| draft.wants = Some(Wants::Version)),
        help: "print the version",
        commands: Topic::ALL,
        group: Group::Information,
    },
    Flag {
        long: "analytics-default-enabled",
        short: None,
        takes: Takes::Nothing(|draft| draft.ignored.push("--analytics-default-enabled".to_owned())),
        help: "there are no analytics",
        commands: AGENT,
        group: Group::Compatibility,
    },
    Flag {
        long: "session-source",
        short: None,
        takes: Takes::Value("NAME", note_ignored),
        help: "each client says in initialize who it is",
        commands: AGENT,
        group: Group::Compatibility,
    },
    Flag {
        long: "enable",
        short: None,
        takes: Takes::Value("FEATURE", note_ignored),
        help: "there are no feature switches",
        commands: AGENT,
        group: Group::Compatibility,
    },
    Flag {
        long: "disable",
        short: None,
        takes: Takes::Value("FEATURE", note_ignored),
        help: "there are no feature switches",
        commands: AGENT,
        group: Group::Compatibility,
    },
];

fn note_ignored(draft: &mut Draft, given: Given) -> Result<(), StartError> {
    draft.ignored.push(given.as_written());
    Ok(())
}
