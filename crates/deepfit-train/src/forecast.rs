//! What a run will do and cost, told before its first step.

use std::path::{Path, PathBuf};
use std::time::Instant;

use deepfit_data::{Dataset, Loader, LoaderOptions, Split};
use serde::Serialize;

use crate::error::Result;
use crate::finish;
use crate::fit::EPOCH_INTERVAL;
use crate::job::{Workshop, loader_bytes, loader_options};
use crate::learner::{Place, evaluation_batch};
use crate::measure::{Goal, measure};
use crate::overfitting::sample_size;
use crate::recipe::Recipe;
use crate::simpler::{self, compares_with_linear};
use crate::stage::{Purpose, Stage};
use crate::transfer;

/// What a run will do and cost.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// What was inferred about the data, a line each.
    pub data: Vec<String>,
    /// Worth knowing: rows left out, duplicates.
    pub notes: Vec<String>,
    /// `classification`, `multi_label` or `regression`.
    pub task: String,
    /// The model, with its shape.
    pub model: String,
    /// Number of trained values.
    pub parameters: usize,
    /// Memory of the whole process.
    pub planned_memory_bytes: u64,
    /// What that is made of.
    pub memory: Vec<(String, u64)>,
    /// Seconds that an epoch takes, validation included.
    pub seconds_per_epoch: f64,
    /// Most epochs of a stage.
    pub epochs: u32,
    /// Number of stages: folds or a selection, and what is trained again with what they chose.
    pub stages: usize,
    /// Epochs of all stages at most.
    pub total_epochs: u64,
    /// Seconds for the features of all samples, of a run that begins with a published network.
    pub seconds_features: f64,
    /// Seconds that all stages take at most, features included.
    pub seconds_total: f64,
    /// Seconds that it took to open the data and to plan.
    pub seconds_before: f64,
    /// Seconds that the end takes: all rows are predicted once more, and the result is written.
    pub seconds_after: f64,
    /// Rows in a batch, and batches of an update.
    pub batch: (usize, u64),
    /// How epochs are chosen and the final weights made.
    pub strategy: String,
    /// Rows for training, validation and test.
    pub rows: (usize, usize, usize),
    /// The run folder.
    pub run: PathBuf,
    /// All settings, resolved.
    pub settings_toml: String,
    /// Steps made before the run was resumed.
    pub resumed_at_step: Option<u64>,
}

/// Code and small things that come into use only while training runs: 5 to 8 MB, measured with small tables and pictures, of
/// which half is for what follows it, such as calibration, the verdict and the report.
pub(crate) const OVERHEAD_BYTES: u64 = 7 << 20;

/// What is known of a run beside its data and its network.
pub(crate) struct Circumstances<'a> {
    /// Bytes of the process when the data had been opened.
    pub base_bytes: u64,
    /// Most bytes of the process until then.
    pub read_bytes: u64,
    /// The run folder.
    pub run: &'a Path,
    /// Whether nothing of it has been done yet.
    pub is_new: bool,
    /// When it began to open the data.
    pub begun: Instant,
    /// Whether slow steps are tried on few rows alone.
    pub roughly: bool,
}

