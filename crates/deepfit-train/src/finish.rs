//! The end of a run: final weights, their metrics on all parts, the model folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use deepfit_data::{Dataset, Preprocessor, Source, TargetScale, Task};
use deepfit_zoo::ModelConfig;

use crate::baseline::Baseline;
use crate::checks::{self, Finding};
use crate::data_times::DataTimes;
use crate::decision::{self, Decision, Familiarity, Findings};
use crate::error::Result;
use crate::job::{Job, Workshop};
use crate::learned;
use crate::measure::{Goal, Measured, Measurement, measure, measure_keeping};
use crate::metrics::Scores;
use crate::model_folder;
use crate::overfitting::judge;
use crate::predictions::{Keeper, Predictions};
use crate::predicts::{Remembered, Remembering};
use crate::process;
use crate::recipe::Recipe;
use crate::report::{OnTest, Report, ReportMetrics};
use crate::sentence_model;
use crate::simpler;
use crate::stage::{Purpose, selecting};
use crate::tensors::Owned;
use crate::transfer::completed;

/// Pairs of texts of the training rows that are measured.
const MOST_COMPARED: usize = 2_000;

/// Seconds that this process needed.
pub(crate) struct Times {
    /// From its start to the end of its first step; `None` if it made no step.
    pub(crate) first_step: Option<f64>,
    /// For an epoch, on average.
    pub(crate) per_epoch: f64,
    /// What the data of its epochs cost.
    pub(crate) data: DataTimes,
}

