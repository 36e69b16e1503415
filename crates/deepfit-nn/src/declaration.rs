//! What a layer says about its parameters.

use deepfit_graph::{Tensor, Tracer};

use crate::error::{Result, require};
use crate::init::Init;
use crate::max_norm::MaxNorm;
use crate::pattern;

/// What a parameter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Trained, and shrunk by weight decay: weights of linear layers and convolutions, embeddings.
    Weight,
    /// Trained without weight decay: biases, and scale and shift of normalisation layers, which must be free to leave
    /// zero whatever the size of the weights.
    NoDecay,
    /// Not trained by gradients: running statistics.
    Buffer,
}

impl Role {
    /// Whether gradients train it.
    pub fn is_trained(self) -> bool {
        self != Role::Buffer
    }

    /// Whether weight decay shrinks it.
    pub fn decays(self) -> bool {
        self == Role::Weight
    }
}

/// Most bytes of one parameter: a terabyte.
pub const MOST_BYTES: u64 = 1_000_000_000_000;
/// Most bytes of a table that a layer computes and puts into the graph.
const MOST_TABLE_BYTES: u64 = 4_000_000_000;

/// Fails, naming the parameter, if it would be larger than [`MOST_BYTES`].
pub(crate) fn check_size(name: &str, shape: &[usize]) -> Result<()> {
    check_bytes(name, shape, MOST_BYTES)
}

/// Fails, naming the layer, if a table of this shape would be too large for a graph to hold.
pub(crate) fn check_table(place: &str, shape: &[usize]) -> Result<()> {
    check_bytes(place, shape, MOST_TABLE_BYTES)
}

fn check_bytes(place: &str, shape: &[usize], most: u64) -> Result<()> {
    let elements = if shape.contains(&0) { 0.0 } else { shape.iter().map(|&length| length as f64).product::<f64>() };
    require(elements * 4.0 <= most as f64, place, "shape", || {
        let (needed, most) = (elements * 4.0 / 1e9, most / 1_000_000_000);
        format!("{shape:?} would need {needed:.0} GB of memory, but at most {most} GB are possible")
    })
}

/// The product of lengths, or the largest number if it is larger.
pub(crate) fn product(lengths: &[usize]) -> usize {
    if lengths.contains(&0) { 0 } else { lengths.iter().fold(1, |n: usize, &length| n.saturating_mul(length)) }
}

/// A parameter as a layer declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// Full name, as in PyTorch's `state_dict`.
    pub name: String,
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// How its first values are drawn.
    pub init: Init,
    /// What it is for.
    pub role: Role,
    /// Other names of it: those that are [tied](crate::Scope::tie) to it.
    pub aliases: Vec<String>,
    /// To which norm rows are scaled down that are looked up, if it is a table with such a limit.
    pub max_norm: Option<MaxNorm>,
}

impl Declaration {
    /// Number of values; the largest number there is if there are more.
    pub fn elements(&self) -> usize {
        product(&self.shape)
    }

    /// The first values: a function of seed and name alone, so that a layer more or less changes no other. Empty if
    /// [`Declaration::validate`] finds the parameter too large.
    pub fn values(&self, seed: u64) -> Vec<f32> {
        self.init.values(seed, &self.name, &self.shape)
    }

    /// Whether the first values can be drawn.
    ///
    /// # Errors
    /// As [`Init::validate`], or if the parameter would be larger than [`MOST_BYTES`].
    pub fn validate(&self) -> Result<()> {
        check_size(&self.name, &self.shape)?;
        self.init.validate(&self.name, &self.shape)
    }

    /// The parameter declared.
    pub fn parameter(&self) -> Parameter {
        Parameter { name: self.name.clone(), shape: self.shape.clone(), role: self.role }
    }

    /// Whether one of its names fits a pattern: a name in which each `*` stands for any letters, dots among them, such as
    /// `backbone.*` or `*.bias`.
    pub fn fits(&self, pattern: &str) -> bool {
        pattern::fits(pattern, &self.name) || self.aliases.iter().any(|alias| pattern::fits(pattern, alias))
    }
}

/// A parameter as a layer holds it: a name, not values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Full name, as in PyTorch's `state_dict`.
    pub name: String,
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

impl Parameter {
    /// The parameter as a value of a graph, the same one at each call.
    ///
    /// # Errors
    /// If the graph has a parameter of this name with another shape, or the parameter would be larger than
    /// [`MOST_BYTES`].
    pub fn on(&self, tracer: &Tracer) -> Result<Tensor> {
        check_size(&self.name, &self.shape)?;
        Ok(tracer.parameter(&self.name, &self.shape[..])?)
    }
}
