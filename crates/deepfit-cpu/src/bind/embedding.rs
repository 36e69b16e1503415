//! Kernels of the embedding.

use deepfit_graph::ops::{Embedding, EmbeddingGrad};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::embedding;

is_kernel!(Embedding, EmbeddingGrad);

impl Kernel for Embedding {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let table = call.shapes().input(0);
        let (rows, width) = (table[0], table[1]);
        embedding::embedding(call.compute(), call.input(0), call.input_i32(1), call.output(0), rows, width)
            .map_err(Fault::Index)
    }
}

impl Kernel for EmbeddingGrad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let table = call.shapes().output(0);
        let (rows, width) = (table[0], table[1]);
        let (numbers, up, out) = (call.input_i32(0), call.input(1), call.output(0));
        embedding::embedding_backward(call.compute(), up, numbers, out, rows, width, self.padding).map_err(Fault::Index)
    }
}
