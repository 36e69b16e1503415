//! `cargo xtask ci`: the script that continuous integration calls, so that there is one list of checks.

use std::process::Command;

use anyhow::Result;

use crate::process::{root, succeed};

/// Runs `.ci/run`.
pub fn run() -> Result<()> {
    succeed(&mut Command::new(root().join(".ci/run")))
}
