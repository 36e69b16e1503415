use deepfit_graph::{Dim, Mode, Tensor};

use crate::declaration::{Parameter, Role};
use crate::error::Result;
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// Batch normalisation over the last axis (Ioffe and Szegedy, 2015), as PyTorch's `BatchNorm1d` and `BatchNorm2d`: all
/// other axes are rows.
///
/// In training, the statistics of the batch are used and the running ones updated. In evaluation, the running ones make
/// it `x * scale + shift`, which is computed within the convolution or product before it.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    path: String,
    weight: Parameter,
    bias: Parameter,
    running_mean: Parameter,
    running_var: Parameter,
    momentum: f32,
    epsilon: f32,
}

impl BatchNorm {
    /// A layer for the given number of channels with PyTorch's defaults: momentum 0.1, epsilon 1e-5.
    pub fn new(scope: &Scope, channels: usize) -> Self {
        Self::with(scope, channels, 0.1, 1e-5)
    }

    /// A layer with the given share of the batch's statistics in the running ones, and the number added to the variance.
    pub fn with(scope: &Scope, channels: usize, momentum: f32, epsilon: f32) -> Self {
        let vector = |name, init, role| scope.parameter(name, &[channels], init, role);
        BatchNorm {
            path: scope.place("batch_norm"),
            weight: vector("weight", Init::Ones, Role::NoDecay),
            bias: vector("bias", Init::Zeros, Role::NoDecay),
            running_mean: vector("running_mean", Init::Zeros, Role::Buffer),
            running_var: vector("running_var", Init::Ones, Role::Buffer),
            momentum,
            epsilon,
        }
    }

    fn train(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        let (y, mean, variance) = x.batch_norm(&self.weight.on(tracer)?, &self.bias.on(tracer)?, self.epsilon)?;
        let running_mean = self.running_mean.on(tracer)?;
        let step = mean.sub(&running_mean)?.mul_scalar(self.momentum)?;
        running_mean.assign(&running_mean.add(&step)?)?;
        // The running variance is the unbiased one, n / (n - 1) times that of the batch. One row says nothing about it:
        // then it stays as it is, where the formula would make it NaN.
        let dims = x.shape().dims();
        let rows = dims[..dims.len() - 1].iter().fold(Dim::fixed(1), |n, &d| n * d);
        let rows = x.length_of(rows)?;
        let others = rows.add_scalar(-1.0)?.maximum(&tracer.scalar(1.0))?;
        let share = rows.greater(&tracer.scalar(1.5))?.mul_scalar(self.momentum)?;
        let running_var = self.running_var.on(tracer)?;
        let step = variance.mul(&rows.div(&others)?)?.sub(&running_var)?.mul(&share)?;
        running_var.assign(&running_var.add(&step)?)?;
        Ok(y)
    }

    fn evaluate(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        let deviation = self.running_var.on(tracer)?.add_scalar(self.epsilon)?.sqrt()?;
        let scale = self.weight.on(tracer)?.div(&deviation)?;
        let shift = self.bias.on(tracer)?.sub(&self.running_mean.on(tracer)?.mul(&scale)?)?;
        Ok(x.mul(&scale)?.add(&shift)?)
    }
}

impl Module for BatchNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || match x.tracer().mode() {
            Mode::Train => self.train(x),
            Mode::Evaluate => self.evaluate(x),
        })
    }
}
