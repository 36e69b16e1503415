//! Stronger regularisation for a network that overfits, in the epochs that are left.
//!
//! A run is planned with so many epochs for each of its trainings. Where one ends early, or the refit needs fewer, the epochs
//! that are left train the network once more on the same rows, regularised more strongly. It is kept if validation says that it
//! is better, by more than the uncertainty of that.

use deepfit_data::Augment;
use serde::{Deserialize, Serialize};

use super::Countermeasure;
use super::losses::mean_and_error;
use super::verdict::{Curves, Verdict, verdict};
use crate::job::Job;
use crate::settings::Settings;
use crate::stage::{Chosen, Trial};

/// Dropout is raised by so much, to at most so much.
const DROPOUT: f32 = 0.2;
const MOST_DROPOUT: f32 = 0.5;
/// Weight decay and the changes of images are so many times as strong.
const DECAY: f64 = 3.0;
const AUGMENT: f32 = 1.5;

/// What notes of what is tried hold, and those of what became of it begin with.
const TRYING: &str = ": trying stronger regularisation (";
const TRIED: &str = "stronger regularisation: ";

/// Whether a note, which was told while a run went on, says no more than the report of its fit.
pub(super) fn is_of_fit(note: &str) -> bool {
    note.contains(TRYING) || note.starts_with(TRIED)
}

/// What was tried against overfitting, as a checkpoint remembers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Most epochs of it; 0 if nothing was tried.
    pub(crate) epochs: u32,
    /// Whether it is the result, once that is known.
    #[serde(default)]
    pub(crate) kept: Option<bool>,
    /// The metric that decides, so that less is better: without it, and with it.
    #[serde(default)]
    pub(crate) values: Option<[f64; 2]>,
    /// Why nothing was tried of a network that overfits.
    #[serde(default)]
    pub(crate) not_tried: Option<String>,
}

/// The same settings, regularised more strongly, and what has changed, in words.
pub(crate) fn stronger(settings: &Settings) -> (Settings, String) {
    let mut stronger = settings.clone();
    let mut changes = Vec::new();
    // Residual networks have none.
    if let Some(before) = settings.dropout.filter(|_| !settings.model.starts_with("resnet")) {
        let after = (before + DROPOUT).min(MOST_DROPOUT.max(before));
        // As a person would write it.
        let after = (after * 100.0).round() / 100.0;
        stronger.dropout = Some(after);
        changes.push(format!("dropout={after}"));
    }
    if let Some(before) = settings.weight_decay.filter(|&decay| decay > 0.0) {
        let after = (before * DECAY).min(100.0);
        // No more digits than anybody reads.
        let after = format!("{after:.3e}").parse().unwrap_or(after);
        stronger.weight_decay = Some(after);
        changes.push(format!("weight_decay={after}"));
    }
    if settings.augment.is_some()
        && let Ok(before) = settings.augment_over(&Augment::none())
    {
        let more = |value: f32, most: f32| (value * AUGMENT).min(most);
        let after = Augment {
            shift: more(before.shift, 0.5),
            rotate: more(before.rotate, 180.0),
            scale: more(before.scale, 0.9),
            brightness: more(before.brightness, 1.0),
            contrast: more(before.contrast, 1.0),
            saturation: more(before.saturation, 1.0),
            ..before.clone()
        };
        if after != before
            && let Ok(table) = toml::Table::try_from(&after)
        {
            stronger.augment = Some(table);
            changes.push(format!("augmentation {AUGMENT} times as strong"));
        }
    }
    (stronger, changes.join(", "))
}

/// What is tried with the epochs that are left.
pub(super) fn plan(curves: &Curves, folds: usize, used: u32) -> Attempt {
    let none = |not_tried| Attempt { epochs: 0, kept: None, values: None, not_tried };
    if verdict(curves).verdict != Verdict::Overfits {
        return none(None);
    }
    // As many trainings as before, and a refit.
    let trainings = folds as u32 + 1;
    let epochs = (trainings * curves.most_epochs).saturating_sub(used) / trainings;
    if epochs < curves.chosen.max(2) {
        let why = format!(
            "stronger regularisation was not tried: of the planned epochs, {epochs} for each training are left, and it overfits \
             after {} only",
            curves.chosen
        );
        return none(Some(why));
    }
    Attempt { epochs: epochs.min(curves.most_epochs), kept: None, values: None, not_tried: None }
}

/// Whether the losses of rows say that the other way is better, by more than one standard error of that.
fn is_better(usual: &[f32], stronger: &[f32]) -> bool {
    let differences: Vec<f64> =
        usual.iter().zip(stronger).map(|(usual, stronger)| f64::from(*stronger) - f64::from(*usual)).collect();
    let (mean, error) = mean_and_error(&differences);
    mean < -error
}

/// Whether what was tried is kept.
pub(super) fn settle(usual: (&Chosen, Option<&Curves>), stronger: (&Chosen, Option<&Curves>)) -> bool {
    let row = |chosen: &Chosen, curves: Option<&Curves>| -> Option<Vec<f32>> {
        curves?.rows.get(chosen.epochs.max(1) as usize - 1).cloned()
    };
    let by_rows = match (row(usual.0, usual.1), row(stronger.0, stronger.1)) {
        (Some(usual), Some(stronger)) if usual.len() == stronger.len() => is_better(&usual, &stronger),
        _ => true,
    };
    stronger.0.value < usual.0.value && by_rows
}

