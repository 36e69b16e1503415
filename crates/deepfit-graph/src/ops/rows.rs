//! Updates of single rows of a table: what a sparse gradient changes, and nothing else.

use super::{arity, floating, same_shape};
use crate::host::Reference;
use crate::op::{Op, Operation, ReferenceContext};
use crate::sample::{Sample, integers, uniform};
use crate::shape::{DType, Dim, Extents, TensorType};
use crate::trace::Tensor;

/// Row numbers and gradient rows in words of shapes: inputs 1 and 2 of an update of the table, input 0.
fn check(inputs: &[&TensorType], states: usize, scalars: usize) -> Result<(), String> {
    arity(inputs, 3 + states + scalars)?;
    let (table, numbers, rows) = (inputs[0], inputs[1], inputs[2]);
    floating(&[table, rows])?;
    floating(&inputs[3..])?;
    let fits = table.shape.rank() == 2
        && numbers.dtype == DType::I32
        && numbers.shape.rank() == 1
        && rows.shape.dims() == [numbers.shape.dims()[0], table.shape.dims()[1]];
    if !fits {
        return Err(format!(
            "needs a table [rows, width], row numbers i32 [count] and their gradients [count, width], not {table}, {numbers} \
             and {rows}"
        ));
    }
    for state in &inputs[3..3 + states] {
        same_shape("the table and its state", table, state)?;
    }
    match inputs[3 + states..].iter().find(|t| t.shape.rank() != 0) {
        Some(t) => Err(format!("learning rate and step must be scalars, not {t}")),
        None => Ok(()),
    }
}

/// The gradient of each row that is named, with the rows of equal number added in their order.
fn added(numbers: &Reference, rows: &Reference, count: usize, padding: Option<usize>) -> Vec<(usize, Vec<f64>)> {
    let width = rows.shape[1];
    let mut sums = std::collections::BTreeMap::<usize, Vec<f64>>::new();
    for (i, &number) in numbers.data.iter().enumerate() {
        if number < 0.0 || number as usize >= count || padding == Some(number as usize) {
            continue;
        }
        let sum = sums.entry(number as usize).or_insert_with(|| vec![0.0; width]);
        sum.iter_mut().zip(&rows.data[i * width..]).for_each(|(s, g)| *s += g);
    }
    sums.into_iter().collect()
}

/// A step of stochastic gradient descent on the rows of a table that have a gradient, as PyTorch's `SGD` on a sparse
/// gradient.
///
/// Inputs: table, row numbers, gradient rows, learning rate. Rows of equal number are added in their order. A number out
/// of range or a gradient that is not finite stops the run before anything is written.
#[derive(Debug, Clone, PartialEq)]
pub struct SgdRows {
    /// Row that is left as it is.
    pub padding: Option<usize>,
}

impl Operation for SgdRows {
    fn name(&self) -> String {
        "sgd_rows".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        check(inputs, 0, 1)?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let [table, numbers, rows, rate] = cx.inputs else { unreachable!("checked by infer") };
        let mut new = (*table).clone();
        let width = table.shape[1];
        for (row, gradient) in added(numbers, rows, table.shape[0], self.padding) {
            for (j, g) in gradient.iter().enumerate() {
                new.data[row * width + j] -= rate.data[0] * g;
            }
        }
        vec![new]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        (inputs[2].shape.count(extents) * 3) as u64
    }

    fn updates(&self) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn samples() -> Vec<Sample> {
        sizes()
            .into_iter()
            .map(|(rows, width, count)| {
                let inputs = vec![
                    uniform(&[rows, width], -1.0, 1.0, 1),
                    integers(&[count], rows as i32, 2),
                    uniform(&[count, width], -1.0, 1.0, 3),
                    uniform(&[], 0.1, 0.2, 4),
                ];
                let op = SgdRows { padding: (width == 3).then_some(1) };
                Sample::new(op, inputs).without_gradient().tolerance(4e-6).batched(&[false, true, true, false])
            })
            .collect()
    }
}

/// Rows and width of the table, number of gradient rows.
fn sizes() -> [(usize, usize, usize); 6] {
    [(5, 3, 4), (7, 33, 100), (1, 17, 30), (300, 8, 90), (4, 2, 0), (3, 1, 9)]
}

/// A step of Adam (Kingma and Ba, 2015) on the rows of a table that have a gradient, as PyTorch's `SparseAdam`: moments
/// of other rows do not decay.
///
/// Inputs: table, row numbers, gradient rows, first and second moment, learning rate, number of this step from 1. Rows of
/// equal number are added in their order. A number out of range or a gradient that is not finite stops the run before
/// anything is written.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamRows {
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment, before its bias is corrected.
    pub epsilon: f64,
    /// Row that is left as it is.
    pub padding: Option<usize>,
}

impl Operation for AdamRows {
    fn name(&self) -> String {
        "adam_rows".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        check(inputs, 2, 2)?;
        Ok(vec![inputs[0].clone(); 3])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let [table, numbers, rows, first, second, rate, step] = cx.inputs else { unreachable!("checked by infer") };
        let (b1, b2) = self.betas;
        let step = step.data[0];
        let size = rate.data[0] * (1.0 - b2.powf(step)).sqrt() / (1.0 - b1.powf(step));
        let (mut p, mut m, mut v) = ((*table).clone(), (*first).clone(), (*second).clone());
        let width = table.shape[1];
        for (row, gradient) in added(numbers, rows, table.shape[0], self.padding) {
            for (j, g) in gradient.iter().enumerate() {
                let i = row * width + j;
                m.data[i] = b1 * m.data[i] + (1.0 - b1) * g;
                v.data[i] = b2 * v.data[i] + (1.0 - b2) * g * g;
                p.data[i] -= size * m.data[i] / (v.data[i].sqrt() + self.epsilon);
            }
        }
        vec![p, m, v]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        (inputs[2].shape.count(extents) * 14) as u64
    }

