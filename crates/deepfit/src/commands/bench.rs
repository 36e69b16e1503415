//! `deepfit bench`: the time of a training step on known networks, and the losses and gradients that show it is right.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueHint};
use deepfit_cpu::Precision;
use deepfit_cpu::pool::ThreadPool;
use deepfit_cpu::simd::Isa;
use serde::{Deserialize, Serialize};

use super::{parse_precision, parse_threads, threads};
use crate::bench::{
    Batch, Bench, BesideData, Machine, Sizes, Timing, WORKLOADS, Workload, product_beside, read_batch, views,
    write_gradients,
};
use crate::exit::{Exit, Usage};
use crate::output;

/// Arguments of `deepfit bench`.
#[derive(Debug, Args)]
#[command(after_help = workloads() + "

Examples:
  deepfit bench                          time all workloads
  deepfit bench mlp lstm --threads 1     time two of them on one thread
  deepfit bench mlp --weights w.safetensors --data batch.safetensors --losses 20 --gradients g.safetensors

A step is forward pass, loss, backward pass and update on one prepared batch.")]
pub struct Arguments {
    /// Workloads; all if none is named
    #[arg(value_name = "WORKLOAD", value_parser = parse_workload)]
    workloads: Vec<&'static str>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    threads: Option<usize>,
    /// Seconds that each workload is measured for, after the first steps
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = parse_seconds, allow_negative_numbers = true)]
    seconds: f64,
    /// Measure each time that a number of seconds is read from standard input, and print a JSON object for it
    #[arg(long, conflicts_with_all = ["seconds", "machine", "losses", "gradients", "profile"])]
    turns: bool,
    /// Compute convolutions as plain sums of products, instead of those of 3 x 3 with fewer multiplications
    #[arg(long)]
    exact: bool,
    /// Precision in which matrices are multiplied: f32 or bf16; the share of the peak is that of f32
    #[arg(long, value_name = "NAME", value_parser = parse_precision, default_value = "f32")]
    precision: Precision,
    /// Print one JSON object for each workload
    #[arg(long)]
    json: bool,
    /// Measure what the machine can do at most instead: multiply-adds, products of matrices, copies of memory
    #[arg(long, conflicts_with_all = ["workloads", "weights", "data", "losses", "gradients", "profile"])]
    machine: bool,
    /// Time a product of matrices before and after each workload, by the time that processors worked, and tell how many
    /// times as long as in a product the operations of the workload take
    #[arg(long, conflicts_with_all = ["machine", "losses", "gradients", "profile"])]
    beside_product: bool,
    /// Prepare batches of the images of a folder with classes beside every other step, as training does, and tell what the
    /// steps lose by it
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["machine", "losses", "gradients", "profile"])]
    beside_data: Option<PathBuf>,
    #[command(flatten)]
    sizes: Asked,
    /// Begin with the weights of a safetensors file with PyTorch's names
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    weights: Option<PathBuf>,
    /// Use the batch in a safetensors file: the network's inputs by name, and `target`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    data: Option<PathBuf>,
    /// Print the losses of the first N steps on one batch instead of the time (of a network in use: its logits)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    losses: Option<u32>,
    /// Write the gradients of the first step to a safetensors file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    gradients: Option<PathBuf>,
    /// Record the time of each operation: a table on standard error, and FILE for a browser's trace viewer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["losses", "gradients"])]
    profile: Option<PathBuf>,
}

/// Sizes of one workload.
#[derive(Debug, Args)]
struct Asked {
    /// Examples of a batch instead of the workload's own number
    #[arg(long, value_name = "N", value_parser = size())]
    batch: Option<u32>,
    /// Neurons of each hidden layer, or numbers that stand for a token
    #[arg(long, value_name = "N", value_parser = size())]
    width: Option<u32>,
    /// Hidden layers
    #[arg(long, value_name = "N", value_parser = size())]
    depth: Option<u32>,
    /// Steps or tokens of an example
    #[arg(long, value_name = "N", value_parser = size())]
    sequence: Option<u32>,
}

fn size() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1 << 20)
}

impl Asked {
    fn sizes(&self) -> Sizes {
        let size = |asked: Option<u32>| asked.map(|n| n as usize);
        Sizes {
            batch: size(self.batch),
            width: size(self.width),
            depth: size(self.depth),
            sequence: size(self.sequence),
        }
    }
}

