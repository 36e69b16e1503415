//! A disk that becomes full at every write: a small file system in memory, of every size at which a run may end.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::example;
use super::train::Program;
use crate::markdown::Table;

/// The disk is of so many pages of 4 KiB at first, and grows by a share, so that it ends at every file that is written.
const FIRST: usize = 1;
const LARGEST: usize = 16 << 10;

/// What is written, as words behind the program; `disk` is the folder that becomes full.
const COMMANDS: [(&str, &[&str]); 3] = [
    ("train", &["train", "DATA", "--out", "disk/run", "--epochs", "2", "hidden=[16]", "--quiet"]),
    ("report", &["report", "RUN", "--out", "disk/page.html"]),
    ("compare", &["compare", "DATA", "--out", "disk/compare", "--time", "4s", "--quiet"]),
];

/// Runs each command on disks that are too small, until one is large enough, and prints what came of it.
///
/// # Errors
/// If one ends with anything but an error that names the space, leaves a torn file, or cannot go on when there is space.
pub fn campaign(program: &Program, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("disk"))?;
    if !unshared("mount -t tmpfs none disk", folder)?.status.success() {
        println!("skipped: this system lets nobody mount a small disk\n");
        return Ok(());
    }
    let data = example("breast-cancer.csv").to_string_lossy().into_owned();
    let whole = folder.join("whole");
    program.train_with(Path::new(&data), &["epochs=2", "hidden=[16]"], &whole)?;
    let run = whole.to_string_lossy().into_owned();
    let mut table =
        Table::new("A full disk", &["command", "disks", "places where it ended", "whole when there was space"]);
    for (name, words) in COMMANDS {
        let words: Vec<String> = words.iter().map(|word| word.replace("DATA", &data).replace("RUN", &run)).collect();
        let (mut size, mut disks, mut places, mut done) = (FIRST, 0, BTreeSet::new(), false);
        while size < LARGEST && !done {
            let told = on_disk(program, &words, size, folder).with_context(|| format!("{name} on {size} pages"))?;
            disks += 1;
            match told {
                None => done = true,
                Some(place) => {
                    places.insert(place);
                }
            }
            size += (size / 12).max(1);
        }
        ensure!(done, "{name} never has enough space");
        table.row([name.to_string(), disks.to_string(), places.len().to_string(), "yes".to_string()]);
        eprintln!("{name}: {disks} disks; it ended at {}", places.into_iter().collect::<Vec<_>>().join(", "));
    }
    println!("{table}");
    Ok(())
}

/// Runs a command on a disk of so many pages; if that is too small, where it ended. It must then go on with more space.
fn on_disk(program: &Program, words: &[String], pages: usize, folder: &Path) -> Result<Option<String>> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let (program, command) = (program.path().display(), quoted.join(" "));
    let first = words[0].clone();
    let again = match &first[..] {
        "train" => format!(
            "if [ -e disk/run/settings.toml ]; then '{program}' train --resume disk/run --quiet; else '{program}' {command}; fi \
             && cmp disk/run/model/model.safetensors whole/model/model.safetensors"
        ),
        _ => format!("'{program}' {command}"),
    };
    let script = format!(
        "mount -t tmpfs -o size={}k none disk; '{program}' {command} >/dev/null 2>told; code=$?; \
         find disk -name '*.part' -o -name '*.tmp' >left; \
         if [ $code != 0 ]; then mount -o remount,size=64m disk; ({again}) >/dev/null 2>later; later=$?; else later=0; fi; \
         echo $code $later",
        4 * pages
    );
    let output = unshared(&script, folder)?;
    let codes = String::from_utf8_lossy(&output.stdout).trim().to_string();
    let told = fs::read_to_string(folder.join("told"))?;
    let left = fs::read_to_string(folder.join("left"))?;
    ensure!(left.trim().is_empty(), "left over: {left}");
    match codes.split_once(' ') {
        // What can be done without is noted where there is no space for it.
        Some(("0", _)) if told.contains("No space left") => Ok(Some("what a run is whole without".to_string())),
        Some(("0", _)) => Ok(None),
        Some(("1", later)) => {
            ensure!(told.contains("No space left") && told.contains("free some space"), "it is not told well: {told}");
            let later_told = fs::read_to_string(folder.join("later"))?;
            ensure!(later == "0", "it does not go on when there is space: {later_told} (before: {told})");
            let place = told.split('\'').nth(1).unwrap_or_default();
            Ok(Some(place.rsplit('/').next().unwrap_or_default().to_string()))
        }
        _ => anyhow::bail!("it ended with {codes}: {told}"),
    }
}

/// Runs a script in a mount namespace of its own, whose mounts go with it.
fn unshared(script: &str, folder: &Path) -> Result<Output> {
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]).env("DEEPFIT_CACHE", "").current_dir(folder);
    command.output().context("cannot start unshare")
}
