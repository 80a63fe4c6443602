//! Walks the table of flags, and the ways in which clients and people call the program.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::cli::{Group, help};
use crate::error::Exit;

fn run(args: &[&str]) -> Result<Command, StartError> {
    parse(args.iter().map(OsString::from))
}

fn serve(args: &[&str]) -> ServeArgs {
    match run(args) {
        Ok(Command::Serve(args)) => args,
        other => panic!("{args:?} is {other:?}"),
    }
}

fn exec(args: &[&str]) -> ExecArgs {
    match run(args) {
        Ok(Command::Exec(args)) => args,
        other => panic!("{args:?} is {other:?}"),
    }
}

fn refused(args: &[&str]) -> String {
    let error = run(args).expect_err("a usage error");
    assert_eq!(error.exit(), Exit::Usage, "{error}");
    error.to_string()
}

/// A value that the flag takes.
fn sample(flag: &Flag) -> &'static str {
    match flag.value_name() {
        Some("N") => "7",
        Some("SECONDS") => "1.5",
        Some("KEY=VALUE") => "model=x",
        Some("OCTAL") => "660",
        Some("AGE") => "90d",
        Some("SIZE") => "500MiB",
        _ => "value",
    }
}

/// The words that a subcommand cannot do without.
fn words(topic: Topic) -> &'static [&'static str] {
    match topic {
        Topic::Serve => &[],
        Topic::Exec => &["exec", "prompt"],
        Topic::Proxy => &["proxy", "ws://127.0.0.1:1"],
        Topic::Status => &["status", "unix:///s"],
        Topic::Prune => &["prune"],
        Topic::GenerateJsonSchema => &["generate-json-schema"],
        Topic::GenerateTs => &["generate-ts"],
        Topic::Completions => &["completions", "zsh"],
        Topic::Man => &["man"],
    }
}

#[test]
fn every_flag_is_taken_in_its_place_and_only_there() {
    for flag in FLAGS {
        let mut spellings = vec![format!("--{}", flag.long)];
        spellings.extend(flag.short.map(|short| format!("-{short}")));
        for (topic, spelling) in Topic::ALL.iter().flat_map(|topic| spellings.iter().map(move |s| (topic, s)))
        {
            let value = flag.value_name().map(|_| sample(flag));
            let after: Vec<&str> =
                words(*topic).iter().copied().chain([spelling.as_str()]).chain(value).collect();
            let before: Vec<&str> =
                [spelling.as_str()].into_iter().chain(value).chain(words(*topic).iter().copied()).collect();
            let is_information = flag.group == Group::Information;
            if flag.commands.contains(topic) {
                let parsed = run(&after).unwrap_or_else(|error| panic!("{after:?}: {error}"));
                if !is_information {
                    assert_eq!(parsed, run(&before).unwrap(), "{spelling} before and after the words");
                    // `--stdio` names the default, see the next test.
                    let changes = parsed != run(words(*topic)).unwrap();
                    assert_eq!(changes, flag.long != "stdio", "{spelling} sets something");
                }
            } else {
                let error = refused(&after);
                assert!(error.contains(&format!("--{} does not belong to", flag.long)), "{error}");
            }
        }
    }
}

/// `--stdio` names the default, so only a contradiction shows that it was read.
#[test]
fn stdio_is_an_alias_that_cannot_be_contradicted() {
    assert_eq!(serve(&["--stdio", "--listen", "stdio://"]).listen, "stdio://");
    let error = refused(&["--stdio", "--listen", "ws://127.0.0.1:0"]);
    assert!(error.contains("--stdio and --listen ws://127.0.0.1:0 contradict"), "{error}");
}

#[test]
fn every_flag_is_in_the_help_of_its_subcommands_and_only_there() {
    for topic in Topic::ALL {
        let text = help(*topic);
        assert!(text.lines().all(|line| line.len() <= 100), "too wide:\n{text}");
        for flag in FLAGS {
            let spelled = match flag.value_name() {
                Some(value) => format!(" --{} {value}  ", flag.long),
                None => format!(" --{}  ", flag.long),
            };
            assert_eq!(text.contains(&spelled), flag.commands.contains(topic), "{spelled} in:\n{text}");
            if let (Some(short), true) = (flag.short, flag.commands.contains(topic)) {
                assert!(text.contains(&format!("  -{short}, --{}", flag.long)), "{text}");
            }
        }
    }
}

