//! What of a published network is trained, and how, where the settings leave it open.

use crate::error::{Result, TrainError};
use crate::settings::{Settings, Unfreeze};
use crate::stage::Trial;
use crate::transfer::{Backbone, Cut};

/// With fewer examples than this, ways and epochs are chosen by cross-validation.
pub const FEW: usize = 1_000;
/// Rows in a batch.
pub const BATCH: usize = 32;
/// Most epochs of the last layer.
pub const EPOCHS: u32 = 40;
/// Most epochs of the last blocks.
const UNFROZEN_EPOCHS: u32 = 10;
/// Learning rate of the last layer, whose inputs are standardised.
pub const RATE: f64 = 2e-3;
/// Weight decay of the last layer among which validation chooses.
const DECAYS: [f64; 4] = [0.03, 0.3, 3.0, 1.0];
/// The rate of the topmost block beside that of the last layer, and of each block beside that of the one above it (Howard and
/// Ruder, 2018: discriminative fine-tuning).
const BLOCK_RATE: f64 = 0.1;
const NEXT_BLOCK: f64 = 0.8;

/// What of a published network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TransferPlan {
    /// Number of its blocks.
    pub blocks: usize,
    /// How many of the last blocks are trained beside the last layer, perhaps.
    pub unfrozen: usize,
    /// Whether they are trained only if that helps on validation.
    pub only_if_better: bool,
}

impl TransferPlan {
    /// Plans for so many rows.
    ///
    /// # Errors
    /// If more blocks are to be trained than there are.
    pub(super) fn new(settings: &mut Settings, backbone: &Backbone, rows: usize) -> Result<TransferPlan> {
        let blocks = backbone.blocks()?;
        let _ = rows;
        let unfrozen = match settings.unfreeze {
            None => 0,
            Some(Unfreeze::All) => blocks,
            Some(Unfreeze::Blocks(asked)) if asked as usize <= blocks => asked as usize,
            Some(Unfreeze::Blocks(asked)) => {
                let problem = format!("is {asked}, but '{}' has {blocks} blocks; use at most that, or all", backbone.name);
                return Err(TrainError::setting("unfreeze", problem));
            }
        };
        Ok(TransferPlan { blocks, unfrozen, only_if_better: settings.unfreeze.is_none() })
    }

    /// The ways among which validation chooses.
    pub(super) fn trials(&self, settings: &Settings) -> Vec<Trial> {
        let head = |weight_decay| Trial { weight_decay, unfrozen: 0 };
        let mut trials: Vec<Trial> = match settings.weight_decay {
            Some(decay) => vec![head(decay)],
            None => DECAYS.map(head).to_vec(),
        };
        if self.unfrozen > 0 {
            // Blocks that know much already are to stay near to what they are, by small steps rather than by decay.
            trials.push(Trial { weight_decay: settings.weight_decay.unwrap_or(0.01), unfrozen: self.unfrozen });
        }
        trials
    }

    /// Where the network is cut.
    pub fn cut(&self, trial: &Trial) -> Cut {
        let blocks = self.blocks - trial.unfrozen;
        // What no block has been applied to is images, which need no keeping.
        Cut { blocks, applied: blocks > 0 }
    }

    /// Most epochs of the last blocks.
    pub fn unfrozen_epochs(&self, settings: &Settings) -> u32 {
        settings.epochs.map_or(UNFROZEN_EPOCHS, |epochs| epochs.min(UNFROZEN_EPOCHS))
    }

    /// The rate of the block so many below the topmost, beside that of the last layer.
    pub fn block_rate(&self, below: usize) -> f64 {
        BLOCK_RATE * NEXT_BLOCK.powi(below as i32)
    }
}
