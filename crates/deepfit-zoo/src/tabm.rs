//! An ensemble of networks for tables in one network: numbers and embedded categories in, logits or values out.

use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{DType, Dim, Mode, Tensor};
use deepfit_nn::layers::{
    Activate, Activation, Dropout, Embedding, EnsembleLinear, Linear, PartsLinear, PeriodicEmbedding,
};
use deepfit_nn::{Init, Module, Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_dropout, require_lengths};
use crate::mlp::{CATEGORIES, EmbeddingConfig, NUMERIC};
use crate::network::{InputSlot, Network, wrong_inputs};

const MODEL: &str = "tabm";

/// Settings of a [`Tabm`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TabmConfig {
    /// Number of numeric columns.
    pub numeric: usize,
    /// A table for each categorical column.
    #[serde(default)]
    pub embeddings: Vec<EmbeddingConfig>,
    /// How numbers are embedded.
    pub periodic: PeriodicConfig,
    /// Number of members.
    pub members: usize,
    /// Neurons of each hidden layer of a member.
    pub hidden: Vec<usize>,
    /// Number of outputs.
    pub outputs: usize,
    /// Whether outputs are logits of classes, so that members agree on a mean of probabilities, or values with a mean.
    pub classification: bool,
    /// Probability of dropout behind each hidden layer.
    #[serde(default)]
    pub dropout: f32,
}

/// Settings of the embedding of numbers on waves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeriodicConfig {
    /// Waves of each column.
    pub waves: usize,
    /// Numbers that each column becomes, itself among them.
    pub width: usize,
    /// Deviation of the frequencies at first, in periods for each unit of a scaled column.
    pub sigma: f32,
}

impl Default for PeriodicConfig {
    /// The numbers of RealMLP.
    fn default() -> Self {
        PeriodicConfig { waves: 16, width: 4, sigma: 0.1 }
    }
}

impl TabmConfig {
    /// Numbers of each row as they are, and its embedded categories.
    fn plain_width(&self) -> usize {
        self.numeric + self.embeddings.iter().map(|e| e.width).sum::<usize>()
    }

    /// Numbers that reach the first hidden layer for each row.
    pub fn width(&self) -> usize {
        self.numeric * (self.periodic.width - 1) + self.plain_width()
    }

    /// Makes the network and declares its parameters: `embeddings.0`, `numbers`, `linear1`, `output`, `skip`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<Tabm> {
        require(self.plain_width() > 0, MODEL, "numeric", || {
            "is 0 and there is no category: there is nothing to learn from".into()
        })?;
        let tables: Vec<usize> = self.embeddings.iter().flat_map(|e| [e.categories, e.width]).collect();
        require_lengths(&tables, MODEL, "embeddings")?;
        require_lengths(&self.hidden, MODEL, "hidden")?;
        require(!self.hidden.is_empty(), MODEL, "hidden", || "is empty, but members differ by hidden layers".into())?;
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        require_lengths(&[self.members], MODEL, "members")?;
        require_lengths(&[self.periodic.waves], MODEL, "periodic.waves")?;
        require(self.periodic.width >= 2, MODEL, "periodic.width", || {
            format!("is {}, but must be at least 2", self.periodic.width)
        })?;
        require(self.periodic.sigma.is_finite() && self.periodic.sigma > 0.0, MODEL, "periodic.sigma", || {
            format!("is {}, but must be above 0", self.periodic.sigma)
        })?;
        require_dropout(self.dropout, MODEL)?;
        let tables = scope.child("embeddings");
        let embeddings = self.embeddings.iter().enumerate();
        let embeddings = embeddings.map(|(i, e)| Embedding::new(&tables.child(i), e.categories, e.width)).collect();
        let PeriodicConfig { waves, width, sigma } = self.periodic;
        let numbers = (self.numeric > 0)
            .then(|| PeriodicEmbedding::new(&scope.child("numbers"), self.numeric, waves, width, sigma));
        let mut hidden = Sequential::new();
        let mut width = self.width();
        for (i, &neurons) in self.hidden.iter().enumerate() {
            let child = |name: &str| scope.child(format!("{name}{}", i + 1));
            // Members begin to differ by how they see the inputs.
            let inputs = if i == 0 { Init::Normal { std: 1.0 } } else { Init::Ones };
            hidden.push(EnsembleLinear::new(&child("linear"), self.members, width, neurons, inputs));
            hidden.push(Activate::new(&child("activation"), Activation::Relu));
            hidden.push(Dropout::new(&child("dropout"), self.dropout));
            width = neurons;
        }
        let output = PartsLinear::new(&scope.child("output"), self.members, width, self.outputs);
        // The outputs already have a bias.
        let init = Init::default_weight();
        let skip = Linear::without_bias(&scope.child("skip"), self.plain_width(), self.outputs, init);
        Ok(Tabm { config: self.clone(), embeddings, numbers, hidden, output, skip, neurons: width })
    }
}

