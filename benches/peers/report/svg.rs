//! Bars with whiskers: a group for each figure, a bar for each peer.

use super::{Row, Sheet};
use crate::stats::short;

/// How the page that shows all pictures begins.
pub(super) const PAGE_HEAD: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
    <title>app-server: measured side by side</title>\n\
    <style>body{font:15px system-ui;max-width:820px;margin:2em auto}svg{margin:1em 0}</style>\n\
    <h1>Measured side by side</h1>\n\
    <p>Bars are medians, whiskers reach from the smallest to the largest round. Each group has its own scale.</p>\n";

const WIDTH: f64 = 800.0;
const LABEL: f64 = 190.0;
const BAR: f64 = 18.0;
const GAP: f64 = 26.0;
const COLORS: [&str; 6] = ["#2563eb", "#9ca3af", "#f59e0b", "#10b981", "#a855f7", "#ef4444"];

/// The picture of one workload.
pub(super) fn draw(sheet: &Sheet, peers: &[String]) -> String {
    let height = 40.0 + sheet.rows.len() as f64 * (GAP + BAR * peers.len() as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"22\" font-size=\"16\" font-weight=\"bold\">{}</text>\n",
        escape(&sheet.workload)
    );
    let mut y = 40.0;
    for row in &sheet.rows {
        let better = if row.less_is_better { "less is better" } else { "more is better" };
        let title = format!("{} {} ({better})", row.name, row.unit);
        out.push_str(&format!(
            "<text x=\"8\" y=\"{}\" fill=\"#374151\">{}</text>\n",
            y + 14.0,
            escape(&title)
        ));
        y += 20.0;
        draw_bars(&mut out, row, peers, y);
        y += GAP - 20.0 + BAR * peers.len() as f64;
    }
    out.push_str("</svg>\n");
    out
}

fn draw_bars(out: &mut String, row: &Row, peers: &[String], top: f64) {
    let largest =
        row.samples.iter().map(super::Samples::max).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let scale = if largest > 0.0 { (WIDTH - LABEL - 120.0) / largest } else { 0.0 };
    for (at, (peer, samples)) in peers.iter().zip(&row.samples).enumerate() {
        let y = top + BAR * at as f64;
        let middle = y + BAR / 2.0 - 1.0;
        out.push_str(&format!("<text x=\"24\" y=\"{}\">{}</text>\n", y + 12.0, escape(peer)));
        if samples.count() == 0 {
            out.push_str(&format!(
                "<text x=\"{LABEL}\" y=\"{}\" fill=\"#9ca3af\">not served</text>\n",
                y + 12.0
            ));
            continue;
        }
        let end = |value: f64| LABEL + value.max(0.0) * scale;
        let color = COLORS[at % COLORS.len()];
        out.push_str(&format!(
            "<rect x=\"{LABEL}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{color}\"/>\n\
             <path d=\"M{:.1} {middle}H{:.1}\" stroke=\"black\"/>\n\
             <text x=\"{:.1}\" y=\"{}\">{}</text>\n",
            (end(samples.median()) - LABEL).max(1.0),
            BAR - 3.0,
            end(samples.min()),
            end(samples.max()),
            end(samples.max()) + 8.0,
            y + 12.0,
            short(samples.median())
        ));
    }
}

/// Text that may stand in XML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
