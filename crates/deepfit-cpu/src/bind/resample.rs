//! Kernel of the weighted sums along an axis.

use deepfit_graph::ops::Resample;

use super::Bind;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::resample::{self, SparseRows};

struct AlongAxis {
    axis: usize,
    inputs: usize,
    matrix: SparseRows,
}

impl Bind for Resample {
    fn bind(&self) -> Box<dyn Kernel> {
        let mut matrix = SparseRows { starts: vec![0], ..SparseRows::default() };
        for output in 0..self.taps.outputs() {
            for &(from, weight) in self.taps.row(output) {
                matrix.from.push(from as u32);
                matrix.weights.push(weight as f32);
            }
            matrix.starts.push(matrix.from.len() as u32);
        }
        Box::new(AlongAxis { axis: self.axis, inputs: self.taps.inputs(), matrix })
    }
}

impl Kernel for AlongAxis {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let inner = call.shapes().input(0)[self.axis + 1..].iter().product();
        resample::resample(call.compute(), &self.matrix, call.input(0), call.output(0), self.inputs, inner);
        Ok(())
    }
}
