//! What the command writes: results on standard output, everything else on standard error.

pub mod comparison;
pub mod costs;
pub mod decisions;
pub mod diagnosis;
pub mod embeddings;
pub mod explanations;
pub mod filters;
pub mod findings;
pub mod importances;
pub mod neighbours;
pub mod plan;
pub mod predictions;
pub mod progress;
pub mod report;
pub mod scores;
mod transferability;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use deepfit_cpu::Profile;
use deepfit_train::profile::Limits;
use deepfit_train::text::Style;
use serde::Serialize;

use crate::exit::Usage;

/// Standard output was closed by its reader, as `head` does; not an error, there is just nobody left to write for.
#[derive(Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for Closed {}

/// Turns a failure to write standard output into the error that the command ends with.
pub fn stdout_error(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Closed.into();
    }
    anyhow::Error::new(error).context("cannot write to standard output")
}

/// Characters of a line of the terminal that shows standard output, or else what `COLUMNS` says; no limit without either.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    terminal.or_else(told_width).unwrap_or(usize::MAX)
}

/// Characters of a line as the environment tells them.
fn told_width() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|&columns| columns > 0)
}

/// Writes to standard output.
pub fn out(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(stdout_error)
}

/// Writes one value as one line of JSON to standard output.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    out(&(serde_json::to_string(value)? + "\n"))
}

/// Whether the time of operations is to be recorded; that there is no folder for the trace is told before hours of work.
pub fn profiles(trace: Option<&Path>) -> anyhow::Result<bool> {
    let Some(trace) = trace else { return Ok(false) };
    if let Some(problem) = deepfit_train::profile::why_not(trace) {
        return Err(Usage(format!("--profile: '{}' {problem}", trace.display())).into());
    }
    let folder = trace.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let problem =
            format!("--profile: '{}' cannot be written: there is no folder '{}'", trace.display(), folder.display());
        return Err(Usage(problem).into());
    }
    Ok(true)
}

/// Shows on standard error where the time went, unless `quiet`, and writes it as a trace.
pub fn profile(profile: &Profile, threads: usize, trace: &Path, quiet: bool) -> anyhow::Result<()> {
    if quiet {
        return Ok(deepfit_train::profile::write_trace(profile, trace)?);
    }
    let limits = Limits::measure(threads)?;
    let terminal = terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0));
    let width = terminal.or_else(told_width).unwrap_or(usize::MAX);
    say(deepfit_train::profile::text(profile, limits, width, Style::stderr()).trim_end());
    deepfit_train::profile::write_trace(profile, trace)?;
    say(&format!("  Single calls, for chrome://tracing or ui.perfetto.dev: {}", trace.display()));
    Ok(())
}

/// Writes a line to standard error; if nobody reads it, the work goes on.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
