//! The man page, made from the table of flags: pure text, in the man macros (man(7)).

use std::fmt::Write as _;

use super::flags::{FLAGS, Flag, Group};
use super::{Shell, Topic};

/// The page for section 1, with a final newline. `version` goes into its footer.
#[must_use]
pub fn man(version: &str) -> String {
    let mut page = format!(
        ".TH APP\\-SERVER 1 \"\" \"app\\-server {}\" \"User Commands\"\n\
         .SH NAME\n\
         app\\-server \\- hosts coding\\-agent threads for editors, terminals and scripts\n\
         .SH SYNOPSIS\n",
        escaped(version)
    );
    for (at, (words, _)) in usages().iter().enumerate() {
        let line_break = if at == 0 { "" } else { ".br\n" };
        let _ = writeln!(page, "{line_break}.B app\\-server\n{}", escaped(words));
    }
    page.push_str(
        ".SH DESCRIPTION\n\
         Speaks JSON\\-RPC over stdio or WebSocket, runs the turns of coding agents, and streams what \
         happens to every subscriber.\n\
         Without a configured model provider a built\\-in offline model answers.\n\
         .SH COMMANDS\n",
    );
    for (words, about) in usages() {
        let _ = writeln!(page, ".TP\n.B {}\n{}", escaped(&words), escaped(about));
    }
    page.push_str(".SH OPTIONS\n");
    for group in Group::ALL {
        let _ = writeln!(page, ".SS {}", escaped(group.heading()));
        for flag in FLAGS.iter().filter(|flag| flag.group == *group) {
            page.push_str(&option(flag));
        }
    }
    page.push_str(
        ".SH EXIT STATUS\n\
         0 done, 1 failed, 2 the command line was not understood.\n\
         .SH ENVIRONMENT\n\
         .TP\n.B APP_SERVER_HOME\nThe home folder, unless \\-\\-home says so; else CODEX_HOME counts.\n\
         .TP\n.B RUST_LOG\nWhich log lines go to stderr: warn, info, debug, or by module.\n\
         .SH FILES\n\
         .TP\n.I ~/.codex/config.toml\nThe configuration.\n\
         .TP\n.I ~/.codex/app\\-server/\nThreads, and whatever else is this server's own.\n",
    );
    page
}

fn usages() -> Vec<(String, &'static str)> {
    let usage = |topic: &Topic| {
        let operand = match topic {
            Topic::Serve => "[serve] [FLAGS]".to_owned(),
            Topic::Exec => "exec PROMPT [FLAGS]".to_owned(),
            Topic::Proxy | Topic::Status => format!("{} URL [FLAGS]", topic.word()),
            Topic::GenerateJsonSchema | Topic::GenerateTs => format!("{} --out DIR [FLAGS]", topic.word()),
            Topic::Completions => {
                let shells: Vec<_> = Shell::ALL.iter().map(|shell| shell.word()).collect();
                format!("completions {}", shells.join("|"))
            }
            other => format!("{} [FLAGS]", other.word()),
        };
        (operand, topic.about())
    };
    Topic::ALL.iter().map(usage).collect()
}

fn option(flag: &Flag) -> String {
    let mut text = ".TP\n".to_owned();
    let short = flag.short.map(|short| format!("\\-{short}, ")).unwrap_or_default();
    let value = flag.value_name().map(|name| format!(" \\fI{}\\fR", escaped(name))).unwrap_or_default();
    let _ = writeln!(text, "\\fB{short}\\-\\-{}\\fR{value}", escaped(flag.long));
    let owners: Vec<_> = flag.commands.iter().map(|topic| topic.word()).collect();
    let _ = writeln!(text, "{}.\n({})", escaped(flag.help), owners.join(", "));
    text
}

/// Text that means itself: no escapes, no hyphens that are broken at or drawn as dashes, no control lines.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_and_command_is_in_the_page() {
        let page = man("1.2.3");
        for flag in FLAGS {
            let long = escaped(flag.long);
            assert!(page.contains(&format!("\\-\\-{long}\\fR")), "--{}", flag.long);
            assert!(page.contains(&escaped(flag.help)), "the help of --{}", flag.long);
        }
        for topic in Topic::ALL {
            assert!(page.contains(&escaped(topic.about())), "{}", topic.word());
        }
        assert!(page.lines().all(|line| !line.is_empty()), "an empty line would be a paragraph of its own");
    }

    #[test]
    fn what_roff_would_take_for_its_own_is_escaped() {
        assert_eq!(escaped(".x\\y-z"), "\\&.x\\ey\\-z");
    }
}
