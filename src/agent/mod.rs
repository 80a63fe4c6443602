//! Agent threads and their turns.
//!
//! It knows the model, the store and the protocol's items, and no connection: what happens in a turn is
//! told as [`TurnEvent`]s, in order, to whoever started it. Each running turn has a worker of its own.

mod actions;
mod approvals;
mod ask;
mod command_rules;
mod compact;
mod control;
mod conversation;
mod engine;
mod event;
mod goal;
mod ids;
mod input;
mod instructions;
mod items;
mod live;
mod message;
mod proposed_plan;
mod settings;
mod silence;
mod skills;
mod stop;
mod stream;
mod teller;
mod terminals;
mod tools;
mod turn;
mod usage;
mod work;

#[cfg(test)]
mod tests;

pub use approvals::{
    Allowed, Approvals, Decided, ESCALATION_REFUSED, PATCH_REFUSED, Verdict, WantedCommand, judge_command,
    judge_patch, proposed_rule,
};
pub use ask::{Answered, Ask, Asker, Opening, Outcome, OutcomeSender};
pub use command_rules::CommandRules;
pub use event::{Change, Encoded, EventSink, ListenerGone, TurnEvent};
pub use goal::{GoalAnswer, GoalAnswerSender, GoalAsk, GoalWish};
pub use ids::{ThreadId, TurnId};
pub use instructions::sources as instruction_sources;
pub use items::{preview, text_chars};
pub use live::GrownTo;
pub use settings::{Defaults, Overrides, Settings};
pub use skills::{Found, Skill, SkillRules, find as find_skills};
pub use stop::Stop;
pub use terminals::{BackgroundTerminal, Terminals};
pub use tools::{Tool, ToolContext, ToolOutput, client_tools};
pub use turn::{Interrupter, NewInput, TurnHandle, TurnWork, start};
pub use work::{TurnKind, review_prompt};
