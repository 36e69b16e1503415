//! Kernels of the cross-entropy.

use deepfit_graph::ops::{CrossEntropy, CrossEntropyGrad};

use super::is_kernel;
use crate::error::Error;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::softmax::{self, ClassWeighting};

is_kernel!(CrossEntropy, CrossEntropyGrad);

impl Kernel for CrossEntropy {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = call.shapes().input(0);
        let weights = (call.input_count() > 2).then(|| call.input(2));
        let how = ClassWeighting { weights, smoothing: self.smoothing, ignore: Some(self.ignore) };
        let (logits, targets) = (call.input(0), call.input_i32(1));
        let known = |class: i32| class == self.ignore || usize::try_from(class).is_ok_and(|class| class < shape[1]);
        if let Some((row, &class)) = targets.iter().enumerate().find(|(_, class)| !known(**class)) {
            return Err(Fault::Index(Error::ClassOutOfRange { class, row, classes: shape[1] }));
        }
        softmax::cross_entropy(call.compute(), logits, targets, how, call.output(0), shape[0], shape[1]);
        softmax::row_weights(targets, how, call.output(1), shape[1]);
        Ok(())
    }
}

impl Kernel for CrossEntropyGrad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = call.shapes().input(0);
        let weights = (call.input_count() > 3).then(|| call.input(3));
        let how = ClassWeighting { weights, smoothing: self.smoothing, ignore: Some(self.ignore) };
        let (logits, targets, upstream) = (call.input(0), call.input_i32(1), call.input(2));
        let out = call.output(0);
        softmax::cross_entropy_backward(call.compute(), logits, targets, how, upstream, out, shape[0], shape[1]);
        Ok(())
    }
}
