//! Features of a published network that stays as it is, for classical learners: computed once for all ways and folds.

use std::cell::OnceCell;
use std::sync::Arc;

use deepfit_data::{Dataset, FeatureSource, Prepared, Slot, Source};

use super::CompareObserver;
use super::clock::{Clock, Watch};
use crate::classical::Frozen;
use crate::error::{Result, TrainError};
use crate::event::Flow;
use crate::settings::Settings;
use crate::transfer::{Backbone, Cut, Transfer};

/// Features may take this share of the time that is left.
const SHARE: f64 = 0.6;

/// A published network, and the data as it takes it.
pub(super) struct PublishedNetwork {
    pub(super) data: Dataset,
    transfer: Transfer,
    settings: Settings,
    /// The features, with the seconds that they took, or why there are none.
    made: OnceCell<Result<Made, String>>,
    /// Seconds that the network takes for a sample, once they were measured.
    each: OnceCell<f64>,
}

/// Features of all rows.
pub(super) struct Made {
    source: Arc<FeatureSource>,
    /// Seconds that they took; next to none where they were known from before.
    pub(super) seconds: f64,
}

/// How making features ended.
pub(super) enum Features<'a> {
    Made(&'a Made),
    /// With the reason.
    None(String),
    /// Somebody asked for a stop.
    Stopped,
}

impl PublishedNetwork {
    pub(super) fn new(data: Dataset, backbone: Arc<Backbone>, settings: Settings) -> PublishedNetwork {
        PublishedNetwork {
            data,
            transfer: Transfer::new(backbone),
            settings,
            made: OnceCell::new(),
            each: OnceCell::new(),
        }
    }

    /// The name by which it is asked for.
    pub(super) fn name(&self) -> &str {
        &self.transfer.backbone.name
    }

    /// The network.
    pub(super) fn backbone(&self) -> &Backbone {
        &self.transfer.backbone
    }

    /// Number of its blocks.
    pub(super) fn blocks(&self) -> Result<usize> {
        self.transfer.backbone.blocks()
    }

    /// Seconds that the network takes for a sample, measured on some: features may have been known from before.
    pub(super) fn seconds_per_sample(&self, rows: &[u32]) -> Result<f64> {
        if let Some(&known) = self.each.get() {
            return Ok(known);
        }
        let base = self.data.prepare(rows)?.source;
        let measured = self.transfer.seconds_per_sample(&base, self.transfer.backbone.blocks()?, &self.settings)?;
        Ok(*self.each.get_or_init(|| measured))
    }

    /// The features, which are made when they are first asked for, if there is time.
    pub(super) fn features(
        &self,
        rows: &[u32],
        clock: &Clock,
        observer: &mut dyn CompareObserver,
    ) -> Result<Features<'_>> {
        if self.made.get().is_none() {
            match self.make(rows, clock, observer)? {
                Some(made) => {
                    let _ = self.made.set(made);
                }
                None => return Ok(Features::Stopped),
            }
        }
        Ok(match self.made.get() {
            Some(Ok(made)) => Features::Made(made),
            Some(Err(why)) => Features::None(why.clone()),
            None => Features::Stopped,
        })
    }

    /// Nothing if it was asked to stop.
    fn make(
        &self,
        rows: &[u32],
        clock: &Clock,
        observer: &mut dyn CompareObserver,
    ) -> Result<Option<Result<Made, String>>> {
        let blocks = self.transfer.backbone.blocks()?;
        let base = self.data.prepare(rows)?.source;
        let cut = Cut { blocks, applied: true };
        let needed = self.transfer.feature_seconds(&base, blocks, &self.settings)?;
        let allowed = clock.left() * SHARE;
        if needed > allowed {
            let words = crate::text::words::duration;
            return Ok(Some(Err(format!(
                "features of {} would take about {}, and {} are left for them",
                self.name(),
                words(needed),
                words(allowed.max(0.0))
            ))));
        }
        let before = clock.passed();
        let mut watch = Watch::new(observer, clock);
        let flow = self.transfer.compute(&base, &[cut], &self.settings, &mut watch)?;
        if flow == Flow::Stop {
            let late = "the features of the published network were not ready when the time was used up";
            return Ok(if watch.asked() { None } else { Some(Err(late.to_string())) });
        }
        let source = self.transfer.source(&base, blocks)?;
        Ok(Some(Ok(Made { source, seconds: clock.passed() - before })))
    }

    /// The network, to be saved with what has learned from it.
    pub(super) fn frozen(&self, made: &Made) -> Result<Frozen> {
        Frozen::new(&self.transfer.backbone, made.width(), self.settings.exact)
    }
}

impl Made {
    /// Numbers of a sample.
    pub(super) fn width(&self) -> usize {
        self.source.slots().first().map_or(0, Slot::values)
    }

    /// The features with the targets that were prepared.
    pub(super) fn source(&self, prepared: &Prepared) -> Arc<dyn Source> {
        Arc::new(self.source.with_targets_of(prepared.source.clone()))
    }
}

/// Whether two views of the same data have the same rows, so that what is said of a row of one is true of the other.
///
/// # Errors
/// If they do not.
pub(super) fn require_same(one: &Dataset, other: &Dataset) -> Result<()> {
    let same = one.len() == other.len()
        && (0..one.len() as u32).all(|row| {
            one.class_of(row) == other.class_of(row)
                && one.labels_of(row) == other.labels_of(row)
                && one.row_id(row) == other.row_id(row)
        });
    if same {
        return Ok(());
    }
    let problem =
        "has samples that the published network cannot take, and others can; remove them, or use from=scratch";
    Err(TrainError::setting("data", problem))
}
