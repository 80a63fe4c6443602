//! The built-in offline model: deterministic, without network and key.
//!
//! It answers by saying what it is and repeating what it was told, word by word. A line `slow: 200ms` in the
//! prompt makes it wait that long before each word, so that a client author can watch a turn run.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Cancel, ModelClient, ModelError, ModelEvent, ModelRequest, ModelStream, Role, Usage};

/// Its name as a model.
pub const OFFLINE_MODEL: &str = "offline";
/// Its id as a provider.
pub const OFFLINE_PROVIDER: &str = "offline";

/// Longest wait before one word that a prompt can ask for.
const SLOW_MAX: Duration = Duration::from_secs(60);

/// The offline model.
#[derive(Debug, Clone, Copy, Default)]
pub struct OfflineModel;

struct OfflineStream {
    id: String,
    words: VecDeque<String>,
    text: String,
    pause: Duration,
    state: State,
    usage: Usage,
}

#[derive(PartialEq)]
enum State {
    Speaking,
    Spoken,
    Completed,
}

impl ModelClient for OfflineModel {
    fn stream(&self, request: &ModelRequest, cancel: &Cancel) -> Result<Box<dyn ModelStream>, ModelError> {
        if cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let said = |role| request.input.iter().filter_map(move |item| item.words_of(role));
        let prompt = Prompt::parse(&said(Role::User).next_back().unwrap_or_default());
        let answer = prompt.answer();
        let answered = said(Role::Assistant).count();
        let input = said(Role::User).chain(said(Role::Assistant)).map(|text| count_words(&text));
        Ok(Box::new(OfflineStream {
            id: format!("msg_offline_{answered}"),
            words: answer.split_inclusive(' ').map(ToOwned::to_owned).collect(),
            text: String::with_capacity(answer.len()),
            pause: prompt.pause,
            state: State::Speaking,
            usage: Usage { input: input.sum(), output: count_words(&answer), ..Usage::default() },
        }))
    }

    fn context_window(&self, _model: &str) -> Option<i64> {
        None
    }
}

impl ModelStream for OfflineStream {
    fn next(&mut self, cancel: &Cancel) -> Result<Option<ModelEvent>, ModelError> {
        if cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        match self.state {
            State::Speaking => match self.words.pop_front() {
                Some(delta) => {
                    if !self.pause.is_zero() && !cancel.wait(self.pause) {
                        return Err(ModelError::Cancelled);
                    }
                    self.text.push_str(&delta);
                    Ok(Some(ModelEvent::TextDelta { id: self.id.clone(), delta }))
                }
                None => {
                    self.state = State::Spoken;
                    let (id, text) = (self.id.clone(), std::mem::take(&mut self.text));
                    Ok(Some(ModelEvent::MessageDone { id, text, phase: None }))
                }
            },
            State::Spoken => {
                self.state = State::Completed;
                Ok(Some(ModelEvent::Completed { usage: self.usage }))
            }
            State::Completed => Ok(None),
        }
    }
}

/// What the user wrote: words for the model, and directions to the offline model.
struct Prompt {
    said: String,
    pause: Duration,
}

impl Prompt {
    fn parse(text: &str) -> Self {
        let mut pause = Duration::ZERO;
        let said: Vec<&str> = text
            .lines()
            .filter(|line| {
                let direction = line.trim().strip_prefix("slow:").and_then(parse_duration);
                if let Some(asked) = direction {
                    pause = asked.min(SLOW_MAX);
                }
                direction.is_none()
            })
            .collect();
        Self { said: said.join("\n"), pause }
    }

    fn answer(&self) -> String {
        let said = self.said.trim();
        let what = "This is the offline model: no provider is configured, so nobody thought about this.";
        if said.is_empty() { format!("{what} You said nothing.") } else { format!("{what} You said: {said}") }
    }
}

/// `200ms`, `1.5s`, `2s`.
fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds * unit).ok()
}

fn count_words(text: &str) -> i64 {
    i64::try_from(text.split_whitespace().count()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::model::{InputItem, cancellation};

    fn request(prompt: &str) -> ModelRequest {
        ModelRequest {
            model: OFFLINE_MODEL.to_owned(),
            input: vec![InputItem::text(Role::User, prompt)],
            ..ModelRequest::default()
        }
    }

    fn ask(prompt: &str) -> Vec<ModelEvent> {
        let (_canceller, cancel) = cancellation(Clock::real());
        let request = request(prompt);
        let mut stream = OfflineModel.stream(&request, &cancel).expect("it answers");
        std::iter::from_fn(|| stream.next(&cancel).expect("it goes on")).collect()
    }

    #[test]
    fn it_says_the_same_each_time_word_by_word() {
        let events = ask("hello  there");
        assert_eq!(events, ask("hello  there"));
        let deltas: String = events
            .iter()
            .filter_map(|event| match event {
                ModelEvent::TextDelta { delta, .. } => Some(delta.as_str()),
                _ => None,
            })
            .collect();
        assert!(deltas.ends_with("You said: hello  there"), "{deltas}");
        let [.., ModelEvent::MessageDone { text, .. }, ModelEvent::Completed { usage }] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!((text, usage.input), (&deltas, 2));
        assert_eq!(usage.output, count_words(text));
    }

    #[test]
    fn directions_are_not_repeated() {
        let prompt = Prompt::parse("one\n slow: 1.5s\ntwo\nslow: never");
        assert_eq!(
            (prompt.said.as_str(), prompt.pause),
            ("one\ntwo\nslow: never", Duration::from_millis(1500))
        );
        assert_eq!(Prompt::parse("slow: 200ms").pause, Duration::from_millis(200));
        assert_eq!(Prompt::parse("slow: 1e9s").pause, SLOW_MAX);
    }

    #[test]
    fn a_cancelled_stream_stops() {
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let (canceller, cancel) = cancellation(clock);
        let request = request("slow: 60s\nx");
        let mut stream = OfflineModel.stream(&request, &cancel).expect("it answers");
        std::thread::scope(|scope| {
            let next = scope.spawn(|| stream.next(&cancel));
            canceller.cancel();
            assert_eq!(next.join().expect("no panic"), Err(ModelError::Cancelled));
        });
    }
}