/// The workloads, a line each.
fn workloads() -> String {
    let line = |w: &Workload| {
        let use_ = if w.optimizer.is_some() { "trained" } else { "used" };
        format!("\n  {:<20}{}; {} examples, {use_}", w.name, w.purpose, w.batch)
    };
    format!("Workloads:{}", WORKLOADS.iter().map(line).collect::<String>())
}

fn parse_workload(name: &str) -> Result<&'static str, String> {
    if let Some(workload) = Workload::named(name) {
        return Ok(workload.name);
    }
    let names: Vec<&str> = WORKLOADS.iter().map(|w| w.name).collect();
    let nearest = deepfit_data::nearest(name, names.iter().copied());
    let hint = nearest.map(|near| format!("the nearest is '{near}'; ")).unwrap_or_default();
    Err(format!("{hint}there are {}", names.join(", ")))
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| (0.0..=3600.0).contains(s));
    seconds.ok_or_else(|| "seconds are a number from 0 to 3600".to_string())
}

/// What is told of one workload.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    workload: String,
    /// Median time of a step, milliseconds.
    ms: f64,
    /// Shortest time of a step, milliseconds.
    min_ms: f64,
    /// Steps measured.
    n: usize,
    /// Floating-point operations of a step by the textbook.
    flops: u64,
    /// Bytes that the operations of a step read and write, each by itself, as if no value stayed in a cache.
    bytes: u64,
    /// Of what the processor can do at most on these threads.
    share_of_peak: f64,
    /// From the start of the process to the end of the first step.
    first_s: f64,
    /// Most memory that the process occupied, MB.
    rss_mb: f64,
    /// Arena, parameters and optimiser, with the process as it was before them, MB.
    planned_mb: f64,
    /// Arena, parameters and optimiser alone, MB.
    working_mb: f64,
    threads: usize,
    isa: String,
    /// Whether convolutions were plain sums of products.
    exact: bool,
    /// In which precision matrices were multiplied.
    precision: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    beside: Option<Beside>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    beside_data: Option<BesideData>,
}

/// A workload beside a product of matrices, both by the time that processors worked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Beside {
    /// How many times as long as in a product, at the mean of both rates, the operations of a step took.
    ratio: f64,
    /// Operations of the product before and after, thousand millions for each second that a processor worked.
    before_gflops: f64,
    after_gflops: f64,
}

/// Runs the workloads.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    if arguments.machine {
        return machine(arguments);
    }
    let names: Vec<&str> = if arguments.workloads.is_empty() {
        WORKLOADS.iter().map(|w| w.name).collect()
    } else {
        arguments.workloads.clone()
    };
    output::profiles(arguments.profile.as_deref())?;
    let on_files = arguments.weights.is_some()
        || arguments.data.is_some()
        || arguments.losses.is_some()
        || arguments.gradients.is_some();
    if (on_files || arguments.profile.is_some() || arguments.turns) && names.len() != 1 {
        let problem = "--weights, --data, --losses, --gradients, --profile and --turns are of one workload: name it";
        return Err(Usage(problem.to_string()).into());
    }
    let sizes = arguments.sizes.sizes();
    if sizes != Sizes::default() && names.len() != 1 {
        let problem = "--batch, --width, --depth and --sequence are of one workload: name it";
        return Err(Usage(problem.to_string()).into());
    }
    let workloads = names
        .iter()
        .map(|name| {
            Workload::named(name)
                .with_context(|| format!("there is no workload `{name}`"))?
                .with(sizes)
                .map_err(|problem| Usage(problem).into())
        })
        .collect::<Result<Vec<Workload>>>()?;
    if arguments.turns {
        return turns(&workloads[0], arguments);
    }
    if !arguments.json && !on_files {
        output::out(&format!(
            "{:<20}{:>12}{:>12}{:>9}{:>12}{:>10}\n",
            "workload", "median ms", "best ms", "of peak", "first s", "MB"
        ))?;
    }
    for workload in &workloads {
        if arguments.losses.is_some() || arguments.gradients.is_some() {
            check(workload, arguments)?;
            continue;
        }
        // The peak memory is that of a process: each workload gets its own.
        let row = if names.len() == 1 { measure(workload, arguments)? } else { in_a_process(workload, arguments)? };
        if arguments.json {
            output::out(&(serde_json::to_string(&row)? + "\n"))?;
        } else {
            output::out(&format!(
                "{:<20}{:>12.3}{:>12.3}{:>7.0} %{:>12.3}{:>10.0}{}{}\n",
                row.workload,
                row.ms,
                row.min_ms,
                100.0 * row.share_of_peak,
                row.first_s,
                row.rss_mb,
                row.beside.map_or(String::new(), |beside| format!("{:>9.2} of a product's time", beside.ratio)),
                row.beside_data.map_or(String::new(), |d| format!(
                    "\n  {:.1} ms alone, {:.1} beside {:.1} ms of work on a batch, {:.3} waiting",
                    d.alone_ms, d.beside_ms, d.worked_ms, d.waited_ms
                ))
            ))?;
        }
    }
    Ok(Exit::Done)
}

