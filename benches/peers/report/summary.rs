//! All figures on one page: a Markdown table, and a picture of the ratios.

use super::svg::escape;
use super::{Row, Sheet};
use crate::stats::{Samples, short};

/// The table: what was measured, and how many times better ours is.
pub(super) fn table(sheets: &[Sheet], peers: &[String]) -> String {
    let Some((ours, others)) = peers.split_first() else { return String::new() };
    let mut out = format!("| | {ours} |");
    for peer in others {
        out.push_str(&format!(" {peer} | ratio |"));
    }
    out.push_str("\n|---|---|");
    out.push_str(&"---|---|".repeat(others.len()));
    out.push('\n');
    for (sheet, row) in rows(sheets) {
        let Some((ours, others)) = row.samples.split_first() else { continue };
        out.push_str(&format!("| {}: {} | {} |", sheet.workload, row.name, with_unit(ours, row.unit)));
        for theirs in others {
            let ratio = row.ratio_to_ours(theirs).map_or_else(|| "–".to_owned(), short);
            out.push_str(&format!(" {} | {ratio} |", with_unit(theirs, row.unit)));
        }
        out.push('\n');
    }
    out
}

fn rows(sheets: &[Sheet]) -> impl Iterator<Item = (&Sheet, &Row)> {
    sheets.iter().flat_map(|sheet| sheet.rows.iter().map(move |row| (sheet, row)))
}

fn with_unit(samples: &Samples, unit: &str) -> String {
    if samples.count() == 0 {
        return "–".to_owned();
    }
    format!("{} {}", short(samples.median()), unit).trim_end().to_owned()
}

const WIDTH: f64 = 860.0;
const LABEL: f64 = 400.0;
const LINE: f64 = 18.0;
const TOP: f64 = 64.0;
const COLORS: [&str; 5] = ["#6b7280", "#f59e0b", "#10b981", "#a855f7", "#ef4444"];
/// Powers of ten on the axis, from a tenth to a thousand times.
const DECADES: std::ops::RangeInclusive<i32> = -1..=3;

/// The picture: a line for each figure, on it how many times better ours is than each peer.
pub(super) fn picture(sheets: &[Sheet], peers: &[String]) -> String {
    let lines: Vec<(String, Vec<Option<f64>>)> = rows(sheets)
        .map(|(sheet, row)| {
            let ratios = row.samples.iter().skip(1).map(|samples| row.ratio_to_ours(samples)).collect();
            (format!("{}: {}", sheet.workload, row.name), ratios)
        })
        .filter(|(_, ratios): &(_, Vec<_>)| ratios.iter().any(Option::is_some))
        .collect();
    let height = TOP + LINE * lines.len() as f64 + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    legend(&mut out, peers);
    for power in DECADES {
        let x = place(10f64.powi(power));
        let color = if power == 0 { "#111827" } else { "#d1d5db" };
        out.push_str(&format!(
            "<path d=\"M{x:.1} {}V{:.1}\" stroke=\"{color}\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}x</text>\n",
            TOP - 8.0,
            height - 8.0,
            TOP - 14.0,
            10f64.powi(power)
        ));
    }
    for (at, (name, ratios)) in lines.iter().enumerate() {
        let y = TOP + LINE * (at as f64 + 0.5);
        out.push_str(&format!("<text x=\"8\" y=\"{:.1}\">{}</text>\n", y + 4.0, escape(name)));
        for (peer, ratio) in ratios.iter().enumerate() {
            let Some(ratio) = ratio else { continue };
            let color = COLORS[peer % COLORS.len()];
            out.push_str(&format!(
                "<path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"{color}\" stroke-width=\"2\"/>\n\
                 <circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{color}\"><title>{}</title></circle>\n",
                place(/*ratio*/ 1.0),
                place(*ratio),
                place(*ratio),
                short(*ratio)
            ));
        }
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String, peers: &[String]) {
    let ours = peers.first().map_or("", String::as_str);
    out.push_str(&format!(
        "<text x=\"8\" y=\"22\" font-size=\"15\">How many times better {} is than</text>\n",
        escape(ours)
    ));
    let mut x = 330.0;
    for (at, peer) in peers.iter().skip(1).enumerate() {
        let color = COLORS[at % COLORS.len()];
        out.push_str(&format!(
            "<circle cx=\"{x}\" cy=\"18\" r=\"5\" fill=\"{color}\"/><text x=\"{}\" y=\"22\">{}</text>\n",
            x + 10.0,
            escape(peer)
        ));
        x += 40.0 + 8.0 * peer.len() as f64;
    }
}

/// Where a ratio stands; what is beyond the axis stands at its end.
fn place(ratio: f64) -> f64 {
    let (from, to) = (f64::from(*DECADES.start()), f64::from(*DECADES.end()));
    let share = (ratio.max(f64::MIN_POSITIVE).log10().clamp(from, to) - from) / (to - from);
    LABEL + share * (WIDTH - LABEL - 30.0)
}