pub(crate) fn describe(
    data: &Dataset,
    split: &Split,
    recipe: &Recipe,
    stages: &[Stage],
    workshop: &mut Workshop,
    transfer: TransferForecast,
    circumstances: Circumstances<'_>,
) -> Result<Description> {
    let Circumstances { base_bytes, read_bytes, run, is_new, begun, roughly } = circumstances;
    let largest = stages.iter().max_by_key(|s| s.train.len()).expect("a run has a stage");
    let options = loader_options(recipe, &*workshop.source, largest);
    let loader_bytes = loader_bytes(recipe, &*workshop.source, largest);
    let (arena, parameters) = workshop.learner.planned_bytes();
    let trained = workshop.learner.parameters();
    let weights = trained as u64 * 4;
    let TransferForecast { features, unfrozen, network_bytes } = transfer;
    let of_unfrozen = unfrozen.as_ref().map_or((0, 0, 0, 0), |u| (u.arena, u.parameters, u.loader, u.weights));
    let weights = weights.max(of_unfrozen.3);
    let (arena, parameters) = (arena.max(of_unfrozen.0), parameters.max(of_unfrozen.1));
    let loader_bytes = loader_bytes.max(of_unfrozen.2);
    let mut memory = vec![
        ("program and data, as loaded".to_string(), base_bytes),
        ("arena of activations and gradients".to_string(), arena),
        ("parameters, optimiser, averages".to_string(), parameters),
        ("copies of the weights to keep the best".to_string(), weights),
        ("batches in preparation".to_string(), loader_bytes),
        ("overhead".to_string(), OVERHEAD_BYTES),
    ];
    if network_bytes > 0 {
        // Features are computed before the arena of the training is made, which takes the same memory afterwards.
        // It has gone when the weights are collected to be saved, those that were trained in a copy that is counted already.
        let more = features.working_bytes.saturating_sub(arena).max(network_bytes.saturating_sub(weights));
        memory.push(("the published network at work, or to be saved, beyond that".to_string(), more));
        memory.push(("features".to_string(), features.bytes));
    }
    if compares_with_linear(data, &recipe.task) {
        let rows = largest.train.len().max(split.test.len());
        let bytes = simpler::bytes(&*workshop.inputs, rows, &recipe.settings, base_bytes + OVERHEAD_BYTES);
        // The arena of the training has gone by then.
        memory.push(("a linear model to compare with, beyond that".to_string(), bytes.saturating_sub(arena)));
    }
    let so_far: u64 = memory.iter().map(|(_, bytes)| bytes).sum();
    if read_bytes > so_far {
        memory.push(("while the data was read, beyond that".to_string(), read_bytes - so_far));
    }
    let rough = if roughly { rehearse_roughly(recipe, split, largest, workshop, &options)? } else { None };
    let times = match rough {
        Some(times) => times,
        None => rehearse(recipe, split, stages, largest, workshop, &options)?,
    };
    let times_of = |stage: &Stage| match &unfrozen {
        Some(unfrozen) if stage.trial.unfrozen > 0 => &unfrozen.times,
        _ => &times,
    };
    let per_epoch: Vec<f64> = stages.iter().map(|stage| times_of(stage).epoch(recipe, stage)).collect();
    let mut epochs = recipe.epochs();
    let total = |epochs: u32| {
        let of = |(stage, seconds): (&Stage, &f64)| seconds * f64::from(epochs.min(stage.epochs));
        features.seconds + stages.iter().zip(&per_epoch).map(of).sum::<f64>()
    };
    let last = stages.last().expect("a run has a stage");
    let seconds_after = END_SECONDS
        + times_of(last).evaluate * (last.train.len() + split.test.len()) as f64
        + INTERVAL_SECONDS * split.test.len() as f64;
    let seconds_before = begun.elapsed().as_secs_f64();
    if let (Some(time), true) = (recipe.settings.time_of_each(), is_new) {
        let limit = (time - seconds_before - seconds_after).max(0.0);
        // Epochs do not all take the same time.
        let fits = |epochs: u32| total(epochs) <= 0.95 * limit;
        // Where other things take the time, epochs that cost next to nothing are not worth saving.
        let cheap = |epochs: u32| total(epochs) - features.seconds <= 0.05 * limit;
        epochs = (1..=epochs).rev().find(|&epochs| fits(epochs) || cheap(epochs)).unwrap_or(1);
    }
    Ok(Description {
        data: data.describe(),
        notes: split.notes.clone(),
        task: recipe.task.name().to_string(),
        model: describe_model(recipe, workshop),
        parameters: trained,
        planned_memory_bytes: memory.iter().map(|(_, bytes)| bytes).sum(),
        memory,
        seconds_per_epoch: per_epoch.iter().sum::<f64>() / stages.len() as f64,
        epochs,
        stages: stages.len(),
        total_epochs: stages.iter().map(|stage| u64::from(epochs.min(stage.epochs))).sum(),
        seconds_features: features.seconds,
        seconds_total: total(epochs),
        seconds_before,
        seconds_after,
        batch: (recipe.batch(), recipe.settings.accumulate),
        strategy: describe_strategy(stages),
        rows: (split.train.len(), split.validation.len(), split.test.len()),
        run: run.to_path_buf(),
        settings_toml: String::new(),
        resumed_at_step: None,
    })
}

