//! Timers: one hashed wheel on its own worker for every deadline of the server.
//!
//! It knows nothing of what its entries do. An entry is armed with a callback, which runs on the timer worker
//! and must not wait for anything: it shuts a socket down or puts an event on a queue. An idle server has no
//! wakeups from here: the worker sleeps until the earliest deadline, or for ever if there is none.

mod wheel;
mod worker;

pub use wheel::{Key, Wheel};
pub use worker::{TimerHandle, TimerWorker};