#[test]
fn the_table_is_complete_and_without_duplicates() {
    let mut names = BTreeSet::new();
    for flag in FLAGS {
        assert!(names.insert(flag.long.to_owned()), "--{} twice", flag.long);
        if let Some(short) = flag.short {
            assert!(names.insert(short.to_string()), "-{short} twice");
        }
        assert!(!flag.help.trim().is_empty() && !flag.help.ends_with('.'), "--{}", flag.long);
        assert!(!flag.commands.is_empty() && Group::ALL.contains(&flag.group), "--{}", flag.long);
    }
    for group in Group::ALL {
        assert!(FLAGS.iter().any(|flag| flag.group == *group), "{group:?} is empty");
    }
}

#[test]
fn a_mistyped_flag_is_a_usage_error_with_the_near_miss() {
    for flag in FLAGS {
        let typed = format!("--{}", flag.long.replacen(|c: char| c.is_ascii_lowercase(), "", 1));
        let error = refused(&[&typed]);
        assert!(error.contains(&format!("unknown flag {typed}; is --{} meant?", flag.long)), "{error}");
    }
    assert!(refused(&["--frobnicate"]).starts_with("unknown flag --frobnicate\n"));
    assert!(refused(&["-v"]).contains("is -V meant?"));
    assert!(refused(&["exce", "x"]).contains("unknown command `exce`; is `exec` meant?"));
    assert!(refused(&["mcp"]).contains("unknown command `mcp`; there are serve, exec, proxy, status, prune"));
}

#[test]
fn a_missing_value_names_the_flag() {
    for flag in FLAGS {
        let long = format!("--{}", flag.long);
        match flag.value_name() {
            Some(value) => {
                let wanted = format!("{long} needs a value: {long} {value}");
                assert!(refused(&[&long]).contains(&wanted));
                assert!(refused(&[&long, "--version"]).contains(&wanted), "{long} --version");
            }
            None => {
                let error = refused(&[&format!("{long}=x")]);
                assert!(error.contains(&format!("{long} takes no value")), "{error}");
            }
        }
    }
}

#[test]
fn the_ways_in_which_real_clients_launch_it() {
    // The Python SDK.
    let sdk = serve(&["--config", "a=1", "--config", "b.c=x", "app-server", "--listen", "stdio://"]);
    assert_eq!(sdk.listen, "stdio://");
    let keys: Vec<_> = sdk.config.overrides.iter().map(|over| over.key.join(".")).collect();
    assert_eq!(keys, ["a", "b.c"]);
    // The ACP adapter: no --listen, `-c` after the word.
    let acp = serve(&["app-server", "-c", "a=1", "-ca=2"]);
    assert_eq!((acp.listen.as_str(), acp.config.overrides.len()), ("stdio://", 2));
    // The daemon of the terminal UI.
    let daemon =
        serve(&["app-server", "--listen", "unix://", "--analytics-default-enabled", "--enable", "x"]);
    assert_eq!(daemon.ignored, ["--analytics-default-enabled", "--enable x"]);
    // Both optional words, and neither.
    assert_eq!(serve(&["app-server", "serve"]), serve(&[]));
}

#[test]
fn overrides_keep_their_order_across_the_leading_word() {
    let args = serve(&["-c", "model=\"a\"", "app-server", "-c", "model=\"b\"", "--config=model=\"c\""]);
    let values: Vec<_> = args.config.overrides.iter().map(|over| over.value.as_str().unwrap()).collect();
    assert_eq!(values, ["a", "b", "c"]);
    assert!(refused(&["-c", "model"]).contains("--config: `model` has no `=`"));
}

