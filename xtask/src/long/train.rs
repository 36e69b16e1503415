//! Running `deepfit train`.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How often the memory of a running program is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The command under test.
#[derive(Debug)]
pub struct Program(PathBuf);

/// What a finished run reports, and what was seen from outside.
#[derive(Debug)]
pub struct Trained {
    /// The JSON object that it prints.
    pub report: Value,
    /// Seconds from start to exit.
    pub seconds: f64,
    /// Most resident memory in bytes, as the operating system counts it; the program's own number where that is unknown.
    pub peak: f64,
}

impl Trained {
    /// A number of the report, such as `metrics.test.accuracy`.
    ///
    /// # Errors
    /// If the report does not have it.
    pub fn number(&self, path: &str) -> Result<f64> {
        let value = path.split('.').fold(&self.report, |value, key| &value[key]);
        value.as_f64().with_context(|| format!("the report has no number `{path}`: {value}"))
    }
}

impl Program {
    pub fn new(path: PathBuf) -> Program {
        Program(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn command(&self, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(arguments).args(["--quiet", "--json"]).stdin(Stdio::null());
        command
    }

    /// Starts a run, or goes on with the one in the folder `run` if its settings are there. Features are kept in `cache`.
    pub fn start(&self, data: &Path, settings: &[&str], run: &Path, cache: &Path) -> Result<Child> {
        let train = OsStr::new("train");
        let mut command = if run.join("settings.toml").exists() {
            self.command(&[train, "--resume".as_ref(), run.as_ref()])
        } else {
            let mut arguments = vec![train, data.as_ref(), "--out".as_ref(), run.as_ref()];
            arguments.extend(settings.iter().map(|setting| OsStr::new(*setting)));
            self.command(&arguments)
        };
        command.env("DEEPFIT_CACHE", cache).stdout(Stdio::null());
        command.spawn().with_context(|| format!("cannot start {}", self.0.display()))
    }

    /// Trains from start to end.
    ///
    /// # Errors
    /// If the program does not succeed, or prints anything but one JSON object.
    pub fn train(&self, data: &Path, seed: u32, run: &Path) -> Result<Trained> {
        self.train_with(data, &[&format!("seed={seed}")], run)
    }

    /// Trains from start to end with these settings. What was computed before is not used.
    ///
    /// # Errors
    /// As [`Program::train`].
    pub fn train_with(&self, data: &Path, settings: &[&str], run: &Path) -> Result<Trained> {
        let mut arguments: Vec<&OsStr> = vec!["train".as_ref(), data.as_os_str(), "--out".as_ref(), run.as_ref()];
        arguments.extend(settings.iter().map(|setting| OsStr::new(*setting)));
        let start = Instant::now();
        let mut child = self
            .command(&arguments)
            .env("DEEPFIT_CACHE", "")
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start deepfit")?;
        let mut out = child.stdout.take().context("standard output is piped")?;
        let reader = thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text)
        });
        let mut peak = None;
        let status = loop {
            peak = resident_peak(child.id()).or(peak);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            thread::sleep(LOOK);
        };
        let seconds = start.elapsed().as_secs_f64();
        let text = reader.join().expect("reading does not panic")?;
        if !status.success() {
            bail!("training on {} ended with {status}", data.display());
        }
        let report: Value = serde_json::from_str(&text).with_context(|| format!("no JSON object: {text}"))?;
        let mut trained = Trained { report, seconds, peak: 0.0 };
        trained.peak = peak.map_or_else(|| trained.number("peak_memory_bytes"), Ok)?;
        Ok(trained)
    }
}

/// The most memory that a running process has occupied, in bytes; Linux only.
fn resident_peak(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}
