//! How often and when a provider is asked again: each limit at its bound, on a clock that stands still.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use app_server::clock::Monotonic;
use app_server::limits::{
    MODEL_RETRY_AFTER_MAX, MODEL_RETRY_PAUSE, PROVIDER_REQUEST_RETRIES, PROVIDER_STREAM_RETRIES,
};
use serde_json::{Value, json};

use crate::support::client::text;
use crate::support::inside::{Inside, Peer};
use crate::support::mock_model::{Answer, MockModel, Step};

/// A server that asks this mock, and when the mock was asked.
struct Stage {
    inside: Inside,
    peer: Peer,
    mock: MockModel,
    asked_at: Arc<Mutex<Vec<Monotonic>>>,
}

impl Stage {
    /// `settings` are lines of the provider's table; each request is answered by `answer`.
    fn new(settings: &[&str], answer: impl Fn() -> Answer + Send + Sync + 'static) -> Self {
        let mock = MockModel::start();
        let mut overrides = vec![
            "model=\"some-model\"".to_owned(),
            "model_provider=\"mock\"".to_owned(),
            format!("model_providers.mock.base_url=\"{}\"", mock.base_url()),
        ];
        overrides.extend(settings.iter().map(|setting| format!("model_providers.mock.{setting}")));
        let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
        let inside = Inside::start(&overrides);
        let peer = inside.connect();
        let asked_at = Arc::new(Mutex::new(Vec::new()));
        let (clock, times) = (inside.clock.clone(), Arc::clone(&asked_at));
        mock.respond(move |_| {
            times.lock().expect("no panic").push(clock.now());
            Some(answer())
        });
        Self { inside, peer, mock, asked_at }
    }

    /// Runs a turn, however long it waits, and says what was told of repetitions and how it ended.
    fn turn(&mut self) -> (Vec<String>, Value) {
        let thread = self.peer.start_thread(json!({}));
        self.peer.start_turn(&thread, "hello");
        let mut told = Vec::new();
        for _ in 0..100_000 {
            self.inside.advance(Duration::from_secs(1));
            for message in self.peer.take_heard() {
                let params = &message["params"];
                if message["method"] == "turn/completed" {
                    return (told, params["turn"].clone());
                }
                if params["willRetry"] == true {
                    told.push(text(&params["error"]["message"]));
                }
            }
        }
        panic!("the turn does not end")
    }

    /// The pauses between the requests.
    fn pauses(&self) -> Vec<Duration> {
        let times = self.asked_at.lock().expect("no panic");
        times.windows(2).map(|pair| pair[1].since(pair[0])).collect()
    }

    fn asked(&self) -> usize {
        self.mock.seen().len()
    }
}

fn cut() -> Answer {
    Answer::text("never whole").broken(/*after*/ 2, Step::Cut)
}

#[test]
fn a_refused_request_is_sent_again_as_often_as_configured() {
    for (settings, retries) in [
        (vec!["request_max_retries=3"], 3),
        (vec!["request_max_retries=0"], 0),
        (vec![], PROVIDER_REQUEST_RETRIES),
    ] {
        let settings = [settings, vec!["stream_max_retries=0"]].concat();
        let mut stage = Stage::new(&settings, || Answer::status(/*status*/ 500, ""));
        let (told, turn) = stage.turn();
        assert_eq!((&turn["status"], told), (&json!("failed"), Vec::new()), "{settings:?}: in silence");
        assert_eq!(stage.asked(), 1 + retries as usize, "{settings:?}");
        for (at, pause) in stage.pauses().into_iter().enumerate() {
            // Twice as long each time, with a tenth of jitter.
            assert!(pause >= MODEL_RETRY_PAUSE.mul_f64(0.899) * (1 << at), "{at}: {pause:?}");
        }
    }
}

#[test]
fn a_broken_stream_is_taken_up_again_as_often_as_configured() {
    for (settings, retries) in [
        (vec!["stream_max_retries=2"], 2),
        (vec!["stream_max_retries=0"], 0),
        (vec![], PROVIDER_STREAM_RETRIES),
    ] {
        let mut stage = Stage::new(&settings, cut);
        let (told, turn) = stage.turn();
        assert_eq!(turn["status"], "failed");
        let expected: Vec<String> =
            (1..=retries).map(|at| format!("Reconnecting... {at}/{retries}")).collect();
        assert_eq!((told, stage.asked()), (expected, 1 + retries as usize), "{settings:?}");
    }
}

#[test]
fn a_connection_that_is_never_answered_is_tried_a_bounded_number_of_times() {
    let mut stage = Stage::new(&["request_max_retries=2", "stream_max_retries=1"], Answer::hang_up);
    let (told, turn) = stage.turn();
    assert_eq!(
        turn["error"]["codexErrorInfo"],
        json!({ "httpConnectionFailed": { "httpStatusCode": null } })
    );
    assert_eq!(told, ["Reconnecting... 1/1"]);
    assert_eq!(stage.asked(), 3 * 2, "each try of the turn is as many of the request");
}

#[test]
fn a_silent_stream_is_taken_up_again_and_then_given_up() {
    // The silence of a socket is one of real time, in which this clock stands still. The words before it have
    // to come in that time as well.
    let settings = ["stream_idle_timeout_ms=2000", "stream_max_retries=1"];
    let mut stage = Stage::new(&settings, || Answer::text("one two").broken(/*after*/ 3, Step::Stall));
    let thread = stage.peer.start_thread(json!({}));
    stage.peer.start_turn(&thread, "hello");
    let told = stage.peer.hear("error", &thread);
    assert_eq!(told["params"]["error"]["message"], "Reconnecting... 1/1");
    for _ in 0..100_000 {
        if stage.asked() == 2 {
            break;
        }
        stage.inside.advance(Duration::from_secs(1));
        stage.peer.ask("account/read", json!({})).expect("it answers");
    }
    let turn = stage.peer.hear("turn/completed", &thread)["params"]["turn"].take();
    let text = "stream disconnected before completion: idle timeout waiting for SSE";
    assert_eq!((&turn["error"]["message"], stage.asked()), (&json!(text), 2));
}

#[test]
fn a_provider_is_asked_again_when_it_wants_to_be_within_bounds() {
    let longest = MODEL_RETRY_AFTER_MAX.as_secs();
    for status in [429, 500] {
        for (wish, again) in [(7, true), (longest, true), (longest + 1, false)] {
            let settings = ["request_max_retries=1", "stream_max_retries=1"];
            let later = move || Answer::status(status, "").header("retry-after", &wish.to_string());
            let mut stage = Stage::new(&settings, later);
            let (_, turn) = stage.turn();
            assert_eq!(turn["status"], "failed");
            let pauses = stage.pauses();
            assert_eq!(!pauses.is_empty(), again, "{status}, {wish} s: {pauses:?}");
            let wish = Duration::from_secs(wish);
            assert!(pauses.iter().all(|pause| *pause >= wish), "{status}, {wish:?}: {pauses:?}");
        }
    }
}
