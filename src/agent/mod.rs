//! Agent threads and their turns.
//!
//! It knows the model, the store and the protocol's items, and no connection: what happens in a turn is
//! told as [`TurnEvent`]s, in order, to whoever started it. Each running turn has a worker of its own.

mod ask;
mod event;
mod history;
mod ids;
mod items;
mod live;
mod settings;
mod turn;

pub use ask::{Answered, Ask, Asker, Opening, Outcome, OutcomeSender};
pub use event::{Change, Encoded, EventSink, ListenerGone, TurnEvent};
pub use ids::{ThreadId, TurnId};
pub use items::{preview, text_chars};
pub use live::GrownTo;
pub use settings::{Defaults, Overrides, Settings};
pub use turn::{Interrupter, NewInput, TurnHandle, TurnWork, start};
