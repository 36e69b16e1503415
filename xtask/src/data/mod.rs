//! `cargo xtask bench-data`: how fast images and tables are read, beside the libraries that others use, and how training
//! waits for its data.

mod render;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::peers::{Machine, build, commit, date, machine, python, told, write};
use crate::process::{cargo, root, succeed, target_folder};
use crate::sections::{self, Section};

/// Options of `cargo xtask bench-data`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What is measured; all if nothing is named. What is not measured is kept from the stored run
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
    /// Seconds of each measurement of reading
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// How often each library has its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Where measurements are stored, after each one [default: peers/data.json in the build folder]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the section again from a stored run, measuring nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "parts"])]
    from: Option<PathBuf>,
    /// Where the section goes [default: BENCHMARKS.md]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Images decoded, resized and augmented on one core
    Images,
    /// CSV files read
    Tables,
    /// Training on files: how long it waits, and what it loses
    Training,
    /// Threads: how work is handed to them, and what they cost while they wait
    Threads,
}

const DEEPFIT: &str = "deepfit";
/// Libraries that read images, and tables.
const IMAGES: [&str; 3] = [DEEPFIT, "pillow", "torchvision"];
const TABLES: [&str; 3] = [DEEPFIT, "pandas", "polars"];
/// Folders of images that `make_data.py` makes.
const FOLDERS: [&str; 7] = ["jpeg-224", "jpeg-500", "jpeg-1600", "jpeg-4000", "png-224", "png-500", "png-1600"];
const FILES: [&str; 2] = ["table-100000", "table-1000000"];
/// Side that images are brought to.
const SIDE: &str = "224";

/// A run: nothing in the section comes from anywhere else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    machine: Machine,
    commit: String,
    dirty: bool,
    date: String,
    seconds: f64,
    rounds: u32,
    images: Vec<Reading>,
    tables: Vec<Reading>,
    trainings: Vec<Training>,
    threads: Vec<Threads>,
    /// Libraries that were left out or failed, with the reason.
    absent: BTreeMap<String, String>,
    versions: BTreeMap<String, String>,
}

/// One process that read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Reading {
    /// Folder or file.
    data: String,
    /// `plain` or `augmented`, or the number of threads.
    how: String,
    library: String,
    /// Images, or rows.
    per_second: f64,
}

/// What a process that read tells.
#[derive(Deserialize)]
struct Told {
    per_second: f64,
    #[serde(default)]
    versions: BTreeMap<String, String>,
}

/// One training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Training {
    what: String,
    threads: usize,
    steps: u64,
    training: f64,
    waited: f64,
    worked: f64,
    beside: Beside,
}

/// What `deepfit bench --beside-data` tells, milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Beside {
    alone_ms: f64,
    beside_ms: f64,
    worked_ms: f64,
}

/// What `deepfit bench --json` tells of it.
#[derive(Deserialize)]
struct Step {
    beside_data: Beside,
}

/// What `deepfit train --json` tells.
#[derive(Deserialize)]
struct Report {
    data: Times,
}

#[derive(Deserialize)]
struct Times {
    training: f64,
    waited: f64,
    worked: f64,
}

/// What `deepfit bench --machine --json` tells of threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Threads {
    threads: usize,
    hand_over_us: f64,
    idle_cores: f64,
}

/// A training that is measured.
struct Course {
    what: &'static str,
    folder: &'static str,
    /// Files in its folder, of which seven in ten are trained on.
    files: usize,
}

/// How many times as long as reading steps beside data are measured: they are long.
const STEPS: f64 = 10.0;
/// Rows of a batch of all of them.
const BATCH: usize = 8;
const COURSES: [Course; 2] = [
    Course { what: "JPEG files of 224 x 224", folder: "training", files: 640 },
    Course { what: "JPEG files of 800 x 600", folder: "training-800", files: 460 },
];

/// Measures, stores, writes the section.
///
/// # Errors
/// If deepfit cannot be built, the data cannot be made, or a file cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let stored = arguments.json.clone().unwrap_or_else(|| target_folder().join("peers/data.json"));
    let record = match &arguments.from {
        Some(file) => read(file)?,
        None => measure(arguments, &stored)?,
    };
    let file = arguments.output.clone().unwrap_or_else(|| root().join("BENCHMARKS.md"));
    sections::put(&file, Section::Data, &render::section(&record))?;
    println!("{}", file.display());
    Ok(())
}