#[test]
fn exec_takes_one_prompt() {
    let args = exec(&["app-server", "-c", "a=1", "exec", "say hi", "--json", "-C", "/tmp", "-m", "m"]);
    assert_eq!(args.prompt, Prompt::Text("say hi".to_owned()));
    assert_eq!((args.json, args.cwd.as_deref()), (true, Some(Path::new("/tmp"))));
    assert_eq!((args.config.model.as_deref(), args.config.overrides.len()), (Some("m"), 1));
    assert_eq!(exec(&["exec", "-"]).prompt, Prompt::Stdin);
    assert_eq!(exec(&["exec", "--", "--json"]).prompt, Prompt::Text("--json".to_owned()));
    assert_eq!(exec(&["exec", "serve"]).prompt, Prompt::Text("serve".to_owned()));
    assert!(refused(&["exec", "--json"]).contains("exec: the PROMPT is missing"));
    assert!(refused(&["exec", " "]).contains("PROMPT is empty"));
    assert!(refused(&["exec", "say", "hi"]).contains("needs quotes"));
}

#[test]
fn proxy_takes_a_url() {
    let Ok(Command::Proxy(args)) = run(&["proxy", "ws://h:1", "--token-env", "T"]) else {
        panic!("no proxy")
    };
    assert_eq!((args.url.as_str(), args.token_env.as_deref()), ("ws://h:1", Some("T")));
    assert!(refused(&["proxy"]).contains("proxy: the server's URL is missing"));
}

#[test]
fn status_takes_a_url() {
    let Ok(Command::Status(args)) = run(&["status", "ws://h:1", "--watch"]) else { panic!("no status") };
    assert_eq!((args.url.as_str(), args.token_env, args.watch), ("ws://h:1", None, true));
    assert!(refused(&["status"]).contains("status: the server's URL is missing"));
    assert!(refused(&["proxy", "ws://h:1", "--watch"]).contains("--watch"));
}

#[test]
fn help_and_version_win_over_what_is_missing() {
    assert_eq!(run(&["--help"]).unwrap(), Command::Help(Topic::Serve));
    assert_eq!(run(&["exec", "-h"]).unwrap(), Command::Help(Topic::Exec));
    assert_eq!(run(&["app-server", "proxy", "--help", "--nonsense"]).unwrap(), Command::Help(Topic::Proxy));
    assert_eq!(run(&["-V"]).unwrap(), Command::Version);
}

#[test]
fn values_are_checked_where_the_flag_alone_decides() {
    assert_eq!(serve(&["--drain-timeout", "0.25"]).config.drain_timeout, Some(Duration::from_millis(250)));
    assert_eq!(
        serve(&["--drain-timeout", "1", "--drain-timeout=0"]).config.drain_timeout,
        Some(Duration::ZERO)
    );
    assert_eq!(serve(&["--ws-max-clock-skew-seconds", "7"]).auth.max_clock_skew_seconds, Some(7));
    for (args, message) in [
        (["--max-connections", "0"], "--max-connections: found `0`"),
        (["--max-connections", "many"], "--max-connections: found `many`"),
        (["--drain-timeout", "-1"], "--drain-timeout: found `-1`"),
        (["--drain-timeout", "NaN"], "--drain-timeout: found `NaN`"),
        (["--drain-timeout", "1e300"], "--drain-timeout: "),
        (["--home", ""], "--home: the path is empty"),
        (["-m", ""], "--model: the value is empty"),
    ] {
        let error = refused(&args);
        assert!(error.starts_with(message), "{args:?}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn paths_may_be_any_bytes_and_texts_may_not() {
    use std::os::unix::ffi::OsStringExt;
    let odd = || OsString::from_vec(vec![b'/', 0xff]);
    let Ok(Command::Serve(args)) = parse([OsString::from("--home"), odd()]) else { panic!("no serve") };
    assert_eq!(args.config.home.unwrap().into_os_string(), odd());
    let error = parse([OsString::from("--model"), odd()]).unwrap_err().to_string();
    assert!(error.starts_with("--model: the value is not valid UTF-8"), "{error}");
}
