//! What is chosen from the data where the settings leave it open: model, batch, learning rate, number of epochs.

mod balance;
mod effect;
mod network;
mod rates;
mod resolve;
mod similarity;
mod text;
mod transfer;

use std::borrow::Cow;
use std::sync::Arc;

use deepfit_data::{Augment, Dataset, Task};
use deepfit_nn::optim::{RmsProp, Sgd};
use deepfit_nn::step::Training;
use deepfit_nn::{Clip, MovingAverage, Optimizer, Schedule};

use crate::decision::{Costs, Wanted};
use crate::error::Result;
use crate::fit::{Monitored, monitored};
use crate::job::Permutation;
use crate::overfitting::{self, Attempt};
use crate::settings::{ADAPTIVE, Settings};
use crate::stage::{Chosen, Trial};
use crate::transfer::Cut;

pub(crate) use balance::rare_classes;
pub use rates::Rates;
pub use transfer::TransferPlan;

/// Settings with nothing left open, and the network that they ask for.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// All settings, resolved.
    pub settings: Settings,
    /// Classes or regression.
    pub task: Task,
    /// Rows in each class or with each label among the training rows; empty for a regression.
    pub class_counts: Vec<usize>,
    /// Training rows.
    pub rows: usize,
    /// Steps of the longest sequence; 1 of what is none.
    pub longest: usize,
    /// If it begins with a published network, what of it is trained.
    pub transfer: Option<TransferPlan>,
    /// Weight of each row of the data, if they do not all count alike.
    pub weights: Option<Arc<[f64]>>,
    /// The same in the loss: 1 on average over the training rows.
    pub loss_weights: Option<Arc<[f32]>>,
    /// What errors cost.
    pub costs: Option<Costs>,
    /// What is tried against overfitting, once that is decided.
    pub attempt: Option<Attempt>,
    /// In the control of shuffled labels, the row whose target each row has.
    pub permutation: Option<Permutation>,
}

/// Resolves which of two classes is the positive one, where a run does not resolve all settings.
///
/// # Errors
/// If the settings name one that is not there.
pub fn choose_positive(settings: &mut Settings, data: &Dataset, train: &[u32]) -> Result<()> {
    let counts = balance::class_counts(data, train);
    balance::choose_positive(settings, data.task(), &counts, &mut Vec::new())
}

impl Recipe {
    /// Whether the published network does already what it is trained for: then its weights before the first step count as
    /// those of epoch 0.
    pub fn is_useful_untrained(&self) -> bool {
        self.transfer.as_ref().is_some_and(TransferPlan::is_useful_untrained)
    }

    /// Whether something is made of the outputs of the network, which is fitted to predictions of validation rows.
    pub fn decides(&self) -> bool {
        let s = &self.settings;
        match self.task {
            Task::Classification { .. } => s.calibration != "none" || s.coverage > 0.0 || self.costs.is_some(),
            Task::MultiLabel { .. } => s.calibration != "none" || self.costs.is_some(),
            Task::Regression => s.coverage > 0.0,
            _ => false,
        }
    }

