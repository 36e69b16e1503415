//! Stages of a run: folds or one selection, then perhaps a refit on all rows but those of the test.

use deepfit_data::{Dataset, Split, TargetScale};

use crate::error::Result;
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

/// One training.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it is for.
    pub purpose: Purpose,
    /// What of the network is trained, and how.
    pub trial: Trial,
    /// Rows that are trained on.
    pub train: Vec<u32>,
    /// Rows that are validated on; none in a refit.
    pub validation: Vec<u32>,
    /// Most epochs.
    pub epochs: u32,
    /// Epochs that the learning-rate schedule is made for.
    pub schedule_epochs: u32,
    /// Whether the best weights are kept, since they are the result, or what the next stage begins with.
    pub keep_best: bool,
    /// Of a refit whose schedule waits for a plateau: in each epoch, the share of the rate that the stages before it had.
    pub rates: Option<Vec<f64>>,
    /// From standardised to original values of a regression's target.
    pub target_scale: Option<TargetScale>,
}

/// What stages may do in different ways, among which validation chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Weight decay.
    pub weight_decay: f64,
    /// What the learning rate is multiplied by.
    pub rate: f64,
    /// Of a transfer, number of the backbone's last blocks that are trained beside the last layer. If there are any, the
    /// stage begins with what the one before it, for the same purpose, has made of the last layer.
    pub unfrozen: usize,
    /// Whether it is regularised more strongly than the settings say: tried where the network overfits.
    pub stronger: bool,
}

impl Default for Trial {
    fn default() -> Self {
        Trial { weight_decay: 0.0, rate: 1.0, unfrozen: 0, stronger: false }
    }
}

impl Stage {
    /// Whether it goes on with what another has trained, on the same rows: blocks are trained after the last layer.
    pub fn continues(&self, before: &Stage) -> bool {
        self.trial.unfrozen > 0 && self.purpose == before.purpose
    }

    /// In words.
    pub fn describe(&self) -> String {
        let on = match self.purpose {
            Purpose::Fold(number) => format!("fold {}", number + 1),
            Purpose::Select => "training with validation".to_string(),
            Purpose::Refit => "refit".to_string(),
        };
        match self.trial.unfrozen {
            0 if self.trial.stronger => format!("{on}, regularised more strongly"),
            0 => on,
            1 => format!("{on}, the last block too"),
            blocks => format!("{on}, the last {blocks} blocks too"),
        }
    }
}

/// The stages of a run.
pub fn stages(recipe: &Recipe, data: &Dataset, split: &Split) -> Result<Vec<Stage>> {
    let epochs = recipe.epochs();
    let refit = recipe.settings.refit == Some(true);
    let folds = recipe.settings.folds.unwrap_or(1);
    let mut all = split.train.clone();
    all.extend_from_slice(&split.validation);
    all.sort_unstable();
    let mut parts = Vec::new();
    if folds > 1 {
        for (number, (train, held_out)) in data.folds(&all, folds, recipe.settings.seed)?.into_iter().enumerate() {
            parts.push((Purpose::Fold(number), train, held_out));
        }
    } else {
        parts.push((Purpose::Select, split.train.clone(), split.validation.clone()));
    }
    let (more, trials): (Vec<Trial>, Vec<Trial>) = recipe.trials().into_iter().partition(|trial| trial.stronger);
    // Where validation chooses among ways, what it has chosen is trained once more, on its rows alone if it must be.
    let again = refit || trials.len() > 1;
    let rows = if refit { &all } else { &split.train };
    let mut stages = Vec::new();
    let mut add = |purpose, trial: Trial, train: &[u32], validation: &[u32], keep_best| {
        let epochs = match trial {
            Trial { stronger: true, .. } => recipe.attempt.as_ref().map_or(epochs, |attempt| attempt.epochs),
            Trial { unfrozen: 1.., .. } => recipe.unfrozen_epochs(),
            _ => epochs,
        };
        stages.push(Stage {
            purpose,
            trial,
            train: train.to_vec(),
            validation: validation.to_vec(),
            epochs,
            schedule_epochs: epochs,
            keep_best,
            rates: None,
            target_scale: None,
        });
    };
    for (i, (purpose, train, validation)) in parts.iter().enumerate() {
        for (j, trial) in trials.iter().enumerate() {
            // A stage that begins with this one's result needs the best of it.
            let continued = trials.get(j + 1).is_some_and(|next| next.unfrozen > 0);
            let last = i + 1 == parts.len() && j + 1 == trials.len();
            add(*purpose, *trial, train, validation, continued || (last && !again));
        }
    }
    // What is tried against overfitting is known once all that is usual has been.
    for (purpose, train, validation) in &parts {
        more.iter().for_each(|trial| add(*purpose, *trial, train, validation, false));
    }
    if again {
        add(Purpose::Refit, trials[0], rows, &[], false);
        for trial in trials.iter().skip(1).filter(|trial| trial.unfrozen > 0) {
            add(Purpose::Refit, *trial, rows, &[], false);
        }
    }
    Ok(stages)
}

