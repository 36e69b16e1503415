use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{Dim, Mode, Tensor};

use super::affine::{Affine, check_epsilon, check_momentum};
use crate::declaration::{Parameter, Role};
use crate::error::{Result, require};
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// Group normalisation (Wu and He, 2018) of `[batch, ..., channels]`, as PyTorch's `GroupNorm` with channels last. The
/// result has the same shape.
#[derive(Debug, Clone)]
pub struct GroupNorm {
    path: String,
    groups: usize,
    affine: Affine,
    epsilon: f32,
}

impl GroupNorm {
    /// A layer with PyTorch's defaults: epsilon 1e-5, with scale and shift, `weight` and `bias` `[channels]`.
    pub fn new(scope: &Scope, groups: usize, channels: usize) -> Self {
        Self::with(scope, groups, channels, 1e-5, true)
    }

    /// A layer with the given number, not negative, added to the variance, and with or without scale and shift.
    pub fn with(scope: &Scope, groups: usize, channels: usize, epsilon: f32, affine: bool) -> Self {
        let affine = Affine::new(scope, "group_norm", channels, affine);
        GroupNorm { path: scope.place("group_norm"), groups, affine, epsilon }
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            check_epsilon(&self.path, self.epsilon)?;
            let (scale, shift) = self.affine.on(x)?;
            Ok(x.group_norm(self.groups, &scale, &shift, self.epsilon)?.0)
        })
    }
}

/// Settings of an [`InstanceNorm`]; the default is PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceNormConfig {
    /// Added to the variance, not negative; 1e-5 by default.
    pub epsilon: f32,
    /// Share of the batch's statistics in the running ones, 0 to 1; 0.1 by default.
    pub momentum: f32,
    /// Whether scale and shift are learned; by default they are not.
    pub affine: bool,
    /// Whether running statistics are kept, and used in evaluation; by default they are not.
    pub track_running_stats: bool,
}

impl Default for InstanceNormConfig {
    fn default() -> Self {
        InstanceNormConfig { epsilon: 1e-5, momentum: 0.1, affine: false, track_running_stats: false }
    }
}

/// Instance normalisation (Ulyanov, Vedaldi and Lempitsky, 2016): each channel of each example over its pixels, as
/// PyTorch's `InstanceNorm1d` and `InstanceNorm2d` with channels last: `[batch, ..., channels]` with at least one axis
/// between keeps its shape.
#[derive(Debug, Clone)]
pub struct InstanceNorm {
    path: String,
    affine: Affine,
    running: Option<(Parameter, Parameter)>,
    momentum: f32,
    epsilon: f32,
}

impl InstanceNorm {
    /// A layer for the given number of channels. As far as the settings say, it declares `weight`, `bias`, `running_mean`
    /// and `running_var`, all `[channels]`.
    pub fn new(scope: &Scope, channels: usize, config: InstanceNormConfig) -> Self {
        let buffer = |name, init| scope.parameter(name, &[channels], init, Role::Buffer);
        let affine = Affine::new(scope, "instance_norm", channels, config.affine);
        let running = config
            .track_running_stats
            .then(|| (buffer("running_mean", Init::Zeros), buffer("running_var", Init::Ones)));
        let (momentum, epsilon) = (config.momentum, config.epsilon);
        InstanceNorm { path: scope.place("instance_norm"), affine, running, momentum, epsilon }
    }

    /// Moves the running statistics towards the means over the batch of mean and unbiased variance.
    fn update(&self, x: &Tensor, mean: &Tensor, variance: &Tensor) -> Result<()> {
        let Some((running_mean, running_var)) = &self.running else { return Ok(()) };
        let dims = x.shape().dims();
        let pixels = dims[1..dims.len() - 1].iter().fold(Dim::fixed(1), |n, &d| n * d);
        let pixels = x.length_of(pixels)?;
        let others = pixels.add_scalar(-1.0)?.maximum(&x.tracer().scalar(1.0))?;
        let unbiased = variance.mul(&pixels.div(&others)?)?;
        for (running, batch) in [(running_mean, mean), (running_var, &unbiased)] {
            let running = running.on(x.tracer())?;
            let batch = batch.reduce(ReduceKind::Mean, &[0], false)?;
            let step = batch.sub(&running)?.mul_scalar(self.momentum)?;
            running.assign(&running.add(&step)?)?;
        }
        Ok(())
    }
}

impl Module for InstanceNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            check_epsilon(&self.path, self.epsilon)?;
            check_momentum(&self.path, self.momentum)?;
            let dims = x.shape().dims();
            require(dims.len() >= 3, &self.path, "input", || {
                format!("must be [batch, ..., channels] with axes between, not {}", x.shape())
            })?;
            let (scale, shift) = self.affine.on(x)?;
            if let (Mode::Evaluate, Some((running_mean, running_var))) = (tracer.mode(), &self.running) {
                let scale = scale.div(&running_var.on(tracer)?.add_scalar(self.epsilon)?.sqrt()?)?;
                let shift = shift.sub(&running_mean.on(tracer)?.mul(&scale)?)?;
                return Ok(x.mul(&scale)?.add(&shift)?);
            }
            let pixels = dims[1..dims.len() - 1].iter().try_fold(1, |n, d| Some(n * d.as_fixed()?));
            require(tracer.mode() == Mode::Evaluate || pixels.is_none_or(|n| n > 1), &self.path, "input", || {
                format!("must have more than one pixel an example in training, but is {}", x.shape())
            })?;
            let (y, mean, variance) = x.group_norm(self.affine.channels(), &scale, &shift, self.epsilon)?;
            if tracer.mode() == Mode::Train {
                self.update(x, &mean, &variance)?;
            }
            Ok(y)
        })
    }
}
