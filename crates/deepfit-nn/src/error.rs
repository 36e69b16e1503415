use deepfit_graph::GraphError;
use thiserror::Error;

/// Everything that can go wrong while a network, a loss or a training step is built.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum NnError {
    /// The graph cannot be built: shapes that do not fit, a parameter that the loss does not depend on.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A setting of a layer, loss, optimiser or schedule is impossible.
    #[error("{place}: `{setting}` {problem}")]
    Setting {
        /// What the setting belongs to, such as `adamw` or the path of a layer.
        place: String,
        /// Name of the setting.
        setting: String,
        /// What is wrong with its value and what would be right.
        problem: String,
    },
}

/// Result of building a part of a network or of its training.
pub type Result<T, E = NnError> = std::result::Result<T, E>;

/// Fails with [`NnError::Setting`] unless `holds`.
pub(crate) fn require(holds: bool, place: &str, setting: &str, problem: impl FnOnce() -> String) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(NnError::Setting { place: place.to_string(), setting: setting.to_string(), problem: problem() })
}
