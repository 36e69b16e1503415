//! The verdict on a run, from what its epochs and the losses of its validation rows tell.

use deepfit_data::{Array, Source, TargetScale, Task};

use super::losses::mean_and_error;
use super::verdict::{Curves, Estimate, Verdict, Z, verdict};
use super::{Countermeasure, EpochLosses, FitReport, Gap, counter};
use crate::job::Job;
use crate::progress::EpochRecord;
use crate::stage::{Stage, Trial, selecting};

/// What the epochs of the selecting stages of a way tell together; nothing where their losses are not known.
pub(crate) fn curves_of(
    job: &Job,
    trial: &Trial,
    chosen: u32,
    source: &dyn Source,
    scale: Option<TargetScale>,
) -> Option<Curves> {
    let stages = selecting(&job.stages, trial);
    let records: Vec<Vec<&EpochRecord>> =
        stages.iter().map(|&stage| job.progress.epochs_of(stage).filter(|record| record.epoch > 0).collect()).collect();
    let longest = records.iter().map(Vec::len).max().unwrap_or(0);
    let of = |stage: &Vec<&EpochRecord>, epoch: usize| -> Option<EpochLosses> {
        // A stage that stopped early stays as it was.
        stage.get(epoch).or(stage.last()).and_then(|record| record.losses)
    };
    let count: usize = stages.iter().map(|&stage| job.stages[stage].validation.len()).sum();
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for epoch in 0..longest {
        let losses: Vec<EpochLosses> = records.iter().map(|stage| of(stage, epoch)).collect::<Option<_>>()?;
        let share = |at: usize| job.stages[stages[at]].validation.len() as f64 / count.max(1) as f64;
        let even = 1.0 / losses.len() as f64;
        let combined = |part: &dyn Fn(&EpochLosses) -> (f64, f64), weight: &dyn Fn(usize) -> f64| Estimate {
            mean: losses.iter().enumerate().map(|(at, one)| weight(at) * part(one).0).sum(),
            error: losses.iter().enumerate().map(|(at, one)| (weight(at) * part(one).1).powi(2)).sum::<f64>().sqrt(),
        };
        train.push(combined(&|one| (one.train, one.train_error), &|_| even));
        validation.push(combined(&|one| (one.validation, one.validation_error), &share));
    }
    let first = validation.first()?.mean;
    let last_chosen = (chosen.max(1) as usize).min(longest) - 1;
    let constant = records.iter().all(|stage| of(stage, last_chosen).is_some_and(|losses| losses.constant));
    let own: Vec<&Stage> = stages.iter().map(|&stage| &job.stages[stage]).collect();
    // Of texts that are continued no such prediction is known: the first epoch stands for little learned.
    let same = same_for_all(&job.recipe.task, source, &own, scale).unwrap_or(1.5 * first);
    Some(Curves {
        train,
        validation,
        rows: rows_of(job, &stages, longest).unwrap_or_default(),
        count,
        same,
        chosen,
        constant,
        squared: job.recipe.task == Task::Regression,
        most_epochs: own.iter().map(|stage| stage.epochs).max().unwrap_or(0),
    })
}

/// Losses of all validation rows after each epoch, in one order; nothing where some are not kept.
fn rows_of(job: &Job, stages: &[usize], epochs: usize) -> Option<Vec<Vec<f32>>> {
    let mut all: Vec<Vec<f32>> = vec![Vec::new(); epochs];
    for &stage in stages {
        let records = job.loss_records(stage)?;
        let mut order: Option<Vec<u32>> = None;
        for (epoch, losses) in all.iter_mut().enumerate() {
            let record = records.read(epoch as u32 + 1)?;
            let weights = job.recipe.weights.as_deref();
            let mean = weights.map_or(1.0, |weights| {
                record.rows.iter().map(|&row| weights[row as usize]).sum::<f64>() / record.rows.len().max(1) as f64
            });
            let weight = |row: u32| weights.map_or(1.0, |weights| weights[row as usize] / mean.max(f64::MIN_POSITIVE));
            losses.extend(record.rows.iter().zip(&record.values).map(|(&row, &loss)| loss * weight(row) as f32));
            match &order {
                Some(order) if *order != record.rows => return None,
                Some(_) => {}
                None => order = Some(record.rows),
            }
        }
    }
    Some(all)
}

/// Mean loss on the validation rows of the same prediction for each of them: the shares of the classes, or the mean of the values,
/// in the training rows.
fn same_for_all(task: &Task, source: &dyn Source, stages: &[&Stage], scale: Option<TargetScale>) -> Option<f64> {
    let targets = |rows: &[u32]| source.targets_of(rows);
    let entropy = |share: f64, truth: f64| -(if truth > 0.5 { share } else { 1.0 - share }).max(1e-7).ln();
    let mut losses = Vec::new();
    for stage in stages {
        let (train, validation) = (targets(&stage.train), targets(&stage.validation));
        match (task, &train, &validation) {
            (Task::Classification { classes }, Array::I32(train), Array::I32(validation)) => {
                let mut shares = vec![0.0; classes.len()];
                train.iter().for_each(|&class| shares[class as usize] += 1.0 / train.len() as f64);
                losses.extend(validation.iter().map(|&class| entropy(shares[class as usize], 1.0)));
            }
            (Task::MultiLabel { classes }, Array::F32(train), Array::F32(validation)) => {
                let width = classes.len().max(1);
                let rows = (train.len() / width).max(1) as f64;
                let mut shares = vec![0.0; width];
                let rows_of_labels = train.chunks_exact(width);
                rows_of_labels.for_each(|row| shares.iter_mut().zip(row).for_each(|(s, t)| *s += f64::from(*t) / rows));
                losses.extend(validation.chunks_exact(width).map(|row| {
                    shares.iter().zip(row).map(|(&s, &t)| entropy(s, f64::from(t))).sum::<f64>() / width as f64
                }));
            }
            (Task::Regression, Array::F32(train), Array::F32(validation)) => {
                let original = |x: &f32| scale.map_or(f64::from(*x), |scale| scale.inverse(f64::from(*x)));
                let mean = train.iter().map(original).sum::<f64>() / train.len().max(1) as f64;
                losses.extend(validation.iter().map(|x| (original(x) - mean).powi(2)));
            }
            _ => return None,
        }
    }
    (!losses.is_empty()).then(|| mean_and_error(&losses).0)
}

