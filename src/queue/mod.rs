//! The queues between readers, the processor and writers.
//!
//! They know nothing of what they carry: bytes and counts only. Every queue here is bounded in messages and
//! in bytes, and says what happens when it is full.

mod broadcast;
mod credit;
mod fair;
mod inbox;
mod mailbox;
mod outbox;

pub use broadcast::{BroadcastLimits, Broadcaster};
pub use credit::{Charge, Credit};
pub use fair::{Access, FairFull, FairLimits, FairQueue, Held, Key, Turn};
pub use inbox::{Entry, Inbox, InboxDrain, InboxPort, Refused};
pub use mailbox::{Mailbox, Undelivered};
pub use outbox::{
    Batch, Closing, Next, Outbox, OutboxDrain, OutboxLimits, Overflow, Pushed, Shortcut, Wakes,
};
