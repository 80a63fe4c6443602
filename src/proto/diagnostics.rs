//! `server/diagnostics`: how the server is, in numbers.

use serde::{Deserialize, Serialize};

/// The answer to `server/diagnostics` as the protocol has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerDiagnosticsResponse {
    /// The server's process.
    pub process: DiagnosticsProcess,
    /// Named numbers, sorted by name.
    pub gauges: Vec<DiagnosticsGauge>,
}

/// The server's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiagnosticsProcess {
    /// Its id.
    pub id: u32,
    /// Bytes of memory that it occupies.
    pub resident_memory_bytes: Option<u64>,
    /// What macOS charges it with; null elsewhere.
    pub physical_footprint_bytes: Option<u64>,
}

/// A number and what it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DiagnosticsGauge {
    /// For example `core.turns.active`.
    pub name: String,
    /// The number now.
    pub value: u64,
}