/// What a transfer costs beside the training of a last layer.
#[derive(Default)]
pub(crate) struct TransferForecast {
    /// Features of all samples.
    pub features: transfer::Forecast,
    /// Stages that train blocks, too.
    pub unfrozen: Option<Rehearsed>,
    /// Bytes of the whole network.
    pub network_bytes: u64,
}

/// What a stage of its own kind costs.
pub(crate) struct Rehearsed {
    times: Times,
    arena: u64,
    parameters: u64,
    loader: u64,
    /// Bytes of the weights that are trained.
    weights: u64,
}

impl Rehearsed {
    /// Seconds of all stages that train blocks.
    pub fn seconds(&self, recipe: &Recipe, stages: &[Stage]) -> f64 {
        let of = |s: &Stage| f64::from(s.epochs) * self.times.epoch(recipe, s);
        stages.iter().filter(|stage| stage.trial.unfrozen > 0).map(of).sum()
    }

    /// Tries a stage.
    pub fn new(
        recipe: &Recipe,
        split: &Split,
        stages: &[Stage],
        stage: &Stage,
        workshop: &mut Workshop,
    ) -> Result<Rehearsed> {
        let options = loader_options(recipe, &*workshop.source, stage);
        let loader = Loader::planned_bytes(&*workshop.source, stage.train.len(), &options) as u64;
        let (arena, parameters) = workshop.learner.planned_bytes();
        let weights = workshop.learner.parameters() as u64 * 4;
        let times = rehearse(recipe, split, stages, stage, workshop, &options)?;
        Ok(Rehearsed { times, arena, parameters, loader, weights })
    }
}

fn describe_strategy(stages: &[Stage]) -> String {
    let number = |stage: &Stage| if let Purpose::Fold(number) = stage.purpose { number + 1 } else { 0 };
    let folds = stages.iter().map(number).max().unwrap_or(0);
    let refit = stages.last().is_some_and(|s| s.purpose == Purpose::Refit);
    // Where there is one way, only the number of epochs is chosen.
    let way = stages.iter().any(|stage| stage.trial != stages[0].trial);
    let what = if way { "the best way to train, and number of epochs," } else { "the best number of epochs" };
    match (folds, refit) {
        (0, true) => format!("{what} on validation, then a refit on training and validation rows"),
        (0, false) => "the weights of the best epoch on validation".to_string(),
        (n, _) => format!("{what} by {n}-fold cross-validation, then a refit on all rows but the test's"),
    }
}

fn describe_model(recipe: &Recipe, workshop: &Workshop) -> String {
    use deepfit_zoo::ModelConfig;
    let list = |widths: &[usize]| widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
    let name = finish::model_name(recipe, &workshop.model);
    match &workshop.model {
        ModelConfig::Mlp(c) => {
            let inputs = c.numeric + c.embeddings.iter().map(|e| e.width).sum::<usize>();
            format!("{name}: {inputs} inputs, hidden {}, {} outputs", list(&c.hidden), c.outputs)
        }
        ModelConfig::Tabm(c) => {
            let inputs = c.numeric + c.embeddings.iter().map(|e| e.width).sum::<usize>();
            let (members, hidden) = (c.members, list(&c.hidden));
            format!("{name}: {inputs} inputs, {members} members, hidden {hidden}, {} outputs", c.outputs)
        }
        ModelConfig::Cnn(c) => {
            let stages: Vec<String> = c.stages.iter().map(|s| list(s)).collect();
            let size = format!("{}x{}x{}", c.image.height, c.image.width, c.image.channels);
            format!("{name}: images {size}, convolutions {}, {} outputs", stages.join(" | "), c.outputs)
        }
        other => {
            let outputs = other.outputs();
            let size = other.image().map_or_else(String::new, |image| {
                format!("images {}x{}x{}, ", image.height, image.width, image.channels)
            });
            let depths = match other {
                ModelConfig::Tapped(tapped) => format!(" at {} depths", tapped.taps.len()),
                ModelConfig::PooledText(pooled) => {
                    let pairs = if pooled.pairs { " of two texts, compared," } else { "" };
                    let terms =
                        if pooled.terms > 0 { format!(" and {} further inputs", pooled.terms) } else { String::new() };
                    format!("{pairs}{terms}")
                }
                _ => String::new(),
            };
            let plural = if outputs == 1 { "" } else { "s" };
            format!("{name}{depths}: {size}{outputs} output{plural}")
        }
    }
}

