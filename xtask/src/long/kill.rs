//! Runs that are killed at random moments and resumed must end with the same bits as one that is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::example;
use super::made;
use super::train::Program;
use crate::markdown::Table;

/// Files that tell how long things took, and therefore differ from run to run; of the first, the metrics do not.
const TIMED: [&str; 3] = ["result.json", "report.html", "checkpoint/state.safetensors"];

/// How long to wait for a killed process, or for a run to end, before something is wrong.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the kills of one data set came to.
#[derive(Debug, Default)]
struct Tally {
    /// Kills before the run folder had settings, before the first checkpoint, and after it.
    kills: [usize; 3],
    /// Runs that were killed at least once and then ended.
    runs: usize,
    /// What differs from the run that was left alone.
    differences: Vec<String>,
}

/// Data with the settings of the runs on it: images and a table, in folds; a published network, whose features are kept on
/// disk; texts from nothing; a text whose continuation is learned.
fn cases(folder: &Path) -> Result<Vec<(&'static str, PathBuf, &'static [&'static str])>> {
    let photographs = folder.join("photographs");
    made::photographs(&photographs, 30, 120)?;
    Ok(vec![
        ("digits.zip", example("digits.zip"), &["epochs=8"]),
        ("breast-cancer.csv", example("breast-cancer.csv"), &[]),
        ("photographs", photographs, &[]),
        ("sentences.tsv", example("sentences.tsv"), &["from=scratch", "epochs=4"]),
        ("reference.txt", example("reference.txt"), &["model=gru", "tokens=bytes", "epochs=2"]),
    ])
}

/// Kills runs on data of several kinds, `kills` times each, and prints the table.
///
/// # Errors
/// If a run cannot be resumed or ends differently.
pub fn campaign(program: &Program, kills: usize, random: u64, folder: &Path) -> Result<()> {
    let columns = ["data", "kills", "no settings yet", "no checkpoint yet", "later", "runs ended", "the same bits"];
    let mut table = Table::new("Killed and resumed", &columns);
    let mut problems = Vec::new();
    for (stream, (name, data, settings)) in cases(&folder.join("data"))?.into_iter().enumerate() {
        let mut delays = Delays(random.wrapping_mul(8).wrapping_add(stream as u64));
        let tally = kill_often(program, &data, settings, kills, &mut delays, &folder.join(name))
            .with_context(|| format!("on {name}, with --random {random}"))?;
        let [early, unsaved, later] = tally.kills;
        table.row([
            name.to_string(),
            (early + unsaved + later).to_string(),
            early.to_string(),
            unsaved.to_string(),
            later.to_string(),
            tally.runs.to_string(),
            if tally.differences.is_empty() { "yes" } else { "**no**" }.to_string(),
        ]);
        problems.extend(tally.differences);
    }
    println!("{table}");
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

fn kill_often(
    program: &Program,
    data: &Path,
    settings: &[&str],
    kills: usize,
    delays: &mut Delays,
    folder: &Path,
) -> Result<Tally> {
    fs::create_dir_all(folder)?;
    let whole = folder.join("whole");
    let seconds = program.train_with(data, settings, &whole)?.seconds;
    let mut tally = Tally::default();
    while tally.kills.iter().sum::<usize>() < kills {
        let run = folder.join(format!("killed-{}", tally.runs + 1));
        // What is kept of features is killed, too.
        let cache = folder.join(format!("cache-{}", tally.runs + 1));
        loop {
            let left = kills - tally.kills.iter().sum::<usize>();
            if !run.join("settings.toml").exists() {
                // A run that was killed before it had settings has nothing to go on with.
                let _ = fs::remove_dir_all(&run);
            }
            let mut child = program.start(data, settings, &run, &cache)?;
            let delay = if left == 0 { PATIENCE } else { delays.next(seconds) };
            let end = Instant::now() + delay;
            let status = loop {
                match child.try_wait()? {
                    None if Instant::now() < end => thread::sleep(Duration::from_millis(1).min(delay)),
                    ended => break ended,
                }
            };
            if let Some(status) = status {
                ensure!(status.success(), "the run in {} cannot be resumed: {status}", run.display());
                break;
            }
            // SIGKILL, which no program can prepare for.
            child.kill()?;
            child.wait()?;
            if left == 0 {
                bail!("the run in {} does not end", run.display());
            }
            let phase = match (run.join("settings.toml").exists(), has_checkpoint(&run)) {
                (false, _) => 0,
                (true, false) => 1,
                (true, true) => 2,
            };
            tally.kills[phase] += 1;
        }
        tally.runs += 1;
        tally.differences.extend(differences(&whole, &run)?);
        if cache.exists() {
            let part = |file: &PathBuf| file.to_string_lossy().contains(".part");
            let left = listing(&cache)?.into_iter().filter(part).map(|file| format!("{} is left over", file.display()));
            tally.differences.extend(left);
        }
        eprintln!("{}: {} of {kills} kills", data.display(), tally.kills.iter().sum::<usize>());
    }
    Ok(tally)
}

fn has_checkpoint(run: &Path) -> bool {
    fs::read_dir(run.join("checkpoint")).is_ok_and(|entries| entries.count() > 0)
}

/// What a resumed run has otherwise than the whole one, in words.
fn differences(whole: &Path, run: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let read = |path: PathBuf| fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    let metrics = |folder: &Path| -> Result<Value> {
        let report: Value = serde_json::from_slice(&read(folder.join("result.json"))?)?;
        Ok(report["metrics"].clone())
    };
    if metrics(whole)? != metrics(run)? {
        found.push("the metrics differ".to_string());
    }
    let (expected, files) = (listing(whole)?, listing(run)?);
    for name in
        expected.iter().filter(|name| files.contains(name) && !TIMED.iter().any(|timed| name.as_os_str() == *timed))
    {
        if read(whole.join(name))? != read(run.join(name))? {
            found.push(format!("{} differs", name.display()));
        }
    }
    found.extend(files.iter().filter(|f| !expected.contains(f)).map(|f| format!("{} is left over", f.display())));
    found.extend(expected.iter().filter(|f| !files.contains(f)).map(|f| format!("{} is missing", f.display())));
    Ok(found.into_iter().map(|problem| format!("{}: {problem}", run.display())).collect())
}

/// Paths of all files in a folder, relative to it.
fn listing(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path.strip_prefix(folder)?.to_path_buf()) }
        }
    }
    found.sort();
    Ok(found)
}

/// Random delays: short ones are frequent, since much is written at the start.
struct Delays(u64);

impl Delays {
    /// Between 0 and half of `seconds`: splitmix64 (Steele, Lea and Flood, 2014), squared.
    fn next(&mut self, seconds: f64) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        Duration::from_secs_f64(seconds * 0.5 * unit * unit)
    }
}
