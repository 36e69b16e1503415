//! Sizes at which memory must not grow: many epochs, many columns, many rows.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::bars::Bars;
use super::example;
use super::made;
use super::train::Program;
use crate::markdown::Table;

const MB: f64 = 1e6;

/// Runs of 10 and 1,000 epochs, of 100,000 columns, and of 10 million rows.
///
/// # Errors
/// If a run fails.
pub fn measure(program: &Program, folder: &Path, bars: &mut Bars) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut table = Table::new("Sizes", &["run", "planned MB", "peak MB", "seconds"]);
    let mut run = |what: &str, data: &Path, settings: &[&str]| -> Result<f64> {
        let place = folder.join(what.replace([' ', ','], "-"));
        let trained = program.train_with(data, settings, &place).with_context(|| what.to_string())?;
        let planned = trained.number("planned_memory_bytes")?;
        let (peak, seconds) = (trained.peak / MB, trained.seconds);
        eprintln!("{what}: {peak:.1} MB, {seconds:.1} s");
        table.row([what.to_string(), format!("{:.1}", planned / MB), format!("{peak:.1}"), format!("{seconds:.1}")]);
        Ok(peak)
    };
    let data = example("diabetes.csv");
    let common = ["folds=1", "patience=0", "refit=false"];
    let few = run("10 epochs", &data, &[&common[..], &["epochs=10"]].concat())?;
    let many = run("1,000 epochs", &data, &[&common[..], &["epochs=1000"]].concat())?;
    bars.at_most("MB that 1,000 epochs take more than 10", 2.0, many - few);
    let wide = folder.join("columns.csv");
    made::table(&wide, 100, 100_000)?;
    run("100,000 columns", &wide, &["epochs=2"])?;
    fs::remove_file(&wide)?;
    let long = folder.join("rows.csv");
    made::table(&long, 10_000_000, 4)?;
    let rows = run("10,000,000 rows", &long, &["epochs=1", "model=mlp", "batch=4096"])?;
    bars.at_most("MB of 10,000,000 rows", 500.0, rows);
    fs::remove_file(&long)?;
    println!("{table}");
    Ok(())
}
