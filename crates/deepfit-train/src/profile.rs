//! What the time of a run went to: as tables for a person, and as a trace for a browser.

use std::collections::BTreeMap;
use std::path::Path;

use deepfit_cpu::{Measured, Profile};
use serde_json::json;

use crate::error::{Result, TrainError};
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
        Ok(Limits { operations: deepfit_cpu::peak(isa, &pool), bytes: deepfit_cpu::bandwidth(&pool) })
    }

    /// Seconds below which so many operations and bytes cannot be.
    pub fn seconds(&self, operations: u64, bytes: u64) -> f64 {
        (operations as f64 / self.operations).max(bytes as f64 / self.bytes)
    }
}

/// Lines of each table.
const SHOWN: usize = 15;
/// Characters of a name that are shown.
const NAME_WIDTH: usize = 60;

/// The tables: the operations by kind, and the single operations of layers that took longest.
pub fn text(profile: &Profile, limits: Limits, style: Style) -> String {
    let whole = profile.seconds.max(f64::MIN_POSITIVE);
    let mut text = style.bold(&format!(
        "Where the time went: {} in {} runs of a program, {:.1} % of it in operations\n",
        words::duration(profile.seconds),
        words::count(profile.runs),
        100.0 * profile.in_operations() / whole
    ));
    let kinds = summed(profile.operations.iter().map(|m| (m.operation.clone(), m)));
    text.push_str(&table("operation", kinds, whole, limits, style));
    let of_layers = profile.operations.iter().filter(|m| !m.layer.is_empty());
    let singles = summed(of_layers.map(|m| (format!("{}: {}", m.layer, m.operation), m)));
    text.push_str(&style.bold("Of single layers\n"));
    text.push_str(&table("layer: operation", singles, whole, limits, style));
    text.push_str(&style.dim(&format!(
        "  \"of limit\": the time that the operations, or the bytes read and written, need at least on this machine, which does\n  \
         {:.0} GFLOP/s and moves {:.1} GB/s, in percent of the time taken. Values that stay in a cache, and products by\n  \
         fewer operations than the textbook's, may take less.\n",
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

fn table(title: &str, rows: Vec<(String, Measured)>, whole: f64, limits: Limits, style: Style) -> String {
    let mut table = Table::new(1, &[title, "calls", "time", "share", "GFLOP/s", "GB/s", "of limit"]);
    for (name, m) in rows.iter().take(SHOWN) {
        let seconds = m.seconds.max(f64::MIN_POSITIVE);
        table.row(vec![
            words::shortened(name, NAME_WIDTH),
            words::count(m.calls),
            words::duration(m.seconds),
            format!("{:.1} %", 100.0 * m.seconds / whole),
            format!("{:.1}", m.operations as f64 / seconds * 1e-9),
            format!("{:.1}", m.bytes as f64 / seconds * 1e-9),
            format!("{:.0} %", 100.0 * limits.seconds(m.operations, m.bytes) / seconds),
        ]);
    }
    if let Some(rest) = rows.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        let seconds: f64 = rest.iter().map(|(_, m)| m.seconds).sum();
        let calls: u64 = rest.iter().map(|(_, m)| m.calls).sum();
        table.row(vec![
            format!("{} others", rest.len()),
            words::count(calls),
            words::duration(seconds),
            format!("{:.1} %", 100.0 * seconds / whole),
        ]);
    }
    table.render(style)
}

/// Writes the single calls as a trace in the format of Chrome's trace viewer, which `chrome://tracing`,
/// `edge://tracing` and Perfetto open.
///
/// # Errors
/// If the file cannot be written.
pub fn write_trace(profile: &Profile, path: &Path) -> Result<()> {
    let events: Vec<serde_json::Value> = profile
        .spans
        .iter()
        .map(|span| {
            let m = &profile.operations[span.operation];
            json!({
                "name": m.operation,
                "cat": "operation",
                "ph": "X",
                "pid": 1,
                "tid": 1,
                "ts": span.start * 1e6,
                "dur": span.seconds * 1e6,
                "args": { "layer": m.layer, "flops": m.operations / m.calls.max(1), "bytes": m.bytes / m.calls.max(1) },
            })
        })
        .collect();
    let trace = json!({ "traceEvents": events, "displayTimeUnit": "ms" });
    let text = serde_json::to_string(&trace).map_err(|e| TrainError::run(path, e.to_string()))?;
    write_text(path, &(text + "\n"))
}
