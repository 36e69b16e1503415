//! What a run will do and cost, told before its first step.

use std::path::{Path, PathBuf};
use std::time::Instant;

use deepfit_data::{Dataset, Loader, LoaderOptions, Split, Task};
use serde::Serialize;

use crate::error::Result;
use crate::job::{Workshop, loader_options};
use crate::learner::{Place, evaluation_batch};
use crate::measure::measure;
use crate::recipe::Recipe;
use crate::stage::{Purpose, Stage};

/// What a run will do and cost.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// What was inferred about the data, a line each.
    pub data: Vec<String>,
    /// Worth knowing: rows left out, duplicates.
    pub notes: Vec<String>,
    /// `classification` or `regression`.
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
    /// Seconds that all stages take at most.
    pub seconds_total: f64,
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

/// Code and small things that come into use only while training runs.
const OVERHEAD_BYTES: u64 = 2 << 20;

#[allow(clippy::too_many_arguments)]
pub(crate) fn describe(
    data: &Dataset,
    split: &Split,
    recipe: &Recipe,
    stages: &[Stage],
    workshop: &mut Workshop,
    base_bytes: u64,
    run: &Path,
    is_new: bool,
) -> Result<Description> {
    let largest = stages.iter().max_by_key(|s| s.train.len()).expect("a run has a stage");
    let options = loader_options(recipe, &*workshop.source, largest);
    let loader_bytes = Loader::planned_bytes(&*workshop.source, largest.train.len(), &options)
        + Loader::planned_bytes(
            &*workshop.source,
            largest.validation.len(),
            &LoaderOptions::evaluate(evaluation_batch(recipe.batch()), options.workers.min(1)),
        );
    let (arena, parameters) = workshop.learner.planned_bytes();
    let trained = workshop.learner.parameters();
    let weights = trained as u64 * 4;
    let memory = vec![
        ("program and data, as loaded".to_string(), base_bytes),
        ("arena of activations and gradients".to_string(), arena),
        ("parameters, optimiser, averages".to_string(), parameters),
        ("copies of the weights to keep the best".to_string(), weights),
        ("batches in preparation".to_string(), loader_bytes as u64),
        ("overhead".to_string(), OVERHEAD_BYTES),
    ];
    let times = rehearse(recipe, split, largest, workshop, &options)?;
    let per_epoch = |stage: &Stage| times.epoch(stage.train.len(), stage.validation.len(), recipe.batch());
    let mut epochs = recipe.epochs();
    let total = |epochs: u32| stages.iter().map(|s| per_epoch(s) * f64::from(epochs)).sum::<f64>();
    if let (Some(limit), true) = (recipe.settings.time, is_new) {
        // A tenth is left for what surrounds the training.
        let fit = (limit * 0.9 / total(1)).floor().clamp(1.0, f64::from(epochs));
        epochs = fit as u32;
    }
    Ok(Description {
        data: data.describe(),
        notes: split.notes.clone(),
        task: task_name(&recipe.task).to_string(),
        model: describe_model(recipe, workshop),
        parameters: trained,
        planned_memory_bytes: memory.iter().map(|(_, bytes)| bytes).sum(),
        memory,
        seconds_per_epoch: stages.iter().map(per_epoch).sum::<f64>() / stages.len() as f64,
        epochs,
        seconds_total: total(epochs),
        strategy: describe_strategy(stages),
        rows: (split.train.len(), split.validation.len(), split.test.len()),
        run: run.to_path_buf(),
        settings_toml: String::new(),
        resumed_at_step: None,
    })
}

/// `classification` or `regression`.
pub fn task_name(task: &Task) -> &'static str {
    match task {
        Task::Classification { .. } => "classification",
        Task::Regression => "regression",
    }
}

fn describe_strategy(stages: &[Stage]) -> String {
    let folds = stages.iter().filter(|s| matches!(s.purpose, Purpose::Fold(_))).count();
    let refit = stages.last().is_some_and(|s| s.purpose == Purpose::Refit);
    match (folds, refit) {
        (0, true) => "the best number of epochs on validation, then a refit on training and validation rows",
        (0, false) => "the weights of the best epoch on validation",
        (n, _) => {
            return format!(
                "the best number of epochs by {n}-fold cross-validation, then a refit on all rows but the test's"
            );
        }
    }
    .to_string()
}

