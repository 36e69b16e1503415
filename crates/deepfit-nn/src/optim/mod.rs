//! Optimisers, clipping and the moving average of weights, as parts of the graph.

mod clip;
mod composed;
pub mod lbfgs;
mod moving_average;
mod rows;
mod settings;

use deepfit_graph::ops::{ReduceKind, Rule, Update};
use deepfit_graph::{Tensor, Tracer, ops};
use serde::{Deserialize, Serialize};

use crate::declaration::Parameter;
use crate::error::{Result, require};

pub use clip::{Clip, clip_by_global_norm, clip_by_value};
pub use moving_average::{AVERAGE, MovingAverage};
pub use settings::{Adadelta, Adagrad, Adam, Adamax, Lamb, Lion, NAdam, RAdam, RmsProp, Sgd};

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
    /// RMSprop (Hinton, 2012).
    RmsProp(RmsProp),
    /// Adagrad (Duchi et al., 2011).
    Adagrad(Adagrad),
    /// Adadelta (Zeiler, 2012).
    Adadelta(Adadelta),
    /// Adamax (Kingma and Ba, 2015): Adam with the infinity norm.
    Adamax(Adamax),
    /// NAdam (Dozat, 2016): Adam with Nesterov's momentum.
    NAdam(NAdam),
    /// RAdam (Liu et al., 2020): Adam that waits until its second moment can be trusted.
    RAdam(RAdam),
    /// Lion (Chen et al., 2023): the sign of a momentum.
    Lion(Lion),
    /// LAMB (You et al., 2020): AdamW with steps as long as each parameter's norm allows.
    Lamb(Lamb),
}

impl Optimizer {
    /// AdamW with PyTorch's defaults: weight decay 0.01.
    ///
    /// The decay shrinks weights; biases, and scale and shift of normalisation layers, are left out by their
    /// [`Role`](crate::Role). PyTorch's shrinks every parameter that it is given: a
    /// [`Group`](crate::step::Group) for `"*"` with a weight decay of its own does so here, as
    /// [`Training`](crate::step::Training) shows.
    pub fn adamw() -> Self {
        Optimizer::AdamW(Adam { weight_decay: 0.01, ..Adam::default() })
    }

    /// The names of all of them.
    pub const NAMES: [&str; 11] =
        ["adamw", "adam", "sgd", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "radam", "lion", "lamb"];

