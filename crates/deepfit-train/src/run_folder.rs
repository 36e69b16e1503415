//! The run folder: what is where, and writing so that a file is either the old one or the new one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Result, TrainError, is_no_space};

/// Version of the files in a run folder. A higher number in a file means that a newer program wrote it.
pub const FORMAT_VERSION: u32 = 1;

/// What is said of a folder that holds something else.
const OCCUPIED: &str = "exists and is not empty; choose another folder with --out, or continue it with --resume";

/// A folder that this process has created, and no other can while this lasts.
#[derive(Debug)]
pub struct Claim {
    _folder: Option<File>,
}

/// Locks a file or a folder, where that is possible.
fn lock(path: &Path, run: &Path) -> Result<Option<File>> {
    // Not all systems open folders.
    let Ok(file) = File::open(path) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => {
            let problem =
                "is being trained by another process; wait for it, stop it, or choose another folder with --out";
            Err(TrainError::run(run, problem))
        }
        // Some file systems know no locks.
        Err(fs::TryLockError::Error(_)) => Ok(None),
    }
}

/// Whether something in a new run folder is what a process has left there that was killed before its settings were written,
/// which nobody can go on with.
fn is_left_over(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match &name[..] {
        "checkpoint" | "model" => fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()),
        "split.json" => !path.with_file_name("settings.toml").exists(),
        ".split.json.part" | ".settings.toml.part" => true,
        _ => false,
    }
}

/// What is compared, in the folder of a comparison.
pub(crate) const COMPARISON: &str = "comparison.json";
/// Where the run folders of its ways are.
pub(crate) const WAYS: &str = "ways";

/// How the names of files beside the checkpoint begin that hold predictions of validation rows.
pub(crate) const HELD_OUT: &str = "held-out-";
/// How the names of those begin that hold losses of validation rows.
pub(crate) const LOSSES: &str = "losses-";

/// What is said of a folder that `deepfit compare` has written, which holds no run but several; nothing of any other.
pub(crate) fn of_comparison(folder: &Path) -> Option<String> {
    if !folder.join(COMPARISON).is_file() {
        return None;
    }
    let ways = folder.join(WAYS);
    let mut runs: Vec<PathBuf> =
        fs::read_dir(&ways).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    runs.retain(|run| RunFolder::at(run).settings().is_file());
    runs.sort();
    let names: Vec<_> = runs.iter().filter_map(|run| run.file_name()).map(|name| name.to_string_lossy()).collect();
    Some(match names.first() {
        Some(first) => format!(
            "is a comparison, each of whose ways is a run of its own: give one of them, such as '{}'; there are {}",
            ways.join(&**first).display(),
            names.join(", ")
        ),
        None => "is a comparison none of whose ways has been tried yet; ask for it again by the same `deepfit compare`"
            .to_string(),
    })
}

