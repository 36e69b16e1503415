//! Optimisers, clipping and the moving average of weights, as parts of the graph.

mod clip;
mod moving_average;
mod rows;

use deepfit_graph::{Tensor, ops};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require};
use crate::scope::Parameter;

pub use clip::{Clip, clip_by_global_norm, clip_by_value};
pub use moving_average::{AVERAGE, MovingAverage};

/// Prefix of the names of an optimiser's state: `optimizer.exp_avg.fc.weight`.
pub const STATE: &str = "optimizer";

/// How a gradient changes its parameter. The learning rate is an input of the graph, since it changes from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam (Kingma and Ba, 2015); weight decay is added to the gradient.
    Adam(Adam),
    /// AdamW (Loshchilov and Hutter, 2019); weight decay shrinks the parameter itself.
    AdamW(Adam),
}

/// Settings of stochastic gradient descent, equal to PyTorch's `SGD` with `dampening` 0.
///
/// State with momentum: `optimizer.momentum_buffer.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Share of the velocity that stays, at least 0 and below 1; 0 for none (Sutskever et al., 2013).
    pub momentum: f64,
    /// Whether the gradient is taken where the momentum leads.
    pub nesterov: bool,
    /// Share of a weight that is added to its gradient.
    pub weight_decay: f64,
}

/// Settings of Adam and AdamW, equal to PyTorch's.
///
/// State: `optimizer.exp_avg.<name>` and `optimizer.exp_avg_sq.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Shares of the first and second moment that stay, at least 0 and below 1.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Optimizer {
    /// AdamW with PyTorch's defaults: weight decay 0.01.
    pub fn adamw() -> Self {
        Optimizer::AdamW(Adam { weight_decay: 0.01, ..Adam::default() })
    }

    /// The name in settings.
    pub fn name(&self) -> &'static str {
        match self {
            Optimizer::Sgd(_) => "sgd",
            Optimizer::Adam(_) => "adam",
            Optimizer::AdamW(_) => "adamw",
        }
    }

    /// Kinds of state kept for each parameter: the middle part of `optimizer.<kind>.<name>`.
    pub fn state_kinds(&self) -> &'static [&'static str] {
        match self {
            Optimizer::Sgd(sgd) if sgd.momentum == 0.0 => &[],
            Optimizer::Sgd(_) => &["momentum_buffer"],
            Optimizer::Adam(_) | Optimizer::AdamW(_) => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one is out of range, naming it.
    pub fn validate(&self) -> Result<()> {
        let share = |setting: &str, value: f64| {
            require((0.0..1.0).contains(&value), self.name(), setting, || {
                format!("is {value}, but must be at least 0 and below 1")
            })
        };
        let weight_decay = match *self {
            Optimizer::Sgd(Sgd { momentum, nesterov, weight_decay }) => {
                share("momentum", momentum)?;
                require(!nesterov || momentum > 0.0, self.name(), "nesterov", || {
                    "needs a momentum above 0".to_string()
                })?;
                weight_decay
            }
            Optimizer::Adam(Adam { betas, eps, weight_decay })
            | Optimizer::AdamW(Adam { betas, eps, weight_decay }) => {
                share("betas", betas.0)?;
                share("betas", betas.1)?;
                require(eps.is_finite() && eps >= 0.0, self.name(), "eps", || {
                    format!("is {eps}, but must not be negative")
                })?;
                weight_decay
            }
        };
        require(weight_decay.is_finite() && weight_decay >= 0.0, self.name(), "weight_decay", || {
            format!("is {weight_decay}, but must not be negative")
        })
    }

    /// Adds one update to the graph of the gradient and returns the parameter's new value.
    ///
    /// The gradient has the parameter's shape; `rate` is the learning rate, a scalar; `step` the number of this update
    /// from 1, a scalar. Weight decay applies where the parameter's role says so. State parameters start at zero.
    ///
    /// # Errors
    /// If a setting is out of range or a shape does not fit.
    pub fn update(&self, parameter: &Parameter, gradient: &Tensor, rate: &Tensor, step: &Tensor) -> Result<Tensor> {
        self.validate()?;
        let tracer = gradient.tracer();
        let value = parameter.on(tracer)?;
        let states: Vec<Tensor> = self
            .state_kinds()
            .iter()
            .map(|kind| Ok(tracer.parameter(&format!("{STATE}.{kind}.{}", parameter.name), &parameter.shape[..])?))
            .collect::<Result<_>>()?;
        let mut inputs = vec![&value, gradient];
        inputs.extend(&states);
        inputs.push(rate);
        let decay = |share: f64| if parameter.role.decays() { share } else { 0.0 };
        match *self {
            Optimizer::Sgd(Sgd { momentum, nesterov, weight_decay }) => {
                let op = ops::Sgd { momentum, nesterov, weight_decay: decay(weight_decay) };
                Ok(tracer.apply_one(op, &inputs)?)
            }
            Optimizer::Adam(settings) | Optimizer::AdamW(settings) => {
                let Adam { betas, eps, weight_decay } = settings;
                inputs.push(step);
                let op = ops::Adam {
                    betas,
                    epsilon: eps,
                    weight_decay: decay(weight_decay),
                    decoupled: matches!(self, Optimizer::AdamW(_)),
                };
                Ok(tracer.apply_one(op, &inputs)?)
            }
        }
    }
}
