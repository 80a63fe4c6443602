//! Interrupting, steering, and the watchdog.

use std::time::Duration;

use super::*;
use crate::limits;
use crate::model::OfflineModel;
use crate::proto::CodexErrorInfo;

#[test]
fn letting_go_of_a_running_turn_ends_it_at_once() {
    // Its clock stands still: the first word never comes.
    let bench = simulated();
    let mut turn = bench.start(Arc::new(OfflineModel), "slow: 60s\nwords that nobody waits for");
    turn.until("turn/started");
    let Running { handle, events, .. } = turn;
    drop(handle);
    let last = events.iter().last().expect("it tells its end");
    let Change::Ended { turn, .. } = last.change else { panic!("{last:?}") };
    assert_eq!(turn.status, TurnStatus::Interrupted);
}

#[test]
fn new_input_cuts_the_answer_and_what_was_said_of_it_stays() {
    let bench = simulated();
    let (hangs, hanging) = bounded(1);
    let half = Step::Say(ModelEvent::TextDelta { id: "m".to_owned(), delta: "half".to_owned() });
    let model = Scripted::new(vec![vec![half, Step::Hang(hangs)], says("m", "whole")]);
    let mut turn = bench.start(model.clone(), "first");
    hanging.recv().expect("it hangs");
    turn.handle.steer(said("second")).expect("there is room");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let said = [(Role::User, "first"), (Role::Assistant, "half"), (Role::User, "second")]
        .map(|(role, text)| InputItem::text(role, text));
    assert_eq!(model.last_asked(), said);
}

#[test]
fn input_is_not_lost_whenever_it_comes() {
    for _ in 0..50 {
        let bench = real();
        let model = Scripted::new((0..50).map(|_| says("m", "x")).collect());
        let mut turn = bench.start(model.clone(), "first");
        let mut taken = 1;
        for _ in 0..3 {
            taken += usize::from(turn.handle.steer(said("more")).is_ok());
        }
        assert_eq!(ended(&turn.end()), TurnStatus::Completed);
        let users = bench.kept().iter().filter(|entry| entry.words_of(Role::User).is_some()).count();
        let heard = model.last_asked().iter().filter(|entry| entry.words_of(Role::User).is_some()).count();
        assert_eq!((users, heard), (taken, taken));
    }
}

#[test]
fn a_model_that_falls_silent_is_given_up() {
    let bench = simulated();
    let (hangs, hanging) = bounded(1);
    let word = Step::Say(ModelEvent::TextDelta { id: "m".to_owned(), delta: "word".to_owned() });
    let model = Scripted::new(vec![vec![word, Step::Hang(hangs)]]);
    let mut turn = bench.start(model, "go");
    hanging.recv().expect("it hangs");
    bench.clock.advance(limits::TURN_SILENCE_MAX + Duration::from_millis(100));
    let turn = turn.end();
    assert_eq!(turn.status, TurnStatus::Failed);
    let error = turn.error.expect("a reason");
    assert!(error.message.contains("said nothing for 21600 seconds"), "{}", error.message);
    let silent = CodexErrorInfo::ResponseStreamDisconnected { http_status_code: None };
    assert_eq!(error.codex_error_info, Some(silent));
}