fn read(file: &Path) -> Result<Record> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no stored run", file.display()))
}

/// What measures, and where its data lies.
struct Bench {
    throughput: PathBuf,
    deepfit: PathBuf,
    data: PathBuf,
    seconds: f64,
    stored: PathBuf,
}

fn measure(arguments: &Arguments, stored: &Path) -> Result<Record> {
    let wanted = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let old = if arguments.parts.is_empty() || !stored.exists() { Record::default() } else { read(stored)? };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let (commit, dirty) = commit();
    let mut record = Record {
        machine: machine(cores),
        commit,
        dirty,
        date: date(),
        seconds: arguments.seconds,
        rounds: arguments.rounds,
        ..old
    };
    let data = target_folder().join("peers/data");
    make(&data)?;
    let deepfit = build()?;
    succeed(cargo().args(["build", "--release", "--package", "deepfit-data", "--example", "throughput"]))?;
    let throughput = target_folder().join("release/examples/throughput").with_extension(env::consts::EXE_EXTENSION);
    let bench = Bench { throughput, deepfit, data, seconds: arguments.seconds, stored: stored.to_path_buf() };
    let cleared = [
        (Part::Images, &mut record.images as &mut dyn Clear),
        (Part::Tables, &mut record.tables),
        (Part::Training, &mut record.trainings),
        (Part::Threads, &mut record.threads),
    ];
    cleared.into_iter().filter(|(part, _)| wanted(*part)).for_each(|(_, list)| list.clear());
    record.absent.clear();
    for _ in 0..arguments.rounds {
        if wanted(Part::Threads) {
            bench.threads(cores, &mut record)?;
        }
        if wanted(Part::Images) {
            for (folder, how) in FOLDERS.into_iter().flat_map(|folder| ["plain", "augmented"].map(|how| (folder, how)))
            {
                for library in IMAGES {
                    let words = vec!["images".to_string(), bench.path(folder), SIDE.to_string(), how.to_string()];
                    bench.reading(library, folder, how, words, &mut record)?;
                }
            }
        }
        if wanted(Part::Tables) {
            for (file, threads) in FILES.into_iter().flat_map(|file| [1, cores].map(|threads| (file, threads))) {
                for library in TABLES {
                    let path = bench.path(&format!("{file}.csv"));
                    let words = vec!["table".to_string(), path, threads.to_string()];
                    bench.reading(library, file, &threads.to_string(), words, &mut record)?;
                }
            }
        }
        if wanted(Part::Training) {
            for course in &COURSES {
                bench.training(course, cores, &mut record)?;
            }
        }
    }
    Ok(record)
}

/// A list that can be emptied, whatever it holds.
trait Clear {
    fn clear(&mut self);
}

impl<T> Clear for Vec<T> {
    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// Makes the data, once.
fn make(data: &Path) -> Result<()> {
    let made = data.join("made");
    if made.exists() {
        return Ok(());
    }
    let python = python().context("the data is made with photographs of a Python package")?;
    succeed(Command::new(python).arg(root().join("benches/peers/python/make_data.py")).arg(data))?;
    write(&made, "")
}

impl Bench {
    fn path(&self, name: &str) -> String {
        self.data.join(name).display().to_string()
    }

    fn store(&self, record: &Record) -> Result<()> {
        write(&self.stored, &(serde_json::to_string_pretty(record)? + "\n"))
    }

    /// One process of a library; `words` are what deepfit's program is told.
    fn reading(&self, library: &str, data: &str, how: &str, mut words: Vec<String>, record: &mut Record) -> Result<()> {
        words.push(self.seconds.to_string());
        let mut command = if library == DEEPFIT {
            let mut command = Command::new(&self.throughput);
            command.args(&words);
            command
        } else {
            let mut command = Command::new(python()?);
            command.arg(root().join("benches/peers/python/data_peer.py")).arg(library).args(&words[1..]);
            command
        };
        match told::<Told>(&mut command, self.seconds) {
            Ok(told) => {
                eprintln!("{data:<14} {how:<10} {library:<12} {:>12.1} a second", told.per_second);
                record.versions.extend(told.versions);
                let (data, how, library) = (data.to_string(), how.to_string(), library.to_string());
                let list = if words[0] == "images" { &mut record.images } else { &mut record.tables };
                list.push(Reading { data, how, library, per_second: told.per_second });
            }
            Err(problem) => {
                eprintln!("{data} {how} {library} failed: {problem:#}");
                record.absent.insert(library.to_string(), format!("{problem:#}"));
            }
        }
        self.store(record)
    }

