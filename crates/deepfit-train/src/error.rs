//! What can go wrong in a run.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::weights::Misfit;

/// What kind of failure it is, for exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The settings, the data or another input is wrong; the message says what to do.
    Input,
    /// Anything else: the disk is full, numbers are not finite, a bug.
    Other,
}

/// Errors of training, evaluating and predicting.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting is unknown or out of range.
    #[error("setting `{key}`: {problem}")]
    Setting {
        /// Its name.
        key: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A settings file cannot be read.
    #[error("'{}': {problem}", path.display())]
    SettingsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where it is.
        problem: String,
    },
    /// The data is wrong.
    #[error(transparent)]
    Data(#[from] deepfit_data::Error),
    /// The network cannot be built.
    #[error(transparent)]
    Network(#[from] deepfit_nn::NnError),
    /// A published model cannot be read.
    #[error(transparent)]
    Model(#[from] deepfit_zoo::ZooError),
    /// The engine refused something.
    #[error(transparent)]
    Engine(#[from] deepfit_cpu::Error),
    /// A classical learner refused something.
    #[error(transparent)]
    Classical(#[from] deepfit_classical::ClassicalError),
    /// A metric met values that it cannot count.
    #[error(transparent)]
    Metric(#[from] crate::metrics::MetricError),
    /// Numbers are not finite any more.
    #[error("training stopped in epoch {epoch}, step {step}: {what} is NaN or infinite first. {advice}")]
    NonFinite {
        /// Epoch, from 1.
        epoch: u32,
        /// Step of the epoch, from 1.
        step: u64,
        /// The first operation, parameter or input that is not finite, with its layer.
        what: String,
        /// What may help.
        advice: String,
    },
    /// A step of a [`Session`](crate::Session) met numbers that are not finite.
    #[error(
        "step {step}: {what} is NaN or infinite first; a smaller learning rate, or a limit for the gradients, may help"
    )]
    Step {
        /// Number of the step, from 1.
        step: u64,
        /// The first operation, parameter or input that is not finite, with its layer.
        what: String,
    },
    /// A parameter is asked for that does not exist, or is set to what does not fit.
    #[error("the parameter `{name}` {problem}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong, with both shapes.
        problem: String,
    },
    /// The weights given for a network are those of another.
    #[error("{}{misfit}", file.as_ref().map_or(String::new(), |path| format!("'{}': ", path.display())))]
    Misfit {
        /// The file that they are from, if they are from one.
        file: Option<PathBuf>,
        /// All that differs.
        misfit: Misfit,
    },
    /// A network's predictions are not finite.
    #[error("the predictions are not finite: {what} is NaN or infinite first")]
    Predictions {
        /// The first operation, parameter or input that is not finite, with its layer.
        what: String,
    },
    /// The run needs more memory than there is.
    #[error(
        "this run needs {needed_mb} MB of memory for {purpose}, and {available_mb} MB are available; choose a smaller model, \
         batch or image_size"
    )]
    Memory {
        /// What for.
        purpose: &'static str,
        /// Needed megabytes.
        needed_mb: u64,
        /// Available megabytes.
        available_mb: u64,
    },
    /// The system sets this process a limit of memory that the run does not fit into.
    #[error(
        "this run needs about {needed_mb} MB of memory, but {limit} allows {limit_mb} MB; lower `batch`{}{}, or raise the limit",
        if *images { " or `image_size`" } else { "" }, if *images { ", or choose a smaller `model`" } else { " or `hidden`" }
    )]
    MemoryLimit {
        /// Needed megabytes, what is in use already included.
        needed_mb: u64,
        /// Which limit.
        limit: String,
        /// Megabytes that it allows.
        limit_mb: u64,
        /// Whether the data is images.
        images: bool,
    },
    /// The run does not fit into the limit of memory that the settings give it.
    #[error(
        "this run needs about {} MB of memory, and `memory` allows {} MB; raise it, or leave `model` and `batch` open",
        needed.div_ceil(1_000_000), limit / 1_000_000
    )]
    Budget {
        /// Bytes that would be enough.
        needed: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// A file or folder cannot be written or read.
    #[error("cannot {action} '{}': {source}{}", path.display(), remedy(action, source))]
    Io {
        /// `write`, `read`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason the operating system gives.
        source: std::io::Error,
    },
    /// There is no space to go on writing a run that has a checkpoint.
    #[error(
        "cannot write '{}': {source}; free some space, then go on with `deepfit train --resume {}`",
        path.display(), crate::finish::shell_word(&run.to_string_lossy())
    )]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// The reason the operating system gives.
        source: std::io::Error,
        /// The run folder.
        run: PathBuf,
    },
    /// A run folder is not one, or is damaged.
    #[error("'{}': {problem}", path.display())]
    Run {
        /// The run folder or the file in it.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// Whether a disk, a quota or the limit of a file's size leaves no space.
pub(crate) fn is_no_space(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn remedy(action: &str, source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied if action == "read" => "; give yourself the right to read it",
        std::io::ErrorKind::PermissionDenied if action == "write" => {
            "; give yourself the right to write there, or choose another folder with --out"
        }
        _ if is_no_space(source) => "; free some space, or choose another place with --out",
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder that may be written with --out"
        }
        std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
            "; a file is in the way: choose another folder with --out"
        }
        _ => "",
    }
}

impl TrainError {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            TrainError::Setting { .. }
            | TrainError::SettingsFile { .. }
            | TrainError::Data(_)
            | TrainError::Network(deepfit_nn::NnError::Setting { .. })
            | TrainError::Memory { .. }
            | TrainError::MemoryLimit { .. }
            | TrainError::Budget { .. }
            | TrainError::Engine(
                deepfit_cpu::Error::Memory { .. }
                | deepfit_cpu::Error::UnknownIsa { .. }
                | deepfit_cpu::Error::UnsupportedIsa { .. }
                | deepfit_cpu::Error::NoBf16 { .. },
            )
            | TrainError::Misfit { .. }
            | TrainError::Model(_)
            | TrainError::Run { .. } => ErrorKind::Input,
            TrainError::Io { action, source, .. } => match (*action, source.kind()) {
                (_, std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => ErrorKind::Input,
                ("create", std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists) => ErrorKind::Input,
                ("read", std::io::ErrorKind::NotFound) => ErrorKind::Input,
                _ => ErrorKind::Other,
            },
            _ => ErrorKind::Other,
        }
    }

    /// The same error, with the file that the weights are from.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            TrainError::Misfit { misfit, .. } => TrainError::Misfit { file: Some(path.to_path_buf()), misfit },
            other => other,
        }
    }

    pub(crate) fn setting(key: &str, problem: impl Into<String>) -> Self {
        TrainError::Setting { key: key.to_string(), problem: problem.into() }
    }

    pub(crate) fn run(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        TrainError::Run { path: path.into(), problem: problem.into() }
    }
}

/// Result of this crate's functions.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use std::io::ErrorKind as Cause;

    use super::*;

    #[test]
    fn what_to_do_follows_from_what_failed() {
        let error = |action, cause: Cause| TrainError::Io { action, path: "x".into(), source: cause.into() };
        let (reading, writing) = (error("read", Cause::PermissionDenied), error("write", Cause::PermissionDenied));
        assert!(!reading.to_string().contains("--out") && reading.to_string().contains("right to read"), "{reading}");
        assert!(writing.to_string().contains("right to write"), "{writing}");
        assert_eq!([reading.kind(), writing.kind()], [ErrorKind::Input; 2]);
        assert_eq!(error("write", Cause::StorageFull).kind(), ErrorKind::Other);
    }
}
