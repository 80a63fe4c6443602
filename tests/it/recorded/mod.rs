//! Recorded conversations with the reference, held again with this server: the client's side as it was, the
//! model's side made from what the reference told of it, and what the server says compared with what the
//! reference said, message by message.
//!
//! Compared are the order of the messages, their methods, the statuses, the items and approvals with their
//! fields; not ids, times and paths. What differs has to stand in [`differences::DIFFERENCES`] with its
//! reason, and what stands there has to differ.

mod by_hand;
mod differences;
mod model;
mod play;
mod signature;

use super::support::recordings::{Told, lines_of};
use play::Play;

/// The folders of tests may lie below the one for temporary files, which the recorder's did not.
const NO_TMP: &str = "[sandbox_workspace_write]\nexclude_slash_tmp = true\nexclude_tmpdir_env_var = true\n";

/// One session: its files in their order, and what its `config.toml` had beside the provider.
fn play(name: &str, files: &[&str], config: &str) {
    play_without(name, files, config, /*without_conn*/ None);
}

fn play_without(name: &str, files: &[&str], config: &str, without_conn: Option<&str>) {
    let lines: Option<Vec<Told>> = files
        .iter()
        .map(|file| lines_of(file))
        .collect::<Option<Vec<_>>>()
        .map(|parts| parts.into_iter().flatten().collect());
    let Some(lines) = lines else { return };
    let differences = Play::new(name, &lines, config, without_conn).run();
    assert!(differences.is_empty(), "{name} differs from its recording:\n{}", differences.join("\n"));
}

#[test]
fn basic_turns_go_as_recorded() {
    // The third process met a thread that the second one held; here nobody holds a thread.
    play_without("basic", &["02_basic_turn"], "", Some("p3"));
}

#[test]
fn variants_of_basic_turns_go_as_recorded() {
    play("variants", &["02b_basic_variants"], "");
}

#[test]
fn commands_and_their_approvals_go_as_recorded() {
    play(
        "commands",
        &["03a_exec_on_request", "03b_exec_untrusted_never", "03c_exec_interactive_pending"],
        NO_TMP,
    );
}

#[test]
fn patches_go_as_recorded() {
    play("patches", &["04_apply_patch"], NO_TMP);
}

#[test]
fn plans_reasoning_and_tools_go_as_recorded() {
    play(
        "plans",
        &["05_plan_reasoning"],
        "show_raw_agent_reasoning = true\n[tools.update_plan]\nenabled = true\n",
    );
}

#[test]
fn steering_and_interrupting_go_as_recorded() {
    play("steering", &["06_steer_interrupt"], "");
}

#[test]
fn steering_of_thoughts_goes_as_recorded() {
    // The first process had `features.instant_interrupt = false`, which this server does not have: what the
    // user says cuts the answer.
    play_without("queued", &["06b_steer_queued"], "", Some("p1"));
}

#[test]
fn what_the_sandbox_denies_and_what_is_allowed_for_good_go_as_recorded() {
    play("followups", &["16_followups"], NO_TMP);
}

#[test]
fn failures_of_the_model_go_as_recorded() {
    play("failures", &["07a_model_failures", "07b_model_retries"], "");
}
