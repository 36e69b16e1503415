//! Rows of a network's inputs, of which variants are made.

use deepfit_cpu::View;
use deepfit_data::{Array, Batch};

/// Rows of a network's inputs, one after the other in each of them. Pixels are numbers from 0 to 1.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Number of rows.
    pub len: usize,
    /// Steps of the longest sequence; 1 where nothing is one.
    pub sequence: usize,
    /// Values of each input, in the network's order.
    pub inputs: Vec<Array>,
}

impl Rows {
    /// Those of a batch.
    pub fn of(batch: &Batch) -> Rows {
        let number = |array: &Array| match array {
            Array::U8(bytes) => Array::F32(bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect()),
            other => other.clone(),
        };
        Rows { len: batch.len, sequence: batch.sequence, inputs: batch.inputs.iter().map(number).collect() }
    }

    /// Values of a row in an input.
    pub(crate) fn width(&self, input: usize) -> usize {
        self.inputs[input].len() / self.len.max(1)
    }

    /// Some rows, one after the other.
    pub fn slice(&self, begin: usize, end: usize) -> Rows {
        let part = |(input, array): (usize, &Array)| {
            let width = self.width(input);
            let (from, to) = (begin * width, end * width);
            match array {
                Array::U8(values) => Array::U8(values[from..to].to_vec()),
                Array::I32(values) => Array::I32(values[from..to].to_vec()),
                Array::F32(values) => Array::F32(values[from..to].to_vec()),
            }
        };
        let inputs = self.inputs.iter().enumerate().map(part).collect();
        Rows { len: end - begin, sequence: self.sequence, inputs }
    }

    /// One row, so many times.
    pub fn repeated(&self, times: usize) -> Rows {
        let inputs = self.inputs.iter().map(|array| match array {
            Array::U8(values) => Array::U8(values.repeat(times)),
            Array::I32(values) => Array::I32(values.repeat(times)),
            Array::F32(values) => Array::F32(values.repeat(times)),
        });
        Rows { len: self.len * times, sequence: self.sequence, inputs: inputs.collect() }
    }

    /// The inputs by name.
    pub(crate) fn views<'a>(&'a self, names: &'a [String]) -> Vec<(&'a str, View<'a>)> {
        let view = |array: &'a Array| match array {
            Array::U8(values) => View::U8(values),
            Array::I32(values) => View::I32(values),
            Array::F32(values) => View::F32(values),
        };
        names.iter().zip(&self.inputs).map(|(name, array)| (&name[..], view(array))).collect()
    }

    /// The numbers of an input, if it holds numbers.
    pub fn numbers(&self, input: usize) -> &[f32] {
        self.inputs[input].as_f32().unwrap_or_default()
    }
}
