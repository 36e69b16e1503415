//! Kernel of the dropout.

use deepfit_graph::ops::Dropout;

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::random;

is_kernel!(Dropout);

impl Kernel for Dropout {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let word = |i: usize| u64::from(call.input_i32(1)[i] as u32);
        let key = word(0) | (word(1) ^ word(3)) << 32;
        let stream = u64::from(self.stream) | word(2) << 32;
        random::dropout(call.compute(), key, stream, self.probability, call.input(0), call.output(0));
        Ok(())
    }
}
