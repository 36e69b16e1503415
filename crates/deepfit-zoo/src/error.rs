use deepfit_nn::NnError;
use thiserror::Error;

/// Everything that can go wrong while a network is made from its settings.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ZooError {
    /// A layer or the graph refuses.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// A setting of the network is impossible.
    #[error("{model}: `{setting}` {problem}")]
    Setting {
        /// Model type, such as `resnet`.
        model: &'static str,
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong with its value and what would be right.
        problem: String,
    },
}

/// Result of making a network.
pub type Result<T, E = ZooError> = std::result::Result<T, E>;

/// Fails with [`ZooError::Setting`] unless `holds`.
pub(crate) fn require(
    holds: bool,
    model: &'static str,
    setting: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<()> {
    if holds { Ok(()) } else { Err(ZooError::Setting { model, setting, problem: problem() }) }
}

/// Fails unless every length of a list is at least 1.
pub(crate) fn require_lengths(lengths: &[usize], model: &'static str, setting: &'static str) -> Result<()> {
    require(!lengths.contains(&0), model, setting, || format!("is {lengths:?}, but every number must be at least 1"))
}

/// Fails unless a probability of dropout is at least 0 and below 1.
pub(crate) fn require_dropout(dropout: f32, model: &'static str) -> Result<()> {
    require((0.0..1.0).contains(&dropout), model, "dropout", || {
        format!("is {dropout}, but must be at least 0 and below 1")
    })
}