fn describe_model(recipe: &Recipe, workshop: &Workshop) -> String {
    use deepfit_zoo::ModelConfig;
    let list = |widths: &[usize]| widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
    let name = &recipe.settings.model;
    match &workshop.model {
        ModelConfig::Mlp(c) => {
            let inputs = c.numeric + c.embeddings.iter().map(|e| e.width).sum::<usize>();
            format!("{name}: {inputs} inputs, hidden {}, {} outputs", list(&c.hidden), c.outputs)
        }
        ModelConfig::Cnn(c) => {
            let stages: Vec<String> = c.stages.iter().map(|s| list(s)).collect();
            let size = format!("{}x{}x{}", c.image.height, c.image.width, c.image.channels);
            format!("{name}: images {size}, convolutions {}, {} outputs", stages.join(" | "), c.outputs)
        }
        ModelConfig::Resnet(c) => {
            let size = format!("{}x{}x{}", c.image.height, c.image.width, c.image.channels);
            format!("{name}: images {size}, {} outputs", c.outputs)
        }
    }
}

/// Seconds of the parts of an epoch.
struct Times {
    step: f64,
    evaluate: f64,
    evaluation_batch: usize,
    checkpoint: f64,
}

impl Times {
    fn epoch(&self, train: usize, validation: usize, batch: usize) -> f64 {
        let steps = train.div_ceil(batch.max(1)) as f64;
        let evaluations = validation.div_ceil(self.evaluation_batch) as f64;
        steps * self.step + evaluations * self.evaluate + self.checkpoint
    }
}

/// Creating, writing and renaming a small file, and writing a byte of a large one, on an ordinary local disk. The disk is
/// not tried: nothing is written before the run starts.
const FILE_SECONDS: f64 = 3e-4;
const BYTE_SECONDS: f64 = 1e-9;

/// Runs a few real steps and evaluations for their time, then puts the network back to its first values.
fn rehearse(
    recipe: &Recipe,
    split: &Split,
    stage: &Stage,
    workshop: &mut Workshop,
    options: &LoaderOptions,
) -> Result<Times> {
    const STEPS: usize = 32;
    const ENOUGH_SECONDS: f64 = 0.09;
    // The batches come as they will in training: their preparation and the steps compete for the same cores.
    let mut loader = Loader::new(workshop.source.clone(), stage.train.clone(), options.clone())?;
    let mut place = Place { rate: 0.0, update: 1, counter: 0, first: true, last: true, share: 1.0 };
    let started = Instant::now();
    let mut steps = Vec::new();
    while steps.len() < STEPS && (steps.len() < 2 || started.elapsed().as_secs_f64() < ENOUGH_SECONDS) {
        let now = Instant::now();
        let Some(batch) = loader.next()? else { break };
        // A step that fails fails again in training, where it is explained.
        let failed = workshop.learner.step(&batch, place).is_err();
        drop(batch);
        steps.push(now.elapsed().as_secs_f64());
        place.update += 1;
        if failed {
            break;
        }
    }
    drop(loader);
    // The first steps touch memory for the first time, while the loader fills its queue on the same cores.
    steps.drain(..steps.len() / 2);
    let evaluation_batch = evaluation_batch(recipe.batch());
    let held_out = if split.validation.is_empty() { &stage.train } else { &split.validation };
    let held_out: Vec<u32> = held_out.iter().copied().take(evaluation_batch).collect();
    let evaluated = held_out.len().max(1);
    let mut evaluations = Vec::new();
    for _ in 0..3 {
        let now = Instant::now();
        let (source, rows) = (workshop.source.clone(), held_out.clone());
        let options = LoaderOptions::evaluate(evaluation_batch, 0);
        measure(workshop.learner.using(), source, rows, options, &recipe.task, None, false)?;
        evaluations.push(now.elapsed().as_secs_f64());
    }
    let (_, parameter_bytes) = workshop.learner.planned_bytes();
    workshop.learner.reset()?;
    Ok(Times {
        step: median(&mut steps),
        evaluate: median(&mut evaluations) * evaluation_batch as f64 / evaluated as f64,
        evaluation_batch,
        checkpoint: FILE_SECONDS + parameter_bytes as f64 * BYTE_SECONDS,
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