    fn training(&self, course: &Course, threads: usize, record: &mut Record) -> Result<()> {
        let run = self.data.join("run");
        let _ = fs::remove_dir_all(&run);
        let mut command = Command::new(&self.deepfit);
        command.arg("train").arg(self.data.join(course.folder)).arg("--out").arg(&run);
        command.args(["--epochs", "1", "--json", "--threads", &threads.to_string()]);
        let batch = format!("batch={BATCH}");
        command.args(["model=resnet18", "image_size=224", "refit=false", batch.as_str()]);
        let report: Report = told(&mut command, 60.0).with_context(|| format!("training on {}", course.what))?;
        let _ = fs::remove_dir_all(&run);
        let Times { training, waited, worked } = report.data;
        let steps = (course.files * 7 / 10).div_ceil(BATCH) as u64;
        let mut command = Command::new(&self.deepfit);
        command.args(["bench", "resnet18_224", "--json", "--seconds", &(STEPS * self.seconds).to_string()]);
        command.args(["--threads", &threads.to_string(), "--beside-data"]).arg(self.data.join(course.folder));
        let Step { beside_data: beside } = told(&mut command, STEPS * self.seconds)?;
        eprintln!(
            "{}: {training:.1} s, {:.1} % waiting; a step {:.1} ms alone, {:.1} beside {:.1} ms of work",
            course.what,
            100.0 * waited / training,
            beside.alone_ms,
            beside.beside_ms,
            beside.worked_ms
        );
        let what = course.what.to_string();
        record.trainings.push(Training { what, threads, steps, training, waited, worked, beside });
        self.store(record)
    }

    fn threads(&self, cores: usize, record: &mut Record) -> Result<()> {
        for threads in 1..=cores {
            let mut command = Command::new(&self.deepfit);
            command.args(["bench", "--machine", "--json", "--seconds", "0.2", "--threads", &threads.to_string()]);
            let found: Threads = told(&mut command, 1.0)?;
            record.threads.push(found);
        }
        self.store(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(data: &str, how: &str, library: &str, per_second: f64) -> Reading {
        Reading { data: data.into(), how: how.into(), library: library.into(), per_second }
    }

    #[test]
    fn the_section_has_every_table_and_the_ratios() {
        let mut record = Record { rounds: 2, ..Record::default() };
        record.images = vec![
            reading("jpeg-500", "plain", DEEPFIT, 300.0),
            reading("jpeg-500", "plain", DEEPFIT, 500.0),
            reading("jpeg-500", "plain", "pillow", 200.0),
        ];
        record.tables = vec![reading("table-100000", "2", DEEPFIT, 3e6), reading("table-100000", "2", "polars", 4e6)];
        record.threads = vec![Threads { threads: 2, hand_over_us: 0.75, idle_cores: 0.0003 }];
        let training = |what: &str, training, worked| Training {
            what: what.into(),
            threads: 2,
            steps: 10,
            training,
            waited: 0.01,
            worked,
            beside: Beside { alone_ms: 400.0, beside_ms: 410.0, worked_ms: 40.0 },
        };
        record.trainings = vec![training(COURSES[0].what, 4.1, 0.4)];
        let section = render::section(&record);
        let section = section.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        for part in [
            "| jpeg-500 | plain | 400 | 200 | – | 2.00x |",
            "| table-100000 | 2 | 3.00 | – | 4.00 | – | 0.75x |",
            "| JPEG files of 224 x 224 | 2 | 410 | 0.2 % | 0.098 | 40.0 | 400 | 410 | 10.0 | 20.0 |",
            "| 2 | 0.75 | 0.0003 |",
        ] {
            assert!(section.contains(part), "`{part}` is missing in\n{section}");
        }
        render::section(&Record::default());
    }
}
