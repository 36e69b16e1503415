use deepfit_graph::{Dim, Tensor};

use crate::declaration::{Parameter, Role};
use crate::error::Result;
use crate::init::Init;
use crate::losses::{CrossEntropy, Reduction, cross_entropy};
use crate::low_rank::Adapter;
use crate::module::Module;
use crate::scope::Scope;

/// `x · weightᵀ + bias` over the last axis, as PyTorch's `Linear`: `[..., in]` becomes `[..., out]`.
#[derive(Debug, Clone)]
pub struct Linear {
    path: String,
    weight: Parameter,
    bias: Option<Parameter>,
    adapter: Option<Adapter>,
}

impl Linear {
    /// A layer with PyTorch's default initialisation: `weight [out, in]`, `bias [out]`.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize) -> Self {
        let bias = scope.parameter("bias", &[outputs], Init::default_bias(inputs), Role::NoDecay);
        Linear { bias: Some(bias), ..Self::without_bias(scope, inputs, outputs, Init::default_weight()) }
    }

    /// A layer without bias, with the given initialisation of its weight.
    pub fn without_bias(scope: &Scope, inputs: usize, outputs: usize, init: Init) -> Self {
        let weight = scope.parameter("weight", &[outputs, inputs], init, Role::Weight);
        let adapter = Adapter::new(scope, "weight", outputs, inputs);
        Linear { path: scope.place("linear"), weight, bias: None, adapter }
    }
}

impl Linear {
    /// Cross-entropy of each row of its outputs against class numbers i32, which have the shape of `x` without the last axis.
    /// Where there is neither a bias nor an adapter, the outputs are never there all at once: of a whole vocabulary they would
    /// take more memory than all else.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn cross_entropy(&self, x: &Tensor, targets: &Tensor) -> Result<Tensor> {
        if self.bias.is_some() || self.adapter.is_some() {
            let each = CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() };
            return cross_entropy(&self.forward(x)?, targets, &each);
        }
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let rows = targets.shape().elements();
            let width = x.shape().dims().last().copied().unwrap_or(Dim::fixed(1));
            let (inputs, numbers) = (x.reshape(vec![rows, width])?, targets.reshape(vec![rows])?);
            let losses = inputs.linear_cross_entropy(&self.weight.on(tracer)?, &numbers)?;
            Ok(losses.reshape(targets.shape().clone())?)
        })
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let mut product = x.matmul_with(&self.weight.on(tracer)?, false, true)?;
            if let Some(adapter) = &self.adapter {
                product = product.add(&adapter.on(x)?)?;
            }
            match &self.bias {
                Some(bias) => Ok(product.add(&bias.on(tracer)?)?),
                None => Ok(product),
            }
        })
    }
}
