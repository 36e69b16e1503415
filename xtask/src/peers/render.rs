//! The section of BENCHMARKS.md about steps from a record: every figure in it is computed here.

use std::collections::{BTreeMap, BTreeSet};

use super::engines::ENGINES;
use super::goals::{self, COMPILERS, Goal, PYTORCH, RUST, WORKLOADS, Workload};
use super::record::Record;
use super::summary::{Cell, DEEPFIT, Summary};
use crate::markdown::Table;

/// What stands where nothing was measured.
const NONE: &str = "–";

/// The section, with the title of the file.
pub fn benchmarks(record: &Record) -> String {
    let summary = Summary::new(record);
    let mut text = introduction(record) + &outcome(&summary);
    for table in [
        goals_against_pytorch(&summary),
        other_goals(&summary),
        times(&summary),
        ratios(&summary),
        memory(&summary),
        limits(&summary),
        first_steps(&summary),
        correctness(record),
        machine(&summary),
        versions(record),
    ] {
        text += &table.to_string();
    }
    text += &left_out(&summary);
    text
}

fn introduction(record: &Record) -> String {
    let dirty = if record.dirty { ", with changes that are not committed" } else { "" };
    format!(
        "# Benchmarks\n\n\
        Made by `cargo xtask bench-peers` on {date}, of commit {commit}{dirty}: no figure is typed by hand.\n\n\
        A step is forward pass, loss, backward pass and update of the optimiser on one prepared batch of random data; a \
        network in use (`_infer`) only runs forward. All engines compute in 32-bit floating point, on {threads} threads. \
        Each engine has a process of its own; when all of a workload have made their first steps, they take turns, one \
        measuring while the others wait: the median of at least {seconds} s of steps, and in the tables the median of {rounds} such turns. Memory is the peak \
        resident set of the process. [benches/peers](benches/peers/README.md) has the peers, and says what was done to \
        make each as fast as it can be.\n",
        date = record.date,
        commit = record.commit,
        threads = record.threads,
        seconds = record.seconds,
        rounds = record.rounds,
    )
}

/// How many goals are met, and which are not.
fn outcome(summary: &Summary) -> String {
    let mut goals: Vec<(String, bool)> = Vec::new();
    for workload in measured(summary) {
        if let Some(ratio) = summary.ratio(workload.name, &PYTORCH) {
            let met = goals::beats_pytorch(workload, ratio, summary.share_of_peak(workload.name));
            goals.push((format!("{} against PyTorch", workload.name), met));
        }
    }
    goals.extend(goals::all(summary).into_iter().filter_map(|goal| Some((goal.subject, goal.met?))));
    let missed: Vec<&str> = goals.iter().filter(|(_, met)| !met).map(|(subject, _)| &subject[..]).collect();
    let met = goals.len() - missed.len();
    match missed[..] {
        [] => format!("\nAll of the {met} goals that were measured are met.\n"),
        _ => {
            format!("\n{met} of the {} goals that were measured are met; missed: {}.\n", goals.len(), missed.join("; "))
        }
    }
}

/// A number with three digits that count.
pub fn digits(value: f64) -> String {
    let decimals = if value >= 100.0 { 0 } else { (2 - value.max(1e-9).log10().floor() as i32).clamp(0, 4) as usize };
    format!("{value:.decimals$}")
}

/// A value in words, or a dash.
pub fn or_none<T>(value: Option<T>, word: impl Fn(T) -> String) -> String {
    value.map_or(NONE.to_string(), word)
}

fn times_as_fast(value: Option<f64>) -> String {
    or_none(value, |value| format!("{value:.2}x"))
}

fn percent(value: Option<f64>) -> String {
    or_none(value, |value| format!("{:.0} %", 100.0 * value))
}

fn yes(met: Option<bool>) -> String {
    or_none(met, |met| if met { "yes" } else { "**no**" }.to_string())
}

