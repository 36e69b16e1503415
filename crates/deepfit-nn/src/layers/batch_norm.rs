use deepfit_graph::{Dim, Mode, Tensor, Tracer};

use super::affine::{Affine, check_epsilon, check_momentum};
use crate::declaration::{Parameter, Role};
use crate::error::Result;
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// Settings of a [`BatchNorm`]; the default is PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormConfig {
    /// Added to the variance, not negative; 1e-5 by default.
    pub epsilon: f32,
    /// Share of the batch's statistics in the running ones, 0 to 1; 0.1 by default. Without, the running ones are the
    /// means over all batches so far, whose number is the buffer `num_batches_tracked`.
    pub momentum: Option<f32>,
    /// Whether scale and shift are learned; they are by default.
    pub affine: bool,
    /// Whether running statistics are kept, and used in evaluation; they are by default. Without, each batch is
    /// normalised by its own, in evaluation too.
    pub track_running_stats: bool,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        BatchNormConfig { epsilon: 1e-5, momentum: Some(0.1), affine: true, track_running_stats: true }
    }
}

/// Batch normalisation over the last axis (Ioffe and Szegedy, 2015), as PyTorch's `BatchNorm1d` and `BatchNorm2d` with
/// channels last: `[batch, channels]`, `[batch, length, channels]` or `[batch, h, w, channels]`, of which all axes but
/// the last are rows. The result has the same shape.
///
/// In training, the statistics of the batch are used and the running ones updated. In evaluation, the running ones make
/// it `x * scale + shift`, which is computed within the convolution or product before it.
///
/// A channel of one row has no variance. Where the shape says so when the layer is traced, or the largest batch when a
/// training is compiled, it is an error as in PyTorch; of a single smaller batch, such as the last one of an epoch, it is
/// not: its rows become the shift, and the running variance stays as it is.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    path: String,
    affine: Affine,
    running: Option<Running>,
    epsilon: f32,
}

/// Running statistics, and how they follow.
#[derive(Debug, Clone)]
struct Running {
    mean: Parameter,
    variance: Parameter,
    follow: Follow,
}

#[derive(Debug, Clone)]
enum Follow {
    /// By this share of the way.
    Share(f32),
    /// As the mean over all batches, of which this many have been.
    Count(Parameter),
}

impl BatchNorm {
    /// A layer for the given number of channels with PyTorch's defaults: momentum 0.1, epsilon 1e-5. It declares
    /// `weight`, `bias`, `running_mean` and `running_var`, all `[channels]`.
    pub fn new(scope: &Scope, channels: usize) -> Self {
        Self::configured(scope, channels, BatchNormConfig::default())
    }

    /// A layer with the given share of the batch's statistics in the running ones, and the number added to the variance.
    pub fn with(scope: &Scope, channels: usize, momentum: f32, epsilon: f32) -> Self {
        let config = BatchNormConfig { momentum: Some(momentum), epsilon, ..BatchNormConfig::default() };
        Self::configured(scope, channels, config)
    }

    /// A layer with the given settings. Without momentum it also declares `num_batches_tracked`, a scalar; settings out
    /// of range are refused when it is traced.
    pub fn configured(scope: &Scope, channels: usize, config: BatchNormConfig) -> Self {
        let affine = Affine::new(scope, "batch_norm", channels, config.affine);
        let buffer = |name, init| scope.parameter(name, &[channels], init, Role::Buffer);
        let running = config.track_running_stats.then(|| Running {
            mean: buffer("running_mean", Init::Zeros),
            variance: buffer("running_var", Init::Ones),
            follow: match config.momentum {
                Some(share) => Follow::Share(share),
                None => Follow::Count(scope.parameter("num_batches_tracked", &[], Init::Zeros, Role::Buffer)),
            },
        });
        BatchNorm { path: scope.place("batch_norm"), affine, running, epsilon: config.epsilon }
    }

