//! What of a published network is trained, and how, where the settings leave it open.

use deepfit_nn::Optimizer;
use deepfit_zoo::ModelConfig;

use crate::error::{Result, TrainError};
use crate::settings::{Settings, Unfreeze};
use crate::stage::Trial;
use crate::transfer::{Backbone, Cut, Takes};

/// With fewer examples than this, ways and epochs are chosen by cross-validation.
pub const FEW: usize = 1_000;
/// Where the settings leave it open, blocks are unfrozen from the top, so many at a time (Howard and Ruder, 2018: gradual
/// unfreezing), as long as that helps and what they are fed with takes no more memory than this.
const GRADUALLY: [usize; 2] = [1, 3];
const MOST_BYTES: u64 = 256 << 20;
/// Where the settings leave it open, the layers of a network for texts are trained too, if that helps and their parameters
/// times the tokens of an epoch are no more than this.
const MOST_WORK: u64 = 1_500_000_000_000;
/// Rows in a batch.
const BATCH: usize = 32;
/// Most epochs of the last layer, and of the last blocks.
pub const EPOCHS: u32 = 40;
pub const UNFROZEN_EPOCHS: u32 = 6;
/// Learning rate of the last layer, whose inputs are standardised: rows are of length 1 on average.
pub const RATE: f64 = 0.03;
/// That of a last layer for each token beside it: hidden states of tokens are not standardised.
const TOKEN_RATE: f64 = 0.3;
/// The penalty of squared weights of the last layer among which validation chooses; the last is the most common choice.
const PENALTIES: [f64; 3] = [1e-3, 1e-5, 1e-4];
/// On texts the log loss of few rows says little of a penalty: weak ones sharpen predictions and do not make them better.
/// There it is so much divided by the number of rows, as a prior of a fixed width has it.
const TEXT_PENALTY: f64 = 0.3;
/// Epochs without improvement after which the training of blocks ends.
pub const UNFROZEN_PATIENCE: u32 = 2;
/// Label smoothing: a little, since the last layer can fit few examples perfectly.
pub const SMOOTHING: f32 = 0.05;
/// Where blocks are trained too: the rate beside that of the last layer by itself, the rate of the topmost block beside
/// that, and of each block beside that of the one above it (Howard and Ruder, 2018: discriminative fine-tuning).
const UNFROZEN_RATE: f64 = 0.01;
const BLOCK_RATE: f64 = 0.3;
const NEXT_BLOCK: f64 = 0.8;
/// Weight decay of blocks, which stay near to what they know by small steps.
const DECAY: f64 = 0.01;

/// Of texts whose continuation is learned: hidden states of all layers and tokens of a batch are no more than so many numbers,
/// of each of which a layer keeps some ten, and a batch is no larger than so many windows.
const MOST_STATES: usize = 32 << 20;
const WINDOWS: usize = 16;

/// Rows in a batch of a published network, whose texts have at most so many tokens.
pub(super) fn batch(backbone: &Backbone, longest: usize) -> usize {
    match &backbone.takes {
        Takes::Texts(_) if backbone.continues_texts() => {
            let states = backbone.states_per_token().saturating_mul(longest).max(1);
            let windows = (MOST_STATES / states).clamp(1, WINDOWS);
            1 << windows.ilog2()
        }
        _ => BATCH,
    }
}

/// What of a published network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TransferPlan {
    /// Number of its blocks.
    pub blocks: usize,
    /// How many of the last blocks are trained beside the last layer, perhaps: first so many, then more.
    pub unfrozen: Vec<usize>,
    /// Whether they are trained only if that helps on validation.
    pub only_if_better: bool,
    /// Of these blocks, the rank of changes that are trained in place of the weights.
    pub lora: Option<usize>,
    /// The penalty of squared weights of the last layer, where validation does not choose it.
    pub penalty: Option<f64>,
    /// Whether it learns to continue texts, and has no last layer of its own to begin with.
    pub continues_texts: bool,
    /// Whether these stages see images, changed by augmentation, or texts, and not features that were computed once.
    pub sees_samples: bool,
    /// Whether the network itself is what is wanted, and has no last layer.
    pub embeds: bool,
    /// Whether each token is labelled, for which what the kept blocks make is too long to be kept.
    pub of_tokens: bool,
}

/// How much data there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct DataSizes {
    /// Rows for training and validation.
    pub(super) rows: usize,
    /// Rows of all parts.
    pub(super) samples: usize,
    /// Tokens of the rows for training and validation at most, if they are texts.
    pub(super) tokens: usize,
}

