//! Agent threads and their turns.
//!
//! It knows the model, the store and the protocol's items, and no connection: what happens in a turn is
//! told as [`TurnEvent`]s, in order, to whoever started it. Each running turn has a worker of its own.

mod ask;
mod control;
mod conversation;
mod engine;
mod event;
mod ids;
mod input;
mod items;
mod live;
mod settings;
mod silence;
mod stop;
mod stream;
mod teller;
mod tools;
mod turn;
mod usage;

#[cfg(test)]
mod tests;

pub use ask::{Answered, Ask, Asker, Opening, Outcome, OutcomeSender};
pub use event::{Change, Encoded, EventSink, ListenerGone, TurnEvent};
pub use ids::{ThreadId, TurnId};
pub use items::{preview, text_chars};
pub use live::GrownTo;
pub use settings::{Defaults, Overrides, Settings};
pub use stop::Stop;
pub use tools::{Tool, ToolContext, ToolOutput};
pub use turn::{Interrupter, NewInput, TurnHandle, TurnWork, start};
