//! Counts the instructions of an operation: the difference of two runs under callgrind that repeat it once
//! and twice as often, so that what a process does before and after is not in it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use super::ops::{ALL, Op};

/// More instructions than the baseline by this share fail.
const WORSE_MAX: f64 = 0.03;

/// What a stored baseline holds.
#[derive(serde::Serialize, serde::Deserialize)]
struct Baseline {
    /// What the counts depend on beside the code: `rustc --version` and the architecture.
    made_with: String,
    /// Instructions of each operation.
    instructions: BTreeMap<String, f64>,
}

/// `--counts` compares, `--counts-save` writes the baseline, `--count-one NAME TIMES` is what callgrind runs.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["--count-one", name, times] => return repeat(name, times),
        ["--counts", ..] => compare(),
        ["--counts-save", ..] => save(),
        _ => Err("usage: --counts, or --counts-save".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("counts: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn repeat(name: &str, times: &str) -> ExitCode {
    let op = ALL.iter().find(|op| op.name == name);
    let (Some(op), Ok(times)) = (op, times.parse::<u32>()) else { return ExitCode::FAILURE };
    let mut run = (op.prepare)();
    for _ in 0..times {
        run();
    }
    // What tidying up costs is in both runs.
    ExitCode::SUCCESS
}

fn compare() -> Result<(), String> {
    let path = baseline_path();
    let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let baseline: Baseline =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let here = made_with()?;
    if baseline.made_with != here {
        say(&format!("SKIPPED: the baseline was made with {}, and this is {here}", baseline.made_with));
        return Ok(());
    }
    let counts = count_all()?;
    let mut worse = Vec::new();
    say(&format!("{:<20} {:>14} {:>14} {:>8}", "operation", "baseline", "now", "change"));
    for (name, now) in &counts {
        let Some(before) = baseline.instructions.get(name) else {
            worse.push(format!("{name} is not in the baseline"));
            continue;
        };
        let change = now / before - 1.0;
        say(&format!("{name:<20} {before:>14.0} {now:>14.0} {:>+7.1}%", change * 100.0));
        if change > WORSE_MAX {
            worse.push(format!("{name} takes {:.1} % more instructions", change * 100.0));
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    let mut text = worse.join("; ");
    let _ = write!(text, ". If that is meant, write a new baseline with `--counts-save` and say why");
    Err(text)
}

fn save() -> Result<(), String> {
    let baseline = Baseline { made_with: made_with()?, instructions: count_all()? };
    let text = serde_json::to_string_pretty(&baseline).map_err(|error| error.to_string())?;
    let path = baseline_path();
    std::fs::write(&path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    say(&format!("written: {}", path.display()));
    Ok(())
}

fn count_all() -> Result<BTreeMap<String, f64>, String> {
    let mut counts = BTreeMap::new();
    for op in ALL.iter().filter(|op| op.counted > 0) {
        counts.insert(op.name.to_owned(), count(op)?);
    }
    Ok(counts)
}

/// Instructions of one repetition.
fn count(op: &Op) -> Result<f64, String> {
    let once = run_counted(op, op.counted)?;
    let twice = run_counted(op, 2 * op.counted)?;
    Ok((twice - once) / f64::from(op.counted))
}

fn run_counted(op: &Op, times: u32) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let file = std::env::temp_dir().join(format!("app-server-counts-{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(["--count-one", op.name, &times.to_string()])
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let profile = std::fs::read_to_string(&file).unwrap_or_default();
    let _ = std::fs::remove_file(&file);
    let total = profile.lines().find_map(|line| {
        let number = line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:"))?;
        number.trim().parse::<f64>().ok()
    });
    total.filter(|_| output.status.success()).ok_or_else(|| {
        format!("{} under valgrind: {}", op.name, String::from_utf8_lossy(&output.stderr).trim())
    })
}

fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/micro/baseline.json")
}

fn made_with() -> Result<String, String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("--version")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(format!("{version}, {}", std::env::consts::ARCH))
}

#[expect(clippy::print_stdout, reason = "the report is what it is run for")]
fn say(line: &str) {
    println!("{line}");
}
