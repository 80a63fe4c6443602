//! All numbers of one moment, and how they are written: Prometheus text format 0.0.4, and JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{BOUNDS, Distribution};

/// Names and values of a sample's labels. The names are ours, the values may be any text.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// What a family of numbers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How long things took.
    Histogram,
}

/// Numbers of one name.
#[derive(Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    labels: Vec<(&'static str, String)>,
    number: Number,
}

#[derive(Debug)]
enum Number {
    Plain(f64),
    Spread(Box<Distribution>),
}

/// All numbers of one moment.
#[derive(Debug, Default)]
pub struct Page(Vec<Family>);

impl Page {
    /// Adds a number without labels that only grows.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.family(name, help, Kind::Counter).add(&[], value as f64);
    }

    /// Adds a number without labels that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.family(name, help, Kind::Gauge).add(&[], value);
    }

    /// Adds durations without labels, in seconds.
    pub fn histogram(&mut self, name: &'static str, help: &'static str, value: Distribution) {
        self.family(name, help, Kind::Histogram).spread(&[], value);
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &'static str, help: &'static str, kind: Kind) -> &mut Family {
        self.0.push(Family { name, help, kind, samples: Vec::new() });
        let at = self.0.len() - 1;
        &mut self.0[at]
    }

    /// As Prometheus reads it (text format 0.0.4).
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        for family in &self.0 {
            family.write(&mut out);
        }
        out
    }

    /// An object with a member for each family: a number, or an object of numbers by the values of
    /// their labels.
    #[must_use]
    pub fn json(&self) -> Value {
        let families = self.0.iter().map(|family| (family.name.to_owned(), family.json()));
        Value::Object(families.collect::<Map<_, _>>())
    }
}

impl Family {
    /// Adds a sample.
    pub fn add(&mut self, labels: Labels<'_>, value: f64) {
        self.push(labels, Number::Plain(value));
    }

    /// Adds a sample of durations.
    pub fn spread(&mut self, labels: Labels<'_>, value: Distribution) {
        self.push(labels, Number::Spread(Box::new(value)));
    }

    fn push(&mut self, labels: Labels<'_>, number: Number) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push(Sample { labels, number });
    }

    fn write(&self, out: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // A String takes what it is given.
        let _ = writeln!(out, "# HELP {} {}\n# TYPE {} {kind}", self.name, self.help, self.name);
        for Sample { labels, number } in &self.samples {
            match number {
                Number::Plain(value) => line(out, self.name, "", labels, /*bound*/ None, *value),
                Number::Spread(spread) => {
                    let mut within = 0;
                    for (at, count) in spread.buckets.iter().enumerate() {
                        within += count;
                        let bound = BOUNDS.get(at).map_or("+Inf".to_owned(), f64::to_string);
                        line(out, self.name, "_bucket", labels, Some(&bound), within as f64);
                    }
                    line(out, self.name, "_sum", labels, /*bound*/ None, spread.sum_ns as f64 / 1e9);
                    line(out, self.name, "_count", labels, /*bound*/ None, within as f64);
                }
            }
        }
    }

    fn json(&self) -> Value {
        let number = |sample: &Sample| match &sample.number {
            Number::Plain(value) if value.fract() == 0.0 => json!(*value as i64),
            Number::Plain(value) => json!(value),
            Number::Spread(spread) => {
                json!({"count": spread.count(), "sumSeconds": spread.sum_ns as f64 / 1e9})
            }
        };
        match self.samples.as_slice() {
            [only] if only.labels.is_empty() => number(only),
            samples => {
                let key = |sample: &Sample| {
                    let values: Vec<&str> = sample.labels.iter().map(|(_, value)| value.as_str()).collect();
                    values.join(" ")
                };
                Value::Object(samples.iter().map(|sample| (key(sample), number(sample))).collect())
            }
        }
    }
}

fn line(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&'static str, String)],
    bound: Option<&str>,
    value: f64,
) {
    out.push_str(name);
    out.push_str(suffix);
    let all = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(bound.map(|le| ("le", le)));
    for (at, (name, value)) in all.enumerate() {
        out.push(if at == 0 { '{' } else { ',' });
        let _ = write!(out, "{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    if !labels.is_empty() || bound.is_some() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obs::metrics::Histogram;
    use std::time::Duration;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.counter("a_total", "Things.", /*value*/ 7);
        let family = page.family("b", "Labelled.", Kind::Gauge);
        family.add(&[("who", "q\"\\\n"), ("x", "")], /*value*/ 1.5);
        let histogram = Histogram::new();
        histogram.record(Duration::from_millis(2));
        page.histogram("c_seconds", "Times.", histogram.get());
        let text = page.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["# HELP a_total Things.", "# TYPE a_total counter", "a_total 7"]);
        assert_eq!(lines[5], r#"b{who="q\"\\\n",x=""} 1.5"#);
        assert!(lines.contains(&r#"c_seconds_bucket{le="0.001"} 0"#), "{text}");
        assert!(lines.contains(&r#"c_seconds_bucket{le="0.0025"} 1"#), "{text}");
        assert!(lines.contains(&r#"c_seconds_bucket{le="+Inf"} 1"#), "{text}");
        assert_eq!(lines[lines.len() - 2..], ["c_seconds_sum 0.002", "c_seconds_count 1"]);
    }

    #[test]
    fn the_json_has_a_member_for_each_family() {
        let mut page = Page::default();
        page.counter("a_total", "Things.", /*value*/ 7);
        page.family("b", "Labelled.", Kind::Counter).add(&[("m", "x"), ("o", "ok")], /*value*/ 2.0);
        page.histogram("c_seconds", "Times.", Histogram::new().get());
        let found = page.json();
        assert_eq!(
            found,
            json!({"a_total": 7, "b": {"x ok": 2}, "c_seconds": {"count": 0, "sumSeconds": 0.0}})
        );
    }
}
