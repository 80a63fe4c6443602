//! Whether the server wants new clients, as `/readyz` tells it to whoever balances load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The server's readiness; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// A phase of the server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not yet serving.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what runs, and then ending.
    Draining,
}

impl Readiness {
    /// Moves to another phase.
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
}
