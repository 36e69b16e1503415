//! Rounds of processes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use super::engines::{self, Engine};
use super::record::{Checked, Figures, Measurement, Peak, Record};
use super::summary::DEEPFIT;
use crate::process::{root, target_folder};

/// What a process may need beyond the seconds that it measures for: compilers take minutes.
const PATIENCE: Duration = Duration::from_secs(900);
/// Starts of the command.
const STARTS: usize = 11;

/// How a run measures.
#[derive(Debug)]
pub struct Plan {
    pub workloads: Vec<&'static str>,
    pub rounds: usize,
    pub seconds: f64,
    pub threads: usize,
    /// Where the record is stored after each measurement.
    pub stored: PathBuf,
}

/// Measures all workloads. All engines of a workload are started and make their first steps one after the other; then they
/// take turns, round after round, so that whatever else the machine does falls on all of them.
///
/// # Errors
/// If the record cannot be stored; what fails in an engine is noted in the record.
pub fn rounds(engines: &[Engine], plan: &Plan, record: &mut Record) -> Result<()> {
    let scratch = Scratch::new()?;
    for &workload in &plan.workloads {
        peaks(engines, plan, record);
        let of_workload = engines.iter().filter(|engine| engine.workloads.iter().any(|w| w == workload));
        let mut started: Vec<(&Engine, Option<Turns>)> = Vec::new();
        for engine in of_workload {
            let ready = engine.turns(workload, plan.threads, &scratch.0).and_then(Turns::ready);
            let turns = note(record, engine, workload, 0, ready);
            started.push((engine, turns));
            record.write(&plan.stored)?;
        }
        for round in 1..=plan.rounds {
            for (engine, turns) in &mut started {
                let Some(process) = turns else { continue };
                let found = process.turn(plan.seconds);
                let figures = note(record, engine, workload, round, found);
                match figures {
                    Some(figures) => {
                        let place = format!("{workload:<18} {:<22} turn {round} of {}", engine.name, plan.rounds);
                        eprintln!("{place} {:>10.3} ms  {:>6.0} MB", figures.ms, figures.rss_mb);
                        record.measurements.push(Measurement {
                            round,
                            engine: engine.name.to_string(),
                            workload: workload.to_string(),
                            figures: Some(figures),
                            failed: None,
                        });
                    }
                    None => *turns = None,
                }
                record.write(&plan.stored)?;
            }
        }
    }
    Ok(())
}

/// What was found, or `None` with a note of what went wrong.
fn note<T>(record: &mut Record, engine: &Engine, workload: &str, round: usize, found: Result<T>) -> Option<T> {
    let problem = match found {
        Ok(found) => return Some(found),
        Err(problem) => format!("{problem:#}"),
    };
    eprintln!("{workload:<18} {:<22} failed: {problem}", engine.name);
    record.measurements.push(Measurement {
        round,
        engine: engine.name.to_string(),
        workload: workload.to_string(),
        figures: None,
        failed: Some(problem),
    });
    None
}

/// A process that measures whenever it is told to, and waits in between.
struct Turns {
    child: Killed,
    answers: Receiver<String>,
    err: Option<JoinHandle<Vec<u8>>>,
}

impl Turns {
    /// Starts it and waits until its first steps are made.
    fn ready(mut command: Command) -> Result<Turns> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = Killed(child.context("cannot be started")?);
        let (tell, answers) = mpsc::channel();
        let (out, err) = (child.0.stdout.take(), child.0.stderr.take());
        thread::spawn(move || {
            let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok);
            // Libraries may say something too.
            let mut lines = lines.filter(|line| line.trim_start().starts_with('{'));
            lines.try_for_each(|line| tell.send(line))
        });
        let err = thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = err {
                let _ = pipe.read_to_end(&mut bytes);
            }
            bytes
        });
        let mut turns = Turns { child, answers, err: Some(err) };
        turns.turn(0.0)?;
        Ok(turns)
    }

    /// What it measures in some seconds.
    fn turn(&mut self, seconds: f64) -> Result<Figures> {
        let told = self.child.0.stdin.as_mut().map_or(Ok(()), |pipe| writeln!(pipe, "{seconds}"));
        let patience = PATIENCE + Duration::from_secs_f64(3.0 * seconds);
        match self.answers.recv_timeout(patience) {
            Ok(line) => serde_json::from_str(&line).context("it told no figures"),
            Err(RecvTimeoutError::Timeout) => bail!("it was stopped after {:.0} s", patience.as_secs_f64()),
            Err(RecvTimeoutError::Disconnected) => {
                let said = self.err.take().and_then(|err| err.join().ok()).unwrap_or_default();
                told.with_context(|| last_line(&said))?;
                bail!("{}", last_line(&said));
            }
        }
    }
}

