//! `cargo xtask goldens`: the golden files, which a script makes with PyTorch.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::process::{root, succeed};

/// Options of `cargo xtask goldens`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write the files instead of comparing them
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Compare, write nothing; the default
    #[arg(long)]
    check: bool,
}

/// Compares or writes the golden files.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut command = Command::new(python()?);
    command.current_dir(root()).arg("scripts/make-goldens.py");
    if !arguments.write {
        command.arg("--check");
    }
    succeed(&mut command)
}

/// The Python of the scripts' environment, which is made if it is missing or incomplete.
pub fn python() -> Result<PathBuf> {
    let python = root().join(".venv/bin/python");
    let ready = Command::new(&python).args(["-c", "import torch, sklearn, safetensors, pandas, lightgbm"]).status();
    if !ready.is_ok_and(|status| status.success()) {
        succeed(&mut Command::new(root().join("scripts/setup-python.sh")))?;
    }
    Ok(python)
}
