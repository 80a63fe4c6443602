//! The `app-server` binary: parse, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use app_server::{cli, limits, obs, run, sys};

fn main() -> ExitCode {
    // Before the first worker: each would get a share of memory of its own.
    sys::memory::tune_allocator();
    sys::orphans::hold_signal_back();
    let log = obs::log::init(&obs::log::Wanted::of_environment());
    let outcome = cli::parse(std::env::args_os().skip(1)).and_then(run::run);
    // Log lines go first: the last line on stderr is what ended the process.
    let _ = log.flush(limits::LOG_FLUSH_DEADLINE);
    match outcome {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            let text = obs::log::for_people(&format!("app-server: {error}\n"));
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(error.exit().code())
        }
    }
}
