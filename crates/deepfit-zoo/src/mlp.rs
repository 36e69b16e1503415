//! Layers of neurons for tables: numbers and embedded categories in, logits or values out.

use deepfit_graph::{DType, Tensor};
use deepfit_nn::layers::{Activate, Activation, BatchNorm, Dropout, Embedding, Linear};
use deepfit_nn::{Init, Module, Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_dropout, require_lengths};
use crate::network::{InputSlot, Network, wrong_inputs};

/// Name of the input that holds the numbers of each row, f32 `[batch, numeric]`.
pub const NUMERIC: &str = "numeric";
/// Name of the input that holds the categories of each row, i32 `[batch, number of embeddings]`.
pub const CATEGORIES: &str = "categories";

const MODEL: &str = "mlp";

/// Settings of an [`Mlp`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Number of numeric columns.
    pub numeric: usize,
    /// A table for each categorical column.
    #[serde(default)]
    pub embeddings: Vec<EmbeddingConfig>,
    /// Neurons of each hidden layer; none for a linear model.
    pub hidden: Vec<usize>,
    /// Number of outputs.
    pub outputs: usize,
    /// Activation of the hidden layers.
    #[serde(default = "default_activation")]
    pub activation: Activation,
    /// Probability of dropout behind each hidden layer.
    #[serde(default)]
    pub dropout: f32,
    /// Whether each hidden layer is normalised over the batch, behind its activation.
    #[serde(default)]
    pub batch_norm: bool,
    /// Whether the inputs also reach the outputs directly, so that what is linear need not be learned by the hidden
    /// layers (wide and deep; Cheng et al., 2016).
    #[serde(default)]
    pub skip: bool,
}

fn default_activation() -> Activation {
    Activation::Relu
}

/// A learned vector for each category of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Number of categories, with those for missing and unknown.
    pub categories: usize,
    /// Length of each vector.
    pub width: usize,
}

impl EmbeddingConfig {
    /// The usual width: half of the number of categories, at most 50.
    pub fn of(categories: usize) -> Self {
        EmbeddingConfig { categories, width: (categories / 2 + 1).min(50) }
    }
}

impl MlpConfig {
    /// Two hidden layers of rectifiers for rows of numbers.
    pub fn new(numeric: usize, outputs: usize) -> Self {
        MlpConfig {
            numeric,
            embeddings: Vec::new(),
            hidden: vec![64, 64],
            outputs,
            activation: default_activation(),
            dropout: 0.0,
            batch_norm: false,
            skip: false,
        }
    }

    /// Numbers that reach the first layer for each row.
    pub fn width(&self) -> usize {
        self.numeric + self.embeddings.iter().map(|e| e.width).sum::<usize>()
    }

    /// Makes the network and declares its parameters: `embeddings.0`, `linear1`, `norm1`, `output`, `skip`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<Mlp> {
        require(self.width() > 0, MODEL, "numeric", || {
            "is 0 and there is no category: there is nothing to learn from".into()
        })?;
        let tables: Vec<usize> = self.embeddings.iter().flat_map(|e| [e.categories, e.width]).collect();
        require_lengths(&tables, MODEL, "embeddings")?;
        require_lengths(&self.hidden, MODEL, "hidden")?;
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        require_dropout(self.dropout, MODEL)?;
        let tables = scope.child("embeddings");
        let embeddings = self.embeddings.iter().enumerate();
        let embeddings = embeddings.map(|(i, e)| Embedding::new(&tables.child(i), e.categories, e.width)).collect();
        let mut hidden = Sequential::new();
        let mut width = self.width();
        for (i, &neurons) in self.hidden.iter().enumerate() {
            let child = |name: &str| scope.child(format!("{name}{}", i + 1));
            hidden.push(Linear::new(&child("linear"), width, neurons));
            hidden.push(Activate::new(&child("activation"), self.activation));
            if self.batch_norm {
                hidden.push(BatchNorm::new(&child("norm"), neurons));
            }
            hidden.push(Dropout::new(&child("dropout"), self.dropout));
            width = neurons;
        }
        let output = Linear::new(&scope.child("output"), width, self.outputs);
        let skip = (self.skip && !self.hidden.is_empty()).then(|| {
            // The output already has a bias.
            Linear::without_bias(&scope.child("skip"), self.width(), self.outputs, Init::default_weight())
        });
        Ok(Mlp { config: self.clone(), embeddings, hidden, output, skip })
    }
}

/// A multi-layer perceptron. Inputs: [`NUMERIC`] and [`CATEGORIES`], each only if there are such columns.
#[derive(Debug)]
pub struct Mlp {
    config: MlpConfig,
    embeddings: Vec<Embedding>,
    hidden: Sequential,
    output: Linear,
    skip: Option<Linear>,
}

impl Mlp {
    /// Numbers and embedded categories, side by side.
    fn joined(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        if inputs.len() != self.inputs().len() {
            return Err(wrong_inputs(self, inputs.len()));
        }
        inputs[0].tracer().in_layer("inputs", || self.parts(inputs))
    }

    fn parts(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let mut inputs = inputs.iter();
        let mut parts: Vec<Tensor> = Vec::new();
        if self.config.numeric > 0 {
            parts.extend(inputs.next().cloned());
        }
        if let Some(categories) = inputs.next() {
            for (i, embedding) in self.embeddings.iter().enumerate() {
                let column = categories.slice(1, i, 1)?.reshape(vec![categories.shape().dims()[0]])?;
                parts.push(embedding.forward(&column)?);
            }
        }
        match parts.split_first() {
            Some((first, [])) => Ok(first.clone()),
            Some((first, rest)) => Ok(first.concat(&rest.iter().collect::<Vec<_>>(), 1)?),
            None => Err(wrong_inputs(self, 0)),
        }
    }
}

impl Network for Mlp {
    fn inputs(&self) -> Vec<InputSlot> {
        let mut slots = Vec::new();
        if self.config.numeric > 0 {
            slots.push(InputSlot::new(NUMERIC, &[self.config.numeric], DType::F32));
        }
        if !self.embeddings.is_empty() {
            slots.push(InputSlot::new(CATEGORIES, &[self.embeddings.len()], DType::I32));
        }
        slots
    }

    fn outputs(&self) -> usize {
        self.config.outputs
    }

    /// The last hidden layer; with a connection from the inputs to the outputs, the inputs are beside it.
    fn features(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let x = self.joined(inputs)?;
        let hidden = self.hidden.forward(&x)?;
        Ok(if self.skip.is_some() { hidden.concat(&[&x], 1)? } else { hidden })
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        let Some(skip) = &self.skip else { return self.output.forward(features) };
        let straight = self.config.width();
        let hidden = features.shape().fixed(1).unwrap_or(0).saturating_sub(straight);
        let y = self.output.forward(&features.slice(1, 0, hidden)?)?;
        Ok(y.add(&skip.forward(&features.slice(1, hidden, straight)?)?)?)
    }

    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let x = self.joined(inputs)?;
        let y = self.output.forward(&self.hidden.forward(&x)?)?;
        match &self.skip {
            Some(skip) => {
                let straight = skip.forward(&x)?;
                y.tracer().in_layer("skip", || Ok(y.add(&straight)?))
            }
            None => Ok(y),
        }
    }
}
