//! What the normalisations have in common.

use deepfit_graph::{Dim, HostTensor, Tensor, Tracer};

use crate::declaration::{Parameter, Role, check_table};
use crate::error::{Result, require};
use crate::init::Init;
use crate::scope::Scope;

/// Scale and shift of each channel, if a normalisation learns them.
#[derive(Debug, Clone)]
pub(super) struct Affine {
    /// The layer, as errors name it.
    path: String,
    /// Its kind.
    kind: &'static str,
    channels: usize,
    parameters: Option<(Parameter, Parameter)>,
}

impl Affine {
    /// Declares `weight` and `bias` `[channels]`, ones and zeros at first, if they are learned.
    pub fn new(scope: &Scope, kind: &'static str, channels: usize, learned: bool) -> Self {
        let vector = |name, init| scope.parameter(name, &[channels], init, Role::NoDecay);
        let parameters = learned.then(|| (vector("weight", Init::Ones), vector("bias", Init::Zeros)));
        Affine { path: scope.place(kind), kind, channels, parameters }
    }

    /// Scale and shift in the graph of `x`, whose last axis must be the channels: constants if they are not learned.
    pub fn on(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        check_table(&self.path, &[self.channels])?;
        if x.shape().dims().last() != Some(&Dim::fixed(self.channels)) {
            let problem = format!("scale and shift [{}] do not fit the channels of {}", self.channels, x.shape());
            return Err(x.error(self.kind, problem).into());
        }
        self.values(x.tracer())
    }

    /// Scale and shift in a graph.
    pub fn values(&self, tracer: &Tracer) -> Result<(Tensor, Tensor)> {
        let constant = |value| tracer.constant(HostTensor::f32(&[self.channels], vec![value; self.channels]));
        match &self.parameters {
            Some((weight, bias)) => Ok((weight.on(tracer)?, bias.on(tracer)?)),
            None => Ok((constant(1.0), constant(0.0))),
        }
    }

    pub fn channels(&self) -> usize {
        self.channels
    }
}

/// Checks what is added to a variance.
pub(super) fn check_epsilon(place: &str, epsilon: f32) -> Result<()> {
    require(epsilon.is_finite() && epsilon >= 0.0, place, "epsilon", || {
        format!("is {epsilon}, but must not be negative")
    })
}

/// Checks the share of the batch's statistics in the running ones.
pub(super) fn check_momentum(place: &str, momentum: f32) -> Result<()> {
    require((0.0..=1.0).contains(&momentum), place, "momentum", || {
        format!("is {momentum}, but must be between 0 and 1")
    })
}