/// What the machine can do, by deepfit and by PyTorch, whose products come from another library.
fn peaks(engines: &[Engine], plan: &Plan, record: &mut Record) {
    for engine in engines {
        let mut command = match engine.name {
            DEEPFIT => {
                let mut command = Command::new(engines::command());
                command.args(["bench", "--machine", "--json", "--seconds", &plan.seconds.to_string()]);
                command.args(["--threads", &plan.threads.to_string()]);
                command
            }
            "pytorch" => engine.products(plan.seconds, plan.threads),
            _ => continue,
        };
        match told::<Peak>(&mut command, plan.seconds) {
            Ok(peak) => record.peaks.push(Peak { engine: engine.name.to_string(), ..peak }),
            Err(problem) => eprintln!("the peak of {} is unknown: {problem:#}", engine.name),
        }
    }
}

/// Whole processes that make one step of the smallest workload.
///
/// # Errors
/// If the command cannot be run.
pub fn startup(threads: usize) -> Result<Vec<f64>> {
    (0..STARTS)
        .map(|_| {
            let start = Instant::now();
            let mut command = Command::new(engines::command());
            command.args(["bench", "mlp_small", "--losses", "1", "--threads", &threads.to_string()]);
            let ran = command.stdin(Stdio::null()).output().context("cannot start deepfit")?;
            anyhow::ensure!(ran.status.success(), "one step of mlp_small ended with {}", ran.status);
            Ok(start.elapsed().as_secs_f64() * 1e3)
        })
        .collect()
}

/// Holds a workload's steps against PyTorch in f64.
///
/// # Errors
/// If there is no Python for it or the comparison tells nothing.
pub fn correctness(workload: &str) -> Result<Checked> {
    let python = engines::python()?;
    eprintln!("holding {workload} against PyTorch in f64");
    let mut command = Command::new(&python);
    command.arg(root().join("scripts/bench-check.py")).args(["--json", "--program"]);
    command.arg(engines::command()).arg(workload).current_dir(root());
    // It ends with 1 where a bound is missed, and tells all the same.
    let ran = command.stdin(Stdio::null()).output().context("cannot start Python")?;
    let line = String::from_utf8_lossy(&ran.stdout);
    serde_json::from_str(line.trim()).with_context(|| format!("{workload}: {}", last_line(&ran.stderr)))
}

/// Runs a program that measures for so many seconds, and reads the last line that it prints.
///
/// # Errors
/// If it cannot be started, fails, takes far too long or prints something else.
pub fn told<T: DeserializeOwned>(command: &mut Command, seconds: f64) -> Result<T> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = Killed(child.context("cannot be started")?);
    // Both pipes are emptied while it runs, or it would stop when one is full.
    let drain = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let out = drain(child.0.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let err = drain(child.0.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let patience = PATIENCE + Duration::from_secs_f64(3.0 * seconds);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        if start.elapsed() > patience {
            bail!("it was stopped after {:.0} s", patience.as_secs_f64());
        }
        thread::sleep(Duration::from_millis(50));
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    if !status.success() {
        bail!("{}", last_line(&err));
    }
    serde_json::from_str(&last_line(&out)).context("it told no figures")
}

/// The last line that says something.
fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing").to_string()
}

/// Ends with its owner, so that nothing goes on measuring after a failure.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A folder for networks and compiled code, removed at the end; what an interrupted run left goes first.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch> {
        let folder = target_folder().join("peers/scratch");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
