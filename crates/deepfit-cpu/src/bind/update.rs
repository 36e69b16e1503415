//! Kernels of the operations with an effect.

use deepfit_graph::ops::{Adam, Assign, Guard, Sgd};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::optim;

is_kernel!(Assign, Guard, Sgd, Adam);

impl Kernel for Assign {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        call.output(0).copy_from_slice(call.input(1));
        Ok(())
    }
}

impl Kernel for Guard {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        if optim::all_finite(call.compute(), call.input(0)) { Ok(()) } else { Err(Fault::NonFinite) }
    }
}

/// The kernels write nothing and return false if a gradient is not finite.
fn finite(fine: bool) -> Result<(), Fault> {
    if fine { Ok(()) } else { Err(Fault::NonFinite) }
}

impl Kernel for Sgd {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let rate = call.input(call.input_count() - 1)[0];
        let settings = optim::Sgd {
            learning_rate: f64::from(rate),
            momentum: self.momentum,
            nesterov: self.nesterov,
            weight_decay: self.weight_decay,
        };
        let velocity = if call.output_count() > 1 { call.output(1) } else { &mut [] };
        finite(optim::sgd(call.compute(), &settings, call.output(0), call.input(1), velocity))
    }
}

impl Kernel for Adam {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let settings = optim::Adam {
            learning_rate: f64::from(call.input(4)[0]),
            beta1: self.betas.0,
            beta2: self.betas.1,
            eps: self.epsilon,
            weight_decay: self.weight_decay,
            decoupled: self.decoupled,
        };
        let step = call.input(5)[0] as i32;
        let (first, second) = (call.output(1), call.output(2));
        finite(optim::adam(call.compute(), &settings, step, call.output(0), call.input(1), first, second))
    }
}
