//! What a prompt tells the offline model to do: directions, one a line, and everything else is just said.

use std::time::Duration;

use crate::limits::OFFLINE_PAUSE_MAX;

/// A prompt, understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// What to do, in this order.
    pub(super) steps: Vec<Step>,
    /// The lines that are no direction.
    pub(super) said: String,
}

/// One direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// `slow: 200ms`: from here on wait that long before each word.
    Slow(Duration),
    /// `think: …`.
    Think(String),
    /// `fail: …`.
    Fail(String),
    /// `propose: a; b`: the steps of a plan that the answer proposes.
    Propose(Vec<String>),
    /// Calls of tools that are made at once.
    Call(Vec<Wish>),
}

/// A call that the prompt asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// `$ …`.
    Run(String),
    /// `escalate: …`.
    Escalate(String),
    /// A patch.
    Patch(String),
    /// `plan: …`: the steps and how far they are.
    Plan(Vec<(String, &'static str)>),
    /// `ask: …`: the question and its answers.
    Ask(String, Vec<String>),
    /// `image: …`.
    Image(String),
    /// `goal: …`: where the goal stands, or a new one.
    Goal(String),
    /// `call: TOOL …`.
    Other(String, String),
}

const PATCH_BEGIN: &str = "*** Begin Patch";
const PATCH_END: &str = "*** End Patch";

impl Script {
    pub(super) fn parse(prompt: &str) -> Self {
        let mut script = Self::default();
        let mut said: Vec<&str> = Vec::new();
        let mut lines = prompt.lines().peekable();
        while let Some(line) = lines.next() {
            let trimmed = line.trim();
            if trimmed == PATCH_BEGIN {
                let mut patch = vec![PATCH_BEGIN];
                // A patch without its end goes to the end of the prompt; what is wrong with it is the tool's
                // to say.
                for line in lines.by_ref() {
                    patch.push(line);
                    if line.trim() == PATCH_END {
                        break;
                    }
                }
                script.steps.push(Step::Call(vec![Wish::Patch(patch.join("\n") + "\n")]));
            } else if let Some(command) = command(trimmed) {
                let mut wishes = vec![Wish::Run(command)];
                while let Some(command) = lines.peek().and_then(|line| self::command(line.trim())) {
                    wishes.push(Wish::Run(command));
                    lines.next();
                }
                script.steps.push(Step::Call(wishes));
            } else if let Some(step) = direction(trimmed) {
                script.steps.push(step);
            } else {
                said.push(line);
            }
        }
        script.said = said.join("\n").trim().to_owned();
        script
    }
}

fn command(line: &str) -> Option<String> {
    line.strip_prefix("$ ").map(|command| command.trim().to_owned())
}

fn direction(line: &str) -> Option<Step> {
    let (name, rest) = line.split_once(':')?;
    let rest = rest.trim();
    if rest.is_empty() {
        return None;
    }
    let wish = match name {
        "slow" => return parse_duration(rest).map(|pause| Step::Slow(pause.min(OFFLINE_PAUSE_MAX))),
        "think" => return Some(Step::Think(rest.to_owned())),
        "fail" => return Some(Step::Fail(rest.to_owned())),
        "propose" => return Some(Step::Propose(plan(rest).into_iter().map(|(step, _)| step).collect())),
        "escalate" => Wish::Escalate(rest.to_owned()),
        "plan" => Wish::Plan(plan(rest)),
        "ask" => {
            let mut parts = rest.split('|').map(|part| part.trim().to_owned());
            Wish::Ask(parts.next()?, parts.filter(|answer| !answer.is_empty()).collect())
        }
        "goal" => Wish::Goal(rest.to_owned()),
        "image" => Wish::Image(rest.to_owned()),
        "call" => {
            let (tool, input) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            Wish::Other(tool.to_owned(), input.trim().to_owned())
        }
        _ => return None,
    };
    Some(Step::Call(vec![wish]))
}

/// `a; b; c`: the first is being done. `[x] a; [>] b; c` says it of each.
fn plan(text: &str) -> Vec<(String, &'static str)> {
    let is_marked = text.contains("[x]") || text.contains("[>]");
    let steps = text.split(';').map(str::trim).filter(|step| !step.is_empty());
    let steps = steps.enumerate().map(|(at, step)| match step {
        step if step.starts_with("[x]") => (step[3..].trim(), "completed"),
        step if step.starts_with("[>]") => (step[3..].trim(), "in_progress"),
        step if at == 0 && !is_marked => (step, "in_progress"),
        step => (step, "pending"),
    });
    steps.map(|(step, status)| (step.to_owned(), status)).collect()
}

/// `200ms`, `1.5s`, `2s`.
fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str) -> Wish {
        Wish::Run(command.to_owned())
    }

    #[test]
    fn lines_are_directions_or_just_said() {
        let script = Script::parse(
            "hello\n slow: 1.5s\n$ ls -la\n$ pwd\n\n$ id\nthink: hm: well\nslow: never\nplan:\nnote: mine\n\
             *** Begin Patch\n*** Add File: a\n+$ x\n*** End Patch\nfail: context\nescalate: rm x\n\
             ask: Really? | Yes | No\nimage: /a b.png\n\
             propose: a; b\ngoal: be done\ncall: mine {\"a\": 1}\ncall: bare",
        );
        assert_eq!(script.said, "hello\n\nslow: never\nplan:\nnote: mine");
        let patch = "*** Begin Patch\n*** Add File: a\n+$ x\n*** End Patch\n".to_owned();
        let answers = vec!["Yes".to_owned(), "No".to_owned()];
        assert_eq!(
            script.steps,
            [
                Step::Slow(Duration::from_millis(1500)),
                Step::Call(vec![run("ls -la"), run("pwd")]),
                Step::Call(vec![run("id")]),
                Step::Think("hm: well".to_owned()),
                Step::Call(vec![Wish::Patch(patch)]),
                Step::Fail("context".to_owned()),
                Step::Call(vec![Wish::Escalate("rm x".to_owned())]),
                Step::Call(vec![Wish::Ask("Really?".to_owned(), answers)]),
                Step::Call(vec![Wish::Image("/a b.png".to_owned())]),
                Step::Propose(vec!["a".to_owned(), "b".to_owned()]),
                Step::Call(vec![Wish::Goal("be done".to_owned())]),
                Step::Call(vec![Wish::Other("mine".to_owned(), "{\"a\": 1}".to_owned())]),
                Step::Call(vec![Wish::Other("bare".to_owned(), String::new())]),
            ]
        );
    }

    #[test]
    fn a_plan_says_how_far_it_is() {
        let steps = |text| {
            plan(text).into_iter().map(|(step, status)| format!("{step}={status}")).collect::<Vec<_>>()
        };
        assert_eq!(steps("a; b;; c"), ["a=in_progress", "b=pending", "c=pending"]);
        assert_eq!(steps("[x] a; [>] b; c"), ["a=completed", "b=in_progress", "c=pending"]);
    }

    #[test]
    fn a_pause_has_a_unit_and_a_bound() {
        let pause = |text| match direction(text) {
            Some(Step::Slow(pause)) => Some(pause),
            _ => None,
        };
        assert_eq!(pause("slow: 200ms"), Some(Duration::from_millis(200)));
        assert_eq!(pause("slow: 1e9s"), Some(OFFLINE_PAUSE_MAX));
        assert_eq!(pause("slow: 5"), None);
    }
}