    /// The optimiser of this name, with PyTorch's defaults or else the paper's.
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Optimizer::adamw(),
            Optimizer::Adam(Adam::default()),
            Optimizer::Sgd(Sgd::default()),
            Optimizer::RmsProp(RmsProp::default()),
            Optimizer::Adagrad(Adagrad::default()),
            Optimizer::Adadelta(Adadelta::default()),
            Optimizer::Adamax(Adamax::default()),
            Optimizer::NAdam(NAdam::default()),
            Optimizer::RAdam(RAdam::default()),
            Optimizer::Lion(Lion::default()),
            Optimizer::Lamb(Lamb::default()),
        ];
        all.into_iter().find(|optimizer| optimizer.name() == name)
    }

    /// The name in settings.
    pub fn name(&self) -> &'static str {
        match self {
            Optimizer::Sgd(_) => "sgd",
            Optimizer::Adam(_) => "adam",
            Optimizer::AdamW(_) => "adamw",
            Optimizer::RmsProp(_) => "rmsprop",
            Optimizer::Adagrad(_) => "adagrad",
            Optimizer::Adadelta(_) => "adadelta",
            Optimizer::Adamax(_) => "adamax",
            Optimizer::NAdam(_) => "nadam",
            Optimizer::RAdam(_) => "radam",
            Optimizer::Lion(_) => "lion",
            Optimizer::Lamb(_) => "lamb",
        }
    }

    /// Kinds of state kept for each parameter: the middle part of `optimizer.<kind>.<name>`. Names are PyTorch's.
    pub fn state_kinds(&self) -> &'static [&'static str] {
        match self {
            Optimizer::Sgd(sgd) if sgd.momentum == 0.0 => &[],
            Optimizer::Sgd(_) => &["momentum_buffer"],
            Optimizer::RmsProp(s) => match (s.centered, s.momentum != 0.0) {
                (false, false) => &["square_avg"],
                (true, false) => &["square_avg", "grad_avg"],
                (false, true) => &["square_avg", "momentum_buffer"],
                (true, true) => &["square_avg", "grad_avg", "momentum_buffer"],
            },
            Optimizer::Adagrad(_) => &["sum"],
            Optimizer::Adadelta(_) => &["square_avg", "acc_delta"],
            Optimizer::Adamax(_) => &["exp_avg", "exp_inf"],
            Optimizer::Lion(_) => &["exp_avg"],
            Optimizer::Adam(s) | Optimizer::AdamW(s) if s.amsgrad => &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
            Optimizer::Adam(_)
            | Optimizer::AdamW(_)
            | Optimizer::NAdam(_)
            | Optimizer::RAdam(_)
            | Optimizer::Lamb(_) => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// The learning rate that PyTorch, or else the paper, begins with.
    pub fn default_rate(&self) -> f64 {
        match self {
            Optimizer::Adam(_) | Optimizer::AdamW(_) | Optimizer::RAdam(_) | Optimizer::Sgd(_) => 1e-3,
            Optimizer::RmsProp(_) | Optimizer::Adagrad(_) => 1e-2,
            Optimizer::Adadelta(_) => 1.0,
            Optimizer::Adamax(_) | Optimizer::NAdam(_) => 2e-3,
            Optimizer::Lion(_) => 1e-4,
            Optimizer::Lamb(_) => 1e-3,
        }
    }

    /// The share of a weight that decays.
    pub fn weight_decay(&self) -> f64 {
        let mut copy = *self;
        *copy.weight_decay_mut()
    }

    /// The same optimiser with another weight decay.
    #[must_use]
    pub fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        *self.weight_decay_mut() = weight_decay;
        self
    }

    fn weight_decay_mut(&mut self) -> &mut f64 {
        match self {
            Optimizer::Sgd(s) => &mut s.weight_decay,
            Optimizer::Adam(s) | Optimizer::AdamW(s) => &mut s.weight_decay,
            Optimizer::RmsProp(s) => &mut s.weight_decay,
            Optimizer::Adagrad(s) => &mut s.weight_decay,
            Optimizer::Adadelta(s) => &mut s.weight_decay,
            Optimizer::Adamax(s) => &mut s.weight_decay,
            Optimizer::NAdam(s) => &mut s.weight_decay,
            Optimizer::RAdam(s) => &mut s.weight_decay,
            Optimizer::Lion(s) => &mut s.weight_decay,
            Optimizer::Lamb(s) => &mut s.weight_decay,
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
        let not_negative = |setting: &str, value: f64| {
            require(value.is_finite() && value >= 0.0, self.name(), setting, || {
                format!("is {value}, but must not be negative")
            })
        };
        let betas = |(first, second): (f64, f64), eps: f64| {
            share("betas", first)?;
            share("betas", second)?;
            not_negative("eps", eps)
        };
        match *self {
            Optimizer::Sgd(Sgd { momentum, dampening, nesterov, .. }) => {
                share("momentum", momentum)?;
                require((0.0..=1.0).contains(&dampening), self.name(), "dampening", || {
                    format!("is {dampening}, but must be between 0 and 1")
                })?;
                require(!nesterov || (momentum > 0.0 && dampening == 0.0), self.name(), "nesterov", || {
                    "needs a momentum above 0 and no dampening".to_string()
                })?;
            }
            Optimizer::Adam(s) | Optimizer::AdamW(s) => betas(s.betas, s.eps)?,
            Optimizer::RmsProp(s) => {
                share("alpha", s.alpha)?;
                share("momentum", s.momentum)?;
                not_negative("eps", s.eps)?;
            }
            Optimizer::Adagrad(s) => {
                not_negative("lr_decay", s.lr_decay)?;
                not_negative("initial_accumulator_value", s.initial_accumulator_value)?;
                not_negative("eps", s.eps)?;
            }
            Optimizer::Adadelta(s) => {
                share("rho", s.rho)?;
                not_negative("eps", s.eps)?;
            }
            Optimizer::Adamax(s) => betas(s.betas, s.eps)?,
            Optimizer::NAdam(s) => {
                betas(s.betas, s.eps)?;
                not_negative("momentum_decay", s.momentum_decay)?;
            }
            Optimizer::RAdam(s) => betas(s.betas, s.eps)?,
            Optimizer::Lion(s) => betas(s.betas, 0.0)?,
            Optimizer::Lamb(s) => betas(s.betas, s.eps)?,
        }
        not_negative("weight_decay", self.weight_decay())
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
        if self.is_composed() {
            return self.update_from(parameter, &value, gradient, rate, step);
        }
        let states = self.states(parameter, tracer)?;
        let mut inputs = vec![&value, gradient];
        inputs.extend(&states);
        inputs.push(rate);
        let weight_decay = self.decay_of(parameter);
        let rule = match *self {
            Optimizer::Sgd(Sgd { momentum, nesterov, .. }) => {
                return Ok(tracer.apply_one(ops::Sgd { momentum, nesterov, weight_decay }, &inputs)?);
            }
            Optimizer::Adam(s) | Optimizer::AdamW(s) => {
                inputs.push(step);
                let decoupled = matches!(self, Optimizer::AdamW(_));
                let op = ops::Adam { betas: s.betas, epsilon: s.eps, weight_decay, decoupled };
                return Ok(tracer.apply_one(op, &inputs)?);
            }
            Optimizer::RmsProp(RmsProp { alpha, eps: epsilon, momentum, centered, .. }) => {
                Rule::RmsProp { alpha, epsilon, momentum, centered, weight_decay }
            }
            Optimizer::Adagrad(Adagrad { lr_decay, initial_accumulator_value: initial, eps: epsilon, .. }) => {
                Rule::Adagrad { lr_decay, initial, epsilon, weight_decay }
            }
            Optimizer::Adadelta(Adadelta { rho, eps: epsilon, .. }) => Rule::Adadelta { rho, epsilon, weight_decay },
            Optimizer::Adamax(Adamax { betas, eps: epsilon, .. }) => Rule::Adamax { betas, epsilon, weight_decay },
            Optimizer::NAdam(NAdam {
                betas, eps: epsilon, momentum_decay, decoupled_weight_decay: decoupled, ..
            }) => Rule::NAdam { betas, epsilon, momentum_decay, weight_decay, decoupled },
            Optimizer::RAdam(RAdam { betas, eps: epsilon, decoupled_weight_decay: decoupled, .. }) => {
                Rule::RAdam { betas, epsilon, weight_decay, decoupled }
            }
            Optimizer::Lion(Lion { betas, .. }) => Rule::Lion { betas, weight_decay },
            Optimizer::Lamb(Lamb { betas, eps: epsilon, .. }) => Rule::LambDirection { betas, epsilon, weight_decay },
        };
        inputs.push(step);
        let first = tracer.apply_one(Update { rule }, &inputs)?;
        if matches!(self, Optimizer::Lamb(_)) { lamb_step(&value, &first, rate) } else { Ok(first) }
    }
}

impl Optimizer {
    /// The share by which a parameter decays: none where its role keeps out of it.
    fn decay_of(&self, parameter: &Parameter) -> f64 {
        if parameter.role.decays() { self.weight_decay() } else { 0.0 }
    }

    /// The state kept for a parameter, in the order of [`Optimizer::state_kinds`].
    fn states(&self, parameter: &Parameter, tracer: &Tracer) -> Result<Vec<Tensor>> {
        let state =
            |kind: &&str| Ok(tracer.parameter(&format!("{STATE}.{kind}.{}", parameter.name), &parameter.shape[..])?);
        self.state_kinds().iter().map(state).collect()
    }
}

/// The step of LAMB along its direction: the share `|parameter| / |direction|` of the rate, or 1 where one of them is 0.
fn lamb_step(value: &Tensor, direction: &Tensor, rate: &Tensor) -> Result<Tensor> {
    let norm = |t: &Tensor| {
        let axes: Vec<usize> = (0..t.shape().rank()).collect();
        t.reduce(ReduceKind::SumSquares, &axes, false)?.sqrt()
    };
    let (length, reach) = (norm(value)?, norm(direction)?);
    let tracer = value.tracer();
    let zero = tracer.scalar(0.0);
    let both = length.greater(&zero)?.mul(&reach.greater(&zero)?)?;
    let ratio = both.select(&length.div(&reach)?, &tracer.scalar(1.0))?;
    let new = value.sub(&direction.mul(&ratio.mul(rate)?)?)?;
    Ok(value.assign(&new)?)
}
