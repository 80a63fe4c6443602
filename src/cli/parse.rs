//! Arguments to a [`Command`].

use std::ffi::OsString;

use lexopt::{Arg, Parser};

use super::flags::{Draft, FLAGS, Flag, Given, Takes, Wants};
use super::near::nearest;
use super::{
    Command, ExecArgs, GenerateArgs, Language, Prompt, ProxyArgs, PruneArgs, ServeArgs, Shell, StatusArgs,
    Topic,
};
use crate::error::StartError;

/// The word that a drop-in for `codex app-server …` has to accept before everything else.
const LEADING_WORD: &str = "app-server";
/// Where `serve` listens if nothing is said.
const LISTEN_DEFAULT: &str = "stdio://";

/// Reads the command line. `args` are the arguments without the program's own name.
///
/// # Errors
/// [`StartError::Usage`], which names the flag or the word.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, StartError> {
    let mut parser = Parser::from_args(args.into_iter().collect::<Vec<_>>());
    let mut draft = Draft::default();
    let mut seen: Vec<&'static Flag> = Vec::new();
    let mut words = Words::default();
    while let Some(arg) = parser.next().map_err(|error| usage(error.to_string()))? {
        let flag = match arg {
            Arg::Value(word) => {
                words.push(word)?;
                continue;
            }
            Arg::Long(name) => find_long(name)?,
            Arg::Short(letter) => find_short(letter)?,
        };
        match flag.takes {
            Takes::Nothing(set) => {
                if parser.optional_value().is_some() {
                    return Err(usage(format!("--{} takes no value", flag.long)));
                }
                set(&mut draft);
            }
            Takes::Value(name, set) => {
                let value = value_of(&mut parser, flag, name)?;
                set(&mut draft, Given { flag, value })?;
            }
        }
        seen.push(flag);
        match draft.wants {
            // At once, so that help is at hand in the middle of a command line that is not complete.
            Some(Wants::Help) => return Ok(Command::Help(words.topic())),
            Some(Wants::Version) => return Ok(Command::Version),
            None => {}
        }
    }
    let topic = words.topic();
    if let Some(stray) = seen.iter().find(|flag| !flag.commands.contains(&topic)) {
        let owners: Vec<_> = stray.commands.iter().map(|owner| format!("`{}`", owner.word())).collect();
        return Err(usage(format!(
            "--{} does not belong to `{}`, but to {}",
            stray.long,
            topic.word(),
            owners.join(" and ")
        )));
    }
    command(topic, words.operand, draft)
}

fn command(topic: Topic, operand: Option<String>, mut draft: Draft) -> Result<Command, StartError> {
    match topic {
        Topic::Serve => Ok(Command::Serve(ServeArgs {
            listen: listen(&mut draft)?,
            config: draft.config(),
            auth: draft.auth,
            unix_socket_mode: draft.unix_socket_mode,
            ignored: draft.ignored,
        })),
        Topic::Exec => Ok(Command::Exec(ExecArgs {
            prompt: match operand.as_deref() {
                None => {
                    return Err(usage("exec: the PROMPT is missing (`-` reads it from stdin)".to_owned()));
                }
                Some("-") => Prompt::Stdin,
                Some(text) if text.trim().is_empty() => {
                    return Err(usage("exec: the PROMPT is empty".to_owned()));
                }
                Some(text) => Prompt::Text(text.to_owned()),
            },
            json: draft.json,
            cwd: draft.cwd.take(),
            config: draft.config(),
            ignored: draft.ignored,
        })),
        Topic::Proxy => Ok(Command::Proxy(ProxyArgs {
            url: server(topic, operand)?,
            token_env: draft.token_env.take(),
            config: draft.config(),
        })),
        Topic::Status => Ok(Command::Status(StatusArgs {
            url: server(topic, operand)?,
            token_env: draft.token_env.take(),
            watch: draft.watch,
            config: draft.config(),
        })),
        Topic::Prune => Ok(Command::Prune(PruneArgs {
            older_than: draft.older_than,
            max_bytes: draft.max_bytes,
            dry_run: draft.dry_run,
            config: draft.config(),
        })),
        Topic::GenerateJsonSchema => Ok(generate(Language::JsonSchema, draft)),
        Topic::GenerateTs => Ok(generate(Language::TypeScript, draft)),
        Topic::Completions => {
            let shells: Vec<_> = Shell::ALL.iter().map(|shell| shell.word()).collect();
            let named = Shell::ALL.iter().find(|shell| Some(shell.word()) == operand.as_deref());
            named
                .copied()
                .map(Command::Completions)
                .ok_or_else(|| usage(format!("completions: name the shell, one of {}", shells.join(", "))))
        }
        Topic::Man => Ok(Command::Man),
    }
}

