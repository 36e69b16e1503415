//! Operations that a user of the library defines: their own kernel, or else the f64 reference.

use deepfit_graph::ops::Custom;
use deepfit_graph::{DType, Operation, Reference, ReferenceContext};

use super::is_kernel;
use crate::error::Error;
use crate::executor::{Call, Fault, Kernel};

is_kernel!(Custom);

impl Kernel for Custom {
    // A trait object of the user's is given slices of slices, so this kernel, alone of all, allocates.
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let floating = (0..call.input_count()).all(|i| call.input_dtype(i) == DType::F32);
        let mut outputs: Vec<&mut [f32]> = (0..call.output_count()).map(|i| call.output(i)).collect();
        if floating {
            let inputs: Vec<&[f32]> = (0..call.input_count()).map(|i| call.input(i)).collect();
            let shapes: Vec<&[usize]> = call.shapes().inputs.iter().map(|s| &s[..]).collect();
            if self.0.compute(&inputs, &mut outputs, &shapes) {
                return Ok(());
            }
        }
        let inputs: Vec<Reference> = (0..call.input_count())
            .map(|i| {
                let data = match call.input_dtype(i) {
                    DType::F32 => call.input(i).iter().map(|&x| f64::from(x)).collect(),
                    DType::I32 => call.input_i32(i).iter().map(|&x| f64::from(x)).collect(),
                    DType::U8 => call.input_u8(i).iter().map(|&x| f64::from(x)).collect(),
                };
                Reference::new(call.shapes().input(i), data)
            })
            .collect();
        let inputs: Vec<&Reference> = inputs.iter().collect();
        let cx = ReferenceContext { inputs: &inputs, shapes: &call.shapes().outputs, extents: call.extents() };
        let found = self.reference(&cx);
        let lengths = |lengths: Vec<usize>| format!("{lengths:?} values");
        let given: Vec<usize> = found.iter().map(|values| values.data.len()).collect();
        let expected: Vec<usize> = outputs.iter().map(|output| output.len()).collect();
        if given != expected {
            let (given, expected) = (lengths(given), lengths(expected));
            return Err(Fault::Index(Error::Reference { given, expected }));
        }
        for (output, values) in outputs.iter_mut().zip(found) {
            for (to, from) in output.iter_mut().zip(values.data) {
                *to = from as f32;
            }
        }
        Ok(())
    }
}
