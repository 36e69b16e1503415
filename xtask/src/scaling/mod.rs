//! `cargo xtask bench-scaling`: how time and memory grow with the sizes of a network and with threads.

mod plot;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::markdown::Table;
use crate::peers::{build, commit, date, machine, median, write};
use crate::process::{output, root, target_folder};
use crate::sections::{self, Section};

/// Options of `cargo xtask bench-scaling`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What is changed: batch, width, depth, sequence, threads; all if nothing is named. What is not measured is kept from
    /// the stored run
    #[arg(value_name = "SIZE", value_parser = clap::builder::PossibleValuesParser::new(AXES.map(|axis| axis.name)))]
    sizes: Vec<String>,
    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// How often each size has its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Threads, where they are not what is changed
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// Where measurements are stored [default: peers/scaling.json in the build folder]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw again from stored measurements, measuring nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "sizes"])]
    from: Option<PathBuf>,
}

/// What is changed, by the option of `deepfit bench` that changes it, and its values for some workloads.
struct Axis {
    name: &'static str,
    workloads: &'static [(&'static str, &'static [usize])],
}

const AXES: [Axis; 5] = [
    Axis {
        name: "batch",
        workloads: &[
            ("mlp", &[8, 32, 128, 512, 2048]),
            ("resnet18_cifar", &[2, 8, 32, 64]),
            ("minilm", &[1, 4, 16, 32]),
        ],
    },
    Axis {
        name: "width",
        workloads: &[
            ("mlp", &[128, 256, 512, 1024, 2048]),
            ("lstm", &[64, 128, 256, 512]),
            ("gpt", &[64, 128, 256, 512]),
        ],
    },
    Axis { name: "depth", workloads: &[("mlp", &[1, 2, 4, 8, 16]), ("lstm", &[1, 2, 4]), ("gpt", &[1, 2, 4, 8])] },
    Axis { name: "sequence", workloads: &[("lstm", &[16, 64, 256]), ("gpt", &[32, 64, 128, 256, 512])] },
    // As many as the machine has cores.
    Axis {
        name: "threads",
        workloads: &[("mlp", &[]), ("resnet18_cifar", &[]), ("lstm", &[]), ("minilm", &[]), ("gpt", &[])],
    },
];

/// All measurements of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    processor: String,
    commit: String,
    dirty: bool,
    date: String,
    threads: usize,
    seconds: f64,
    rounds: usize,
    points: Vec<Point>,
}

/// One process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Point {
    axis: String,
    workload: String,
    size: usize,
    ms: f64,
    rss_mb: f64,
    flops: f64,
}

/// What `deepfit bench --json` tells of a point.
#[derive(Deserialize)]
struct Told {
    ms: f64,
    rss_mb: f64,
    flops: f64,
}

/// One line of a plot: sizes with time and memory, by size.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    workload: String,
    points: Vec<Point>,
}

/// Measures, stores, draws.
///
/// # Errors
/// If deepfit cannot be built, a measurement fails, or a file cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let record = match &arguments.from {
        Some(file) => read(file)?,
        None => measure(arguments)?,
    };
    let folder = root().join("benches/plots");
    for axis in &AXES {
        let lines = lines(&record, axis.name);
        if !lines.is_empty() {
            write(&folder.join(format!("{}.svg", axis.name)), &plot::draw(axis.name, &lines)?)?;
        }
    }
    sections::put(&root().join("BENCHMARKS.md"), Section::Sizes, &report(&record))?;
    println!("{}", folder.display());
    Ok(())
}

fn read(file: &Path) -> Result<Record> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no stored run", file.display()))
}

fn measure(arguments: &Arguments) -> Result<Record> {
    let program = build()?;
    let stored = arguments.json.clone().unwrap_or_else(|| target_folder().join("peers/scaling.json"));
    let threads = arguments.threads as usize;
    let (commit, dirty) = commit();
    let wanted = |axis: &str| arguments.sizes.is_empty() || arguments.sizes.iter().any(|other| other == axis);
    let old = if arguments.sizes.is_empty() || !stored.exists() { Record::default() } else { read(&stored)? };
    let mut record = Record {
        processor: machine(threads).processor,
        commit,
        dirty,
        date: date(),
        threads,
        seconds: arguments.seconds,
        rounds: arguments.rounds as usize,
        points: old.points.into_iter().filter(|point| !wanted(&point.axis)).collect(),
    };
    let cores: Vec<usize> = (1..=thread::available_parallelism().map_or(1, |cores| cores.get())).collect();
    for round in 1..=record.rounds {
        for axis in AXES.iter().filter(|axis| wanted(axis.name)) {
            for &(workload, sizes) in axis.workloads {
                for &size in if sizes.is_empty() { &cores } else { sizes } {
                    let point = point(&program, axis.name, workload, size, &record)?;
                    eprintln!(
                        "round {round}: {workload} {} {size} {:.3} ms {:.0} MB",
                        axis.name, point.ms, point.rss_mb
                    );
                    record.points.push(point);
                    write(&stored, &(serde_json::to_string_pretty(&record)? + "\n"))?;
                }
            }
        }
    }
    Ok(record)
}

