//! The help texts, made from the table of flags.

use std::fmt::Write as _;

use super::Topic;
use super::flags::{FLAGS, Flag, Group};

/// Columns of a help text.
const WIDTH: usize = 100;

/// The help text of a subcommand, with a final newline.
#[must_use]
pub fn help(topic: Topic) -> String {
    let flags: Vec<(String, &Flag)> = FLAGS
        .iter()
        .filter(|flag| flag.commands.contains(&topic))
        .map(|flag| (spelled(flag), flag))
        .collect();
    let column = flags.iter().map(|(spelled, _)| spelled.len()).max().unwrap_or(0) + 2;
    let mut text = about(topic).to_owned();
    for group in Group::ALL {
        let mut members = flags.iter().filter(|(_, flag)| flag.group == *group).peekable();
        if members.peek().is_none() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}:", group.heading());
        for (spelled, flag) in members {
            let _ = write!(text, "{spelled:column$}");
            text.push_str(&wrapped(flag.help, column));
            text.push('\n');
        }
    }
    text
}

fn about(topic: Topic) -> &'static str {
    match topic {
        Topic::Serve => {
            "app-server: hosts coding-agent threads for editors, terminals and scripts (JSON-RPC)\n\n\
             Usage:\n  \
             app-server [app-server] [serve] [FLAGS]   serve; on stdio unless --listen says otherwise\n  \
             app-server exec PROMPT [FLAGS]            run one turn and print the answer\n  \
             app-server proxy URL [FLAGS]              bridge stdio to a running server\n  \
             app-server status URL [FLAGS]             tell how a running server is\n  \
             app-server prune FLAGS                    remove old threads from the store\n  \
             app-server generate-json-schema FLAGS     write the protocol as JSON Schema\n  \
             app-server generate-ts FLAGS              write the protocol as TypeScript\n  \
             app-server completions SHELL              print completions for bash, zsh or fish\n  \
             app-server man                            print the man page\n\n\
             `app-server exec --help` and so on tell more.\n\
             Exit codes: 0 done, 1 failed, 2 the command line was not understood.\n"
        }
        Topic::Exec => {
            "app-server exec: runs one turn on a new thread and prints the answer as it comes\n\n\
             Usage:\n  app-server exec PROMPT [FLAGS]\n\n\
             PROMPT `-` reads the prompt from stdin; a prompt that starts with a dash goes after `--`.\n"
        }
        Topic::Status => {
            "app-server status: tells how a running server is\n\n\
             Usage:\n  app-server status URL [--watch] [FLAGS]\n\n\
             URL is ws://HOST:PORT or unix://PATH.\n"
        }
        Topic::Prune => {
            "app-server prune: removes old threads from the store and says which\n\n\
             Usage:\n  app-server prune --older-than AGE [--max-bytes SIZE] [--dry-run] [FLAGS]\n\n\
             Works beside running servers: threads that one of them has open stay.\n"
        }
        Topic::GenerateJsonSchema => {
            "app-server generate-json-schema: writes the protocol of this server as JSON Schema\n\n\
             Usage:\n  app-server generate-json-schema --out DIR [--experimental]\n\n\
             A file for each union of messages and each type under one, and one file with everything.\n"
        }
        Topic::GenerateTs => {
            "app-server generate-ts: writes the protocol of this server as TypeScript\n\n\
             Usage:\n  app-server generate-ts --out DIR [--experimental]\n\n\
             A file for each type; DIR/index.ts exports all of them.\n"
        }
        Topic::Completions => {
            "app-server completions: prints completions for a shell\n\n\
             Usage:\n  app-server completions bash|zsh|fish\n\n\
             Bash reads them from ~/.local/share/bash-completion/completions/app-server, fish from\n\
             ~/.config/fish/completions/app-server.fish, zsh from a file _app-server in its fpath.\n"
        }
        Topic::Man => {
            "app-server man: prints the man page\n\n\
             Usage:\n  app-server man | man -l -\n"
        }
        Topic::Proxy => {
            "app-server proxy: bridges stdio to a running server, one JSON message a line\n\n\
             Usage:\n  app-server proxy URL [FLAGS]\n\n\
             URL is ws://HOST:PORT or unix://PATH.\n"
        }
    }
}

fn spelled(flag: &Flag) -> String {
    let mut text = match flag.short {
        Some(short) => format!("  -{short}, --{}", flag.long),
        None => format!("      --{}", flag.long),
    };
    if let Some(value) = flag.value_name() {
        text.push(' ');
        text.push_str(value);
    }
    text
}

/// `text` in lines that begin at `column` and end before [`WIDTH`]; the first line's indent is there already.
fn wrapped(text: &str, column: usize) -> String {
    let mut out = String::new();
    let mut at = column;
    for word in text.split_whitespace() {
        if at > column && at + 1 + word.len() > WIDTH {
            let _ = write!(out, "\n{:column$}", "");
            at = column;
        }
        if at > column {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += word.len();
    }
    out
}
