//! What was measured: a table on the terminal, JSON, and pictures and a summary in `target/bench-report/`.

mod summary;
mod svg;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::Args;
use super::peer::Peer;
use super::stats::{Figure, Samples, say, short};

/// All figures of a run.
pub(crate) struct Report {
    peers: Vec<String>,
    json: Option<PathBuf>,
    sheets: Vec<Sheet>,
}

/// One workload's figures.
struct Sheet {
    workload: String,
    rows: Vec<Row>,
    /// Peers that cannot do it, and why.
    left_out: Vec<(String, String)>,
}

/// One figure of all peers.
struct Row {
    name: &'static str,
    unit: &'static str,
    less_is_better: bool,
    /// In the order of the peers.
    samples: Vec<Samples>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(peers: &[Peer], args: &Args) -> Self {
        let peers = peers.iter().map(|peer| peer.name.clone()).collect();
        Self { peers, json: args.json.clone(), sheets: Vec::new() }
    }

    /// True if the peer has failed this workload before.
    pub(crate) fn lacks(&self, workload: &str, peer: &str) -> bool {
        let sheet = self.sheets.iter().find(|sheet| sheet.workload == workload);
        sheet.is_some_and(|sheet| sheet.left_out.iter().any(|(name, _)| name == peer))
    }

    /// Notes that a peer cannot do the workload.
    pub(crate) fn leave_out(&mut self, workload: &str, peer: &str, why: String) {
        self.sheet(workload).left_out.push((peer.to_owned(), why));
    }

    /// Takes what one round found.
    pub(crate) fn add(&mut self, workload: &str, peer: &str, figures: Vec<Figure>) {
        let Some(at) = self.peers.iter().position(|name| name == peer) else { return };
        let count = self.peers.len();
        let sheet = self.sheet(workload);
        for Figure { name, unit, less_is_better, value } in figures {
            let row = match sheet.rows.iter().position(|row| row.name == name) {
                Some(row) => &mut sheet.rows[row],
                None => {
                    sheet.rows.push(Row {
                        name,
                        unit,
                        less_is_better,
                        samples: vec![Samples::default(); count],
                    });
                    sheet.rows.last_mut().expect("just pushed")
                }
            };
            row.samples[at].add(value);
        }
    }

    fn sheet(&mut self, workload: &str) -> &mut Sheet {
        if let Some(at) = self.sheets.iter().position(|sheet| sheet.workload == workload) {
            return &mut self.sheets[at];
        }
        self.sheets.push(Sheet { workload: workload.to_owned(), rows: Vec::new(), left_out: Vec::new() });
        self.sheets.last_mut().expect("just pushed")
    }

    /// Prints a workload's table.
    pub(crate) fn print(&self, workload: &str) {
        for row in self.sheets.iter().filter(|sheet| sheet.workload == workload).flat_map(|sheet| &sheet.rows)
        {
            let cells: Vec<String> = self
                .peers
                .iter()
                .zip(&row.samples)
                .map(|(peer, samples)| format!("{peer} {}{}", cell(samples), row.ratio(samples)))
                .collect();
            say(&format!("  {:<42} {}", format!("{}, {}", row.name, row.unit), cells.join("   ")));
        }
    }

    /// Writes the files.
    pub(crate) fn write(&self) -> Result<(), String> {
        let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&self.as_json()).map_err(|error| error.to_string())?;
            std::fs::write(path, text + "\n").map_err(|error| failed(path, error))?;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../bench-report");
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        let mut page = String::from(svg::PAGE_HEAD);
        for sheet in &self.sheets {
            let picture = svg::draw(sheet, &self.peers);
            let path = folder.join(format!("{}.svg", sheet.workload));
            std::fs::write(&path, &picture).map_err(|error| failed(&path, error))?;
            page.push_str(&picture);
            for (peer, why) in &sheet.left_out {
                page.push_str(&format!(
                    "<p>{}: {} is left out: {}</p>\n",
                    sheet.workload,
                    peer,
                    svg::escape(why)
                ));
            }
        }
        for (name, text) in [
            ("summary.md", summary::table(&self.sheets, &self.peers)),
            ("summary.svg", summary::picture(&self.sheets, &self.peers)),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
        }
        let path = folder.join("index.html");
        std::fs::write(&path, page + "</html>\n").map_err(|error| failed(&path, error))?;
        say(&format!("pictures: {}", path.display()));
        Ok(())
    }

    fn as_json(&self) -> Value {
        let row = |row: &Row| {
            let peers = self.peers.iter().zip(&row.samples).filter(|(_, samples)| samples.count() > 0);
            let peers: serde_json::Map<String, Value> = peers
                .map(|(peer, samples)| {
                    let value = json!({"median": samples.median(), "min": samples.min(), "max": samples.max(),
                        "rounds": samples.count(), "ratio": row.ratio_to_ours(samples)});
                    (peer.clone(), value)
                })
                .collect();
            json!({"name": row.name, "unit": row.unit, "lessIsBetter": row.less_is_better, "peers": peers})
        };
        let sheet = |sheet: &Sheet| {
            let left_out: serde_json::Map<String, Value> =
                sheet.left_out.iter().map(|(peer, why)| (peer.clone(), why.clone().into())).collect();
            let rows: Vec<Value> = sheet.rows.iter().map(row).collect();
            json!({"workload": sheet.workload, "figures": rows, "leftOut": left_out})
        };
        json!({"peers": self.peers, "workloads": self.sheets.iter().map(sheet).collect::<Vec<_>>()})
    }
}

impl Row {
    /// How many times better ours is than these samples; none for ours itself and for what has no ratio.
    fn ratio_to_ours(&self, samples: &Samples) -> Option<f64> {
        let ours = self.samples.first().filter(|ours| ours.count() > 0)?;
        let (ours, theirs) = (ours.median(), samples.median());
        let ratio = if self.less_is_better { theirs / ours } else { ours / theirs };
        ratio.is_finite().then_some(ratio)
    }

    fn ratio(&self, samples: &Samples) -> String {
        let is_ours = self.samples.first().is_some_and(|ours| std::ptr::eq(ours, samples));
        match self.ratio_to_ours(samples) {
            Some(ratio) if !is_ours => format!(" ({}x)", short(ratio)),
            _ => String::new(),
        }
    }
}

/// Median with minimum and maximum.
fn cell(samples: &Samples) -> String {
    match samples.count() {
        0 => "-".to_owned(),
        1 => short(samples.median()),
        _ => format!("{} [{}..{}]", short(samples.median()), short(samples.min()), short(samples.max())),
    }
}
