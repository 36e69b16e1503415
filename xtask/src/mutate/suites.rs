//! Test binaries, built once with the faults in them, and run with one fault at a time.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::{cargo, output, words};

/// A fault may make a test run for ever.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// The tests of one crate.
#[derive(Debug)]
pub struct Suite {
    /// Name of the crate.
    pub package: String,
    program: PathBuf,
    /// The crate's folder, in which cargo runs its tests.
    folder: PathBuf,
    /// Names of all tests.
    pub tests: Vec<String>,
}

/// Builds the test binaries `suite` of the given crates with the faults compiled in.
pub fn build(packages: &[&str], target: &Path) -> Result<Vec<Suite>> {
    let mut command = cargo();
    command.args(["test", "--release", "--no-run", "--message-format=json-render-diagnostics", "--test", "suite"]);
    command.args(packages.iter().flat_map(|package| ["--package", package]));
    command.arg("--target-dir").arg(target);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg deepfit_mutate").trim());
    eprintln!("$ {}", words(&command));
    let messages = output(&mut command)?;
    let mut suites = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("cargo prints what is not JSON")?;
        if let (Some(program), Some("suite")) = (message["executable"].as_str(), message["target"]["name"].as_str()) {
            let manifest = Path::new(message["manifest_path"].as_str().context("cargo names no manifest")?);
            let folder = manifest.parent().context("a manifest is in a folder")?;
            suites.push(Suite::find(program.into(), folder)?);
        }
    }
    let position = |suite: &Suite| packages.iter().position(|package| *package == suite.package);
    suites.sort_by_key(position);
    ensure!(suites.len() == packages.len(), "cargo built {} test binaries for {packages:?}", suites.len());
    Ok(suites)
}

/// How a run of tests ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All passed.
    Passed,
    /// What failed first.
    Failed(String),
}

impl Suite {
    fn find(program: PathBuf, folder: &Path) -> Result<Suite> {
        let package = folder.file_name().context("a crate's folder has a name")?.to_string_lossy().into_owned();
        let listed = output(Command::new(&program).args(["--list", "--format", "terse"]))?;
        let tests = listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_string).collect();
        Ok(Suite { package, program, folder: folder.to_path_buf(), tests })
    }

    /// The tests that are named after an operation or a pass, most likely to notice its faults.
    pub fn named_after(&self, name: &str) -> Vec<String> {
        let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
        let name = plain(name);
        let last = |test: &str| plain(test.rsplit("::").next().unwrap_or(test));
        let mut found: Vec<String> = self.tests.iter().filter(|test| last(test) == name).cloned().collect();
        if found.is_empty() {
            found = self.tests.iter().filter(|test| last(test).contains(&name)).cloned().collect();
        }
        found
    }

    /// Runs the given tests, or all if none is given, and stops at the first that fails.
    pub fn run(&self, fault: Option<&str>, tests: &[String]) -> Result<Verdict> {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).args(tests).env_remove("DEEPFIT_MUTATE").env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        if !tests.is_empty() {
            command.arg("--exact");
        }
        if let Some(fault) = fault {
            command.env("DEEPFIT_MUTATE", fault);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let out = child.stdout.take().context("standard output is piped")?;
        let (sender, lines) = channel();
        let reader = thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let end = Instant::now() + TIME_LIMIT;
        let mut ran = false;
        let failure = loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    ran |= line.starts_with("test ");
                    if let Some(test) = failed(&line) {
                        break Some(test.to_string());
                    }
                }
                Err(RecvTimeoutError::Timeout) => break Some(format!("no end within {} s", TIME_LIMIT.as_secs())),
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        drop(lines);
        if failure.is_some() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        let status = child.wait()?;
        let _ = reader.join();
        match failure {
            Some(failure) => Ok(Verdict::Failed(failure)),
            None if !status.success() => Ok(Verdict::Failed(format!("the test program, which ended with {status}"))),
            None if !ran => bail!("{} ran no test", self.package),
            None => Ok(Verdict::Passed),
        }
    }
}

/// The test that a line of the test program reports as failed.
fn failed(line: &str) -> Option<&str> {
    let test = line.strip_prefix("test ")?.strip_suffix("... FAILED")?.trim_end();
    Some(test.strip_suffix(" - should panic").unwrap_or(test))
}

#[cfg(test)]
mod tests {
    use super::failed;

    #[test]
    fn the_failed_test_is_read_from_its_line() {
        assert_eq!(failed("test operations::Conv2d ... FAILED"), Some("operations::Conv2d"));
        assert_eq!(failed("test bad - should panic ... FAILED"), Some("bad"));
        assert_eq!(failed("test operations::Conv2d ... ok"), None);
        assert_eq!(failed("test result: FAILED. 1 passed; 1 failed"), None);
    }
}
