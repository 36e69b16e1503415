//! How embeddings of texts are trained, where the settings leave it open.

use deepfit_zoo::{ModelConfig, SentencePairsConfig};

use crate::error::{Result, TrainError};
use crate::settings::Settings;
use crate::transfer::Backbone;

/// What suits a network: a table of words takes long steps and many epochs, which cost little.
struct Pace {
    batch: usize,
    epochs: u32,
    rate: f64,
}

const TABLE: Pace = Pace { batch: 256, epochs: 10, rate: 0.01 };
const TRANSFORMER: Pace = Pace { batch: 32, epochs: 2, rate: 1e-4 };
/// Changes of low rank take longer steps than the weights themselves.
const LOW_RANK: f64 = 5.0;
/// Epochs without improvement after which training ends.
const PATIENCE: u32 = 2;

/// Fills in what is open.
///
/// # Errors
/// If the loss is none of similarity.
pub(super) fn resolve(settings: &mut Settings, backbone: &Backbone) -> Result<()> {
    if settings.loss.as_deref().is_some_and(|loss| !["squared", "ranking"].contains(&loss)) {
        return Err(TrainError::setting("loss", "of similarity is ranking or squared"));
    }
    let network = match &backbone.config {
        ModelConfig::SentencePairs(SentencePairsConfig { backbone, .. }) => backbone,
        other => other,
    };
    let pace = if let ModelConfig::StaticEmbedding(_) = network { TABLE } else { TRANSFORMER };
    settings.batch = settings.batch.or(Some(pace.batch));
    settings.epochs = settings.epochs.or(Some(pace.epochs));
    let rate = if settings.lora.is_some() { LOW_RANK * pace.rate } else { pace.rate };
    settings.lr = settings.lr.or(Some(rate));
    settings.patience = settings.patience.or(Some(PATIENCE));
    // Of few epochs, the weights that an average remembers are worse than the last.
    settings.average = settings.average.or(Some(0.0));
    Ok(())
}