    /// The metric by which epochs and ways of training are chosen.
    pub fn monitored(&self) -> Monitored<'_> {
        Monitored { name: self.settings.metric.as_deref().unwrap_or(monitored(&self.task)) }
    }

    /// What is made of the outputs of the network.
    pub fn wanted(&self) -> Wanted<'_> {
        let Settings { calibration, coverage, sets, .. } = &self.settings;
        Wanted { calibration, coverage: *coverage, adaptive: sets == ADAPTIVE, costs: self.costs.clone() }
    }

    /// Rows in a batch.
    pub fn batch(&self) -> usize {
        self.settings.batch.unwrap_or(32)
    }

    /// Most epochs.
    pub fn epochs(&self) -> u32 {
        self.settings.epochs.unwrap_or(1)
    }

    /// Changes of training images.
    pub fn augment(&self) -> Augment {
        // Checked when the recipe was made.
        self.settings.augment_over(&Augment::none()).unwrap_or_else(|_| Augment::none())
    }

    /// Whether batches mix images and carry two classes for each.
    pub fn mixes(&self) -> bool {
        let augment = self.augment();
        self.task.is_classification() && (augment.mixup > 0.0 || augment.cutmix > 0.0)
    }

    /// The ways among which validation chooses; the first is also what is planned with.
    pub fn trials(&self) -> Vec<Trial> {
        match &self.transfer {
            Some(plan) => plan.trials(&self.settings),
            None => {
                let usual = Trial { weight_decay: self.settings.weight_decay.unwrap_or(0.0), ..Trial::default() };
                let tried = self.attempt.as_ref().is_some_and(|attempt| attempt.epochs > 0);
                let strong = || Trial { stronger: true, ..usual };
                [usual].into_iter().chain(tried.then(strong)).collect()
            }
        }
    }

    /// Whether a network that overfits is tried with stronger regularisation: one from scratch, whose rate depends on nothing
    /// but the epoch.
    pub fn counters(&self) -> bool {
        self.transfer.is_none() && self.settings.regularise == Some(true) && self.rates().plateau().is_none()
    }

    /// The way that was tried before a stronger one.
    pub fn usual(&self, trial: &Trial) -> Trial {
        Trial { stronger: false, ..*trial }
    }

    /// The recipe of a way: the same, but for one that is regularised more strongly.
    pub fn of(&self, trial: &Trial) -> Cow<'_, Recipe> {
        if !trial.stronger {
            return Cow::Borrowed(self);
        }
        let (settings, _) = overfitting::stronger(&self.settings);
        Cow::Owned(Recipe { settings, ..self.clone() })
    }

    /// Whether validation may choose this way.
    pub fn admits(&self, trial: &Trial) -> bool {
        let must_unfreeze =
            self.transfer.as_ref().is_some_and(|plan| !plan.unfrozen.is_empty() && !plan.only_if_better);
        let kept = self.attempt.as_ref().is_some_and(|attempt| attempt.kept == Some(true));
        (trial.unfrozen > 0 || !must_unfreeze) && trial.stronger == kept
    }

    /// Of a transfer, where the network is cut.
    pub fn cut(&self, trial: &Trial) -> Cut {
        self.transfer.as_ref().map_or(Cut { blocks: 0, applied: false }, |plan| plan.cut(trial))
    }

    /// What validation has chosen, in words.
    pub fn describe_choice(&self, chosen: &Chosen) -> String {
        let monitored = self.monitored();
        let Chosen { trial, epochs, value } = *chosen;
        let (metric, value) = (monitored.name, monitored.turned(value));
        let lora = self.transfer.as_ref().is_some_and(|plan| plan.lora.is_some());
        let what = match trial.unfrozen {
            0 => format!("the last layer with weight_decay={}", trial.weight_decay),
            1 => "the last layer and the block below it".to_string(),
            blocks if lora => format!("the last layer and changes of the {blocks} blocks below it"),
            blocks => format!("the last layer and the {blocks} blocks below it"),
        };
        let epochs = if epochs == 1 { "1 epoch".to_string() } else { format!("{epochs} epochs") };
        format!("validation chose {epochs} of {what} ({metric} {value:.4})")
    }

    /// Leaves all blocks as they are, if it is for validation to say whether to train some; tells whether it is.
    pub fn keeps_blocks(&mut self) -> bool {
        let Some(plan) = self.transfer.as_mut().filter(|plan| plan.only_if_better) else { return false };
        plan.unfrozen.clear();
        self.settings.unfreeze = Some(crate::settings::Unfreeze::Blocks(0));
        true
    }

    /// How the parameters are trained.
    pub fn training(&self) -> Training {
        self.training_of(&self.trials()[0])
    }

    /// How the parameters are trained in one of several ways.
    pub fn training_of(&self, trial: &Trial) -> Training {
        let s = &self.settings;
        // Checked when the recipe was made.
        let optimizer = match Optimizer::named(&s.optimizer).unwrap_or(Optimizer::adamw()) {
            Optimizer::Sgd(sgd) => {
                Optimizer::Sgd(Sgd { momentum: s.momentum.unwrap_or(0.9), nesterov: s.nesterov, ..sgd })
            }
            Optimizer::RmsProp(rms) => Optimizer::RmsProp(RmsProp { momentum: s.momentum.unwrap_or(0.0), ..rms }),
            other => other,
        };
        let optimizer = self.transfer.as_ref().map_or(optimizer, |plan| plan.optimizer(trial, optimizer));
        let optimizer = optimizer.with_weight_decay(trial.weight_decay);
        let moving_average = s.average.filter(|&decay| decay > 0.0).map(|decay| MovingAverage { decay, warmup: true });
        Training { clip: s.clip.map(Clip::Norm), moving_average, ..Training::new(optimizer) }
    }

    /// Epochs without improvement on validation after which a stage ends; 0 for never.
    pub fn patience(&self, trial: &Trial) -> u32 {
        let patience = self.settings.patience.unwrap_or(0);
        // Blocks that do not gain soon do not gain at all, and each epoch costs much.
        if trial.unfrozen > 0 && patience > 0 { patience.min(transfer::UNFROZEN_PATIENCE) } else { patience }
    }

    /// Most epochs of a stage that trains blocks of a published network.
    pub fn unfrozen_epochs(&self) -> u32 {
        self.transfer.as_ref().map_or(self.epochs(), |plan| plan.unfrozen_epochs(&self.settings))
    }

    /// How the learning rate changes.
    pub fn rates(&self) -> Rates {
        // Checked when the recipe was made.
        let choice = self.settings.schedule.clone().unwrap_or_else(|| "cosine".into());
        Rates::parse(&choice).unwrap_or(Rates::Constant).resolved(self.epochs())
    }

    /// The learning-rate schedule for epochs of the given number of updates.
    pub fn schedule(&self, updates_per_epoch: u64) -> Schedule {
        let warmup_steps = (self.settings.warmup * updates_per_epoch as f64).round() as u64;
        self.rates().in_updates(updates_per_epoch, warmup_steps)
    }

    /// Weight of each class, in inverse proportion to its number of rows, or of the rows that have a label.
    pub fn class_weights(&self) -> Option<Vec<f32>> {
        if !self.settings.class_weights || self.class_counts.is_empty() {
            return None;
        }
        Some(balance::weights(&self.task, &self.class_counts, self.rows))
    }
}