/// Measures and saves the final weights.
pub(crate) fn finish(
    job: &Job,
    workshop: Workshop,
    best_weights: BTreeMap<String, Owned>,
    times: Times,
) -> Result<Report> {
    // Images that are not kept were read in each epoch.
    if job.data.is_images() && !job.data.is_cached() {
        job.stamp.check()?;
    }
    let stage = &job.stages[job.progress.stage];
    let refit = stage.purpose == Purpose::Refit;
    let Workshop { source, inputs, preprocessor, model, mut learner, completion } = workshop;
    let weights = if refit || best_weights.is_empty() { learner.weights()? } else { best_weights };
    let parameters = learner.parameters();
    let name = model_name(&job.recipe, &model);
    let task = &job.recipe.task;
    let embeds = matches!(task, Task::Similarity { .. });
    let published = if job.recipe.is_useful_untrained() {
        learner.reset()?;
        let goal = Goal::of(&job.recipe, None);
        Some(measure(learner.using(), source.clone(), job.split.test.clone(), &goal, false)?.metrics.scores())
    } else {
        None
    };
    let epochs = if refit { stage.epochs } else { job.progress.best.map_or(job.progress.epoch, |(epoch, _)| epoch) };
    let (decision, mut findings) = decide(job, &*source, stage.target_scale, epochs);
    let mut using = learner.into_predicting(&weights)?;
    // The network in use has its own copy: this one becomes what is saved, and goes before anything is measured.
    let weights = completed(completion.as_ref(), weights);
    match completion.as_ref().filter(|_| embeds) {
        Some(completion) => sentence_model::save(&job.folder.model(), completion.backbone(), &weights)?,
        None => {
            let (folder, settings) = (job.folder.model(), &job.recipe.settings);
            model_folder::save(&folder, &name, &model, &preprocessor, &weights, settings, &decision)?;
        }
    }
    let mut familiarity = None;
    if !embeds {
        if !job.data.is_images() {
            learned::save(&job.folder.model(), &*inputs, &stage.train)?;
        }
        if !matches!(task, Task::NextToken | Task::Labels { .. }) {
            familiarity = Familiarity::fit(&inputs, &preprocessor, &stage.train, job.time_left())?;
            familiarity.iter().try_for_each(|familiarity| familiarity.save(&job.folder.model()))?;
        }
    }
    drop((weights, completion));
    let goal = Goal { decision: Some(&decision), ..Goal::of(&job.recipe, stage.target_scale) };
    let mut remembered = job.remembers.then(Remembered::default);
    let mut on = |rows: &[u32], goal: &Goal<'_>, keeper: Option<&mut Keeper>| -> Result<Option<Measurement>> {
        if rows.is_empty() {
            return Ok(None);
        }
        // Those that are kept are of the test.
        let intervals = keeper.is_some();
        let (source, rows) = (source.clone(), rows.to_vec());
        let measured = match remembered.as_mut().filter(|_| keeper.is_some()) {
            Some(so_far) => {
                let mut using = Remembering::new(&mut using, so_far);
                measure_keeping(&mut using, source, rows, goal, intervals, None, keeper)?
            }
            None => measure_keeping(&mut using, source, rows, goal, intervals, None, keeper)?,
        };
        for (name, reason) in &measured.failures {
            job.progress.notes.add(&format!("not measured: {name}: {reason}"));
        }
        Ok(Some(measured))
    };
    // Each text is compared with all others of the part, so that many would take long.
    let step = if embeds { stage.train.len().div_ceil(MOST_COMPARED) } else { 1 };
    let trained: Vec<u32> = stage.train.iter().copied().step_by(step.max(1)).collect();
    let train = on(&trained, &goal, None)?.map(|train| train.metrics);
    let mut keeper = Keeper::new(task, &*source, &job.split.test, task.outputs());
    let measuring = Instant::now();
    let test = on(&job.split.test, &Goal { by: job.data.subgroups(), ..goal }, Some(&mut keeper))?;
    let test_seconds = measuring.elapsed().as_secs_f64();
    let predictions = keep(job, &*inputs, &preprocessor, &goal, keeper)?;
    let found = look_back(job, &*source, &goal, epochs, &predictions);
    if let Some(test) = &test {
        findings.take_measured(&test.findings);
    }
    let subgroups = test.as_ref().and_then(|test| test.subgroups.clone());
    let unlike = match &familiarity {
        Some(familiarity) => familiarity.report(&inputs, &job.split.test, job.recipe.weights.as_deref())?,
        None => None,
    };
    let test = test.map(|test| test.metrics);
    let baselines = simpler::ways(job, &inputs, &preprocessor, &stage.train)?;
    let fit = judge(job, epochs, &*source, stage.target_scale);
    let run = job.folder.root().to_path_buf();
    Ok(Report {
        task: task.name().to_string(),
        model: name,
        parameters,
        metrics: ReportMetrics {
            train: train.as_ref().map(Measured::scores).unwrap_or_default(),
            validation: Scores::mean(validation_scores(job, epochs).into_iter(), 1),
            validation_folds: of_folds(validation_scores(job, epochs)),
            test: test.as_ref().map(Measured::scores).unwrap_or_default(),
            published_validation: published
                .as_ref()
                .map(|_| Scores::mean(validation_scores(job, 0).into_iter(), 1))
                .unwrap_or_default(),
            published: published.unwrap_or_default(),
            test_intervals: test.as_ref().map(Measured::intervals).unwrap_or_default(),
        },
        baselines,
        classes: task.classes().to_vec(),
        confusion: test.as_ref().and_then(Measured::confusion),
        residuals: test.as_ref().and_then(Measured::residuals),
        labels: test.as_ref().and_then(|test| test.labels(task.classes())),
        calibration: findings.calibration,
        conformal: findings.conformal,
        costs: findings.costs,
        subgroups,
        familiarity: unlike,
        positive: job.recipe.settings.positive.clone(),
        fit,
        repeats: None,
        resumed_at_step: job.description.resumed_at_step,
        planned_memory_bytes: job.description.planned_memory_bytes,
        peak_memory_bytes: process::peak_bytes(),
        epochs: job.progress.epoch,
        best_epoch: epochs,
        seconds: process::process_seconds(),
        first_step_seconds: times.first_step,
        seconds_per_epoch: times.per_epoch,
        planned_seconds_per_epoch: job.description.seconds_per_epoch,
        data: times.data,
        input: preprocessor.input().to_string(),
        findings: found,
        notes: job.progress.notes.all(),
        next: next_commands(&run, &job.data),
        on_test: remembered.map(|predictions| OnTest { predictions, seconds: test_seconds }),
        run,
    })
}

/// Writes what was predicted. Where there is no place for it, the run is whole without, and its report tells less.
fn keep(
    job: &Job,
    inputs: &dyn Source,
    preprocessor: &Preprocessor,
    goal: &Goal<'_>,
    keeper: Keeper,
) -> Result<Predictions> {
    let stage = &job.stages[job.progress.stage];
    let (train, test) = (&stage.train, &job.split.test);
    let baseline = Baseline::of(goal.task, inputs, train, test, goal.scale, goal.positive)?;
    let predictions = keeper.finish(&job.data, inputs, preprocessor, baseline);
    if let Err(error) = predictions.save(&job.folder.predictions()) {
        job.progress.notes.add(&format!("predictions for the test rows are not kept: {error}"));
    }
    Ok(predictions)
}

