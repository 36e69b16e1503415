//! Gradient descent with momentum, which candle's own does not have.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

pub struct Momentum {
    weights: Vec<(Var, Option<Tensor>)>,
    rate: f64,
    momentum: f64,
}

impl Momentum {
    pub fn new(vars: Vec<Var>, rate: f64, momentum: f64) -> Self {
        Momentum { weights: vars.into_iter().map(|var| (var, None)).collect(), rate, momentum }
    }

    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        for (var, velocity) in &mut self.weights {
            // Running statistics have none.
            let Some(gradient) = gradients.get(var) else { continue };
            let next = match velocity {
                Some(velocity) => ((&*velocity * self.momentum)? + gradient)?,
                None => gradient.clone(),
            };
            var.set(&(var.as_tensor() - (&next * self.rate)?)?)?;
            *velocity = Some(next.detach());
        }
        Ok(())
    }
}