    /// The batch by its own statistics, which the running ones follow in training.
    fn by_batch(&self, x: &Tensor) -> Result<Tensor> {
        let (scale, shift) = self.affine.on(x)?;
        let (y, mean, variance) = x.batch_norm(&scale, &shift, self.epsilon)?;
        let dims = x.shape().dims();
        let rows = dims[..dims.len() - 1].iter().fold(Dim::fixed(1), |n, &d| n * d);
        if rows.is_one() {
            let problem = format!("needs more than 1 value per channel, but {} has one row", x.shape());
            return Err(x.error("batch_norm", problem).into());
        }
        if let (Mode::Train, Some(running)) = (x.tracer().mode(), &self.running) {
            running.update(&mean, &variance, &x.length_of(rows)?)?;
        }
        Ok(y)
    }

    fn by_running(&self, x: &Tensor, running: &Running) -> Result<Tensor> {
        let (scale, shift) = running.applied_to(self.affine.on(x)?, self.epsilon)?;
        Ok(x.mul(&scale)?.add(&shift)?)
    }

    /// What channels are multiplied by, and what is then added, in a part of a learning graph that normalises by running
    /// statistics; nothing elsewhere.
    ///
    /// There, a layer without bias before it does better to scale its weight by this: where scale and shift learn, their
    /// gradients then follow from that of the weight, and no activation is read for them.
    pub(super) fn within_weights(&self, tracer: &Tracer) -> Result<Option<(Tensor, Tensor)>> {
        match (&self.running, tracer.mode()) {
            (Some(running), Mode::Evaluate) if tracer.learns() => tracer.in_layer(&self.path, || {
                check_epsilon(&self.path, self.epsilon)?;
                running.applied_to(self.affine.values(tracer)?, self.epsilon).map(Some)
            }),
            _ => Ok(None),
        }
    }
}

impl Running {
    /// Scale and shift that normalise by these statistics, too.
    fn applied_to(&self, (scale, shift): (Tensor, Tensor), epsilon: f32) -> Result<(Tensor, Tensor)> {
        let tracer = scale.tracer();
        let deviation = self.variance.on(tracer)?.add_scalar(epsilon)?.sqrt()?;
        let scale = scale.div(&deviation)?;
        let shift = shift.sub(&self.mean.on(tracer)?.mul(&scale)?)?;
        Ok((scale, shift))
    }

    fn update(&self, mean: &Tensor, variance: &Tensor, rows: &Tensor) -> Result<()> {
        let tracer = mean.tracer();
        let share = match &self.follow {
            Follow::Share(share) => tracer.scalar(*share),
            Follow::Count(count) => {
                let count = count.on(tracer)?;
                let now = count.add_scalar(1.0)?;
                count.assign(&now)?;
                now.recip()?
            }
        };
        let running = self.mean.on(tracer)?;
        running.assign(&running.add(&mean.sub(&running)?.mul(&share)?)?)?;
        // The running variance is the unbiased one, n / (n - 1) times that of the batch. One row says nothing about it:
        // then it stays as it is, where the formula would make it NaN.
        let others = rows.add_scalar(-1.0)?.maximum(&tracer.scalar(1.0))?;
        let share = rows.greater(&tracer.scalar(1.5))?.mul(&share)?;
        let running = self.variance.on(tracer)?;
        running.assign(&running.add(&variance.mul(&rows.div(&others)?)?.sub(&running)?.mul(&share)?)?)?;
        Ok(())
    }
}

impl Module for BatchNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            check_epsilon(&self.path, self.epsilon)?;
            if let Some(Running { follow: Follow::Share(share), .. }) = &self.running {
                check_momentum(&self.path, *share)?;
            }
            match (x.tracer().mode(), &self.running) {
                (Mode::Evaluate, Some(running)) => self.by_running(x, running),
                _ => self.by_batch(x),
            }
        })
    }
}
