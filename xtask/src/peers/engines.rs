//! The engines: how each is made ready and how it is started.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::goals::WORKLOADS;
use super::record::Record;
use super::summary::DEEPFIT;
use crate::process::{cargo, output, root, succeed, target_folder};

/// All engines in the order in which they are measured.
pub const ENGINES: [&str; 9] = [
    DEEPFIT,
    "pytorch",
    "pytorch-channels-last",
    "pytorch-compile",
    "jax",
    "onnxruntime",
    "openvino",
    "burn",
    "candle",
];

/// An engine that is ready.
#[derive(Debug)]
pub struct Engine {
    pub name: &'static str,
    program: PathBuf,
    /// Before the workload's name.
    arguments: Vec<String>,
    pub workloads: Vec<String>,
    needs_model: bool,
}

/// What a peer in Rust tells about itself.
#[derive(Deserialize)]
struct Listed {
    workloads: Vec<String>,
    cannot: BTreeMap<String, String>,
}

/// Makes the wanted engines ready; those that are missing are told of and noted in the record.
///
/// # Errors
/// If deepfit cannot be built.
pub fn prepare(wanted: &[&'static str], record: &mut Record) -> Result<Vec<Engine>> {
    let mut engines = Vec::new();
    for &name in wanted {
        let ready = match name {
            DEEPFIT => Ok(deepfit()?),
            "burn" | "candle" => in_rust(name, record),
            _ => in_python(name),
        };
        match ready {
            Ok(engine) => engines.push(engine),
            Err(reason) => {
                eprintln!("{name} is left out: {reason:#}");
                record.absent.insert(name.to_string(), format!("{reason:#}"));
            }
        }
    }
    Ok(engines)
}

/// The command, as a user builds it.
pub fn command() -> PathBuf {
    target_folder().join("release/deepfit").with_extension(env::consts::EXE_EXTENSION)
}

/// Builds the command.
///
/// # Errors
/// If it cannot be built.
pub fn build() -> Result<PathBuf> {
    succeed(cargo().args(["build", "--release", "--package", "deepfit"]))?;
    Ok(command())
}

fn deepfit() -> Result<Engine> {
    Ok(Engine {
        name: DEEPFIT,
        program: build()?,
        arguments: vec!["bench".to_string()],
        workloads: WORKLOADS.iter().map(|w| w.name.to_string()).collect(),
        needs_model: false,
    })
}

fn in_rust(name: &'static str, record: &mut Record) -> Result<Engine> {
    let target = target_folder().join("peers");
    // In its own folder, where its configuration asks for the instructions of this machine; all at once, since one alone
    // would compile what they share with other features again.
    let mut build = cargo();
    build.current_dir(root().join("benches/peers/rust")).args(["build", "--release"]);
    build.arg("--target-dir").arg(&target).env_remove("RUSTFLAGS");
    succeed(&mut build)?;
    let program = target.join(format!("release/peer-{name}")).with_extension(env::consts::EXE_EXTENSION);
    let listed: Listed = serde_json::from_str(&output(Command::new(&program).arg("list"))?)?;
    record.cannot.insert(name.to_string(), listed.cannot);
    Ok(Engine { name, program, arguments: Vec::new(), workloads: listed.workloads, needs_model: false })
}

/// Folder of the peers in Python.
fn folder() -> PathBuf {
    root().join("benches/peers")
}

/// The Python of the peers.
///
/// # Errors
/// If there is none.
pub fn python() -> Result<PathBuf> {
    let python = folder().join(".venv/bin/python");
    anyhow::ensure!(python.exists(), "it has no environment; benches/peers/setup.sh makes it");
    Ok(python)
}

fn in_python(name: &'static str) -> Result<Engine> {
    let (program, peer) = (python()?, folder().join("python/peer.py"));
    let listed = output(Command::new(&program).arg(&peer).arg("list"))?;
    let mut listed: BTreeMap<String, Vec<String>> = serde_json::from_str(&listed)?;
    let workloads = listed.remove(name).context("benches/peers/python/peer.py does not know it")?;
    let needs_model = matches!(name, "onnxruntime" | "openvino");
    Ok(Engine { name, program, arguments: vec![peer.display().to_string(), name.to_string()], workloads, needs_model })
}

impl Engine {
    /// The command that measures a workload whenever it is told to.
    ///
    /// # Errors
    /// If the network cannot be exported for an engine that needs it.
    pub fn turns(&self, workload: &str, threads: usize, scratch: &Path) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args([workload, "--turns", "--threads", &threads.to_string()]);
        if self.needs_model {
            command.arg("--model").arg(self.model(workload, scratch)?);
        }
        // Nothing compiled by an earlier run shortens a first call.
        command.env("TORCHINDUCTOR_CACHE_DIR", scratch.join("inductor")).current_dir(root());
        Ok(command)
    }

    /// The command that measures products of matrices for some seconds.
    pub fn products(&self, seconds: f64, threads: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("matmul").current_dir(root());
        command.args(["--seconds", &seconds.to_string(), "--threads", &threads.to_string()]);
        command
    }

    /// The network of a workload as PyTorch exports it.
    fn model(&self, workload: &str, scratch: &Path) -> Result<PathBuf> {
        let file = scratch.join(format!("{workload}.onnx"));
        if !file.exists() {
            let mut export = Command::new(&self.program);
            export.arg(folder().join("python/export.py")).arg(workload).arg(&file);
            output(&mut export).with_context(|| format!("the network of {workload} cannot be exported"))?;
        }
        Ok(file)
    }
}
