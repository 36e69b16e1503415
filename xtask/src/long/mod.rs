//! `cargo xtask long`: what takes long, and is therefore no test.

mod accuracy;
mod bars;
mod disk;
mod kill;
mod made;
mod plans;
mod sizes;
mod train;
mod transfer;

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use self::bars::Bars;
use self::train::Program;
use crate::mutate;
use crate::process::{cargo, root, succeed, target_folder};

/// Options of `cargo xtask long`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do; all of it if nothing is named
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Kills for each data set
    #[arg(long, default_value_t = 40)]
    kills: usize,
    /// Where random kills begin, to have the same delays again
    #[arg(long, default_value_t = 1)]
    random: u64,
    /// Folder or archive with 5,000 images of MNIST, as scripts/make-mnist5k.py makes it
    #[arg(long, value_name = "PATH")]
    mnist: Option<PathBuf>,
    /// Folder of small sets of pictures, as scripts/make-transfer-pictures.py makes it
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// The deepfit to run instead of building it
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where runs are kept for a look at them; otherwise they are removed
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Runs killed at random moments and resumed end with the same bits
    Kill,
    /// Planted faults, as `cargo xtask mutate`
    Mutate,
    /// Accuracy, time and memory on real data
    Accuracy,
    /// What `deepfit plan` tells beside what runs take, and limits of memory and time
    Plans,
    /// Disks that are full at every write
    Disk,
    /// Memory of 1,000 epochs, 100,000 columns, 10 million rows
    Sizes,
    /// Commands of the guide that take long
    Guide,
}

/// Does the named parts, prints their tables.
///
/// # Errors
/// If a killed run ends differently, a fault survives or a bar is missed; after all parts are done.
pub fn run(arguments: &Arguments) -> Result<()> {
    let wanted = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let folder = match &arguments.keep {
        Some(folder) => env::current_dir()?.join(folder),
        None => env::temp_dir().join(format!("deepfit-long-{}", std::process::id())),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut failures: Vec<anyhow::Error> = Vec::new();
    if [Part::Kill, Part::Accuracy, Part::Plans, Part::Disk, Part::Sizes].into_iter().any(wanted) {
        let program = Program::new(match &arguments.program {
            Some(program) => {
                fs::canonicalize(program).with_context(|| format!("no program at {}", program.display()))?
            }
            None => build()?,
        });
        if wanted(Part::Kill) {
            failures.extend(kill::campaign(&program, arguments.kills, arguments.random, &folder.join("kill")).err());
        }
        if wanted(Part::Disk) {
            failures.extend(disk::campaign(&program, &folder.join("disk")).err());
        }
        if wanted(Part::Sizes) {
            let mut bars = Bars::default();
            failures.extend(sizes::measure(&program, &folder.join("sizes"), &mut bars).err());
            failures.extend(bars.report().err());
        }
        if wanted(Part::Plans) {
            let mut bars = Bars::default();
            failures.extend(plans::measure(&program, &folder.join("plans"), &mut bars).err());
            failures.extend(bars.report().err());
        }
        if wanted(Part::Accuracy) {
            let mut bars = Bars::default();
            let folder = folder.join("accuracy");
            failures.extend(accuracy::measure(&program, arguments.mnist.as_deref(), &folder, &mut bars).err());
            if let Some(pictures) = &arguments.pictures {
                failures.extend(transfer::measure(&program, pictures, &folder, &mut bars).err());
            }
            failures.extend(bars.report().err());
        }
    }
    if wanted(Part::Guide) {
        let mut tests = cargo();
        tests.args(["test", "--release", "--workspace", "--test", "suite", "guide::", "--", "--ignored"]);
        failures.extend(succeed(&mut tests).err());
    }
    if wanted(Part::Mutate) {
        failures.extend(mutate::run(&mutate::Arguments::default()).err());
    }
    if arguments.keep.is_none() {
        fs::remove_dir_all(&folder)?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}", failures.iter().map(|e| format!("{e:#}")).collect::<Vec<_>>().join("; "))
}

/// Builds the command as a user does.
fn build() -> Result<PathBuf> {
    succeed(cargo().args(["build", "--release", "--package", "deepfit"]))?;
    Ok(target_folder().join("release/deepfit").with_extension(env::consts::EXE_EXTENSION))
}

/// An example's path.
fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}