/// What was tried, for the report.
pub(super) fn told(job: &Job) -> Option<Countermeasure> {
    let attempt = job.progress.attempt.as_ref().filter(|attempt| attempt.epochs > 0)?;
    let [before, after] = attempt.values?;
    let monitored = job.recipe.monitored();
    let (_, changes) = stronger(&job.recipe.settings);
    Some(Countermeasure {
        action: format!("stronger regularisation ({changes}) in {} epochs that were left", attempt.epochs),
        metric: monitored.name.to_string(),
        before: monitored.turned(before),
        after: monitored.turned(after),
        gained: before - after,
        kept: attempt.kept == Some(true),
    })
}

impl Job {
    /// Before a refit: whether a network that overfits is tried with stronger regularisation, whose stages then come first.
    ///
    /// # Errors
    /// If the data cannot be prepared.
    pub(crate) fn counter(&mut self, number: usize, note: &mut dyn FnMut(&str)) -> crate::error::Result<()> {
        use crate::stage::{Purpose, choose, stages};
        let at_start = self.progress.epoch == 0 && self.progress.step == 0 && !self.progress.stage_ended;
        let first_refit = self.stages[number].purpose == Purpose::Refit && self.stages[number].trial.unfrozen == 0;
        if !first_refit || !at_start || !self.recipe.counters() {
            return Ok(());
        }
        let usual = self.recipe.trials()[0];
        let Some(chosen) = choose(&self.recipe, &self.stages, &self.progress, |trial| !trial.stronger) else {
            return Ok(());
        };
        let prepared = self.data.prepare(&self.stages[0].train)?;
        let (source, scale) = (prepared.source, prepared.preprocessor.target_scale());
        let curves = super::curves_of(self, &usual, chosen.epochs, &*source, scale);
        match self.progress.attempt.clone() {
            None => {
                let selecting = crate::stage::selecting(&self.stages, &usual);
                let used = selecting.iter().map(|&stage| self.progress.epochs_of(stage).count() as u32).sum();
                let attempt = curves
                    .as_ref()
                    .map_or(Attempt { epochs: 0, kept: None, values: None, not_tried: None }, |curves| {
                        plan(curves, selecting.len(), used)
                    });
                if let Some(why) = &attempt.not_tried {
                    note(why);
                }
                if attempt.epochs > 0 {
                    let (_, changes) = stronger(&self.recipe.settings);
                    note(&format!(
                        "{}{TRYING}{changes}) in {} epochs that are left",
                        curves.as_ref().map_or("overfits".to_string(), |curves| verdict(curves).sentence),
                        attempt.epochs
                    ));
                    self.recipe.attempt = Some(attempt.clone());
                    self.stages = stages(&self.recipe, &self.data, &self.split)?;
                }
                self.progress.attempt = Some(attempt);
            }
            Some(attempt) if attempt.epochs > 0 && attempt.kept.is_none() => {
                let Some(tried) = choose(&self.recipe, &self.stages, &self.progress, |trial| trial.stronger) else {
                    return Ok(());
                };
                let of_tried = super::curves_of(self, &tried.trial, tried.epochs, &*source, scale);
                let kept = settle((&chosen, curves.as_ref()), (&tried, of_tried.as_ref()));
                let attempt = Attempt { kept: Some(kept), values: Some([chosen.value, tried.value]), ..attempt };
                self.recipe.attempt = Some(attempt.clone());
                self.progress.attempt = Some(attempt);
                if let Some(told) = told(self) {
                    let monitored = self.recipe.monitored();
                    let [before, after] = [told.before, told.after].map(crate::text::words::number);
                    let end = if kept { "it is kept" } else { "it is not kept" };
                    note(&format!("{TRIED}{} on validation {after} instead of {before}; {end}", monitored.name));
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Epochs that validation chose for a way.
    pub(crate) fn chosen_of(&self, trial: &Trial) -> Option<u32> {
        crate::stage::choose(&self.recipe, &self.stages, &self.progress, |other| other == trial).map(|c| c.epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stronger_settings_stay_in_their_ranges() {
        let mut settings = Settings { dropout: Some(0.1), weight_decay: Some(0.1), ..Settings::default() };
        let (after, told) = stronger(&settings);
        assert_eq!((after.dropout, after.weight_decay), (Some(0.3), Some(0.3)));
        assert_eq!(told, "dropout=0.3, weight_decay=0.3");
        settings.set("augment.shift", "0.4").unwrap();
        settings.set("dropout", "0.9").unwrap();
        let (after, told) = stronger(&settings);
        assert!(after.validate().is_ok() && after.dropout == Some(0.9) && told.contains("augmentation"), "{told}");
        assert_eq!(after.augment_over(&Augment::none()).unwrap().shift, 0.5);
    }

    #[test]
    fn a_gain_by_luck_is_not_kept() {
        let usual: Vec<f32> = (0..100).map(|i| 0.5 + 0.3 * (i % 3) as f32).collect();
        let slightly: Vec<f32> = (0..100).map(|i| 0.5 + 0.3 * ((i + 1) % 3) as f32 - 0.01).collect();
        let clearly: Vec<f32> = usual.iter().map(|loss| loss - 0.1).collect();
        assert!(!is_better(&usual, &slightly) && is_better(&usual, &clearly) && !is_better(&usual, &usual));
    }
}
