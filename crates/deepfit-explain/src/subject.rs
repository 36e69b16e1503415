//! What is explained: a network in use, with its predictions, and the gradients of one of its outputs.

use std::collections::BTreeMap;
use std::path::Path;

use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_data::{Preprocessor, Task};
use deepfit_graph::{DType, Extents, Graph, Tensor, Tracer};
use deepfit_nn::step::evaluation_graph;
use deepfit_train::{Decision, Model, Owned, PredictionValue, TrainError, available_bytes};
use deepfit_zoo::{ImageConfig, InputSlot, ModelConfig, Network};

use crate::classical::Classical;
use crate::error::{ExplainError, Result};
use crate::rows::Rows;

/// Most rows that are run at once.
const MOST_ROWS: usize = 64;
/// Most bytes that one program may need, if that many are there.
const MOST_BYTES: u64 = 1 << 30;

/// Output of graphs: the result of the last layer.
pub(crate) const LOGITS: &str = "explain:logits";
/// Input of graphs with gradients: what is explained of each row, f32 `[batch, outputs]`: what each output counts.
pub(crate) const OF: &str = "explain:of";

/// What a number of the network is that is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The result of the last layer for a class, before it becomes a probability. Of one of several classes that of an opened
    /// model is taken less the mean of all classes', on which no probability depends: what speaks for a class may be learned as
    /// what speaks against the others.
    Logit,
    /// The probability of a class.
    Probability,
    /// The value of a regression, in the unit of the data.
    Value,
    /// How near two texts are: the cosine of their embeddings.
    Similarity,
}

impl Unit {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Logit => "logit",
            Unit::Probability => "probability",
            Unit::Value => "value",
            Unit::Similarity => "similarity",
        }
    }
}

/// A compiled graph, for sequences and batches of at most a size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compiled {
    pub(crate) program: ProgramId,
    pub(crate) batch: usize,
}

/// Programs by what they compute and by the longest sequence that they are for.
type Programs = BTreeMap<(String, usize), Compiled>;

/// A network in use, with the weights of a model.
pub struct Subject {
    network: Box<dyn Network>,
    image: Option<ImageConfig>,
    preprocessor: Preprocessor,
    task: Task,
    engine: Engine,
    names: Vec<String>,
    programs: Programs,
    /// Whether a class's logit is taken less the mean of all classes'.
    centred: bool,
    /// What is made of its outputs.
    decision: Decision,
    /// What predicts in the network's place, if that is a classical model.
    classical: Option<Classical>,
}

impl Subject {
    /// Opens a run folder, a model folder, or a published model.
    ///
    /// # Errors
    /// If it holds no model, a damaged one, or one that decides nothing.
    pub fn open(path: &Path, threads: usize) -> Result<(Subject, Vec<String>)> {
        Subject::of_model(path, deepfit_train::open_model(path)?, threads)
    }

    /// A model that was opened from a path.
    ///
    /// # Errors
    /// If it decides nothing.
    pub(crate) fn of_model(path: &Path, model: Model, threads: usize) -> Result<(Subject, Vec<String>)> {
        if !model.has_head {
            let problem = "has no classes: its weights end before a last layer, so that there is no decision to explain; \
                           train one with `deepfit train DATA --from`";
            return Err(TrainError::Run { path: path.to_path_buf(), problem: problem.to_string() }.into());
        }
        let engine = model.engine(threads)?;
        let Model { description, preprocessor, network, notes, .. } = model;
        let centred = preprocessor.task().is_classification();
        let decision = description.decision;
        let image = description.model.image().cloned();
        Ok((Subject { centred, decision, image, ..Subject::of(network, preprocessor, engine) }, notes))
    }

