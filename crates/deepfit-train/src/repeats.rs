//! The whole of a run again with other splits: how much of a result is owed to the luck of one split.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};
use crate::event::{Event, Flow, Observer};
use crate::job::{Outcome, prepare, resume_with};
use crate::metrics::{Scores, higher_is_better};
use crate::report::Report;
use crate::run_folder::{RunFolder, read_text, write_text};
use crate::settings::Settings;

/// A metric over several splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// Its mean.
    pub mean: f64,
    /// Its sample standard deviation.
    pub deviation: f64,
    /// 95 % interval of the mean, which is wider than that of independent values: the splits share most of their rows
    /// (C. Nadeau and Y. Bengio, "Inference for the generalization error", 2003).
    pub interval: [f64; 2],
    /// Its value for each split.
    pub values: Vec<f64>,
}

/// What repeated splits and trainings reached on their test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepeatsReport {
    /// Number of splits, that of the run itself included.
    pub runs: usize,
    /// Their seeds; the model is that of the first.
    pub seeds: Vec<u64>,
    /// Metrics by name, of those that are defined on all test rows.
    pub metrics: BTreeMap<String, Repeated>,
}

/// Refuses to repeat where no other split is possible.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    let fixed = [
        ("test", settings.test.is_some()),
        ("split", settings.split.is_some()),
        ("time_split", settings.time_split.is_some()),
    ];
    if let (true, Some((key, _))) = (settings.repeats > 1, fixed.into_iter().find(|(_, given)| *given)) {
        let problem =
            format!("is for splits by chance, and `{key}` says which rows are for the test; leave one of them away");
        return Err(TrainError::setting("repeats", problem));
    }
    Ok(())
}

/// Repeats a finished run with the seeds that follow its own, in folders in its folder, and adds what all of them reached to
/// its report. What an earlier process has finished is not done again.
pub(crate) fn repeat(mut report: Report, threads: usize, observer: &mut dyn Observer) -> Result<Outcome> {
    let folder = RunFolder::at(&report.run);
    let (settings, _) = Settings::of_run(&folder.settings())?;
    let mut all: Vec<Scores> = vec![report.metrics.test.clone()];
    let mut seeds = vec![settings.seed];
    for number in 2..=settings.repeats {
        let place = folder.root().join("repeats").join(number.to_string());
        let seed = settings.seed.wrapping_add(number as u64 - 1) & (i64::MAX as u64);
        let own = RunFolder::at(&place);
        let scores = match read_report(&own)? {
            Some(report) => report.metrics.test,
            None => {
                let told =
                    format!("repeat {number} of {}: the split and the training with seed={seed}", settings.repeats);
                if observer.event(&Event::Note(&told)) == Flow::Stop {
                    return Ok(Outcome::Interrupted { run: report.run, step: 0 });
                }
                let job = if own.settings().is_file() {
                    resume_with(&place, Some(threads))?
                } else {
                    // What was left of one that was stopped before it had settings.
                    let _ = fs::remove_dir_all(&place);
                    let time = settings.time_of_each();
                    prepare(
                        Settings { seed, repeats: 1, time, threads, checks: false, ..settings.clone() },
                        Some(place.clone()),
                    )?
                };
                match job.run(observer)? {
                    Outcome::Finished(report) => {
                        // Its result is what it was for.
                        for heavy in ["checkpoint", "model"] {
                            let _ = fs::remove_dir_all(place.join(heavy));
                        }
                        report.metrics.test
                    }
                    Outcome::Interrupted { step, .. } => {
                        return Ok(Outcome::Interrupted { run: report.run, step });
                    }
                }
            }
        };
        all.push(scores);
        seeds.push(seed);
    }
    let (trained, tested) = rows(&folder)?;
    report.repeats = Some(summary(&all, seeds, tested / trained));
    let text = serde_json::to_string_pretty(&report).map_err(|e| TrainError::run(folder.result(), e.to_string()))?;
    write_text(&folder.result(), &(text + "\n"))?;
    Ok(Outcome::Finished(Box::new(report)))
}