fn generate(language: Language, draft: Draft) -> Command {
    Command::Generate(GenerateArgs { language, out: draft.out, experimental: draft.experimental })
}

fn server(topic: Topic, operand: Option<String>) -> Result<String, StartError> {
    operand.ok_or_else(|| {
        let word = topic.word();
        usage(format!("{word}: the server's URL is missing (ws://HOST:PORT or unix://PATH)"))
    })
}

fn listen(draft: &mut Draft) -> Result<String, StartError> {
    match draft.listen.take() {
        Some(url) if draft.stdio && url != LISTEN_DEFAULT => {
            Err(usage(format!("--stdio and --listen {url} contradict each other")))
        }
        Some(url) => Ok(url),
        None => Ok(LISTEN_DEFAULT.to_owned()),
    }
}

/// The arguments that are not flags, in the order in which they may come.
#[derive(Default)]
struct Words {
    led: bool,
    topic: Option<Topic>,
    operand: Option<String>,
}

impl Words {
    fn topic(&self) -> Topic {
        self.topic.unwrap_or(Topic::Serve)
    }

    fn push(&mut self, word: OsString) -> Result<(), StartError> {
        let word = word
            .into_string()
            .map_err(|word| usage(format!("`{}` is not valid UTF-8", word.to_string_lossy())))?;
        match self.topic {
            None if word == LEADING_WORD && !self.led => {
                self.led = true;
                Ok(())
            }
            None => {
                self.topic = Some(find_topic(&word)?);
                Ok(())
            }
            Some(Topic::Exec | Topic::Proxy | Topic::Status | Topic::Completions)
                if self.operand.is_none() =>
            {
                self.operand = Some(word);
                Ok(())
            }
            Some(Topic::Exec) => {
                Err(usage(format!("exec: unexpected `{word}`; a PROMPT of several words needs quotes")))
            }
            Some(topic) => Err(usage(format!("{}: unexpected `{word}`", topic.word()))),
        }
    }
}

fn find_topic(word: &str) -> Result<Topic, StartError> {
    if let Some(topic) = Topic::ALL.iter().find(|topic| topic.word() == word) {
        return Ok(*topic);
    }
    let near = nearest(word, Topic::ALL.iter().map(|topic| topic.word()));
    let commands: Vec<_> = Topic::ALL.iter().map(|topic| topic.word()).collect();
    Err(usage(match near {
        Some(near) => format!("unknown command `{word}`; is `{near}` meant?"),
        None => format!("unknown command `{word}`; there are {}", commands.join(", ")),
    }))
}

fn find_long(name: &str) -> Result<&'static Flag, StartError> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.long == name) {
        return Ok(flag);
    }
    Err(usage(match nearest(name, FLAGS.iter().map(|flag| flag.long)) {
        Some(near) => format!("unknown flag --{name}; is --{near} meant?"),
        None => format!("unknown flag --{name}"),
    }))
}

fn find_short(letter: char) -> Result<&'static Flag, StartError> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.short == Some(letter)) {
        return Ok(flag);
    }
    let other_case =
        FLAGS.iter().filter_map(|flag| flag.short).find(|short| short.eq_ignore_ascii_case(&letter));
    Err(usage(match other_case {
        Some(short) => format!("unknown flag -{letter}; is -{short} meant?"),
        None => format!("unknown flag -{letter}"),
    }))
}

fn value_of(parser: &mut Parser, flag: &Flag, name: &str) -> Result<OsString, StartError> {
    if let Some(attached) = parser.optional_value() {
        return Ok(attached);
    }
    let missing = |more: &str| usage(format!("--{} needs a value: --{} {name}{more}", flag.long, flag.long));
    let value = parser.value().map_err(|_| missing(""))?;
    // A flag in the place of the value is a forgotten value. Other dashes may be meant (`-1`, `-`).
    let is_flag = value
        .to_str()
        .and_then(|text| text.strip_prefix("--"))
        .is_some_and(|text| FLAGS.iter().any(|flag| Some(flag.long) == text.split('=').next()));
    if is_flag {
        return Err(missing(&format!(" (found the flag {})", value.to_string_lossy())));
    }
    Ok(value)
}

fn usage(message: String) -> StartError {
    StartError::Usage(message)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
