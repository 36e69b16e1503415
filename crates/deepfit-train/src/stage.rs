//! Stages of a run: folds or one selection, then perhaps a refit on all rows but those of the test.

use deepfit_data::{Dataset, Split, TargetScale};

use crate::error::Result;
use crate::fit::monitored;
use crate::progress::{EpochRecord, Progress};
use crate::recipe::Recipe;

/// What a stage is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// One fold of the cross-validated choice of epochs.
    Fold(usize),
    /// Training with validation.
    Select,
    /// Training on training and validation rows for the chosen number of epochs.
    Refit,
}

/// One training from first weights.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it is for.
    pub purpose: Purpose,
    /// Rows that are trained on.
    pub train: Vec<u32>,
    /// Rows that are validated on; none in a refit.
    pub validation: Vec<u32>,
    /// Most epochs.
    pub epochs: u32,
    /// Epochs that the learning-rate schedule is made for.
    pub schedule_epochs: u32,
    /// Whether the best weights are kept, since they are the result.
    pub keep_best: bool,
    /// Of a refit whose schedule waits for a plateau: in each epoch, the share of the rate that the stages before it had.
    pub rates: Option<Vec<f64>>,
    /// From standardised to original values of a regression's target.
    pub target_scale: Option<TargetScale>,
}

impl Stage {
    /// In words.
    pub fn describe(&self) -> String {
        match self.purpose {
            Purpose::Fold(number) => format!("fold {}", number + 1),
            Purpose::Select => "training with validation".to_string(),
            Purpose::Refit => "refit on training and validation rows".to_string(),
        }
    }
}

/// The stages of a run.
pub fn stages(recipe: &Recipe, data: &Dataset, split: &Split) -> Result<Vec<Stage>> {
    let epochs = recipe.epochs();
    let refit = recipe.settings.refit == Some(true);
    let folds = recipe.settings.folds.unwrap_or(1);
    let stage = |purpose, train, validation| Stage {
        purpose,
        train,
        validation,
        epochs,
        schedule_epochs: epochs,
        keep_best: !refit,
        rates: None,
        target_scale: None,
    };
    let mut all = split.train.clone();
    all.extend_from_slice(&split.validation);
    all.sort_unstable();
    let mut stages = Vec::new();
    if folds > 1 {
        for (number, (train, held_out)) in data.folds(&all, folds, recipe.settings.seed)?.into_iter().enumerate() {
            stages.push(stage(Purpose::Fold(number), train, held_out));
        }
    } else {
        stages.push(stage(Purpose::Select, split.train.clone(), split.validation.clone()));
    }
    if refit {
        stages.push(stage(Purpose::Refit, all, Vec::new()));
    }
    Ok(stages)
}

/// The number of epochs whose monitored metric, averaged over the selecting stages, is smallest.
pub fn choose_epochs(recipe: &Recipe, progress: &Progress, selecting: usize) -> u32 {
    let metric = monitored(&recipe.task);
    let curves: Vec<Vec<f64>> = (0..selecting)
        .map(|stage| progress.epochs_of(stage).filter_map(|e| e.validation.get(metric)).collect())
        .collect();
    let longest = curves.iter().map(Vec::len).max().unwrap_or(0);
    // A stage that stopped early stays at its last value.
    let at = |epoch: usize| -> f64 {
        curves.iter().filter_map(|c| c.get(epoch).or(c.last())).sum::<f64>() / curves.len().max(1) as f64
    };
    let best = (0..longest).min_by(|&a, &b| at(a).total_cmp(&at(b)));
    best.map_or(recipe.epochs(), |epoch| epoch as u32 + 1)
}

/// The share of the rate in each epoch: the median over the selecting stages.
pub fn rates_so_far(recipe: &Recipe, progress: &Progress, selecting: usize) -> Vec<f64> {
    let top = recipe.settings.lr.unwrap_or(1.0);
    // A warm-up is not the plateau's doing, and the refit has its own.
    let share =
        |e: &EpochRecord| if f64::from(e.epoch) <= recipe.settings.warmup { 1.0 } else { e.learning_rate / top };
    let curves: Vec<Vec<f64>> = (0..selecting).map(|stage| progress.epochs_of(stage).map(share).collect()).collect();
    let longest = curves.iter().map(Vec::len).max().unwrap_or(0);
    let at = |epoch: usize| {
        let mut rates: Vec<f64> = curves.iter().filter_map(|c| c.get(epoch).or(c.last())).copied().collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    (0..longest).map(at).collect()
}