    /// A network with the given weights, by name.
    ///
    /// # Errors
    /// If it cannot be built, or a weight does not fit.
    pub fn with_weights(
        config: &ModelConfig,
        preprocessor: Preprocessor,
        weights: &BTreeMap<String, Owned>,
        threads: usize,
    ) -> Result<Subject> {
        let network = deepfit_zoo::build(config, &deepfit_nn::Scope::root())?;
        let mut engine = Engine::new(threads)?.for_inference(true);
        for (name, tensor) in weights {
            engine.set_parameter(name, &tensor.shape, &tensor.values)?;
        }
        Ok(Subject { image: config.image().cloned(), ..Subject::of(network, preprocessor, engine) })
    }

    /// A network that tells something else of a text than a decision for all of it.
    pub(crate) fn of_sequences(
        network: Box<dyn Network>,
        task: Task,
        preprocessor: Preprocessor,
        engine: Engine,
    ) -> Subject {
        Subject { centred: task.is_classification(), task, ..Subject::of(network, preprocessor, engine) }
    }

    fn of(network: Box<dyn Network>, preprocessor: Preprocessor, engine: Engine) -> Subject {
        let names = network.inputs().into_iter().map(|slot| slot.name).collect();
        Subject {
            network,
            image: None,
            task: preprocessor.task().clone(),
            preprocessor,
            engine,
            names,
            programs: Programs::new(),
            centred: false,
            decision: Decision::default(),
            classical: None,
        }
    }

    /// A classical model in the place of a network, which tells its inputs and outputs.
    pub(crate) fn of_classical(
        network: Box<dyn Network>,
        preprocessor: Preprocessor,
        engine: Engine,
        image: Option<ImageConfig>,
        classical: Classical,
    ) -> Subject {
        Subject { image, classical: Some(classical), ..Subject::of(network, preprocessor, engine) }
    }

    /// The classical model that predicts, if it is one.
    pub(crate) fn classical(&self) -> Option<&Classical> {
        self.classical.as_ref()
    }

    /// How inputs become what the network takes.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// What is told of each row.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The images that it takes, if it takes images.
    pub fn image(&self) -> Option<&ImageConfig> {
        self.image.as_ref()
    }

    pub(crate) fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    pub(crate) fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// Names of the network's inputs.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Inputs of a graph. Pixels are numbers, so that there are gradients with respect to them.
    pub(crate) fn inputs(&self, tracer: &Tracer) -> Vec<Tensor> {
        let number = |slot: InputSlot| match slot.dtype {
            DType::U8 => InputSlot { dtype: DType::F32, ..slot },
            _ => slot,
        };
        self.network.inputs().into_iter().map(|slot| number(slot).on(tracer)).collect()
    }

    /// The value that is explained, summed over the rows: gradients of each row's are those of the sum.
    pub(crate) fn explained(&self, tracer: &Tracer, logits: &Tensor) -> deepfit_nn::Result<Tensor> {
        let of = tracer.input(OF, logits.shape().clone(), DType::F32);
        Ok(logits.mul(&of)?.sum()?)
    }

    /// The program of a graph, which is made when it is needed first, for as many rows as there is memory for.
    pub(crate) fn program(
        &mut self,
        name: &str,
        rows: &Rows,
        graph: impl FnOnce(&Subject) -> Result<Graph>,
    ) -> Result<Compiled> {
        // Texts of similar lengths share a program.
        let longest = self.network.positions().unwrap_or(usize::MAX).max(rows.sequence);
        let sequence = rows.sequence.next_power_of_two().min(longest);
        let key = (name.to_string(), sequence);
        if let Some(found) = self.programs.get(&key) {
            return Ok(*found);
        }
        let graph = graph(self)?;
        let available = available_bytes();
        let limit = available.map_or(MOST_BYTES, |bytes| (bytes / 2).min(MOST_BYTES)) as usize;
        let mut batch = if rows.len == 1 { 1 } else { MOST_ROWS };
        let planned = |batch| self.engine.planned_bytes(&graph, Extents { batch, sequence });
        let mut needed = planned(batch)?;
        while needed > limit && batch > 1 {
            batch = ((batch as f64 * limit as f64 / needed as f64) as usize).clamp(1, batch - 1);
            needed = planned(batch)?;
        }
        if available.is_some_and(|available| needed as u64 > available) {
            let available_mb = available.unwrap_or(0) >> 20;
            let purpose = "the explanation of one input";
            return Err(TrainError::Memory { purpose, needed_mb: needed as u64 >> 20, available_mb }.into());
        }
        let program = self.engine.compile(&graph, Extents { batch, sequence })?;
        let compiled = Compiled { program, batch };
        self.programs.insert(key, compiled);
        Ok(compiled)
    }