/// The workloads that were measured, in the order of tables.
fn measured<'a>(summary: &Summary<'a>) -> impl Iterator<Item = &'static Workload> + use<'a> {
    let record = summary.record;
    WORKLOADS.iter().filter(move |w| record.measurements.iter().any(|m| m.workload == w.name))
}

/// The engines that were measured, in the order of tables.
fn engines(record: &Record) -> Vec<&'static str> {
    let tried = |name: &&str| record.measurements.iter().any(|m| m.engine == **name);
    ENGINES.into_iter().filter(|name| tried(name)).collect()
}

fn goals_against_pytorch(summary: &Summary) -> Table {
    let columns = ["workload", "deepfit ms", "fastest PyTorch ms", "which", "ratio", "goal", "of peak", "goal met"];
    let mut table = Table::new("Against the fastest of PyTorch eager, channels-last and compiled", &columns);
    for workload in measured(summary) {
        let fastest = summary.fastest(&PYTORCH, workload.name);
        let ratio = summary.ratio(workload.name, &PYTORCH);
        let share = summary.share_of_peak(workload.name);
        let met = ratio.map(|ratio| goals::beats_pytorch(workload, ratio, share));
        table.row([
            workload.name.to_string(),
            or_none(summary.cell(DEEPFIT, workload.name), |cell| digits(cell.ms)),
            or_none(fastest, |(_, ms)| digits(ms)),
            or_none(fastest, |(name, _)| name.to_string()),
            times_as_fast(ratio),
            format!("{}x", workload.pytorch),
            percent(share),
            yes(met),
        ]);
    }
    let mean = goals::geometric_mean(&summary.ratios(&PYTORCH));
    let mut last = vec![String::new(); columns.len()];
    last[0] = "geometric mean".to_string();
    last[4] = times_as_fast(mean);
    table.cells(last);
    table
}

fn other_goals(summary: &Summary) -> Table {
    let mut table = Table::new("Other goals", &["what", "goal", "reached", "met"]);
    for Goal { subject, wanted, reached, met } in goals::all(summary) {
        let reached = if reached.is_empty() { NONE.to_string() } else { reached };
        table.row([subject, wanted, reached, yes(met)]);
    }
    table
}

fn times(summary: &Summary) -> Table {
    let engines = engines(summary.record);
    let columns = [&["workload"], &engines[..], &["spread of deepfit", "largest spread"]].concat();
    let mut table = Table::new("Time of a step, milliseconds", &columns);
    for workload in measured(summary) {
        let cell = |engine: &str| summary.cell(engine, workload.name);
        let mut row = vec![workload.name.to_string()];
        row.extend(engines.iter().map(|engine| match summary.failure(engine, workload.name) {
            Some(_) => "failed".to_string(),
            None => or_none(cell(engine), |cell| digits(cell.ms)),
        }));
        row.push(percent(cell(DEEPFIT).map(|cell| cell.spread)));
        let spreads = engines.iter().filter_map(|engine| cell(engine)).map(|cell| cell.spread);
        row.push(percent(spreads.reduce(f64::max)));
        table.cells(row);
    }
    table
}