    fn updates(&self) -> Vec<(usize, usize)> {
        vec![(0, 0), (3, 1), (4, 2)]
    }

    fn samples() -> Vec<Sample> {
        sizes()
            .into_iter()
            .map(|(rows, width, count)| {
                let step = crate::host::HostTensor::f32(&[], vec![count as f32 + 1.0]);
                let inputs = vec![
                    uniform(&[rows, width], -1.0, 1.0, 1),
                    integers(&[count], rows as i32, 2),
                    uniform(&[count, width], -1.0, 1.0, 3),
                    uniform(&[rows, width], -1.0, 1.0, 5),
                    uniform(&[rows, width], 0.1, 1.0, 6),
                    uniform(&[], 0.1, 0.2, 4),
                    step,
                ];
                let op = AdamRows { betas: (0.9, 0.999), epsilon: 1e-8, padding: (width == 3).then_some(1) };
                Sample::new(op, inputs)
                    .without_gradient()
                    .tolerance(1e-5)
                    .batched(&[false, true, true, false, false, false, false])
            })
            .collect()
    }
}

/// Gradient rows with those of equal number added up: the sum, in their order, stands where the number stands first, and
/// zeros where it stands again. So norms and limits are those of the whole gradient.
///
/// Inputs: row numbers i32 `[count]`, gradient rows f32 `[count, width]`; output of the same shape.
#[derive(Debug, Clone, PartialEq)]
pub struct CoalescedGrad {
    /// Row whose gradient is zero.
    pub padding: Option<usize>,
}

impl Operation for CoalescedGrad {
    fn name(&self) -> String {
        "coalesced_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[1..])?;
        let (numbers, rows) = (inputs[0], inputs[1]);
        let fits = numbers.dtype == DType::I32
            && numbers.shape.rank() == 1
            && rows.shape.rank() == 2
            && rows.shape.dims()[0] == numbers.shape.dims()[0];
        if !fits {
            return Err(format!("needs row numbers i32 [count] and rows [count, width], not {numbers} and {rows}"));
        }
        Ok(vec![rows.clone()])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (numbers, rows) = (cx.inputs[0], cx.inputs[1]);
        let width = rows.shape[1];
        let mut out = Reference::full(&rows.shape, 0.0);
        for (row, sum) in added(numbers, rows, usize::MAX, self.padding) {
            if let Some(first) = numbers.data.iter().position(|&n| n == row as f64) {
                out.data[first * width..][..width].copy_from_slice(&sum);
            }
        }
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        inputs[1].shape.count(extents) as u64
    }

    fn samples() -> Vec<Sample> {
        sizes()
            .into_iter()
            .map(|(rows, width, count)| {
                let inputs = vec![integers(&[count], rows as i32, 2), uniform(&[count, width], -1.0, 1.0, 3)];
                let op = CoalescedGrad { padding: (width == 3).then_some(1) };
                Sample::new(op, inputs).without_gradient().tolerance(4e-6).batched(&[true, true])
            })
            .collect()
    }
}

/// A gradient of a table as rows and their numbers; rows of equal number belong together.
#[derive(Debug, Clone)]
pub struct RowGradient {
    /// Row numbers i32 `[count]`.
    pub numbers: Tensor,
    /// Gradient rows f32 `[count, width]`.
    pub rows: Tensor,
    /// Row whose gradient is zero.
    pub padding: Option<usize>,
}

impl crate::watch::LayerResult for RowGradient {}

impl RowGradient {
    /// The same with the rows of equal number added up: see [`CoalescedGrad`].
    ///
    /// # Errors
    /// Never, at present.
    pub fn coalesced(&self) -> crate::error::Result<RowGradient> {
        let op = CoalescedGrad { padding: self.padding };
        let rows = self.rows.tracer().apply_one(op, &[&self.numbers, &self.rows])?;
        Ok(RowGradient { rows, ..self.clone() })
    }
}

impl Tensor {
    /// This gradient of a table as rows, if all that the table is used for is to be looked up in: the dense gradient then
    /// has no reader left and is never computed.
    ///
    /// # Errors
    /// If another operation than the look-up contributes to the gradient, or look-ups of different padding rows.
    pub fn row_gradient(&self) -> crate::error::Result<RowGradient> {
        let tracer = self.tracer();
        let fail = |problem: String| Err(self.error("row_gradient", problem));
        let node = tracer.with_graph(|graph| graph.nodes()[self.value().node].clone());
        let inputs: Vec<Tensor> = node.inputs.iter().map(|&v| tracer.tensor(v)).collect();
        match &node.op {
            Op::EmbeddingGrad(op) => {
                let count = inputs[0].shape().elements();
                let width: Dim = inputs[1].shape().dims()[inputs[1].shape().rank() - 1];
                let rows = inputs[1].reshape(vec![count, width])?;
                Ok(RowGradient { numbers: inputs[0].reshape(vec![count])?, rows, padding: op.padding })
            }
            Op::Binary(op) if op.kind == super::BinaryKind::Add && inputs.iter().all(|t| t.ty() == self.ty()) => {
                let (a, b) = (inputs[0].row_gradient()?, inputs[1].row_gradient()?);
                if a.padding != b.padding {
                    return fail("the table is looked up with different padding rows".to_string());
                }
                let numbers = a.numbers.concat(&[&b.numbers], 0)?;
                Ok(RowGradient { numbers, rows: a.rows.concat(&[&b.rows], 0)?, padding: a.padding })
            }
            other => fail(format!(
                "`{}` contributes to the gradient of the table, which is not looked up in alone: update it densely",
                other.name()
            )),
        }
    }
}