impl TransferPlan {
    /// What the settings ask for.
    ///
    /// # Errors
    /// If more blocks are to be trained than there are, or there is nothing that can be adapted.
    pub(super) fn new(settings: &Settings, backbone: &Backbone, sizes: DataSizes) -> Result<TransferPlan> {
        let DataSizes { rows, samples, tokens } = sizes;
        let embeds = matches!(backbone.config, ModelConfig::SentencePairs(_));
        let blocks = backbone.blocks()?;
        let of_tokens = matches!(backbone.config, ModelConfig::TokenLabels(_));
        // A table of words alone is one block.
        if of_tokens && blocks <= 1 {
            let problem = format!("'{}' sees each word by itself; use a network, or from=scratch", backbone.name);
            return Err(TrainError::setting("from", problem));
        }
        let unfrozen = match (settings.unfreeze, settings.lora) {
            (Some(Unfreeze::All), _) | (None, Some(_)) => vec![blocks],
            (None, None) if embeds => vec![blocks],
            (None, None) if backbone.continues_texts() => vec![blocks],
            (Some(Unfreeze::Blocks(0)), None) if backbone.continues_texts() => {
                let problem = "leaves nothing that learns to continue texts; use unfreeze=1 or more, or lora";
                return Err(TrainError::setting("unfreeze", problem));
            }
            // All layers but the table of words: a last layer by itself would run all of them in each of many epochs.
            (None, None) if of_tokens => vec![blocks - 1],
            // Few examples teach blocks nothing but themselves.
            (None, None) if backbone.takes_texts() => {
                // All layers but the table of words, if that takes no more than some minutes.
                let layers = blocks - 1;
                let work = backbone.layer_parameters()?.saturating_mul(tokens as u64);
                if layers > 0 && work <= MOST_WORK { vec![layers] } else { Vec::new() }
            }
            (None, None) if rows < FEW => Vec::new(),
            (None, None) => {
                let mut steps = Vec::new();
                let mut left = MOST_BYTES;
                for step in GRADUALLY.into_iter().filter(|&step| step < blocks) {
                    let bytes = backbone.feature_bytes(blocks - step)?.saturating_mul(samples as u64);
                    let Some(rest) = left.checked_sub(bytes) else { break };
                    left = rest;
                    steps.push(step);
                }
                steps
            }
            (Some(Unfreeze::Blocks(0)), _) => Vec::new(),
            (Some(Unfreeze::Blocks(asked)), _) if asked as usize <= blocks => vec![asked as usize],
            (Some(Unfreeze::Blocks(asked)), _) => {
                let problem =
                    format!("is {asked}, but '{}' has {blocks} blocks; use at most that, or all", backbone.name);
                return Err(TrainError::setting("unfreeze", problem));
            }
        };
        if embeds && unfrozen.is_empty() {
            let problem = "is none, which leaves nothing to train: embeddings have no last layer; use all, a number of \
                           blocks, or lora";
            return Err(TrainError::setting("unfreeze", problem));
        }
        if settings.lora.is_some() && unfrozen.is_empty() {
            return Err(TrainError::setting("lora", "adapts blocks, but unfreeze=none leaves them all as they are"));
        }
        if let Some(rank) = settings.lora {
            backbone.require_adaptable(rank)?;
        }
        // What blocks make of texts is as long as these.
        let sees_samples = backbone.takes_texts()
            || unfrozen.contains(&blocks)
            || (!unfrozen.is_empty() && settings.augment.is_some());
        let of_texts = || match of_tokens {
            true => 0.0,
            false => (TEXT_PENALTY / rows.max(1) as f64).clamp(PENALTIES[1], PENALTIES[0]),
        };
        let penalty = settings.weight_decay.or_else(|| backbone.takes_texts().then(of_texts));
        let continues_texts = backbone.continues_texts();
        let always = continues_texts || embeds || of_tokens;
        let only_if_better = settings.unfreeze.is_none() && settings.lora.is_none() && !always;
        Ok(TransferPlan {
            blocks,
            unfrozen,
            only_if_better,
            lora: settings.lora,
            penalty,
            continues_texts,
            sees_samples,
            embeds,
            of_tokens,
        })
    }

    /// Whether the network does already what it is trained for.
    pub(super) fn is_useful_untrained(&self) -> bool {
        self.continues_texts || self.embeds
    }

    /// The ways among which validation chooses.
    pub(super) fn trials(&self, settings: &Settings) -> Vec<Trial> {
        if self.embeds {
            let weight_decay = settings.weight_decay.unwrap_or(DECAY);
            return self
                .unfrozen
                .iter()
                .map(|&unfrozen| Trial { weight_decay, unfrozen, ..Trial::default() })
                .collect();
        }
        let rate = if self.of_tokens { TOKEN_RATE } else { 1.0 };
        let head = |weight_decay| Trial { weight_decay, rate, ..Trial::default() };
        let mut trials: Vec<Trial> = match self.penalty {
            _ if self.begins_with_blocks() => Vec::new(),
            Some(penalty) => vec![head(penalty)],
            None => PENALTIES.map(head).to_vec(),
        };
        let weight_decay = settings.weight_decay.unwrap_or(DECAY);
        trials.extend(self.unfrozen.iter().map(|&unfrozen| Trial {
            weight_decay,
            rate: UNFROZEN_RATE,
            unfrozen,
            ..Trial::default()
        }));
        trials
    }

    /// The last layer by itself is a convex problem with a penalty of squared weights, which `adam` solves; `adamw`, whose
    /// decay is apart from the gradient, solves another.
    pub(super) fn optimizer(&self, trial: &Trial, asked: Optimizer) -> Optimizer {
        match asked {
            Optimizer::AdamW(adam) if trial.unfrozen == 0 => Optimizer::Adam(adam),
            asked => asked,
        }
    }

    /// Where the network is cut.
    pub fn cut(&self, trial: &Trial) -> Cut {
        let blocks = self.blocks - trial.unfrozen;
        Cut { blocks, applied: !self.of_tokens && (trial.unfrozen == 0 || !self.sees_samples) }
    }

    /// Whether blocks are trained from the beginning, and not after the last layer.
    pub fn begins_with_blocks(&self) -> bool {
        (self.continues_texts || self.embeds || self.of_tokens) && !self.unfrozen.is_empty()
    }

    /// Most epochs of the last blocks.
    pub fn unfrozen_epochs(&self, settings: &Settings) -> u32 {
        settings.epochs.map_or(UNFROZEN_EPOCHS, |epochs| {
            if self.begins_with_blocks() { epochs } else { epochs.min(UNFROZEN_EPOCHS) }
        })
    }

    /// The rate of the block so many below the topmost, beside that of the last layer.
    pub fn block_rate(&self, below: usize) -> f64 {
        BLOCK_RATE * NEXT_BLOCK.powi(below as i32)
    }
}
