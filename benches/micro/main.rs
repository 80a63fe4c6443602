//! Hot paths alone: how long they take, and how many instructions.
//!
//! `cargo bench --bench micro` times them (divan; see `--help`). With `-- --counts` they run under valgrind's
//! callgrind, whose count of instructions is the same on a busy machine, and are compared with the stored
//! baseline: what became more than 3 % worse fails.

mod counts;
mod ops;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let counting = arguments.iter().any(|argument| argument.starts_with("--count"));
    if counting {
        return counts::run(&arguments);
    }
    divan::main();
    ExitCode::SUCCESS
}

#[divan::bench(args = ops::ALL.iter().map(|op| op.name))]
fn op(bencher: divan::Bencher<'_, '_>, name: &str) {
    if let Some(op) = ops::ALL.iter().find(|op| op.name == name) {
        let mut run = (op.prepare)();
        bencher.bench_local(&mut run);
    }
}