fn machine(arguments: &Arguments) -> Result<Exit> {
    let found = Machine::measure(threads(arguments.threads), arguments.seconds)?;
    output::out(&if arguments.json {
        serde_json::to_string(&found)? + "\n"
    } else {
        format!(
            "multiply-adds in registers {:>8.1} GFLOP/s\nproduct of matrices        {:>8.1} GFLOP/s\n\
             copies of memory           {:>8.1} GB/s\nwork handed to all threads {:>8.2} µs\n\
             busy while threads wait    {:>8.4} cores\n",
            found.fma_gflops, found.matmul_gflops, found.copy_gb_s, found.hand_over_us, found.idle_cores
        )
    })?;
    Ok(Exit::Done)
}

/// A workload that has made its first steps.
struct Measured {
    bench: Bench,
    batch: Batch,
    threads: usize,
    exact: bool,
    precision: Precision,
    isa: Isa,
    /// From the start of the process to the end of the first step.
    first: f64,
    planned: usize,
}

impl Measured {
    fn begin(workload: &Workload, arguments: &Arguments) -> Result<Measured> {
        let base = deepfit_train::resident_bytes() as usize;
        let (mut bench, batch) = prepare(workload, arguments, false)?;
        bench.step(&views(&batch)).map_err(refused)?;
        let first = deepfit_train::process_seconds();
        let planned = base + bench.planned_bytes();
        bench.warm_up(&views(&batch))?;
        let (threads, isa) = (threads(arguments.threads), Isa::detect()?);
        let Arguments { exact, precision, .. } = *arguments;
        Ok(Measured { bench, batch, threads, exact, precision, isa, first, planned })
    }

    fn time(&mut self, seconds: f64) -> Result<Timing> {
        self.bench.time(&views(&self.batch), Duration::from_secs_f64(seconds))
    }

    fn row(&self, workload: &Workload, timing: Timing) -> Row {
        // The peak is measured by other threads than the workload's.
        let rss_mb = deepfit_train::peak_bytes() as f64 / 1e6;
        let peak = deepfit_cpu::peak(self.isa, &ThreadPool::new(self.threads));
        let operations = self.bench.operations();
        Row {
            workload: workload.name.to_string(),
            ms: timing.median,
            min_ms: timing.shortest,
            n: timing.steps,
            flops: operations,
            bytes: self.bench.moved_bytes(),
            share_of_peak: operations as f64 / (timing.median * 1e-3) / peak,
            first_s: self.first,
            rss_mb,
            planned_mb: self.planned as f64 / 1e6,
            working_mb: self.bench.planned_bytes() as f64 / 1e6,
            threads: self.threads,
            isa: self.isa.to_string(),
            exact: self.exact,
            precision: self.precision.name().to_string(),
            beside: None,
            beside_data: None,
        }
    }
}

