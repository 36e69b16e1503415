use deepfit_graph::Tensor;
use deepfit_graph::ops::ReduceKind;
use serde::{Deserialize, Serialize};

use crate::error::{NnError, Result, require};

/// How gradients are kept from growing too large.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// All gradients together are scaled down to this norm if theirs is larger (Pascanu et al., 2013).
    Norm(f64),
    /// Each element is limited to this absolute value.
    Value(f64),
}

impl Clip {
    /// Checks the settings.
    ///
    /// # Errors
    /// If the limit is not positive.
    pub fn validate(&self) -> Result<()> {
        let (setting, limit) = match *self {
            Clip::Norm(limit) => ("norm", limit),
            Clip::Value(limit) => ("value", limit),
        };
        require(limit > 0.0, "clip", setting, || format!("is {limit}, but must be positive"))
    }
}

/// Scales all gradients so that their common norm is at most `max_norm`, as PyTorch's `clip_grad_norm_`; also returns the
/// norm before, a scalar.
///
/// # Errors
/// If there is no gradient.
pub fn clip_by_global_norm(gradients: &[Tensor], max_norm: f32) -> Result<(Vec<Tensor>, Tensor)> {
    let squares = |gradient: &Tensor| {
        let axes: Vec<usize> = (0..gradient.shape().rank()).collect();
        gradient.reduce(ReduceKind::SumSquares, &axes, false)
    };
    let Some((first, rest)) = gradients.split_first() else {
        let problem = "needs at least one gradient".to_string();
        return Err(NnError::Setting { place: "clip".to_string(), setting: "norm".to_string(), problem });
    };
    let sum = rest.iter().try_fold(squares(first)?, |sum, gradient| sum.add(&squares(gradient)?))?;
    let norm = sum.sqrt()?;
    let factor = norm.add_scalar(1e-6)?.recip()?.mul_scalar(max_norm)?.clamp(0.0, 1.0)?;
    let clipped = gradients.iter().map(|g| Ok(g.mul(&factor)?)).collect::<Result<_>>()?;
    Ok((clipped, norm))
}

/// Limits each element to `-limit..=limit`, as PyTorch's `clip_grad_value_`.
///
/// # Errors
/// If a gradient is not floating point.
pub fn clip_by_value(gradients: &[Tensor], limit: f32) -> Result<Vec<Tensor>> {
    gradients.iter().map(|g| Ok(g.clamp(-limit, limit)?)).collect()
}
