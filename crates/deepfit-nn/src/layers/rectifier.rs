use deepfit_graph::{Dim, Mode, Tensor};

use crate::declaration::{Parameter, Role};
use crate::error::{Result, require};
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// A rectifier whose slope below 0 is learned (He et al., 2015), as PyTorch's `PReLU`: one slope, or one for each
/// channel, which are the last axis. The shape stays.
#[derive(Debug, Clone)]
pub struct Prelu {
    path: String,
    weight: Parameter,
}

impl Prelu {
    /// A layer with `weight [slopes]`, 1 (PyTorch's default) or the number of channels, that begin at 0.25. Weight
    /// decay does not shrink them.
    pub fn new(scope: &Scope, slopes: usize) -> Self {
        let weight = scope.parameter("weight", &[slopes], Init::Constant(0.25), Role::NoDecay);
        Prelu { path: scope.place("prelu"), weight }
    }
}

impl Module for Prelu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let slopes = self.weight.shape[0];
            let channels = x.shape().dims().last();
            if slopes != 1 && channels != Some(&Dim::fixed(slopes)) {
                let problem = format!("the last axis of {} must have {slopes} channels, one for each slope", x.shape());
                return Err(x.error("prelu", problem).into());
            }
            let weight = self.weight.on(x.tracer())?;
            // A scalar stays a scalar.
            let weight = if x.shape().rank() == 0 { weight.reshape(x.shape().clone())? } else { weight };
            // The slope at 0 is the one below it.
            let positive = x.greater(&x.tracer().scalar(0.0))?;
            Ok(positive.select(x, &x.mul(&weight)?)?)
        })
    }
}

/// A rectifier whose slope below 0 is random in training (Xu et al., 2015), as PyTorch's `RReLU`: uniform between two
/// limits for each element, and their mean in evaluation. The shape stays.
#[derive(Debug, Clone)]
pub struct Rrelu {
    path: String,
    lower: f32,
    upper: f32,
}

impl Rrelu {
    /// A layer with slopes between 1/8 and 1/3, PyTorch's default.
    pub fn new(scope: &Scope) -> Self {
        Self::with(scope, 1.0 / 8.0, 1.0 / 3.0)
    }

    /// A layer with slopes between the given limits.
    pub fn with(scope: &Scope, lower: f32, upper: f32) -> Self {
        Rrelu { path: scope.place("rrelu"), lower, upper }
    }
}

impl Module for Rrelu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Rrelu { path, lower, upper } = self;
        require(lower <= upper, path, "lower", || format!("is {lower}, but must not be above upper, {upper}"))?;
        x.tracer().in_layer(path, || {
            let below = x.neg()?.relu()?;
            let below = match x.tracer().mode() {
                Mode::Evaluate => below.mul_scalar((lower + upper) / 2.0)?,
                Mode::Train => {
                    let slopes = x.tracer().random_uniform(x.shape().clone())?;
                    below.mul(&slopes.mul_scalar(upper - lower)?.add_scalar(*lower)?)?
                }
            };
            Ok(x.relu()?.sub(&below)?)
        })
    }
}