fn measure(workload: &Workload, arguments: &Arguments) -> Result<Row> {
    let mut measured = Measured::begin(workload, arguments)?;
    if arguments.profile.is_some() {
        measured.bench.record();
    }
    let threads = measured.threads;
    let product = || arguments.beside_product.then(|| product_beside(threads)).transpose();
    let before = product()?;
    let timing = measured.time(arguments.seconds)?;
    let after = product()?;
    let beside = before.zip(after).map(|(before, after)| Beside {
        ratio: timing.worked * 1e-3 / (measured.bench.operations() as f64 / ((before + after) / 2.0)),
        before_gflops: before / 1e9,
        after_gflops: after / 1e9,
    });
    let beside_data = match &arguments.beside_data {
        Some(folder) => {
            let (at_least, batch) = (Duration::from_secs_f64(arguments.seconds), views(&measured.batch));
            Some(BesideData::measure(&mut measured.bench, &batch, folder, threads, at_least).map_err(refused)?)
        }
        None => None,
    };
    // Before the trace is written, which is not the workload's memory.
    let row = measured.row(workload, timing);
    if let (Some(profile), Some(trace)) = (measured.bench.profile(), &arguments.profile) {
        output::profile(&profile, measured.threads, trace, false)?;
    }
    Ok(Row { beside, beside_data, ..row })
}

/// Measures whenever it is told for how long.
fn turns(workload: &Workload, arguments: &Arguments) -> Result<Exit> {
    let mut measured = Measured::begin(workload, arguments)?;
    for line in std::io::stdin().lines() {
        let line = line.context("cannot read standard input")?;
        let seconds = parse_seconds(line.trim()).map_err(|problem| Usage(format!("`{line}`: {problem}")))?;
        let timing = measured.time(seconds)?;
        output::out(&(serde_json::to_string(&measured.row(workload, timing))? + "\n"))?;
    }
    Ok(Exit::Done)
}

/// Whatever is wrong with a file that was given, or with what it holds, is wrong input.
fn refused(error: anyhow::Error) -> anyhow::Error {
    Usage(format!("{error:#}")).into()
}

fn prepare(workload: &Workload, arguments: &Arguments, gradients: bool) -> Result<(Bench, Batch)> {
    let rounding = (arguments.exact, arguments.precision);
    let mut bench = Bench::new(workload.clone(), threads(arguments.threads), gradients, rounding)?;
    if let Some(path) = &arguments.weights {
        bench.load(path).map_err(refused)?;
    }
    let batch = match &arguments.data {
        Some(path) => read_batch(path, bench.inputs()).map_err(refused)?,
        None => bench.random_batch(0),
    };
    Ok((bench, batch))
}

fn in_a_process(workload: &Workload, arguments: &Arguments) -> Result<Row> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program again")?);
    command.args(["bench", workload.name, "--json", "--seconds", &arguments.seconds.to_string()]);
    command.args(["--threads", &threads(arguments.threads).to_string(), "--precision", arguments.precision.name()]);
    for (asked, option) in [(arguments.exact, "--exact"), (arguments.beside_product, "--beside-product")] {
        if asked {
            command.arg(option);
        }
    }
    if let Some(folder) = &arguments.beside_data {
        command.arg("--beside-data").arg(folder);
    }
    let ran = command.stderr(std::process::Stdio::inherit()).output().context("cannot start a process")?;
    ensure!(ran.status.success(), "the process that measured {} ended with {}", workload.name, ran.status);
    serde_json::from_slice(&ran.stdout).context("cannot read what the measuring process told")
}

/// Losses and gradients, for comparison with another implementation from the same weights.
fn check(workload: &Workload, arguments: &Arguments) -> Result<()> {
    let (mut bench, batch) = prepare(workload, arguments, arguments.gradients.is_some())?;
    let batch = views(&batch);
    if workload.optimizer.is_none() {
        if arguments.gradients.is_some() {
            return Err(Usage(format!("{} does not train: it has no gradients", workload.name)).into());
        }
        bench.step(&batch).map_err(refused)?;
        return output::out(
            &(serde_json::json!({ "workload": workload.name, "logits": bench.logits() }).to_string() + "\n"),
        );
    }
    let mut losses = Vec::new();
    for step in 0..arguments.losses.unwrap_or(1).max(1) {
        losses.push(bench.step(&batch).map_err(refused)?);
        if let (0, Some(path)) = (step, &arguments.gradients) {
            write_gradients(path, &bench.gradients()?).map_err(refused)?;
        }
    }
    output::out(&(serde_json::json!({ "workload": workload.name, "losses": losses }).to_string() + "\n"))
}
