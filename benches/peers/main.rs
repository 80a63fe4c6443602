//! Measures servers of this protocol side by side: ours and any others, alternating in one run.
//!
//! `cargo bench --bench peers -- --peer 'NAME=COMMAND' …` starts each peer as a client would, on stdio or with
//! `--listen ws://127.0.0.1:0`, drives it through the workloads and reports medians with minimum and maximum,
//! and the ratio of each peer to ours. All peers ask the same mock model, which runs in this process. What
//! counts are the ratios: absolute numbers belong to one machine and one day.

mod args;
mod bare;
mod clock;
mod link;
mod mock;
mod peer;
mod report;
mod soak;
mod stats;
mod workloads;

use std::process::ExitCode;

use args::Args;
use mock::MockModel;
use peer::{Peer, Stage};
use report::Report;

fn main() -> ExitCode {
    if std::env::args().any(|word| word == bare::SERVE) {
        return ended(bare::serve());
    }
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            stats::say(&format!("peers: {error}"));
            return ExitCode::from(2);
        }
    };
    ended(run(&args))
}

fn ended(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stats::say(&format!("peers: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    // Thousands of connections need as many descriptors.
    let _ = app_server::sys::rlimit::raise_open_files();
    let model = MockModel::start()?;
    let peers: Vec<Peer> = args.peers.clone();
    if let Some(seconds) = args.soak {
        return peers.iter().try_for_each(|peer| {
            soak::run(&Stage { peer, model: &model, args }, seconds)
                .map_err(|error| format!("{}: {error}", peer.name))
        });
    }
    let mut report = Report::new(&peers, args);
    for workload in workloads::ALL.iter().filter(|workload| args.wants(workload.name)) {
        stats::say(&format!("# {}: {}", workload.name, workload.what));
        for round in 0..workload.rounds(args) {
            for peer in &peers {
                if report.lacks(workload.name, &peer.name) {
                    continue;
                }
                let stage = Stage { peer, model: &model, args };
                match (workload.run)(&stage) {
                    Ok(figures) => report.add(workload.name, &peer.name, figures),
                    Err(missing) => {
                        stats::say(&format!("  {} is left out, round {round}: {missing}", peer.name));
                        report.leave_out(workload.name, &peer.name, missing);
                    }
                }
            }
        }
        report.print(workload.name);
    }
    report.write()
}