fn ratios(summary: &Summary) -> Table {
    let against = [
        ("PyTorch's fastest", &PYTORCH[..]),
        ("JAX, ONNX Runtime, OpenVINO", &COMPILERS[..]),
        ("burn, candle", &RUST[..]),
    ];
    let columns = [&["workload"][..], &against.map(|(title, _)| title)].concat();
    let mut table = Table::new("How many times faster deepfit is than the faster of", &columns);
    for workload in measured(summary) {
        let ratio = |(_, engines): (&str, &[&'static str])| times_as_fast(summary.ratio(workload.name, engines));
        table.cells([vec![workload.name.to_string()], against.map(ratio).to_vec()].concat());
    }
    let mean = |(_, engines): (&str, &[&'static str])| times_as_fast(goals::geometric_mean(&summary.ratios(engines)));
    table.cells([vec!["geometric mean".to_string()], against.map(mean).to_vec()].concat());
    table
}

fn memory(summary: &Summary) -> Table {
    let engines = engines(summary.record);
    let columns = [&["workload"], &engines[..], &["share of PyTorch's least", "at most half"]].concat();
    let mut table = Table::new("Peak resident set, MB", &columns);
    for workload in measured(summary) {
        let share = summary.memory_share(workload.name);
        let mut row = vec![workload.name.to_string()];
        let of = |engine: &&str| or_none(summary.cell(engine, workload.name), |cell| format!("{:.0}", cell.rss_mb));
        row.extend(engines.iter().map(of));
        row.extend([percent(share), yes(share.map(|share| share <= goals::MEMORY))]);
        table.cells(row);
    }
    // What an engine occupies before it builds anything, to tell its code from its work.
    let mut row = vec!["before anything is built".to_string()];
    row.extend(engines.iter().map(|engine| {
        let bases = measured(summary).filter_map(|w| summary.cell(engine, w.name)).map(|cell| cell.base_mb);
        or_none(bases.filter(|&base| base > 0.0).reduce(f64::min), |base| format!("{base:.0}"))
    }));
    row.extend([NONE.to_string(), NONE.to_string()]);
    table.cells(row);
    let mut row = vec![String::new(); columns.len()];
    row[0] = "geometric mean".to_string();
    let shares: Vec<f64> = measured(summary).filter_map(|w| summary.memory_share(w.name)).collect();
    row[columns.len() - 2] = percent(goals::geometric_mean(&shares));
    table.cells(row);
    table
}

/// What a workload needs at least, by its operations and by its memory, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    pub compute_ms: f64,
    /// `None` where everything fits into caches.
    pub memory_ms: Option<f64>,
}

impl Limit {
    /// The larger of both.
    pub fn ms(&self) -> f64 {
        self.compute_ms.max(self.memory_ms.unwrap_or(0.0))
    }
}

/// The limit of a workload, where the peaks were measured.
pub fn limit(summary: &Summary, cell: &Cell) -> Option<Limit> {
    let figures = &cell.figures;
    let cached = figures.working_mb <= summary.record.machine.private_cache_mb;
    let bandwidth = summary.peak_bytes()?;
    Some(Limit {
        compute_ms: figures.flops / summary.peak_flops()? * 1e3,
        memory_ms: (!cached).then(|| figures.bytes / bandwidth * 1e3),
    })
}

fn limits(summary: &Summary) -> Table {
    let columns = [
        "workload",
        "GFLOP",
        "MB moved",
        "MB occupied",
        "ms for operations",
        "ms for memory",
        "deepfit ms",
        "operations of peak",
        "of the limit",
    ];
    let mut table = Table::new("Limits", &columns);
    for workload in measured(summary) {
        let Some(cell) = summary.cell(DEEPFIT, workload.name) else { continue };
        let limit = limit(summary, &cell);
        table.row([
            workload.name.to_string(),
            digits(cell.figures.flops / 1e9),
            digits(cell.figures.bytes / 1e6),
            digits(cell.figures.working_mb),
            or_none(limit, |limit| digits(limit.compute_ms)),
            or_none(limit, |limit| limit.memory_ms.map_or("in caches".to_string(), digits)),
            digits(cell.ms),
            percent(summary.share_of_peak(workload.name)),
            percent(limit.map(|limit| limit.ms() / cell.ms)),
        ]);
    }
    table
}

fn first_steps(summary: &Summary) -> Table {
    let engines = engines(summary.record);
    let mut table = Table::new(
        "Start of the process to the end of the first step, seconds",
        &[&["workload"], &engines[..]].concat(),
    );
    for workload in measured(summary) {
        let mut row = vec![workload.name.to_string()];
        let of = |engine: &&str| or_none(summary.cell(engine, workload.name), |cell| digits(cell.first_s));
        row.extend(engines.iter().map(of));
        table.cells(row);
    }
    table
}

fn correctness(record: &Record) -> Table {
    let columns = ["workload", "first loss", "gradients", "PyTorch's in f32", "20 losses", "logits", "remark", "good"];
    let mut table = Table::new("The same steps beside PyTorch in f64", &columns);
    let tiny = |value: Option<f64>| or_none(value, |value| format!("{value:.1e}"));
    for checked in &record.correctness {
        table.row([
            checked.workload.clone(),
            tiny(checked.first_loss),
            tiny(checked.gradients),
            tiny(checked.peer_gradients),
            tiny(checked.losses),
            tiny(checked.logits),
            checked.remark.clone(),
            yes(Some(checked.good)),
        ]);
    }
    table
}

fn machine(summary: &Summary) -> Table {
    let machine = &summary.record.machine;
    let mut table = Table::new("Machine", &["what", "value"]);
    let rate = |value: Option<f64>, unit: &str| or_none(value, |value| format!("{} {unit}", digits(value)));
    for (what, value) in [
        ("processor", machine.processor.clone()),
        ("instructions", machine.features.join(" ")),
        ("caches", machine.caches.join(", ")),
        ("cores", machine.cores.to_string()),
        ("memory", format!("{:.0} GB", machine.memory_gb)),
        ("multiply-adds in registers", rate(summary.best(|p| p.fma_gflops), "GFLOP/s")),
        ("best product of matrices", rate(summary.best(|p| p.matmul_gflops), "GFLOP/s")),
        ("copies of memory, read and written", rate(summary.best(|p| p.copy_gb_s), "GB/s")),
    ] {
        table.row([what.to_string(), value]);
    }
    table
}

fn versions(record: &Record) -> Table {
    let mut table = Table::new("Versions", &["what", "version"]);
    let mut versions: BTreeMap<&str, &str> = BTreeMap::new();
    for figures in record.measurements.iter().filter_map(|m| m.figures.as_ref()) {
        versions.extend(figures.versions.iter().map(|(name, version)| (&name[..], &version[..])));
    }
    table.row(["deepfit".to_string(), record.commit.clone()]);
    table.row(["rustc".to_string(), record.rustc.clone()]);
    for (name, version) in versions {
        table.row([name.to_string(), version.to_string()]);
    }
    table
}

/// What was not measured, with reasons, and notes to the tables.
fn left_out(summary: &Summary) -> String {
    let record = summary.record;
    let mut lines = BTreeSet::new();
    for (engine, reason) in &record.absent {
        lines.insert(format!("* {engine} was left out: {reason}"));
    }
    for (engine, workloads) in &record.cannot {
        for (workload, reason) in workloads {
            lines.insert(format!("* {engine} does not run {workload}: {reason}"));
        }
    }
    for measurement in &record.measurements {
        if let Some(reason) = &measurement.failed {
            lines.insert(format!("* {} failed on {}: {reason}", measurement.engine, measurement.workload));
        }
    }
    if let Some(reason) = &record.unchecked {
        lines.insert(format!("* the steps were not held against PyTorch in f64: {reason}"));
    }
    let notes = "\n### Notes\n\n\
        * *Of peak*: operations as a textbook counts them, a second, as a share of the best product of matrices that any \
        engine reached in this run. A goal against PyTorch is also met at 85 %, if deepfit is not slower.\n\
        * *MB moved*: what the operations of deepfit's program read and write, each by itself, as if no value stayed in a \
        cache from one operation to the next; at the rate of a copy of memory this takes the *ms for memory*. A step may \
        be faster, since small values do stay in caches.\n\
        * *Of the limit*: the longer of the two times as a share of the step.\n\
        * *Spread*: the slowest round less the fastest, as a share of the median.\n";
    lines.into_iter().fold(notes.to_string(), |text, line| text + &line + "\n")
}
