//! What a network makes of inputs before it decides: embeddings, or the logits after its last layer.

use std::io::Read;
use std::path::{Path, PathBuf};

use deepfit_cpu::{Engine, ProgramId};
use deepfit_data::{Loader, LoaderOptions, Opened, Preprocessor, Task};
use deepfit_graph::{Extents, Graph, Tensor};
use deepfit_nn::step;
use deepfit_zoo::Network;
use serde::Serialize;

use crate::error::{Result, TrainError};
use crate::in_order::InOrder;
use crate::learner::{extents, views};
use crate::model_folder;

/// Output of the graph.
const EMBEDDING: &str = "embedding";

/// Which layer's result is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The input of the last layer.
    Embedding,
    /// Its result: logits of classes, or a value (standardised as the network learned it).
    Logits,
    /// Of texts: the hidden state of each token.
    Hidden,
}

/// A network in use for what it makes of inputs.
pub struct Embedder {
    engine: Engine,
    program: ProgramId,
    inputs: Vec<String>,
    width: usize,
    batch: usize,
    preprocessor: Preprocessor,
    layer: Layer,
    threads: usize,
    notes: Vec<String>,
}

/// The numbers of one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Embedding {
    /// The input: its path, or the number of its row from 0.
    pub input: String,
    /// What it is, if it is a text.
    #[serde(skip)]
    pub text: Option<String>,
    /// The result of the layer before the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    /// The result of the last layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logits: Option<Vec<f32>>,
    /// Of a text the hidden state of each token, those among them that stand at every text's beginning and end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<Vec<f32>>>,
}

impl Embedding {
    /// One of nothing so far.
    pub(crate) fn of(input: String) -> Embedding {
        Embedding { input, text: None, embedding: None, logits: None, hidden: None }
    }
}

/// The graph of a network up to a layer.
pub(crate) fn graph(network: &dyn Network, layer: Layer) -> Result<Graph> {
    Ok(step::evaluation_graph(|tracer| {
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        let wanted = match layer {
            Layer::Logits => network.forward(&inputs)?,
            Layer::Embedding | Layer::Hidden => network.features(&inputs)?,
        };
        Ok(vec![(EMBEDDING.to_string(), wanted)])
    })?)
}

impl Embedder {
    /// Opens a run folder, a model folder, or a published model's folder or file.
    ///
    /// # Errors
    /// If it holds no model or a damaged one, or logits are wanted of one without a last layer.
    pub fn open(path: &Path, layer: Layer, threads: usize) -> Result<Embedder> {
        let model = model_folder::open(path)?;
        if layer == Layer::Hidden {
            return Err(TrainError::run(path, "has no hidden states of tokens: it is not for texts"));
        }
        if let Task::Labels { .. } = model.preprocessor.task() {
            let problem = "labels the words of texts, and has no embedding of a text; train one that embeds texts by \
                           task=similarity, or use a published one";
            return Err(TrainError::run(path, problem));
        }
        if layer == Layer::Logits && !model.has_head {
            let problem = "has no last layer, so no logits; it gives embeddings";
            return Err(TrainError::run(path, problem));
        }
        let (mut engine, batch) = (model.engine(threads)?, model.batch());
        let largest = Extents { batch, sequence: model.longest() };
        let program = engine.compile(&graph(&*model.network, layer)?, largest)?;
        let width = engine.output_shape(program, EMBEDDING).and_then(|shape| shape.last().copied()).unwrap_or(0);
        let inputs = model.network.inputs().into_iter().map(|slot| slot.name).collect();
        let (preprocessor, notes) = (model.preprocessor, model.notes);
        Ok(Embedder { engine, program, inputs, width, batch, preprocessor, layer, threads, notes })
    }

    /// Numbers of each embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What is worth knowing so far, one sentence each. Each is given once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Embeds files and folders, in order, and gives each embedding to `each`. Returns the inputs that failed, by their
    /// paths, with the reason.
    ///
    /// # Errors
    /// As [`Predictor::predict_paths`](crate::Predictor::predict_paths).
    pub fn embed_paths(
        &mut self,
        inputs: &[PathBuf],
        each: &mut dyn FnMut(Embedding) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let opened = self.preprocessor.open_inputs(inputs, self.threads)?;
        self.embed(opened, each)
    }

    /// Embeds the rows of a table that is read from somewhere.
    ///
    /// # Errors
    /// If it is not a table that the model was trained for, or `each` fails.
    pub fn embed_reader(
        &mut self,
        reader: impl Read,
        name: &str,
        each: &mut dyn FnMut(Embedding) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let opened = self.preprocessor.read_inputs(reader, name)?;
        self.embed(opened, each)
    }

    fn embed(
        &mut self,
        opened: Opened,
        each: &mut dyn FnMut(Embedding) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let mut failed = opened.failed;
        self.notes.extend(opened.notes);
        if opened.rows.is_empty() {
            return Ok(failed);
        }
        let mut given = InOrder::new(&*opened.source, &opened.rows);
        let mut loader = Loader::new(opened.source, opened.rows, LoaderOptions::evaluate(self.batch, 1))?;
        while let Some(batch) = loader.next()? {
            let extents = extents(&batch);
            let views = views(&self.inputs, &batch);
            self.engine.run(self.program, extents, &views)?;
            let values = self.engine.output(self.program, EMBEDDING)?;
            if !values.iter().all(|value| value.is_finite()) {
                let culprit = self.engine.find_non_finite(self.program, extents, &views);
                let what = culprit.map_or_else(|| "an embedding".to_string(), |culprit| culprit.to_string());
                return Err(TrainError::Predictions { what });
            }
            for (row, values) in batch.rows.iter().zip(values.chunks_exact(self.width)) {
                let (one, values) = (Embedding::of(opened.names[*row as usize].clone()), Some(values.to_vec()));
                let one = match self.layer {
                    Layer::Logits => Embedding { logits: values, ..one },
                    Layer::Embedding | Layer::Hidden => Embedding { embedding: values, ..one },
                };
                given.give(*row, one, each)?;
            }
        }
        given.finish(each)?;
        // The loader's own list: batches of which no row could be read never arrive here.
        failed.extend(loader.failures().map(|f| (f.name.clone(), f.reason.clone())));
        Ok(failed)
    }
}