    /// Runs a program on rows, which are no more than its batch.
    pub(crate) fn run(&mut self, compiled: Compiled, rows: &Rows, more: &[(&str, View<'_>)]) -> Result<()> {
        let extents = Extents { batch: rows.len, sequence: rows.sequence };
        let mut views = rows.views(&self.names);
        views.extend_from_slice(more);
        self.engine.run(compiled.program, extents, &views)?;
        if self.engine.output(compiled.program, LOGITS)?.iter().any(|value| !value.is_finite()) {
            let culprit = self.engine.find_non_finite(compiled.program, extents, &views);
            let what = culprit.map_or_else(|| "a prediction".to_string(), |culprit| culprit.to_string());
            return Err(TrainError::Predictions { what }.into());
        }
        Ok(())
    }

    /// An output of the program that ran last.
    pub(crate) fn output(&self, compiled: Compiled, name: &str) -> Result<&[f32]> {
        Ok(self.engine.output(compiled.program, name)?)
    }

    /// The shape of an output of the program that ran last.
    pub(crate) fn output_shape(&self, compiled: Compiled, name: &str) -> Vec<usize> {
        self.engine.output_shape(compiled.program, name).unwrap_or_default()
    }

    /// Results of the last layer of each row, `[rows, outputs]`.
    ///
    /// # Errors
    /// If a number is not finite, or there is no memory.
    pub fn logits(&mut self, rows: &Rows) -> Result<Vec<Vec<f32>>> {
        let outputs = self.network.outputs().max(1);
        if let Some(classical) = &mut self.classical {
            return classical.logits(rows, outputs);
        }
        let name = if rows.len == 1 { "one" } else { "several" };
        let compiled = self.program(name, rows, |subject| {
            Ok(evaluation_graph(|tracer| {
                let logits = subject.network.forward(&subject.inputs(tracer))?;
                Ok(vec![(LOGITS.to_string(), logits)])
            })?)
        })?;
        let mut all = Vec::with_capacity(rows.len);
        for begin in (0..rows.len).step_by(compiled.batch) {
            self.run(compiled, &rows.slice(begin, rows.len.min(begin + compiled.batch)), &[])?;
            all.extend(self.output(compiled, LOGITS)?.chunks_exact(outputs).map(<[f32]>::to_vec));
        }
        Ok(all)
    }

    /// The numbers of one output for each row.
    ///
    /// # Errors
    /// As [`Subject::logits`].
    pub fn scores(&mut self, rows: &Rows, output: usize, unit: Unit) -> Result<Vec<f64>> {
        let logits = self.logits(rows)?;
        Ok(logits.iter().map(|logits| self.score(logits, output, unit)).collect())
    }

    /// The number of one output.
    pub fn score(&self, logits: &[f32], output: usize, unit: Unit) -> f64 {
        match unit {
            Unit::Logit => {
                let mask = self.mask(1, output);
                mask.iter().zip(logits).map(|(m, logit)| f64::from(*m) * f64::from(*logit)).sum()
            }
            Unit::Probability => self.probabilities(logits)[output],
            Unit::Similarity => f64::from(logits[output]),
            Unit::Value => {
                let value = f64::from(logits[output]);
                self.preprocessor.target_scale().map_or(value, |scale| scale.inverse(value))
            }
        }
    }

    /// What is explained by methods that need no gradients.
    pub fn unit(&self) -> Unit {
        self.value_unit().unwrap_or(Unit::Probability)
    }

    /// What is explained by gradients, whose size says nothing where a probability is almost 1. A classical model has
    /// probabilities alone.
    pub fn gradient_unit(&self) -> Unit {
        let of_classes = if self.classical.is_some() { Unit::Probability } else { Unit::Logit };
        self.value_unit().unwrap_or(of_classes)
    }

    /// The unit of what has no classes.
    fn value_unit(&self) -> Option<Unit> {
        match self.task() {
            Task::Similarity { .. } => Some(Unit::Similarity),
            task => task.classes().is_empty().then_some(Unit::Value),
        }
    }

    /// By what a gradient is multiplied to be in the unit of [`Subject::gradient_unit`].
    pub(crate) fn gradient_scale(&self) -> f64 {
        self.preprocessor.target_scale().map_or(1.0, |scale| scale.deviation)
    }

    /// Probabilities of all classes or labels, calibrated as those of predictions are.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let raw = self.raw_probabilities(logits);
        if self.decision.is_empty() {
            return raw;
        }
        let raw: Vec<f32> = raw.into_iter().map(|p| p as f32).collect();
        self.decision.judge(&raw, self.task()).probabilities.into_iter().map(f64::from).collect()
    }

    fn raw_probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let logits = logits.iter().map(|&logit| f64::from(logit));
        if let Task::MultiLabel { .. } = self.task() {
            return logits.map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        }
        let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logits.map(|logit| (logit - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }

    /// What is predicted, and the output that stands for it.
    pub fn prediction(&self, logits: &[f32]) -> (PredictionValue, usize) {
        let classes = self.task().classes();
        if classes.is_empty() {
            return (PredictionValue::Value(self.score(logits, 0, Unit::Value)), 0);
        }
        if self.task().is_classification() && !self.decision.is_empty() {
            let raw: Vec<f32> = self.raw_probabilities(logits).into_iter().map(|p| p as f32).collect();
            let class = self.decision.judge(&raw, self.task()).class;
            return (PredictionValue::Class(classes[class].clone()), class);
        }
        let best = (0..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
        if let Task::MultiLabel { .. } = self.task() {
            let thresholds = self.decision.thresholds(classes.len());
            let likely = self.probabilities(logits).into_iter().zip(thresholds);
            let labels = classes.iter().zip(likely).filter(|(_, (p, threshold))| *p as f32 >= *threshold);
            return (PredictionValue::Labels(labels.map(|(label, _)| label.clone()).collect()), best);
        }
        (PredictionValue::Class(classes[best].clone()), best)
    }

    /// The output of a class by its name.
    ///
    /// # Errors
    /// If there is no such class, saying which there are.
    pub fn class(&self, name: &str) -> Result<usize> {
        const NAMED: usize = 12;
        let classes = self.task().classes();
        if let Task::Similarity { .. } = self.task() {
            let problem =
                format!("the model tells how near two texts are, so there is no class '{name}'; leave --class away");
            return Err(ExplainError::asked(problem));
        }
        if classes.is_empty() {
            let problem = format!("the model predicts a number, so there is no class '{name}'; leave --class away");
            return Err(ExplainError::asked(problem));
        }
        if let Some(found) = classes.iter().position(|class| class == name) {
            return Ok(found);
        }
        let hint = deepfit_data::nearest(name, classes.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
        let mut known = classes.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if classes.len() > NAMED {
            known += &format!(" and {} more", classes.len() - NAMED);
        }
        Err(ExplainError::asked(format!("the model knows no class '{name}'; its classes are {known}{hint}")))
    }

    /// What the explained number is of the outputs of so many rows: 1 for one of them, less the share of all if it is centred.
    pub(crate) fn mask(&self, rows: usize, output: usize) -> Vec<f32> {
        let outputs = self.network.outputs().max(1);
        let less = if self.centred { 1.0 / outputs as f32 } else { 0.0 };
        (0..rows * outputs).map(|i| f32::from(u8::from(i % outputs == output)) - less).collect()
    }
}
