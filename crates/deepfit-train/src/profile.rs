//! What the time of a run went to: as tables for a person, and as a trace for a browser.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use deepfit_cpu::{Measured, Profile};
use serde_json::json;

use crate::error::Result;
use crate::run_folder::write_text;
use crate::text::{Style, Table, words};

/// Operations and bytes a second that the machine reaches at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Floating-point operations a second.
    pub operations: f64,
    /// Bytes a second between memory and processor.
    pub bytes: f64,
}

impl Limits {
    /// Measures them on so many threads, which takes about a second.
    ///
    /// # Errors
    /// If the environment asks for an instruction set that is missing.
    pub fn measure(threads: usize) -> Result<Limits> {
        let pool = deepfit_cpu::pool::ThreadPool::new(threads);
        let isa = deepfit_cpu::simd::Isa::detect()?;
        Ok(Limits { operations: deepfit_cpu::peak(isa, &pool), bytes: deepfit_cpu::bandwidth(&pool, COPIED, 0.35) })
    }

    /// Seconds below which so many operations and bytes cannot be.
    pub fn seconds(&self, operations: u64, bytes: u64) -> f64 {
        (operations as f64 / self.operations).max(bytes as f64 / self.bytes)
    }
}

/// Bytes that are copied to measure the memory: more than a core's own caches, no more than a small machine can spare.
const COPIED: usize = 32 << 20;
/// Lines of each table.
const SHOWN: usize = 15;
/// Most characters of a name that are shown.
const NAME_WIDTH: usize = 60;

/// The tables, in lines of at most `width` characters where 80 are enough: the operations by kind, and the single operations of layers that
/// took longest.
pub fn text(profile: &Profile, limits: Limits, width: usize, style: Style) -> String {
    let whole = profile.seconds.max(f64::MIN_POSITIVE);
    let mut text = style.bold(&format!(
        "Where the time went: {} in {} runs, {:.1} % of it in operations{}\n",
        words::duration(profile.seconds),
        words::count(profile.runs),
        100.0 * profile.in_operations() / whole,
        match profile.waited {
            waited if waited > 0.0 => format!(",\n{:.1} % waiting for data", 100.0 * waited / whole),
            _ => String::new(),
        }
    ));
    let kinds = summed(profile.operations.iter().map(|m| (m.operation.clone(), m)));
    text.push_str(&table("operation", kinds, whole, limits, width, style));
    let of_layers = profile.operations.iter().filter(|m| !m.layer.is_empty());
    let singles = summed(of_layers.map(|m| (format!("{}: {}", m.layer, m.operation), m)));
    text.push_str(&style.bold("Of single layers\n"));
    text.push_str(&table("layer: operation", singles, whole, limits, width, style));
    text.push_str(&style.dim(&format!(
        "  \"of limit\": the least time that the operations, or the bytes read and\n  written, need on this machine ({:.0} GFLOP/s, {:.1} GB/s) in percent of the time\n  \
         taken; more than 100 % where values stay in a cache or a product takes fewer\n  operations than the textbook's.\n",
        limits.operations * 1e-9,
        limits.bytes * 1e-9
    )));
    text
}

/// What has the same name, added up; the longest first.
fn summed<'a>(named: impl Iterator<Item = (String, &'a Measured)>) -> Vec<(String, Measured)> {
    let mut sums: BTreeMap<String, Measured> = BTreeMap::new();
    for (name, measured) in named {
        match sums.get_mut(&name) {
            Some(sum) => {
                sum.calls += measured.calls;
                sum.seconds += measured.seconds;
                sum.operations += measured.operations;
                sum.bytes += measured.bytes;
            }
            None => {
                sums.insert(name, measured.clone());
            }
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
    sums
}

fn table(title: &str, rows: Vec<(String, Measured)>, whole: f64, limits: Limits, width: usize, style: Style) -> String {
    let share = |seconds: f64| format!("{:.1} %", 100.0 * seconds / whole);
    let mut cells: Vec<Vec<String>> = Vec::new();
    for (name, m) in rows.iter().take(SHOWN) {
        let seconds = m.seconds.max(f64::MIN_POSITIVE);
        cells.push(vec![
            name.clone(),
            words::count(m.calls),
            words::duration(m.seconds),
            share(m.seconds),
            format!("{:.1}", m.operations as f64 / seconds * 1e-9),
            format!("{:.1}", m.bytes as f64 / seconds * 1e-9),
            format!("{:.0} %", 100.0 * limits.seconds(m.operations, m.bytes) / seconds),
        ]);
    }
    if let Some(rest) = rows.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        let seconds: f64 = rest.iter().map(|(_, m)| m.seconds).sum();
        let calls: u64 = rest.iter().map(|(_, m)| m.calls).sum();
        let name = format!("{} others", rest.len());
        cells.push(vec![name, words::count(calls), words::duration(seconds), share(seconds)]);
    }
    let filled = |names: usize| {
        let mut table = Table::new(1, &[title, "calls", "time", "share", "GFLOP/s", "GB/s", "of limit"]);
        for row in &cells {
            let mut row = row.clone();
            row[0] = words::shortened(&row[0], names);
            table.row(row);
        }
        table
    };
    // The names get what the figures leave of the line.
    let figures: usize = filled(0).widths()[1..].iter().map(|width| width + 2).sum();
    filled(width.saturating_sub(figures + 2).clamp(title.len(), NAME_WIDTH)).render(style)
}

/// With what every trace begins.
const BEGINNING: &str = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";

/// Why a trace must not be written to a place, if it must not: a folder is there, or a file that is no trace.
pub fn why_not(path: &Path) -> Option<&'static str> {
    if path.is_dir() {
        return Some("is a folder: name a file");
    }
    let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    let mut beginning = [0; BEGINNING.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut beginning));
    let is_trace = read.is_ok() && beginning == *BEGINNING.as_bytes();
    (length > 0 && !is_trace).then_some("is a file that no --profile has written: choose another name, or delete it")
}

/// Writes the single calls as a trace in the format of Chrome's trace viewer, which `chrome://tracing`,
/// `edge://tracing` and Perfetto open.
///
/// # Errors
/// If the file cannot be written.
pub fn write_trace(profile: &Profile, path: &Path) -> Result<()> {
    let mut text = String::from(BEGINNING);
    for (i, span) in profile.spans.iter().enumerate() {
        let m = &profile.operations[span.operation];
        let event = json!({
            "name": m.operation,
            "cat": "operation",
            "ph": "X",
            "pid": 1,
            "tid": 1,
            "ts": span.start * 1e6,
            "dur": span.seconds * 1e6,
            "args": { "layer": m.layer, "flops": m.operations / m.calls.max(1), "bytes": m.bytes / m.calls.max(1) },
        });
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str(&event.to_string());
    }
    text.push_str("\n]}\n");
    write_text(path, &text)
}
