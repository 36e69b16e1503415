//! Kernels of the random operations.

use deepfit_graph::ops::{Dropout, RandomUniform};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::random;

is_kernel!(Dropout, RandomUniform);

/// Key and stream of an operation: its stream and the random key i32 `[4]`, which is its input `input`.
fn key_and_stream(call: &Call<'_>, input: usize, stream: u32) -> (u64, u64) {
    let word = |i: usize| u64::from(call.input_i32(input)[i] as u32);
    (word(0) | (word(1) ^ word(3)) << 32, u64::from(stream) | word(2) << 32)
}

impl Kernel for Dropout {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (key, stream) = key_and_stream(call, 1, self.stream);
        random::dropout(call.compute(), key, stream, self.probability, call.input(0), call.output(0));
        Ok(())
    }
}

impl Kernel for RandomUniform {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (key, stream) = key_and_stream(call, 0, self.stream);
        random::uniform(call.compute(), key, stream, call.output(0));
        Ok(())
    }
}