/// The verdict on a run whose last stage has ended, with what was done about it.
pub(crate) fn judge(job: &Job, chosen: u32, source: &dyn Source, scale: Option<TargetScale>) -> Option<FitReport> {
    let kept = job.stages[job.progress.stage].trial;
    // What was done about it is judged by what happened before.
    let usual = job.recipe.usual(&kept);
    let chosen_of_usual = if usual == kept { chosen } else { job.chosen_of(&usual)? };
    let squared = job.recipe.task == Task::Regression;
    let metric = if squared { "rmse" } else { "log_loss" };
    let Some(of_usual) = curves_of(job, &usual, chosen_of_usual, source, scale) else {
        let sentence = "not known whether it overfits: single rows have no losses of their own".to_string();
        return Some(FitReport {
            verdict: Verdict::Unknown,
            sentence,
            figures: None,
            since_epoch: None,
            worse_by: None,
            rows: 0,
            actions: usual_measures(job, &usual, chosen_of_usual),
            seconds: job.progress.watch_seconds,
        });
    };
    let found = verdict(&of_usual);
    let of_kept = if usual == kept { None } else { curves_of(job, &kept, chosen, source, scale) };
    let curves = of_kept.as_ref().unwrap_or(&of_usual);
    let at = (curves.chosen.max(1) as usize).min(curves.validation.len()) - 1;
    let (train, validation) = (curves.train[at], curves.validation[at]);
    // The root's error, by its derivative.
    let error = |one: Estimate| {
        if squared { one.error / (2.0 * one.mean.max(f64::MIN_POSITIVE).sqrt()) } else { one.error }
    };
    let gap = curves.shown(validation.mean) - curves.shown(train.mean);
    let half = Z * error(train).hypot(error(validation));
    let mut actions = usual_measures(job, &usual, chosen_of_usual);
    actions.extend(counter::told(job));
    Some(FitReport {
        verdict: found.verdict,
        sentence: found.sentence,
        figures: Some(Gap {
            metric: metric.to_string(),
            train: curves.shown(train.mean),
            validation: curves.shown(validation.mean),
            gap,
            interval: [gap - half, gap + half],
        }),
        since_epoch: found.since,
        worse_by: found.worse_by,
        rows: curves.count,
        actions,
        seconds: job.progress.watch_seconds,
    })
}

/// What is done in each run: the best epoch is kept, and weights are averaged.
fn usual_measures(job: &Job, trial: &Trial, chosen: u32) -> Vec<Countermeasure> {
    let monitored = job.recipe.monitored();
    let stages = selecting(&job.stages, trial);
    let curves: Vec<Vec<&EpochRecord>> =
        stages.iter().map(|&stage| job.progress.epochs_of(stage).filter(|record| record.epoch > 0).collect()).collect();
    let mean = |values: Vec<Option<f64>>| -> Option<f64> {
        let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let at = |epoch: usize| {
        let of = |curve: &Vec<&EpochRecord>| {
            curve.get(epoch).or(curve.last()).and_then(|record| monitored.of(&record.validation))
        };
        mean(curves.iter().map(of).collect())
    };
    let measure = |action: String, before: f64, after: f64| Countermeasure {
        action,
        metric: monitored.name.to_string(),
        before: monitored.turned(before),
        after: monitored.turned(after),
        gained: before - after,
        kept: true,
    };
    let longest = curves.iter().map(Vec::len).max().unwrap_or(0);
    let mut done = Vec::new();
    if (1..longest as u32).contains(&chosen)
        && let (Some(before), Some(after)) = (at(longest - 1), at(chosen as usize - 1))
    {
        let early = stages.iter().zip(&curves).any(|(&stage, curve)| (curve.len() as u32) < job.stages[stage].epochs);
        let stop = if early { format!("stopped after {longest} epochs, and ") } else { String::new() };
        done.push(measure(format!("{stop}epoch {chosen} was chosen in place of epoch {longest}"), before, after));
    }
    // Both are known of the last epoch, and matter where it is the one that is kept.
    let unaveraged = |curve: &Vec<&EpochRecord>| curve.last().and_then(|record| record.losses?.unaveraged);
    let keeps_last = longest > 0 && curves.iter().all(|curve| curve.len() as u32 == chosen);
    if keeps_last && let (Some(before), Some(after)) = (mean(curves.iter().map(unaveraged).collect()), at(longest - 1))
    {
        done.push(measure("the average of the weights of many steps was used".to_string(), before, after));
    }
    done
}