/// Seconds of the parts of an epoch.
struct Times {
    /// A step on a full batch.
    step: f64,
    /// Prediction of one validation row.
    evaluate: f64,
    checkpoint: f64,
}

impl Times {
    fn epoch(&self, recipe: &Recipe, stage: &Stage) -> f64 {
        // The last batch is smaller.
        let steps = stage.train.len() as f64 / recipe.batch().max(1) as f64;
        // Some rows of training are measured, too.
        let measured = match stage.validation.len() {
            0 => 0,
            validation => validation + sample_size(stage.train.len(), validation),
        };
        let seconds = steps * self.step + measured as f64 * self.evaluate + JOURNAL_SECONDS;
        // Several short epochs share a checkpoint.
        seconds + self.checkpoint * (seconds / EPOCH_INTERVAL.as_secs_f64()).min(1.0)
    }
}

/// Saving the model, drawing the report and the like at the end of a run; and an interval of metrics, for each row.
const END_SECONDS: f64 = 0.3;
const INTERVAL_SECONDS: f64 = 3e-6;

/// Creating, writing and renaming a small file, and writing a byte of a large one, on an ordinary local disk. The disk is
/// not tried: nothing is written before the run starts.
const FILE_SECONDS: f64 = 1.2e-3;
const BYTE_SECONDS: f64 = 1e-9;
/// Lines of an epoch in files that are open.
const JOURNAL_SECONDS: f64 = 2e-4;

/// A rehearsal may always take this long, and longer where it is this share of a long training, up to the limit: the
/// first steps of a process are slower than those that follow, and not by the same factor on each machine.
const REHEARSAL_SECONDS: f64 = 0.09;
const REHEARSAL_SHARE: f64 = 0.01;
const REHEARSAL_LIMIT: f64 = 1.5;
/// Of more steps than this, it is worth it to try two more than two.
const MANY_STEPS: usize = 20;

/// Runs a few real steps and evaluations for their time, then puts the network back to its first values.
fn rehearse(
    recipe: &Recipe,
    split: &Split,
    stages: &[Stage],
    stage: &Stage,
    workshop: &mut Workshop,
    options: &LoaderOptions,
) -> Result<Times> {
    let training_steps: usize = stages.iter().map(|s| s.train.len().div_ceil(recipe.batch()) * s.epochs as usize).sum();
    // The batches come as they will in training: their preparation and the steps compete for the same cores.
    let mut loader = Loader::new(workshop.source.clone(), stage.train.clone(), options.clone())?;
    let mut place = Place { rate: 0.0, update: 1, counter: 0, first: true, last: true, share: 1.0 };
    let mut steps: Vec<f64> = Vec::new();
    let (mut spent, mut allowed) = (0.0, REHEARSAL_SECONDS);
    let fewest = if training_steps > MANY_STEPS { 4 } else { 2 };
    // Of texts, batches are longer and shorter.
    let length_of =
        |rows: &[u32]| rows.iter().map(|&row| workshop.source.length_of(row).unwrap_or(1) as f64).sum::<f64>();
    let mean_length = length_of(&stage.train) / stage.train.len().max(1) as f64;
    while steps.len() < fewest || spent < allowed {
        let now = Instant::now();
        let Some(batch) = loader.next()? else { break };
        // A step that fails fails again in training, where it is explained.
        let failed = workshop.learner.step(&batch, place).is_err();
        let full = batch.len == recipe.batch();
        let usual = mean_length * batch.len as f64 / length_of(&batch.rows).max(1.0);
        drop(batch);
        let seconds = now.elapsed().as_secs_f64();
        spent += seconds;
        let training = (seconds * training_steps as f64).min(recipe.settings.time_of_each().unwrap_or(f64::INFINITY));
        allowed = (training * REHEARSAL_SHARE).clamp(REHEARSAL_SECONDS, REHEARSAL_LIMIT);
        if full || steps.is_empty() {
            steps.push(seconds * usual);
        }
        place.update += 1;
        if failed {
            break;
        }
    }
    drop(loader);
    // The first steps touch memory for the first time, while the loader fills its queue on the same cores.
    steps.drain(..steps.len() / 2);
    let held_out = if split.validation.is_empty() { &stage.train } else { &split.validation };
    let held_out: Vec<u32> = held_out.iter().copied().take(4 * evaluation_batch(recipe)).collect();
    let mut evaluations = Vec::new();
    let mut spent = 0.0;
    while evaluations.len() < 3 && (evaluations.is_empty() || spent < REHEARSAL_SECONDS) {
        let now = Instant::now();
        let (source, rows) = (workshop.source.clone(), held_out.clone());
        measure(workshop.learner.using(), source, rows, &Goal::of(recipe, None), false)?;
        evaluations.push(now.elapsed().as_secs_f64());
        spent += now.elapsed().as_secs_f64();
    }
    let (_, parameter_bytes) = workshop.learner.planned_bytes();
    workshop.learner.reset()?;
    Ok(Times {
        step: typical(&steps, options.workers),
        evaluate: typical(&evaluations, 1) / held_out.len().max(1) as f64,
        checkpoint: FILE_SECONDS + parameter_bytes as f64 * BYTE_SECONDS,
    })
}

