//! What the command writes: results on standard output, everything else on standard error.

pub mod plan;
pub mod predictions;
pub mod progress;
pub mod report;
pub mod scores;

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

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
    let told = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|&columns| columns > 0);
    terminal.or_else(told).unwrap_or(usize::MAX)
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

/// Writes a line to standard error; if nobody reads it, the work goes on.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