/// What was found in the data: before training, and now by what is predicted of rows that were not learned from.
fn look_back(job: &Job, source: &dyn Source, goal: &Goal<'_>, epoch: u32, test: &Predictions) -> Vec<Finding> {
    let mut findings = job.findings.clone();
    if job.recipe.settings.checks {
        let mut held = job.held_out(epoch).ok();
        if let Some(held) = &mut held {
            held.targets = decision::targets(source, &held.rows, goal.scale);
        }
        findings.extend(checks::after(&job.data, held.as_ref(), test));
    }
    findings
}

/// Fits what is made of the network's outputs to what the chosen epoch predicted of validation rows.
fn decide(job: &Job, source: &dyn Source, scale: Option<TargetScale>, epoch: u32) -> (Decision, Findings) {
    let recipe = &job.recipe;
    if !recipe.decides() {
        return Default::default();
    }
    match job.held_out(epoch) {
        Ok(mut held) => {
            held.targets = decision::targets(source, &held.rows, scale);
            decision::fit(&recipe.wanted(), &held, &recipe.task)
        }
        Err(why) => {
            job.progress
                .notes
                .add(&format!("probabilities are not calibrated, and no sets or intervals are given: {why}"));
            Default::default()
        }
    }
}

/// Name of the model that a run trains: of its architecture.
pub(crate) fn model_name(recipe: &Recipe, model: &ModelConfig) -> String {
    match (&recipe.transfer, model) {
        (None, _) => recipe.settings.model.clone(),
        (Some(_), ModelConfig::Tapped(tapped)) => tapped.backbone.model_type().to_string(),
        (Some(_), ModelConfig::TokenLabels(labels)) => labels.backbone.model_type().to_string(),
        (Some(_), ModelConfig::PooledText(pooled)) => pooled.backbone.model_type().to_string(),
        (Some(_), ModelConfig::SentencePairs(pairs)) => pairs.backbone.model_type().to_string(),
        (Some(_), ModelConfig::NextToken(next)) => next.network.model_type().to_string(),
        (Some(_), other) => other.model_type().to_string(),
    }
}

/// The commands that use what a run has trained.
pub(crate) fn next_commands(run: &Path, data: &Dataset) -> Vec<String> {
    let shown = shell_word(&run.to_string_lossy());
    let example = match (data.is_images(), data.is_texts()) {
        (true, _) => "IMAGE...",
        (_, true) => "TEXTS.txt",
        _ => "TABLE.csv",
    };
    if *data.task() == Task::NextToken {
        return vec![
            format!("deepfit generate {shown} \"The \" --temperature 0.8"),
            format!("deepfit evaluate {shown} TEXT.txt"),
            format!("deepfit inspect {shown}"),
        ];
    }
    if let Task::Similarity { .. } = data.task() {
        return vec![
            format!("deepfit embed {shown} TEXTS.txt --json"),
            format!("deepfit embed {shown} TEXTS.txt --nearest 5 --of QUERIES.txt"),
            format!("deepfit inspect {shown}"),
        ];
    }
    vec![
        format!("deepfit predict {shown} {example}"),
        format!("deepfit evaluate {shown} DATA"),
        format!("deepfit inspect {shown}"),
        format!("deepfit report {shown} --full"),
    ]
}

/// Metrics on validation rows that were not trained on: at the chosen epoch, of each of the selecting stages.
fn validation_scores(job: &Job, epoch: u32) -> Vec<&Scores> {
    let selecting = selecting(&job.stages, &job.stages[job.progress.stage].trial);
    selecting
        .into_iter()
        .filter_map(|stage| {
            let mut records = job.progress.epochs_of(stage);
            let mut last = None;
            records
                .find(|e| {
                    last = Some(*e);
                    e.epoch == epoch
                })
                .or(last)
                .map(|e| &e.validation)
        })
        .collect()
}

/// The metrics of each fold, where there are some.
fn of_folds(records: Vec<&Scores>) -> Vec<Scores> {
    if records.len() > 1 { records.into_iter().cloned().collect() } else { Vec::new() }
}

/// A path as a shell reads it.
pub(crate) fn shell_word(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_string()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