/// Rows of a step that is tried instead of one on a full batch, and seconds of the latter from which on it is.
const FEW_ROWS: usize = 8;
const SLOW_STEP: f64 = 0.5;

/// As [`rehearse`], by steps and evaluations on few rows, whose time grows in proportion to them; nothing where a step is so
/// fast that it can be tried as it is.
fn rehearse_roughly(
    recipe: &Recipe,
    split: &Split,
    stage: &Stage,
    workshop: &mut Workshop,
    options: &LoaderOptions,
) -> Result<Option<Times>> {
    let few = FEW_ROWS.min(recipe.batch());
    let more = recipe.batch() as f64 / few as f64;
    let options = LoaderOptions { batch_size: few, workers: 0, ..options.clone() };
    let mut loader = Loader::new(workshop.source.clone(), stage.train.clone(), options)?;
    let mut step = f64::INFINITY;
    // The first step touches memory for the first time.
    for update in 1..=2 {
        let now = Instant::now();
        let Some(batch) = loader.next()? else { break };
        let place = Place { rate: 0.0, update, counter: 0, first: true, last: true, share: 1.0 };
        let failed = workshop.learner.step(&batch, place).is_err();
        step = step.min(now.elapsed().as_secs_f64() * more);
        if failed {
            break;
        }
    }
    drop(loader);
    let mut evaluate = 0.0;
    if step >= SLOW_STEP {
        let held_out = if split.validation.is_empty() { &stage.train } else { &split.validation };
        let rows: Vec<u32> = held_out.iter().copied().take(few).collect();
        let now = Instant::now();
        measure(workshop.learner.using(), workshop.source.clone(), rows.clone(), &Goal::of(recipe, None), false)?;
        evaluate = now.elapsed().as_secs_f64() / rows.len().max(1) as f64;
    }
    workshop.learner.reset()?;
    let (_, parameter_bytes) = workshop.learner.planned_bytes();
    let checkpoint = FILE_SECONDS + parameter_bytes as f64 * BYTE_SECONDS;
    Ok((step >= SLOW_STEP && step.is_finite()).then_some(Times { step, evaluate, checkpoint }))
}

/// The time that most take, of which other load on the machine lengthens some: the median of the means of `length`
/// successive times. Single steps will not do: where preparation takes longest, the batches of several loader threads
/// arrive together, and a step that waits is followed by some that do not.
fn typical(times: &[f64], length: usize) -> f64 {
    let mut means: Vec<f64> = times.windows(length.clamp(1, times.len().max(1))).map(mean).collect();
    means.sort_by(f64::total_cmp);
    means.get(means.len() / 2).copied().unwrap_or(0.0)
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len() as f64
}
