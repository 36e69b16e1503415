//! What is inside of a run, a model, or data that could be trained on.

mod layers;

use std::path::Path;

use deepfit_graph::Extents;
use deepfit_graph::passes::optimise_with_report;
use deepfit_graph::plan::Plan;
use deepfit_nn::Declaration;
use deepfit_nn::step::StepKind;
use deepfit_zoo::Network;
use serde::Serialize;

use crate::error::Result;
use crate::job;
use crate::learner::{evaluation, training_graph};
use crate::model_folder;
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::settings::Settings;

/// What is wanted of an inspection.
#[derive(Debug, Clone, Default)]
pub struct InspectOptions {
    /// Whether the passes of the optimiser are told.
    pub passes: bool,
    /// Target column, for data.
    pub target: Option<String>,
    /// Rows in a batch, for memory.
    pub batch: Option<usize>,
    /// Model, for data.
    pub model: Option<String>,
}

/// A layer of the network in use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerRow {
    /// Path of the layer; empty for what stands outside of layers.
    pub layer: String,
    /// What it computes.
    pub operation: String,
    /// Shape of its output.
    pub output: String,
    /// Number of its trained values.
    pub parameters: usize,
    /// Floating-point operations for one example.
    pub operations: u64,
    /// Bytes of its output for one example.
    pub bytes: u64,
    /// Bytes of its results that a training step on a whole batch keeps until the backward pass has used them.
    pub kept: u64,
}

/// A pass of the optimiser: work before and after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassRow {
    /// `training step` or `prediction`.
    pub graph: String,
    /// Name of the pass.
    pub pass: String,
    /// Nodes.
    pub nodes: (usize, usize),
    /// Bytes read and written.
    pub bytes: (u64, u64),
    /// Floating-point operations.
    pub operations: (u64, u64),
}

/// What is inside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// What was inspected, and what it is.
    pub title: String,
    /// What was inferred about the data, a line each; empty for a model.
    pub data: Vec<String>,
    /// Layers in the order in which they are computed.
    pub layers: Vec<LayerRow>,
    /// Number of trained values.
    pub parameters: usize,
    /// Floating-point operations of a prediction for one example.
    pub operations: u64,
    /// Rows in a batch that the memory and the passes are told for.
    pub batch: usize,
    /// Bytes of memory by use.
    pub memory: Vec<(String, u64)>,
    /// Passes, if they were asked for.
    pub passes: Vec<PassRow>,
}

/// Looks into a run folder, a model folder, or data.
///
/// # Errors
/// If it is none of them, or damaged.
pub fn inspect(target: &Path, options: &InspectOptions) -> Result<Inspection> {
    let is_model = target.join("config.json").is_file() || target.join("settings.toml").is_file();
    if is_model || !target.exists() {
        let folder = model_folder::find(target)?;
        let model = model_folder::load(&folder)?;
        let (network, declarations) = (&model.network, &model.declarations);
        let task = model.preprocessor.task().clone();
        let run = RunFolder::at(target);
        // A model folder by itself has none.
        let settings =
            if run.settings().is_file() { Settings::of_run(&run.settings())?.0 } else { Settings::default() };
        let class_counts = vec![1; task.classes().len()];
        let recipe = Recipe { settings, task, class_counts };
        let title = format!("{}: a trained {}", target.display(), model.description.name);
        return assemble(title, Vec::new(), &recipe, &**network, declarations, options);
    }
    let mut settings = Settings::new(target);
    settings.target = options.target.clone();
    settings.batch = options.batch;
    if let Some(model) = &options.model {
        settings.set("model", model)?;
    }
    let (data, recipe, model) = job::choose(settings)?;
    let scope = deepfit_nn::Scope::root();
    let network =
        deepfit_zoo::build(&model, &scope).map_err(|e| crate::error::TrainError::setting("model", e.to_string()))?;
    let title = format!("{}: data, and the {} that would learn it", target.display(), recipe.settings.model);
    assemble(title, data, &recipe, &*network, &scope.declarations(), options)
}

fn assemble(
    title: String,
    data: Vec<String>,
    recipe: &Recipe,
    network: &dyn Network,
    declarations: &[Declaration],
    options: &InspectOptions,
) -> Result<Inspection> {
    let batch = options.batch.unwrap_or(recipe.batch());
    let prediction = evaluation(network, recipe.task.is_classification())?;
    let step = training_graph(recipe, network, declarations, &recipe.training(), StepKind::Plain)?;
    let maximum = Extents::batch(batch);
    let (mut passes, mut memory, mut layers) = (Vec::new(), Vec::new(), Vec::new());
    for (name, graph) in [("training step", &step), ("prediction", &prediction)] {
        let (optimised, reports) = optimise_with_report(graph, &maximum);
        let plan = Plan::new(optimised, maximum, |_, _| 0);
        memory.push((
            format!("arena of a {name}, {batch} rows, without working memory of kernels"),
            plan.arena_bytes as u64,
        ));
        if name == "training step" {
            layers = layers::rows(network, &prediction, &plan.graph, declarations, batch)?;
            let bytes: usize = plan.parameters.iter().map(|(_, ty)| ty.bytes(&maximum)).sum();
            memory.push(("parameters, optimiser, averages".to_string(), bytes as u64));
        }
        if options.passes {
            passes.extend(reports.into_iter().map(|r| PassRow {
                graph: name.to_string(),
                pass: r.name.to_string(),
                nodes: (r.before.nodes, r.after.nodes),
                bytes: (r.before.bytes, r.after.bytes),
                operations: (r.before.operations, r.after.operations),
            }));
        }
    }
    Ok(Inspection {
        title,
        data,
        layers,
        parameters: declarations.iter().filter(|d| d.role.is_trained()).map(Declaration::elements).sum(),
        operations: prediction.cost(&Extents::batch(1)).operations,
        batch,
        memory,
        passes,
    })
}
