//! The workloads, each a file by what it is about.

mod commands;
mod connections;
mod requests;
mod start;
mod stored;
mod streams;
mod turns;

use super::args::Args;
use super::link::Missing;
use super::peer::Stage;
use super::stats::Figure;

/// What one round finds, or why the peer cannot be measured.
pub(crate) type Outcome = Result<Vec<Figure>, Missing>;

/// Something to measure.
pub(crate) struct Workload {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) what: &'static str,
    /// One round.
    pub(crate) run: fn(&Stage<'_>) -> Outcome,
    /// Most rounds, for what takes long.
    rounds_max: usize,
}

impl Workload {
    const fn new(name: &'static str, what: &'static str, run: fn(&Stage<'_>) -> Outcome) -> Self {
        Self { name, what, run, rounds_max: usize::MAX }
    }

    const fn at_most(mut self, rounds: usize) -> Self {
        self.rounds_max = rounds;
        self
    }

    /// Rounds to run.
    pub(crate) fn rounds(&self, args: &Args) -> usize {
        args.rounds.min(self.rounds_max)
    }
}

/// All of them, in the order in which they run.
pub(crate) const ALL: &[Workload] = &[
    Workload::new("start", "stdio, from the start of the process to the answer of initialize", start::start),
    Workload::new("idle", "after initialize and one thread/list on stdio, for 3 s", start::idle),
    Workload::new("sequential", "thread/loaded/list, one after the other", requests::sequential),
    Workload::new("pipelined-1", "thread/loaded/list, 32 in flight on 1 connection", requests::pipelined_1),
    Workload::new("pipelined-16", "the same on 16 connections", requests::pipelined_16),
    Workload::new("pipelined-64", "the same on 64 connections", requests::pipelined_64),
    Workload::new("thread-start", "thread/start, one at a time and from 16 connections", turns::thread_start),
    Workload::new("turn", "turns of 20 deltas, one at a time and 16 at once", turns::turn),
    Workload::new("deltas-1", "a turn of 20,000 deltas of 16 bytes to 1 subscriber", streams::deltas_1),
    Workload::new("deltas-32", "the same to 32 subscribers", streams::deltas_32).at_most(/*rounds*/ 3),
    Workload::new(
        "slow-reader",
        "60,000 deltas of 256 bytes, one of two subscribers does not read",
        streams::slow,
    )
    .at_most(/*rounds*/ 2),
    Workload::new("exec", "command/exec of `true`, over WebSocket", commands::exec),
    Workload::new("output", "command/exec that streams 100 MB, over WebSocket", commands::output),
    Workload::new("output-1gb", "the same with 1 GB", commands::output_1gb).at_most(/*rounds*/ 2),
    Workload::new("echo", "a byte typed into a PTY until it comes back", commands::echo),
    Workload::new("idle-100", "100 idle connections", connections::idle_100).at_most(/*rounds*/ 3),
    Workload::new("idle-1000", "1,000 idle connections", connections::idle_1000).at_most(/*rounds*/ 3),
    Workload::new(
        "idle-8000",
        "8,000 idle connections, or as many as --connections allows",
        connections::idle_8000,
    )
    .at_most(/*rounds*/ 2),
    Workload::new("crowd", "a turn beside 0, 1,000 and 4,000 idle connections", connections::crowd)
        .at_most(/*rounds*/ 2),
    Workload::new("stored", "thread/list with --stored threads in the store", stored::stored)
        .at_most(/*rounds*/ 1),
];