fn point(program: &Path, axis: &str, workload: &str, size: usize, record: &Record) -> Result<Point> {
    let mut command = Command::new(program);
    command.args(["bench", workload, "--json", "--seconds", &record.seconds.to_string()]);
    command.arg(format!("--{axis}")).arg(size.to_string());
    if axis != "threads" {
        command.args(["--threads", &record.threads.to_string()]);
    }
    let told: Told = serde_json::from_str(&output(&mut command)?)?;
    let (axis, workload) = (axis.to_string(), workload.to_string());
    Ok(Point { axis, workload, size, ms: told.ms, rss_mb: told.rss_mb, flops: told.flops })
}

/// The lines of an axis: medians of all rounds.
fn lines(record: &Record, axis: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for point in record.points.iter().filter(|point| point.axis == axis) {
        let position = lines.iter().position(|line| line.workload == point.workload).unwrap_or_else(|| {
            lines.push(Line { workload: point.workload.clone(), points: Vec::new() });
            lines.len() - 1
        });
        let points = &mut lines[position].points;
        if points.iter().any(|other| other.size == point.size) {
            continue;
        }
        let same = record
            .points
            .iter()
            .filter(|other| (&other.axis, &other.workload, other.size) == (&point.axis, &point.workload, point.size));
        let times: Vec<f64> = same.map(|other| other.ms).collect();
        points.push(Point { ms: median(&times).unwrap_or(point.ms), ..point.clone() });
    }
    lines.iter_mut().for_each(|line| line.points.sort_by_key(|point| point.size));
    lines
}

/// The exponent with which a figure grows with the size, by least squares on logarithms.
fn exponent(points: &[Point], figure: fn(&Point) -> f64) -> f64 {
    let logarithms: Vec<(f64, f64)> = points.iter().map(|p| ((p.size as f64).ln(), figure(p).ln())).collect();
    let n = logarithms.len() as f64;
    let (x, y) = logarithms.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / n, y + b / n));
    let (above, below) =
        logarithms.iter().fold((0.0, 0.0), |(s, t), (a, b)| (s + (a - x) * (b - y), t + (a - x).powi(2)));
    above / below
}

fn report(record: &Record) -> String {
    let dirty = if record.dirty { ", with changes that are not committed" } else { "" };
    let mut text = format!(
        "## Other sizes\n\n\
        Made by `cargo xtask bench-scaling` on {}, of commit {}{dirty}, on {} with {} threads: workloads of `deepfit bench` \
        with one size changed. Times are medians of {} rounds of {} s, memory is the peak resident set of a process. Both \
        axes of the plots are logarithmic. *Growth* is the exponent of the size: 1 is in proportion, 2 with the square.\n",
        record.date, record.commit, record.processor, record.threads, record.rounds, record.seconds
    );
    for axis in &AXES {
        let lines = lines(record, axis.name);
        if lines.is_empty() {
            continue;
        }
        let mut table = Table::new(&capital(axis.name), &["workload", axis.name, "ms", "MB", "GFLOP/s"]);
        let mut growth =
            Table::new(&format!("Growth with {}", axis.name), &["workload", "operations", "time", "memory"]);
        for Line { workload, points } in &lines {
            for point in points {
                table.row([
                    workload.clone(),
                    point.size.to_string(),
                    format!("{:.3}", point.ms),
                    format!("{:.0}", point.rss_mb),
                    format!("{:.0}", point.flops / point.ms / 1e6),
                ]);
            }
            if points.len() > 1 {
                let grows = |figure| format!("{:.2}", exponent(points, figure));
                growth.row([workload.clone(), grows(|p| p.flops), grows(|p| p.ms), grows(|p| p.rss_mb)]);
            }
        }
        let _ = write!(text, "{table}\n![{0}](benches/plots/{0}.svg)\n{growth}", axis.name);
    }
    text
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(size: usize, ms: f64) -> Point {
        Point { axis: "batch".into(), workload: "mlp".into(), size, ms, rss_mb: size as f64, flops: 1e9 }
    }

    fn record() -> Record {
        let points = vec![point(16, 5.0), point(8, 2.0), point(8, 1.0), point(8, 1.5), point(32, 20.0)];
        Record { points, rounds: 3, ..Record::default() }
    }

    #[test]
    fn a_line_has_the_median_of_each_size_in_order() {
        let lines = lines(&record(), "batch");
        let found: Vec<(usize, f64)> = lines[0].points.iter().map(|p| (p.size, p.ms)).collect();
        assert_eq!((lines.len(), found), (1, vec![(8, 1.5), (16, 5.0), (32, 20.0)]));
    }

    #[test]
    fn growth_is_the_slope_of_logarithms() {
        let points = [point(1, 3.0), point(2, 12.0), point(4, 48.0)];
        assert!((exponent(&points, |p| p.ms) - 2.0).abs() < 1e-12);
        assert!((exponent(&points, |p| p.rss_mb) - 1.0).abs() < 1e-12);
        assert!(exponent(&points, |p| p.flops).abs() < 1e-12);
    }

    #[test]
    fn the_report_and_the_plot_show_every_line() {
        let record = record();
        let report = report(&record);
        for part in [
            "### Batch",
            "| mlp      |     8 |  1.500 |   8 |     667 |",
            "![batch](benches/plots/batch.svg)",
            "### Growth with batch",
        ] {
            assert!(report.contains(part), "`{part}` is missing in\n{report}");
        }
        let svg = plot::draw("batch", &lines(&record, "batch")).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("mlp") && svg.trim_end().ends_with("</svg>"));
    }
}
