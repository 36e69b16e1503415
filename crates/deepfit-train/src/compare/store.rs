//! The folder of a comparison: what is known already is not computed again.
//!
//! `comparison.json` says what is compared, `ways/NAME.json` what each way has reached, beside its run folder `ways/NAME`,
//! `transfer.json` whether a published network will help, and `result.json` is the outcome.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::{Comparison, Ran, Transferability, WayResult};
use crate::error::{Result, TrainError};
use crate::fingerprint::fingerprint;
use crate::run_folder::{COMPARISON, WAYS, read_text, write_text};
use crate::settings::Settings;

/// Version of the files, and of what ways do: another version knows nothing of this one's results.
const VERSION: u32 = 2;
const RESULT: &str = "result.json";
const TRANSFER: &str = "transfer.json";

/// What is compared.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Key {
    version: u32,
    /// A hash of data, settings and metric.
    key: String,
}

/// `ways/NAME.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    result: WayResult,
    rows: Vec<f32>,
}

/// The folder.
pub(super) struct Store {
    folder: PathBuf,
    key: Key,
}

impl Store {
    /// The folder for data and settings, which may not exist yet.
    ///
    /// # Errors
    /// If something else is in it, or the data cannot be read.
    pub(super) fn open(settings: &Settings, metric: Option<&str>, time: f64, out: Option<PathBuf>) -> Result<Store> {
        let mut parts = vec![fingerprint_of(&settings.data, settings.labels.as_deref())?];
        for path in [&settings.validation, &settings.test].into_iter().flatten() {
            parts.push(fingerprint_of(path, None)?);
        }
        // Where the data lies, and threads, change no result.
        let plain = Settings {
            data: PathBuf::new(),
            labels: None,
            validation: None,
            test: None,
            threads: 1,
            time: Some(time),
            ..settings.clone()
        };
        parts.push(plain.to_toml()?);
        parts.push(metric.unwrap_or_default().to_string());
        parts.push(VERSION.to_string());
        parts.push(env!("CARGO_PKG_VERSION").to_string());
        let key = format!("{:032x}", xxh3_128(parts.join("\n").as_bytes()));
        let folder = out.unwrap_or_else(|| {
            let name =
                settings.data.file_stem().map_or_else(|| "data".to_string(), |s| s.to_string_lossy().into_owned());
            Path::new("runs").join(format!("compare-{name}-{}", &key[..8]))
        });
        let store = Store { folder, key: Key { version: VERSION, key } };
        store.check()?;
        Ok(store)
    }

    /// What is in the folder must be of the same comparison.
    fn check(&self) -> Result<()> {
        let path = self.folder.join(COMPARISON);
        if path.is_file() {
            let damaged = |e: serde_json::Error| TrainError::run(&path, format!("is damaged: {e}; remove the folder"));
            let there: Key = serde_json::from_str(&read_text(&path)?).map_err(damaged)?;
            if there == self.key {
                return Ok(());
            }
            let problem = "holds a comparison of other data, or by other settings; choose another folder with --out";
            return Err(TrainError::run(&self.folder, problem));
        }
        if self.folder.is_file() || fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let problem = "exists and holds no comparison; choose another folder with --out";
            return Err(TrainError::run(&self.folder, problem));
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn ways(&self) -> PathBuf {
        self.folder.join(WAYS)
    }

    /// The outcome, if it is known, and all runs that it names are still there.
    pub(super) fn result(&self) -> Result<Option<Comparison>> {
        let Some(known) = read(&self.folder)? else { return Ok(None) };
        let there = known.ways.iter().all(|way| way.run.join("result.json").is_file());
        Ok(there.then_some(Comparison { cached: true, ..known }))
    }

    /// Makes the folder, and says what it is for.
    pub(super) fn begin(&self) -> Result<()> {
        let ways = self.ways();
        fs::create_dir_all(&ways).map_err(|source| TrainError::Io { action: "create", path: ways, source })?;
        self.write(&self.folder.join(COMPARISON), &self.key)
    }

    fn write(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|e| TrainError::run(path, e.to_string()))?;
        write_text(path, &(text + "\n"))
    }

    /// What a way has reached, if that is known and its run is there.
    pub(super) fn way(&self, name: &str) -> Result<Option<Ran>> {
        let (path, run) = (self.ways().join(format!("{name}.json")), self.ways().join(name));
        if !path.is_file() || !run.join("result.json").is_file() {
            return Ok(None);
        }
        // What cannot be read is computed again.
        let Ok(Kept { mut result, rows }) = serde_json::from_str(&read_text(&path)?) else { return Ok(None) };
        result.run = run;
        Ok(Some(Ran { result, rows }))
    }

    /// The folder of a way's run, without what an earlier attempt has left there.
    pub(super) fn run_folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.ways().join(name);
        if path.exists() {
            let removed = fs::remove_dir_all(&path);
            removed.map_err(|source| TrainError::Io { action: "write", path: path.clone(), source })?;
        }
        Ok(path)
    }

    /// Keeps what a way has reached.
    pub(super) fn keep(&self, ran: &Ran) -> Result<()> {
        let kept = Kept { result: ran.result.clone(), rows: ran.rows.clone() };
        self.write(&self.ways().join(format!("{}.json", ran.result.name)), &kept)
    }

    /// What is known of the published network, if it was asked; what cannot be read is asked again.
    pub(super) fn transfer(&self) -> Result<Option<Transferability>> {
        let path = self.folder.join(TRANSFER);
        if !path.is_file() {
            return Ok(None);
        }
        Ok(serde_json::from_str(&read_text(&path)?).ok())
    }

    /// Keeps what was found of the published network.
    pub(super) fn keep_transfer(&self, found: &Transferability) -> Result<()> {
        self.write(&self.folder.join(TRANSFER), found)
    }

    /// Keeps the outcome.
    pub(super) fn finish(&self, comparison: &Comparison) -> Result<()> {
        self.write(&self.folder.join(RESULT), comparison)
    }
}

impl Comparison {
    /// The outcome of a comparison, by the folder that it has written; nothing of a folder that is none of a comparison.
    ///
    /// # Errors
    /// If it has not ended, or what it has written is damaged.
    pub fn open(folder: &Path) -> Result<Option<Comparison>> {
        if !folder.join(COMPARISON).is_file() {
            return Ok(None);
        }
        match read(folder)? {
            Some(found) => Ok(Some(found)),
            None => {
                let problem = "holds a comparison that has not ended; ask for it again by the same `deepfit compare`, \
                               which goes on from there";
                Err(TrainError::run(folder, problem))
            }
        }
    }
}

/// The outcome that a folder holds, if it is known.
fn read(folder: &Path) -> Result<Option<Comparison>> {
    let path = folder.join(RESULT);
    if !path.is_file() {
        return Ok(None);
    }
    let damaged = |e: serde_json::Error| {
        TrainError::run(&path, format!("is damaged: {e}; remove it, and the comparison is put together again"))
    };
    let mut known: Comparison = serde_json::from_str(&read_text(&path)?).map_err(damaged)?;
    // The folder may have been moved.
    for way in &mut known.ways {
        way.run = folder.join(WAYS).join(&way.name);
    }
    known.folder = folder.to_path_buf();
    known.next = super::recommend::next(&known);
    Ok(Some(known))
}

fn fingerprint_of(path: &Path, labels: Option<&Path>) -> Result<String> {
    if !path.exists() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(TrainError::Io { action: "read", path: path.to_path_buf(), source });
    }
    fingerprint(path, labels)
}
