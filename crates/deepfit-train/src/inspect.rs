//! What is inside of a run, a model, or data that could be trained on.

mod drawing;
mod layers;
mod tree;

use std::path::Path;

use deepfit_graph::passes::optimise_with_report;
use deepfit_graph::plan::Plan;
use deepfit_graph::{Extents, Graph, Tensor, Tracer};
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
use crate::tensors::Owned;
use crate::text_model::{self, is_text_model};

/// What is wanted of an inspection.
#[derive(Debug, Clone, Default)]
pub struct InspectOptions {
    /// Whether the passes of the optimiser are told.
    pub passes: bool,
    /// Rows in a batch, for memory.
    pub batch: Option<usize>,
    /// Settings of a training, for data: keys and values.
    pub settings: Vec<(String, String)>,
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
    /// Bytes of memory by use; empty for a file of weights.
    pub memory: Vec<(String, u64)>,
    /// Passes, if they were asked for.
    pub passes: Vec<PassRow>,
}

/// Memory and operations of texts are told for so many tokens.
const MEDIUM: usize = 128;

/// Looks into a run folder, a model folder, a file of weights, or data.
///
/// # Errors
/// If it is none of them, or damaged.
pub fn inspect(target: &Path, options: &InspectOptions) -> Result<Inspection> {
    let ending = target.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if target.is_file() && ["safetensors", "pth", "pt", "bin"].contains(&ending) {
        return weights(target);
    }
    if is_text_model(target) {
        return text_model::inspect(target, options);
    }
    let is_model = ["config.json", "settings.toml"].iter().any(|name| target.join(name).is_file());
    if is_model || !target.exists() {
        let model = model_folder::open(target)?;
        let (network, declarations) = (&model.network, &model.declarations);
        let task = model.preprocessor.task().clone();
        let run = RunFolder::at(target);
        // A model folder by itself has none.
        let settings =
            if run.settings().is_file() { Settings::of_run(&run.settings())?.0 } else { Settings::default() };
        let class_counts = vec![1; task.classes().len()];
        let recipe = Recipe {
            settings,
            task,
            class_counts,
            rows: 0,
            longest: model.longest().min(MEDIUM),
            transfer: None,
            weights: None,
            loss_weights: None,
            costs: None,
            attempt: None,
            permutation: None,
        };
        let title = format!("{}: a trained {}", target.display(), model.description.name);
        return assemble(title, Vec::new(), &recipe, &**network, declarations, options);
    }
    let mut settings = Settings::new(target);
    for (key, value) in &options.settings {
        settings.set(key, value)?;
    }
    settings.batch = options.batch.or(settings.batch);
    let (data, recipe, model) = job::choose_network(settings)?;
    let scope = deepfit_nn::Scope::root();
    let network =
        deepfit_zoo::build(&model, &scope).map_err(|e| crate::error::TrainError::setting("model", e.to_string()))?;
    let name = crate::finish::model_name(&recipe, &model);
    let title = format!("{}: data, and the {name} that would learn it", target.display());
    assemble(title, data, &recipe, &*network, &scope.declarations(), options)
}

/// What is looked into.
pub(crate) struct Subject<'a> {
    /// Traces the network.
    pub forward: layers::Forward<'a>,
    /// The graph in use.
    pub prediction: Graph,
    /// The graph of a training step, if the network is trained.
    pub step: Option<Graph>,
    /// What the network declared.
    pub declarations: &'a [Declaration],
    /// Rows in a batch, and the longest sequence.
    pub maximum: Extents,
    /// Whether a training may leave parts of the network as they are, which then takes less memory.
    pub whole: bool,
}

impl Subject<'_> {
    /// Layers, memory and, if they are wanted, passes.
    pub(crate) fn inspection(&self, title: String, data: Vec<String>, with_passes: bool) -> Result<Inspection> {
        let Subject { maximum, declarations, .. } = self;
        let batch = maximum.batch;
        let (mut passes, mut memory, mut step) = (Vec::new(), Vec::new(), None);
        let graphs = [("training step", self.step.as_ref()), ("prediction", Some(&self.prediction))];
        for (name, graph) in graphs.into_iter().filter_map(|(name, graph)| Some((name, graph?))) {
            let (optimised, reports) = optimise_with_report(graph, maximum);
            let plan = Plan::new(optimised, *maximum, |_, _| 0);
            let whole = if self.whole && name == "training step" { " of the whole network" } else { "" };
            memory.push((
                format!("arena of a {name}{whole}, {batch} rows, without working memory of kernels"),
                plan.arena_bytes as u64,
            ));
            let parameters = plan.parameters.iter().map(|(_, ty)| ty.bytes(maximum) as u64).sum();
            if name == "training step" {
                memory.push(("parameters, optimiser, averages".to_string(), parameters));
                step = Some(plan.graph);
            } else if self.step.is_none() {
                memory.push(("parameters".to_string(), parameters));
            }
            if with_passes {
                passes.extend(reports.into_iter().map(|r| PassRow {
                    graph: name.to_string(),
                    pass: r.name.to_string(),
                    nodes: (r.before.nodes, r.after.nodes),
                    bytes: (r.before.bytes, r.after.bytes),
                    operations: (r.before.operations, r.after.operations),
                }));
            }
        }
        let layers = layers::rows(self.forward, &self.prediction, step.as_ref(), declarations, maximum)?;
        Ok(Inspection {
            title,
            data,
            layers,
            parameters: declarations.iter().filter(|d| d.role.is_trained()).map(Declaration::elements).sum(),
            operations: self.prediction.cost(&Extents { batch: 1, ..*maximum }).operations,
            batch,
            memory,
            passes,
        })
    }
}

fn assemble(
    title: String,
    data: Vec<String>,
    recipe: &Recipe,
    network: &dyn Network,
    declarations: &[Declaration],
    options: &InspectOptions,
) -> Result<Inspection> {
    let forward = |tracer: &Tracer| {
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        Ok(vec![network.forward(&inputs)?])
    };
    let subject = Subject {
        forward: &forward,
        prediction: evaluation(network, &recipe.task)?,
        step: Some(training_graph(recipe, network, declarations, &recipe.training(), StepKind::Plain)?),
        declarations,
        maximum: Extents { batch: options.batch.unwrap_or(recipe.batch()), sequence: recipe.longest },
        whole: recipe.transfer.is_some(),
    };
    subject.inspection(title, data, options.passes)
}

/// The tensors of a file of weights, whose network nobody knows.
fn weights(path: &Path) -> Result<Inspection> {
    let (tensors, metadata) = crate::weights::read(path)?;
    let row = |(name, tensor): (&String, &Owned)| LayerRow {
        layer: name.clone(),
        operation: String::new(),
        output: format!("{:?}", tensor.shape),
        parameters: tensor.values.len(),
        operations: 0,
        bytes: 0,
        kept: 0,
    };
    let parameters = tensors.values().map(|tensor| tensor.values.len()).sum::<usize>();
    // What deepfit notes for itself is no news.
    let told = metadata.iter().filter(|(key, _)| !key.starts_with("deepfit_"));
    let mut data: Vec<String> = told.map(|(key, value)| format!("{key}: {value}")).collect();
    data.sort();
    Ok(Inspection {
        title: format!("{}: a file of weights; the network that has them is not known", path.display()),
        data,
        layers: tensors.iter().map(row).collect(),
        parameters,
        operations: 0,
        batch: 1,
        memory: Vec::new(),
        passes: Vec::new(),
    })
}
