//! Completions for shells, made from the table of flags: pure text, for the shell's own folder.

use std::fmt::Write as _;

use super::flags::{FLAGS, Flag};
use super::{Shell, Topic};

/// The script for a shell, with a final newline.
#[must_use]
pub fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// What a flag's value is, as far as a shell can help with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Nothing,
    Folder,
    File,
    Other,
}

fn value(flag: &Flag) -> Value {
    match flag.value_name() {
        None => Value::Nothing,
        Some("DIR") => Value::Folder,
        Some("PATH") => Value::File,
        Some(_) => Value::Other,
    }
}

fn flags_of(topic: Topic) -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(move |flag| flag.commands.contains(&topic))
}

fn spellings(flag: &Flag) -> impl Iterator<Item = String> {
    let short = flag.short.map(|short| format!("-{short}"));
    short.into_iter().chain([format!("--{}", flag.long)])
}

fn words(separator: &str) -> String {
    Topic::ALL.iter().map(|topic| topic.word()).collect::<Vec<_>>().join(separator)
}

/// The spellings of all flags with this kind of value.
fn spelled_with(kind: Value, separator: &str) -> String {
    let flags = FLAGS.iter().filter(|flag| value(flag) == kind);
    flags.flat_map(spellings).collect::<Vec<_>>().join(separator)
}

fn bash() -> String {
    let mut text = format!(
        "# Completions of app-server for bash.\n\
         _app_server() {{\n    \
             local current=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD-1]}}\"\n    \
             local command= word offered\n    \
             for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n        \
                 case \"$word\" in\n            \
                     {}) command=\"$word\"; break ;;\n        \
                 esac\n    \
             done\n    \
             case \"$before\" in\n        \
                 {}) mapfile -t COMPREPLY < <(compgen -d -- \"$current\"); return ;;\n        \
                 {}) mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;;\n        \
                 {}) COMPREPLY=(); return ;;\n    \
             esac\n    \
             case \"$command\" in\n",
        words("|"),
        spelled_with(Value::Folder, "|"),
        spelled_with(Value::File, "|"),
        spelled_with(Value::Other, "|"),
    );
    for topic in Topic::ALL {
        let name = if *topic == Topic::Serve { "''|serve" } else { topic.word() };
        let mut offered: Vec<String> = flags_of(*topic).flat_map(spellings).collect();
        if *topic == Topic::Completions {
            offered.extend(Shell::ALL.iter().map(|shell| shell.word().to_owned()));
        }
        let _ = writeln!(text, "        {name}) offered=\"{}\" ;;", offered.join(" "));
    }
    let _ = write!(
        text,
        "    esac\n    \
             [ -n \"$command\" ] || offered=\"{} $offered\"\n    \
             mapfile -t COMPREPLY < <(compgen -W \"$offered\" -- \"$current\")\n\
         }}\n\
         complete -F _app_server app-server\n",
        words(" ")
    );
    text
}

fn zsh() -> String {
    let mut text = format!(
        "#compdef app-server\n\
         # Completions of app-server for zsh.\n\
         _app_server() {{\n  \
           local command=serve word\n  \
           local -a flags\n  \
           for word in ${{words[2,CURRENT-1]}}; do\n    \
             case $word in\n      \
               ({}) command=$word; break ;;\n    \
             esac\n  \
           done\n  \
           case $command in\n",
        words("|")
    );
    for topic in Topic::ALL {
        let _ = writeln!(text, "    ({})\n      flags=(", topic.word());
        for flag in flags_of(*topic) {
            let help = flag.help.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]");
            let help = help.replace('\'', "'\\''");
            let argument = match (value(flag), flag.value_name()) {
                (Value::Folder, Some(name)) => format!(":{name}:_directories"),
                (Value::File, Some(name)) => format!(":{name}:_files"),
                (_, Some(name)) => format!(":{name}: "),
                (_, None) => String::new(),
            };
            for spelling in spellings(flag) {
                let _ = writeln!(text, "        '*{spelling}[{help}]{argument}'");
            }
        }
        let _ = writeln!(text, "      ) ;;");
    }
    let shells: Vec<_> = Shell::ALL.iter().map(|shell| shell.word()).collect();
    let _ = write!(
        text,
        "  esac\n  \
           _arguments -s $flags '1:command:({})' '2::argument:({})' '*: : '\n\
         }}\n\
         compdef _app_server app-server\n",
        words(" "),
        shells.join(" "),
    );
    text
}

fn fish() -> String {
    let mut text = "# Completions of app-server for fish.\ncomplete -c app-server -f\n".to_owned();
    let others: Vec<_> =
        Topic::ALL.iter().filter(|topic| **topic != Topic::Serve).map(|topic| topic.word()).collect();
    let others = others.join(" ");
    for topic in Topic::ALL {
        let _ = writeln!(
            text,
            "complete -c app-server -n __fish_use_subcommand -a {} -d '{}'",
            topic.word(),
            fish_text(topic.about())
        );
    }
    for shell in Shell::ALL {
        let _ = writeln!(
            text,
            "complete -c app-server -n '__fish_seen_subcommand_from completions' -a {}",
            shell.word()
        );
    }
    for topic in Topic::ALL {
        let when = match topic {
            Topic::Serve => format!("not __fish_seen_subcommand_from {others}"),
            _ => format!("__fish_seen_subcommand_from {}", topic.word()),
        };
        for flag in flags_of(*topic) {
            let short = flag.short.map(|short| format!(" -s {short}")).unwrap_or_default();
            let argument = match value(flag) {
                Value::Nothing => "",
                Value::Folder => " -x -a '(__fish_complete_directories)'",
                Value::File => " -r -F",
                Value::Other => " -x",
            };
            let _ = writeln!(
                text,
                "complete -c app-server -n '{when}'{short} -l {}{argument} -d '{}'",
                flag.long,
                fish_text(flag.help)
            );
        }
    }
    text
}

fn fish_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_knows_every_flag_and_command() {
        for shell in Shell::ALL {
            let script = completions(*shell);
            for flag in FLAGS {
                let long = if *shell == Shell::Fish {
                    format!(" -l {} ", flag.long)
                } else {
                    format!("--{}", flag.long)
                };
                assert!(script.contains(&long), "{}: --{}", shell.word(), flag.long);
            }
            for topic in Topic::ALL {
                assert!(script.contains(topic.word()), "{}: {}", shell.word(), topic.word());
            }
        }
    }
}