/// The report of a repeat that has ended.
fn read_report(folder: &RunFolder) -> Result<Option<Report>> {
    if !folder.result().is_file() {
        return Ok(None);
    }
    let damaged = |e: serde_json::Error| {
        let problem = format!("is damaged: {e}; delete the folder that it is in, and resume the run");
        TrainError::run(folder.result(), problem)
    };
    serde_json::from_str(&read_text(&folder.result())?).map(Some).map_err(damaged)
}

/// Numbers of the rows that the run learned from, those for validation included, and of those that it was tested on.
fn rows(folder: &RunFolder) -> Result<(f64, f64)> {
    let damaged = |e: serde_json::Error| TrainError::run(folder.split(), format!("is damaged: {e}"));
    let split: deepfit_data::SavedSplit = serde_json::from_str(&read_text(&folder.split())?).map_err(damaged)?;
    Ok(((split.train.len() + split.validation.len()).max(1) as f64, split.test.len() as f64))
}

/// Means, deviations and corrected intervals over splits whose test has such a share of the rows that are learned from.
fn summary(all: &[Scores], seeds: Vec<u64>, share: f64) -> RepeatsReport {
    let runs = all.len();
    let n = runs as f64;
    let repeated = |name: &str| -> Option<Repeated> {
        let values: Vec<f64> = all.iter().map(|scores| scores.get(name)).collect::<Option<_>>()?;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = student_quantile(runs - 1) * ((1.0 / n + share) * variance).sqrt();
        // Correlations and R2 go below 0; nothing of which more is better goes above 1.
        let least = if ["r2", "spearman", "pearson"].contains(&name) { f64::NEG_INFINITY } else { 0.0 };
        let most = if higher_is_better(name) { 1.0 } else { f64::INFINITY };
        let interval = [(mean - half).max(least), (mean + half).min(most)];
        Some(Repeated { mean, deviation: variance.sqrt(), interval, values })
    };
    let names = all[0].iter().map(|(name, _)| name.to_string());
    let metrics = names.filter_map(|name| Some((name.clone(), repeated(&name)?))).collect();
    RepeatsReport { runs, seeds, metrics }
}

/// The 97.5 % point of Student's distribution with so many degrees of freedom, at least one.
pub(crate) fn student_quantile(freedom: usize) -> f64 {
    // The probability between -t and t as a finite sum (Abramowitz and Stegun, "Handbook of Mathematical Functions",
    // 26.7.3 and 26.7.4).
    let within = |t: f64| {
        let angle = (t / (freedom as f64).sqrt()).atan();
        let (sine, cosine) = angle.sin_cos();
        let odd = freedom % 2;
        // Powers of the cosine: odd ones, or even ones.
        let (mut power, mut term, mut sum) = (odd, if odd == 1 { cosine } else { 1.0 }, 0.0);
        while power + 2 <= freedom {
            sum += term;
            term *= cosine * cosine * (power + 1) as f64 / (power + 2) as f64;
            power += 2;
        }
        if odd == 1 { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
    };
    let (mut low, mut high) = (0.0, 1e3);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if within(middle) < 0.95 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // scipy.stats.t.ppf(0.975, df)
        for (freedom, expected) in [
            (1, 12.706_204_736),
            (2, 4.302_652_730),
            (3, 3.182_446_305),
            (4, 2.776_445_105),
            (5, 2.570_581_836),
            (9, 2.262_157_163),
            (10, 2.228_138_852),
            (29, 2.045_229_642),
            (100, 1.983_971_519),
        ] {
            let found = student_quantile(freedom);
            assert!((found - expected).abs() < 1e-6, "{freedom}: {found}");
        }
    }

    #[test]
    fn the_interval_is_wider_than_that_of_independent_values() {
        let scores = |value: f64| {
            let mut scores = Scores::default();
            scores.insert("accuracy", value);
            scores
        };
        let report = summary(&[scores(0.8), scores(0.9), scores(0.85), scores(0.95)], vec![1, 2, 3, 4], 0.25);
        let accuracy = &report.metrics["accuracy"];
        assert!((accuracy.mean - 0.875).abs() < 1e-12 && (accuracy.deviation - 0.064_549_722).abs() < 1e-8);
        // 3.182446 * 0.0645497 * sqrt(1/4 + 1/4), by hand.
        assert!((accuracy.mean - accuracy.interval[0] - 0.145_258_1).abs() < 1e-6, "{accuracy:?}");
        assert_eq!(accuracy.interval[1], 1.0);
    }
}