/// Numbers of the stages that tell how good a way is.
pub fn selecting(stages: &[Stage], trial: &Trial) -> Vec<usize> {
    let is = |stage: &Stage| stage.purpose != Purpose::Refit && stage.trial == *trial;
    (0..stages.len()).filter(|&i| is(&stages[i])).collect()
}

/// What validation has chosen: a way, the epochs that it takes, and the metric that they reached, turned so that less is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// The way.
    pub trial: Trial,
    /// Its epochs.
    pub epochs: u32,
    /// The monitored metric, averaged over the selecting stages.
    pub value: f64,
}

/// The way, among those that `counts` admits, and number of epochs whose monitored metric, averaged over the selecting
/// stages, is smallest.
pub fn choose(
    recipe: &Recipe,
    stages: &[Stage],
    progress: &Progress,
    counts: impl Fn(&Trial) -> bool,
) -> Option<Chosen> {
    let monitored = recipe.monitored();
    let trials = recipe.trials();
    let of = |trial: &Trial| -> Option<Chosen> {
        let curves: Vec<Vec<f64>> = selecting(stages, trial)
            .into_iter()
            .map(|stage| progress.epochs_of(stage).filter_map(|e| monitored.of(&e.validation)).collect())
            .collect();
        let longest = curves.iter().map(Vec::len).max().unwrap_or(0);
        // A stage that stopped early stays at its last value.
        let at = |epoch: usize| -> f64 {
            curves.iter().filter_map(|c| c.get(epoch).or(c.last())).sum::<f64>() / curves.len().max(1) as f64
        };
        let best = (0..longest).min_by(|&a, &b| at(a).total_cmp(&at(b)))?;
        Some(Chosen { trial: *trial, epochs: best as u32 + 1, value: at(best) })
    };
    trials.iter().filter(|trial| counts(trial)).filter_map(of).min_by(|a, b| a.value.total_cmp(&b.value))
}

/// The share of the rate in each epoch: the median over the selecting stages.
pub fn rates_so_far(recipe: &Recipe, progress: &Progress, selecting: &[usize], trial: &Trial) -> Vec<f64> {
    let top = recipe.settings.lr.unwrap_or(1.0) * trial.rate;
    // A warm-up is not the plateau's doing, and the refit has its own.
    let share =
        |e: &EpochRecord| if f64::from(e.epoch) <= recipe.settings.warmup { 1.0 } else { e.learning_rate / top };
    let curves: Vec<Vec<f64>> = selecting.iter().map(|&stage| progress.epochs_of(stage).map(share).collect()).collect();
    let longest = curves.iter().map(Vec::len).max().unwrap_or(0);
    let at = |epoch: usize| {
        let mut rates: Vec<f64> = curves.iter().filter_map(|c| c.get(epoch).or(c.last())).copied().collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    (0..longest).map(at).collect()
}