/// Scaled numbers further from the middle count as this: products with them stay finite, and so do the cosines of their
/// angles.
const FARTHEST: f32 = 1e6;

/// Several multi-layer perceptrons that share most of their weights, learn each by itself, and are used together, after
/// TabM (Gorishniy et al. 2024) with the numeric embedding of RealMLP (Holzmüller, Grinsztajn & Steinwart 2024), and with
/// a linear connection from the inputs to the outputs, which all members share, as a network of few rows needs.
/// Inputs: [`NUMERIC`] and [`CATEGORIES`], each only if there are such columns.
///
/// In training, `forward` gives what each member says, f32 `[batch, members, outputs]`; in use, what they say together.
#[derive(Debug)]
pub struct Tabm {
    config: TabmConfig,
    embeddings: Vec<Embedding>,
    numbers: Option<PeriodicEmbedding>,
    hidden: Sequential,
    output: PartsLinear,
    skip: Linear,
    neurons: usize,
}

impl Tabm {
    /// The inputs as they are and as the first hidden layer sees them, f32 `[batch, ...]`.
    fn prepared(&self, inputs: &[Tensor]) -> deepfit_nn::Result<(Tensor, Tensor)> {
        if inputs.len() != self.inputs().len() {
            return Err(wrong_inputs(self, inputs.len()));
        }
        inputs[0].tracer().in_layer("inputs", || self.parts(inputs))
    }

    fn parts(&self, inputs: &[Tensor]) -> deepfit_nn::Result<(Tensor, Tensor)> {
        let mut inputs = inputs.iter();
        let (mut plain, mut embedded) = (Vec::new(), Vec::new());
        if let Some(numbers) = &self.numbers {
            let Some(x) = inputs.next() else { return Err(wrong_inputs(self, 0)) };
            let x = x.clamp(-FARTHEST, FARTHEST)?;
            embedded.push(numbers.forward(&x)?);
            plain.push(x);
        }
        if !self.embeddings.is_empty() {
            let Some(categories) = inputs.next() else { return Err(wrong_inputs(self, 0)) };
            for (i, embedding) in self.embeddings.iter().enumerate() {
                let column = categories.slice(1, i, 1)?.reshape(vec![categories.shape().dims()[0]])?;
                let vector = embedding.forward(&column)?;
                plain.push(vector.clone());
                embedded.push(vector);
            }
        }
        let joined = |parts: &[Tensor]| match parts.split_first() {
            Some((first, [])) => Ok(first.clone()),
            Some((first, rest)) => Ok(first.concat(&rest.iter().collect::<Vec<_>>(), 1)?),
            None => Err(wrong_inputs(self, 0)),
        };
        Ok((joined(&plain)?, joined(&embedded)?))
    }

    /// What the members say, together if the network is in use.
    fn outputs_of(&self, hidden: &Tensor, plain: &Tensor) -> deepfit_nn::Result<Tensor> {
        let straight = self.skip.forward(plain)?;
        let members = self.output.forward(hidden)?;
        let tracer = members.tracer();
        tracer.in_layer("members", || {
            let members = members.add(&straight.unsqueeze(1)?)?;
            if tracer.mode() == Mode::Train {
                return Ok(members);
            }
            if !self.config.classification {
                return Ok(members.reduce(ReduceKind::Mean, &[1], false)?);
            }
            let mean = members.softmax()?.reduce(ReduceKind::Mean, &[1], false)?;
            Ok(mean.clamp(f32::MIN_POSITIVE, 1.0)?.log()?)
        })
    }
}

impl Network for Tabm {
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

    /// The last hidden layer of all members, and beside it the inputs.
    fn features(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let (plain, embedded) = self.prepared(inputs)?;
        let hidden = self.hidden.forward(&embedded)?;
        let width = self.config.members * self.neurons;
        let hidden = hidden.reshape(vec![hidden.shape().dims()[0], Dim::fixed(width)])?;
        Ok(hidden.concat(&[&plain], 1)?)
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        let width = self.config.members * self.neurons;
        let hidden = features.slice(1, 0, width)?;
        let parts = vec![features.shape().dims()[0], Dim::fixed(self.config.members), Dim::fixed(self.neurons)];
        self.outputs_of(&hidden.reshape(parts)?, &features.slice(1, width, self.config.plain_width())?)
    }

    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let (plain, embedded) = self.prepared(inputs)?;
        self.outputs_of(&self.hidden.forward(&embedded)?, &plain)
    }
}