/// Paths in a run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// A run folder that may not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        RunFolder { root: root.into() }
    }

    /// An existing run folder.
    ///
    /// # Errors
    /// If it is not one.
    pub fn open(root: &Path) -> Result<Self> {
        let folder = RunFolder::at(root);
        if !root.exists() {
            return Err(TrainError::run(root, "does not exist; give the folder that `deepfit train` printed"));
        }
        if !folder.settings().is_file() {
            if let Some(problem) = of_comparison(root) {
                return Err(TrainError::run(root, problem));
            }
            let problem = "is not a run folder: it has no settings.toml; give the folder that `deepfit train` printed";
            return Err(TrainError::run(root, problem));
        }
        Ok(folder)
    }

    /// The first free folder `runs/<name>-<number>` for data of the given path.
    pub fn next_for(data: &Path) -> Self {
        let name = data.file_stem().map_or_else(|| "run".to_string(), |s| s.to_string_lossy().into_owned());
        let number = (1..).find(|n| !Path::new("runs").join(format!("{name}-{n}")).exists()).unwrap_or(1);
        RunFolder::at(Path::new("runs").join(format!("{name}-{number}")))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All settings, resolved.
    pub fn settings(&self) -> PathBuf {
        self.root.join("settings.toml")
    }

    /// Which rows are in which part.
    pub fn split(&self) -> PathBuf {
        self.root.join("split.json")
    }

    /// One line an epoch.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// The report, once the run has ended.
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// What was predicted for the test rows.
    pub fn predictions(&self) -> PathBuf {
        self.root.join("predictions.safetensors")
    }

    /// The page that tells of the run.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// The trained model.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// Where training stands.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint").join("state.safetensors")
    }

    /// Fails if there is something in the folder that no run has left there which was killed as it began.
    ///
    /// # Errors
    /// If there is.
    pub fn require_free(&self) -> Result<()> {
        let mut entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        match entries.any(|entry| !is_left_over(&entry.path())) {
            true => Err(TrainError::run(&self.root, OCCUPIED)),
            false => Ok(()),
        }
    }

    /// Creates the folder and those in it. Until the claim is dropped, or the process ends, nobody else can create it.
    ///
    /// # Errors
    /// If there is something else already, another process has just begun a run there, or it may not be created.
    pub fn create(&self) -> Result<Claim> {
        let checkpoint = self.root.join("checkpoint");
        let failed = |source| {
            // What was made before the failure goes again: nothing half-written stays.
            let _ = fs::remove_dir(&checkpoint);
            let _ = fs::remove_dir(&self.root);
            TrainError::Io { action: "create", path: self.root.clone(), source }
        };
        fs::create_dir_all(&self.root).map_err(failed)?;
        let claim = Claim { _folder: lock(&self.root, &self.root)? };
        self.require_free()?;
        fs::create_dir_all(&checkpoint).and_then(|()| fs::create_dir_all(self.model())).map_err(failed)?;
        Ok(claim)
    }

    /// Keeps a second process from training what is in the folder; the lock goes with the file that is returned, and with the
    /// process, however that ends. Nothing where the file system knows no locks.
    ///
    /// # Errors
    /// If another process trains there.
    pub fn lock(&self) -> Result<Option<File>> {
        lock(&self.settings(), &self.root)
    }

    /// Whether another process trains what is in the folder.
    pub fn is_being_trained(&self) -> bool {
        let file = File::open(self.settings());
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Creates the folders in it that are missing.
    ///
    /// # Errors
    /// If they may not be created.
    pub fn restore(&self) -> Result<()> {
        for path in [self.root.join("checkpoint"), self.model()] {
            fs::create_dir_all(&path).map_err(|source| TrainError::Io { action: "create", path, source })?;
        }
        Ok(())
    }

    /// Removes the folder, if only what this program writes is in it.
    pub fn discard(&self) {
        for file in [self.settings(), self.split(), self.metrics(), self.checkpoint()] {
            let _ = fs::remove_file(file);
        }
        for file in fs::read_dir(self.root.join("checkpoint")).into_iter().flatten().flatten() {
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(HELD_OUT) || name.starts_with(LOSSES) {
                let _ = fs::remove_file(file.path());
            }
        }
        for folder in [self.root.join("checkpoint"), self.model(), self.root.clone()] {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Where there was no space to write: a run that has a checkpoint goes on from there once there is space; the folder of
/// a new one that has none is removed again, since there is nothing in it to go on with.
pub(crate) fn without_space(error: TrainError, folder: &RunFolder, is_new: bool) -> TrainError {
    match error {
        TrainError::Io { path, source, .. } if is_no_space(&source) => {
            if is_new && !folder.checkpoint().exists() {
                folder.discard();
                return TrainError::Io { action: "write", path, source };
            }
            TrainError::NoSpace { path, source, run: folder.root().to_path_buf() }
        }
        other => other,
    }
}

/// Whether a write must survive a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk when the function returns.
    Disk,
    /// It survives the end of the process; the system writes it to the disk when it likes.
    Process,
}

/// Writes a file atomically: `write` fills a temporary file beside it, which is then renamed.
///
/// # Errors
/// If anything fails; the old file is then still there, and the temporary one is gone.
pub fn write_atomically(
    path: &Path,
    durability: Durability,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<()> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.part"));
    let sync = |path: &Path| match durability {
        Durability::Disk => File::open(path).and_then(|f| f.sync_all()),
        Durability::Process => Ok(()),
    };
    let written = write(&temporary)
        .and_then(|()| sync(&temporary))
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        TrainError::Io { action: "write", path: path.to_path_buf(), source }
    })
}

/// Writes a text atomically.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    write_atomically(path, Durability::Disk, |temporary| File::create(temporary)?.write_all(text.as_bytes()))
}

/// Reads a text.
///
/// # Errors
/// If it does not exist or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| TrainError::Io { action: "read", path: path.to_path_buf(), source })
}
