//! Limits that a run is fitted to: of memory, by steps that compute values again, smaller batches and smaller models; of
//! time, by a precision that is faster, and models that are.

mod ladder;
mod ways;

use deepfit_data::Dataset;

pub(crate) use ladder::{Rung, faster, rounded, smaller, smaller_batches};
pub use ways::{Cost, cost, ways};

use crate::error::{Result, TrainError};
use crate::settings::Settings;
use crate::text::words;

/// Of a limit of memory, this share and so many bytes are left for what no plan knows: fragments, stacks, the C library.
const SPARE: f64 = 0.03;
const SPARE_BYTES: u64 = 1 << 20;

/// What a run may plan with under a limit.
pub(crate) fn usable(limit: u64) -> u64 {
    ((limit as f64 * (1.0 - SPARE)) as u64).saturating_sub(SPARE_BYTES)
}

/// The smallest limit under which so much can be planned with.
pub(crate) fn limit_for(planned: u64) -> u64 {
    ((planned + SPARE_BYTES) as f64 / (1.0 - SPARE)).ceil() as u64
}

/// Refuses a plan that is larger than the settings allow.
///
/// # Errors
/// [`TrainError::Budget`] with the limit that it needs.
pub(crate) fn require(settings: &Settings, planned: u64) -> Result<()> {
    match settings.memory {
        Some(limit) if planned > usable(limit) => Err(TrainError::Budget { needed: limit_for(planned), limit }),
        _ => Ok(()),
    }
}

/// What is left of a limit beside what is planned already, which may be nothing; `None` where there is no limit.
pub(crate) fn left(settings: &Settings, planned: u64) -> Option<u64> {
    settings.memory.map(|limit| usable(limit).saturating_sub(planned))
}

/// The error for a limit that nothing fits into: what the smallest of all that was tried needs.
pub(crate) fn too_small(limit: u64, needed: u64, rung: &Rung) -> TrainError {
    // Rounded up to what one writes.
    let megabytes = needed.div_ceil(1_000_000);
    let step = if megabytes < 100 { 5 } else { 10 };
    let enough = megabytes.div_ceil(step) * step;
    let what = if rung.changes.is_empty() { String::new() } else { format!(" (with {rung})") };
    let problem = format!(
        "{} are too little for any model of this data that the settings leave open; the smallest that would do needs about \
         {enough} MB{what}: use --memory {enough}MB or more, or less data",
        words::bytes(limit)
    );
    TrainError::setting("memory", problem)
}

/// What data is, as far as models go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rows of numbers and categories.
    Table,
    /// Images.
    Images,
    /// Texts with a class or a number.
    Texts,
    /// Texts whose words have labels.
    Labels,
    /// A text whose continuation is learned.
    Language,
    /// Pairs of texts that are embedded.
    Similarity,
}

impl Kind {
    pub(crate) fn of(data: &Dataset) -> Kind {
        use deepfit_data::Task;
        match data.task() {
            _ if data.is_images() => Kind::Images,
            _ if data.is_table() => Kind::Table,
            Task::Labels { .. } => Kind::Labels,
            Task::NextToken => Kind::Language,
            Task::Similarity { .. } => Kind::Similarity,
            _ => Kind::Texts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_told_as_enough_is_enough() {
        for planned in [1, 30_000_000, 123_456_789, 8_000_000_000] {
            let limit = limit_for(planned);
            let settings = Settings { memory: Some(limit), ..Settings::default() };
            assert!(require(&settings, planned).is_ok(), "{planned}");
            let less = Settings { memory: Some(limit - 4), ..Settings::default() };
            assert!(require(&less, planned).is_err(), "{planned}");
        }
        assert_eq!(left(&Settings::default(), 5), None);
        assert_eq!(left(&Settings { memory: Some(4), ..Settings::default() }, 5), Some(0));
    }
}
