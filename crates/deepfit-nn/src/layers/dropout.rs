use deepfit_graph::{Mode, Tensor};

use crate::error::{Result, require};
use crate::module::Module;
use crate::scope::Scope;

/// Dropout (Srivastava et al., 2014): in training each element becomes zero with a probability and the others are scaled
/// up; in evaluation everything passes. The shape stays.
#[derive(Debug, Clone)]
pub struct Dropout {
    path: String,
    probability: f32,
}

impl Dropout {
    /// A layer with the given probability, 0 to 1, that an element becomes zero; PyTorch's default is 0.5.
    pub fn new(scope: &Scope, probability: f32) -> Self {
        Dropout { path: scope.place("dropout"), probability }
    }
}

impl Module for Dropout {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        let possible = (0.0..=1.0).contains(&self.probability);
        require(possible, &self.path, "probability", || format!("is {}, but must be in 0 to 1", self.probability))?;
        let passes = tracer.mode() == Mode::Evaluate || self.probability == 0.0;
        tracer.in_layer(&self.path, || if passes { Ok(x.clone()) } else { Ok(x.dropout(self.probability)?) })
    }
}
