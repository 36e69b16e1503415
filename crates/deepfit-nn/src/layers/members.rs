//! Linear layers of several networks that are trained side by side on the same rows.

use deepfit_graph::Tensor;

use crate::declaration::{Parameter, Role};
use crate::error::{Result, require};
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// A linear layer that several members of an ensemble share, but for what each of them scales its inputs and outputs by,
/// and its bias (Wen, Tran & Ba 2020, "BatchEnsemble"; Gorishniy et al. 2024, "TabM"): member `k` computes
/// `((x * r[k]) · weightᵀ) * s[k] + bias[k]`.
///
/// `[batch, in]`, which all members see, or `[batch, members, in]` becomes `[batch, members, out]`.
#[derive(Debug, Clone)]
pub struct EnsembleLinear {
    path: String,
    weight: Parameter,
    r: Parameter,
    s: Parameter,
    bias: Parameter,
}

impl EnsembleLinear {
    /// `weight [out, in]` and `bias [members, out]` as PyTorch's `Linear`, `s [members, out]` ones; `r [members, in]`
    /// begins as `inputs` says: different members begin to differ by it.
    pub fn new(scope: &Scope, members: usize, width: usize, outputs: usize, inputs: Init) -> Self {
        EnsembleLinear {
            path: scope.place("ensemble_linear"),
            weight: scope.parameter("weight", &[outputs, width], Init::default_weight(), Role::Weight),
            r: scope.parameter("r", &[members, width], inputs, Role::NoDecay),
            s: scope.parameter("s", &[members, outputs], Init::Ones, Role::NoDecay),
            bias: scope.parameter("bias", &[members, outputs], Init::default_bias(width), Role::NoDecay),
        }
    }
}

impl Module for EnsembleLinear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let x = if x.shape().dims().len() == 2 { x.unsqueeze(1)? } else { x.clone() };
            let product = x.mul(&self.r.on(tracer)?)?.matmul_with(&self.weight.on(tracer)?, false, true)?;
            Ok(product.mul(&self.s.on(tracer)?)?.add(&self.bias.on(tracer)?)?)
        })
    }
}

/// A linear layer of its own for each of several vectors of a row: `[batch, parts, in]` becomes `[batch, parts, out]`.
#[derive(Debug, Clone)]
pub struct PartsLinear {
    path: String,
    weight: Parameter,
    bias: Parameter,
}

impl PartsLinear {
    /// `weight [parts, in, out]` and `bias [parts, out]`, drawn as PyTorch's `Linear` draws those of each part.
    pub fn new(scope: &Scope, parts: usize, inputs: usize, outputs: usize) -> Self {
        let bound = 1.0 / (inputs.max(1) as f32).sqrt();
        PartsLinear {
            path: scope.place("parts_linear"),
            weight: scope.parameter("weight", &[parts, inputs, outputs], Init::Uniform { bound }, Role::Weight),
            bias: scope.parameter("bias", &[parts, outputs], Init::Uniform { bound }, Role::NoDecay),
        }
    }
}

impl Module for PartsLinear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            require(x.shape().dims().len() == 3, &self.path, "input", || {
                format!("is {}, but must be [batch, parts, in]", x.shape())
            })?;
            let by_part = x.permute(&[1, 0, 2])?.matmul(&self.weight.on(tracer)?)?;
            Ok(by_part.permute(&[1, 0, 2])?.add(&self.bias.on(tracer)?)?)
        })
    }
}

/// Numbers as points on waves: for each column `x` the values `cos(2 pi frequency x + phase)`, and a linear layer on them
/// beside `x` itself (Gorishniy, Rubachev & Babenko 2022, "On embeddings for numerical features"; with phases and `x`
/// beside by Holzmüller, Grinsztajn & Steinwart 2024, "Better by default", as PBLD).
///
/// `[batch, columns]` becomes `[batch, columns * width]`, the values of each column side by side, `x` last among them.
#[derive(Debug, Clone)]
pub struct PeriodicEmbedding {
    path: String,
    frequency: Parameter,
    phase: Parameter,
    linear: PartsLinear,
    columns: usize,
    width: usize,
}

impl PeriodicEmbedding {
    /// `frequency [columns, waves]`, normal with deviation `sigma`, in periods for each unit; `phase [columns, waves]`,
    /// anywhere in a period; `linear`, a [`PartsLinear`] to `width - 1` values. The width must be at least 2.
    pub fn new(scope: &Scope, columns: usize, waves: usize, width: usize, sigma: f32) -> Self {
        let pi = std::f32::consts::PI;
        let table = |name, init| scope.parameter(name, &[columns, waves], init, Role::NoDecay);
        PeriodicEmbedding {
            path: scope.place("periodic_embedding"),
            frequency: table("frequency", Init::Normal { std: sigma }),
            phase: table("phase", Init::UniformBetween { low: -pi, high: pi }),
            linear: PartsLinear::new(&scope.child("linear"), columns, waves, width.saturating_sub(1)),
            columns,
            width,
        }
    }
}

impl Module for PeriodicEmbedding {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        require(self.width >= 2, &self.path, "width", || format!("is {}, but must be at least 2", self.width))?;
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let x = x.unsqueeze(2)?;
            let turns = x.mul(&self.frequency.on(tracer)?.mul_scalar(std::f32::consts::TAU)?)?;
            let waves = turns.add(&self.phase.on(tracer)?)?.cos()?;
            let embedded = self.linear.forward(&waves)?.concat(&[&x], 2)?;
            let batch = embedded.shape().dims()[0];
            Ok(embedded.reshape(vec![batch, (self.columns * self.width).into()])?)
        })
    }
}
