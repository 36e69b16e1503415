//! Settings of the optimisers, with PyTorch's names and defaults.

use serde::{Deserialize, Serialize};

/// Settings of stochastic gradient descent, equal to PyTorch's `SGD`; the default is plain descent.
///
/// State with momentum: `optimizer.momentum_buffer.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Share of the velocity that stays, at least 0 and below 1; 0, the default, for none (Sutskever et al., 2013).
    pub momentum: f64,
    /// Share of a gradient, 0 to 1, that does not enter the velocity; the first gradient enters it whole. Without
    /// momentum it has no effect. 0 by default.
    pub dampening: f64,
    /// Whether the gradient is taken where the momentum leads; that needs a momentum and no dampening. By default it is
    /// not.
    pub nesterov: bool,
    /// Share of a weight that is added to its gradient; 0 by default.
    pub weight_decay: f64,
}

/// Settings of Adam and AdamW, equal to PyTorch's.
///
/// State: `optimizer.exp_avg.<name>` and `optimizer.exp_avg_sq.<name>`; of AMSGrad also
/// `optimizer.max_exp_avg_sq.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Shares of the first and second moment that stay, at least 0 and below 1; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the root of the second moment; 1e-8 by default.
    pub eps: f64,
    /// Share of a weight that is added to its gradient, or by which AdamW shrinks it, times the learning rate; 0 by
    /// default, but 0.01 of [`Optimizer::adamw`](super::Optimizer::adamw).
    pub weight_decay: f64,
    /// Whether the largest second moment so far divides, not the current one (AMSGrad; Reddi, Kale and Kumar, 2018). By
    /// default it does not.
    pub amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

/// Settings of RMSprop, equal to PyTorch's `RMSprop`.
///
/// State: `optimizer.square_avg.<name>`, if centred `optimizer.grad_avg.<name>`, with momentum
/// `optimizer.momentum_buffer.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Share of the averages that stays, at least 0 and below 1; 0.99 by default.
    pub alpha: f64,
    /// Added to the root of the average; 1e-8 by default.
    pub eps: f64,
    /// Share of the velocity that stays, at least 0 and below 1; 0, the default, for none.
    pub momentum: f64,
    /// Whether the gradient is divided by an estimate of its deviation (Graves, 2013), not, as by default, of its size.
    pub centered: bool,
    /// Share of a weight that is added to its gradient; 0 by default.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }
}

/// Settings of Adagrad, equal to PyTorch's.
///
/// State: `optimizer.sum.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adagrad {
    /// The learning rate is divided by 1 plus this times the number of earlier steps; 0 by default.
    pub lr_decay: f64,
    /// Share of a weight that is added to its gradient; 0 by default.
    pub weight_decay: f64,
    /// What the sum of squared gradients begins with; 0 by default.
    pub initial_accumulator_value: f64,
    /// Added to the root of the sum; 1e-10 by default.
    pub eps: f64,
}

impl Default for Adagrad {
    fn default() -> Self {
        Adagrad { lr_decay: 0.0, weight_decay: 0.0, initial_accumulator_value: 0.0, eps: 1e-10 }
    }
}

/// Settings of Adadelta, equal to PyTorch's.
///
/// State: `optimizer.square_avg.<name>` and `optimizer.acc_delta.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adadelta {
    /// Share of the averages that stays, at least 0 and below 1; 0.9 by default.
    pub rho: f64,
    /// Added to the averages before the roots are taken; 1e-6 by default.
    pub eps: f64,
    /// Share of a weight that is added to its gradient; 0 by default.
    pub weight_decay: f64,
}

impl Default for Adadelta {
    fn default() -> Self {
        Adadelta { rho: 0.9, eps: 1e-6, weight_decay: 0.0 }
    }
}

/// Settings of Adamax, equal to PyTorch's.
///
/// State: `optimizer.exp_avg.<name>` and `optimizer.exp_inf.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adamax {
    /// Shares of the first moment and of the norm that stay, at least 0 and below 1; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the absolute gradient; 1e-8 by default.
    pub eps: f64,
    /// Share of a weight that is added to its gradient; 0 by default.
    pub weight_decay: f64,
}

impl Default for Adamax {
    fn default() -> Self {
        Adamax { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 }
    }
}

/// Settings of NAdam, equal to PyTorch's.
///
/// State: `optimizer.exp_avg.<name>` and `optimizer.exp_avg_sq.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NAdam {
    /// Shares of the first and second moment that stay, at least 0 and below 1; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the root of the second moment; 1e-8 by default.
    pub eps: f64,
    /// Weight decay; 0 by default.
    pub weight_decay: f64,
    /// How fast the momentum grows from half of its share to all of it; 4e-3 by default.
    pub momentum_decay: f64,
    /// Whether weight decay shrinks the weight itself, as in AdamW, and is not, as by default, added to the gradient.
    pub decoupled_weight_decay: bool,
}

impl Default for NAdam {
    fn default() -> Self {
        NAdam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, momentum_decay: 4e-3, decoupled_weight_decay: false }
    }
}

/// Settings of RAdam, equal to PyTorch's.
///
/// State: `optimizer.exp_avg.<name>` and `optimizer.exp_avg_sq.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RAdam {
    /// Shares of the first and second moment that stay, at least 0 and below 1; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the root of the second moment; 1e-8 by default.
    pub eps: f64,
    /// Weight decay; 0 by default.
    pub weight_decay: f64,
    /// Whether weight decay shrinks the weight itself, as in AdamW, and is not, as by default, added to the gradient.
    pub decoupled_weight_decay: bool,
}

impl Default for RAdam {
    fn default() -> Self {
        RAdam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, decoupled_weight_decay: false }
    }
}

/// Settings of Lion. Its learning rate is 3 to 10 times smaller than AdamW's, its weight decay as much larger.
///
/// State: `optimizer.exp_avg.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lion {
    /// Share of the moment in the direction of a step, and share of it that stays; 0.9 and 0.99 by default.
    pub betas: (f64, f64),
    /// Share of a weight by which it shrinks, times the learning rate; 0 by default.
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Lion { betas: (0.9, 0.99), weight_decay: 0.0 }
    }
}

/// Settings of LAMB, with bias correction and the norms as they are.
///
/// State: `optimizer.exp_avg.<name>` and `optimizer.exp_avg_sq.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lamb {
    /// Shares of the first and second moment that stay, at least 0 and below 1; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the root of the second moment; 1e-6 by default.
    pub eps: f64,
    /// Share of a weight in the direction of its step; 0.01 by default.
    pub weight_decay: f64,
}

impl Default for Lamb {
    fn default() -> Self {
        Lamb { betas: (0.9, 0.999), eps: 1e-6, weight_decay: 0.01 }
    }
}
