//! Turns that are no talk: a compaction, a command of the user, a review.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::actions;
use super::engine::Engine;
use super::stop::Stop;
use super::terminals::{NewCommand, shell};
use super::tools::{begin_command, shown, user_command};
use crate::limits;
use crate::model::{InputItem, Role};
use crate::proto::{
    CommandExecutionItem, CommandExecutionSource, CommandExecutionStatus, ItemBody, ReviewModeItem,
    ThreadItem, UserInput,
};

/// What a turn is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnKind {
    /// The user speaks and the model answers.
    Talk,
    /// The conversation is made shorter.
    Compact,
    /// The user runs a command, outside of the sandbox; the model hears of it.
    Shell {
        /// For the shell.
        command: String,
        /// It is killed after this.
        timeout: Duration,
    },
    /// The model reviews changes.
    Review {
        /// What is reviewed, as clients show it.
        title: String,
    },
}

impl Engine {
    pub(super) fn run_shell(&mut self, command: &str, timeout: Duration) -> Result<(), Stop> {
        let shell = shell(/*asked*/ None);
        let cwd = PathBuf::from(&self.work.settings.cwd);
        let item = CommandExecutionItem {
            id: Uuid::new_v4().to_string(),
            plugin_id: None,
            script_path: None,
            command: shown(&shell, "-lc", command),
            cwd: cwd.display().to_string(),
            process_id: None,
            source: CommandExecutionSource::UserShell,
            status: CommandExecutionStatus::InProgress,
            command_actions: actions::of(command, &cwd),
            aggregated_output: None,
            exit_code: None,
            duration_ms: None,
        };
        let started_at_ms = self.teller.now_ms();
        self.teller.start_item(ItemBody::CommandExecution(item.clone()), started_at_ms)?;
        let mut spec = user_command(&shell, command, Path::new(&cwd), timeout);
        let (_span, carrier) = begin_command(&self.work.trace, &item.id);
        spec.env.extend(carrier);
        let (teller, shown_since_ms) = (Arc::clone(&self.teller), Some(started_at_ms));
        let new = NewCommand { spec, item: item.clone(), shown_since_ms, teller };
        let (clock, cancel) = (self.work.clock.clone(), self.context.cancel.clone());
        let session = match self.work.terminals.start(&self.work.spawner, new) {
            Ok(session) => session,
            Err(error) => {
                let failed = CommandExecutionItem { status: CommandExecutionStatus::Failed, ..item };
                self.teller.complete_item(ItemBody::CommandExecution(failed), started_at_ms, &[])?;
                return Err(Stop::other(format!("the command was not started: {error}")));
            }
        };
        let deadline = clock.now().after(timeout + limits::COMMAND_DRAIN_DEADLINE * 2);
        session.wait_ended(&clock, &cancel, deadline);
        if cancel.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        let heard = session.hear(limits::COMMAND_OUTPUT_TOKENS * limits::BYTES_PER_TOKEN);
        self.work.terminals.forget(session.id());
        let code = heard.exit.map_or_else(|| "none".to_owned(), |exit| exit.code.to_string());
        let told = InputItem::text(
            Role::User,
            format!(
                "<user_shell_command>\n<command>\n{command}\n</command>\n<result>\nExit code: {code}\n\
                 Output:\n{}\n</result>\n</user_shell_command>",
                heard.text.trim_end()
            ),
        );
        self.teller.keep(std::slice::from_ref(&told), /*starts_over*/ false)?;
        self.request.input.push(told);
        Ok(())
    }

    /// Says that a review begins.
    pub(super) fn enter_review(&mut self, title: &str) -> Result<(), Stop> {
        let review = ReviewModeItem { id: Uuid::now_v7().to_string(), review: title.to_owned() };
        self.tell_whole(ItemBody::EnteredReviewMode(review)).map(|_| ())
    }

    /// Says what a review came to.
    pub(super) fn exit_review(&mut self) -> Result<(), Stop> {
        let review = match self.last_message.as_deref() {
            Some(ThreadItem { body: ItemBody::AgentMessage(message), .. }) => message.text.clone(),
            _ => String::new(),
        };
        let review = ReviewModeItem { id: Uuid::now_v7().to_string(), review };
        self.tell_whole(ItemBody::ExitedReviewMode(review)).map(|_| ())
    }

    fn tell_whole(&mut self, body: ItemBody) -> Result<Arc<ThreadItem>, Stop> {
        let now = self.teller.now_ms();
        self.teller.start_item(body.clone(), now)?;
        self.teller.complete_item(body, now, &[])
    }
}

/// What the model is asked for in a review, as the input of its turn.
#[must_use]
pub fn review_prompt(what: &str) -> Vec<UserInput> {
    let text = format!(
        "Review this as the author's colleague would: {what}\n\nLook for what is wrong: bugs, broken cases, \
         lost data, security holes, missing tests of new behaviour. Read the code around the change before \
         you judge. Leave taste and what was there before alone, and change no file. List the findings, the \
         worst first, each with file and line, what happens, and when. If there are none, say so."
    );
    vec![UserInput::Text { text, text_elements: Vec::new() }]
}
