//! Rows of a table by number.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, integers, uniform};
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Looks rows up. Inputs: table `[rows, width]`, row numbers i32 `[...]`; output `[..., width]`.
///
/// A number out of range stops the run with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Row that gets no gradient.
    pub padding: Option<usize>,
}

impl Operation for Embedding {
    fn name(&self) -> String {
        "embedding".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[..1])?;
        let table = &inputs[0].shape;
        if table.rank() != 2 || inputs[1].dtype != DType::I32 {
            return Err(format!(
                "needs a table [rows, width] and row numbers i32, not {} and {}",
                inputs[0], inputs[1]
            ));
        }
        if let (Some(padding), Some(rows)) = (self.padding, table.fixed(0))
            && padding >= rows
        {
            return Err(format!("the padding row {padding} lies outside of the {rows} rows"));
        }
        let mut dims = inputs[1].shape.dims().to_vec();
        dims.push(table.dims()[1]);
        Ok(vec![TensorType::f32(Shape::from(dims))])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = EmbeddingGrad { rows: cx.input(0).shape().dims()[0], padding: self.padding };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.input(1), cx.upstream()?])?), None])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (table, numbers) = (cx.inputs[0], cx.inputs[1]);
        let width = table.shape[1];
        let rows = numbers.data.iter().flat_map(|&n| {
            // The reference cannot stop a run: a number out of range gives NaN.
            let known = n >= 0.0 && (n as usize) < table.shape[0];
            (0..width).map(move |j| if known { table.data[n as usize * width + j] } else { f64::NAN })
        });
        vec![Reference::new(&cx.shapes[0], rows.collect())]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let sample = |rows: usize, width: usize, numbers: &[usize]| {
            Sample::new(
                Embedding { padding: None },
                vec![uniform(&[rows, width], -1.0, 1.0, 1), integers(numbers, rows as i32, 2)],
            )
        };
        vec![
            sample(5, 3, &[4]).batched(&[false, true]),
            sample(4, 2, &[3, 2]).batched(&[false, true]),
            sample(100, 33, &[65]).without_gradient(),
            sample(7, 1, &[9]),
            sample(5, 3, &[0]).without_gradient(),
            Sample { op: Embedding { padding: Some(2) }.into(), ..sample(4, 3, &[9]) }.without_gradient(),
        ]
    }
}

/// Gradient of [`Embedding`] with respect to the table: for each of its rows the sum, in the order of the numbers, of the
/// rows that have its number. Inputs: row numbers, gradient of the result.
///
/// Read as a sum of rows by group it can be differentiated in turn.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingGrad {
    /// Rows of the table.
    pub rows: Dim,
    /// Row that stays zero.
    pub padding: Option<usize>,
}

impl Operation for EmbeddingGrad {
    fn name(&self) -> String {
        "embedding_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[1..])?;
        let (numbers, up) = (inputs[0], inputs[1]);
        match up.shape.dims().split_last() {
            Some((&width, lead)) if numbers.dtype == DType::I32 && lead == numbers.shape.dims() => {
                Ok(vec![TensorType::f32(Shape::from(vec![self.rows, width]))])
            }
            _ => Err(format!("row numbers {numbers} do not fit the gradient {up}")),
        }
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        if self.padding.is_some() {
            return Err(cx.no_derivative());
        }
        Ok(vec![None, Some(cx.upstream()?.embedding(cx.input(0))?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (numbers, up) = (cx.inputs[0], cx.inputs[1]);
        let (rows, width) = (cx.shapes[0][0], cx.shapes[0][1]);
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        for (i, &number) in numbers.data.iter().enumerate() {
            if number < 0.0 || number as usize >= rows || self.padding == Some(number as usize) {
                continue;
            }
            for j in 0..width {
                out.data[number as usize * width + j] += up.data[i * width + j];
            }
        }
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        inputs[1].shape.count(extents) as u64
    }

    fn samples() -> Vec<Sample> {
        let sample = |rows: usize, width: usize, count: usize| {
            let inputs = vec![integers(&[count], rows as i32, 1), uniform(&[count, width], -1.0, 1.0, 2)];
            let op = EmbeddingGrad { rows: Dim::fixed(rows), padding: (count == 70).then_some(1) };
            let sample = Sample::new(op, inputs).tolerance(4e-6).batched(&[true, true]);
            if count == 4 { sample } else { sample.without_gradient() }
        };
        vec![sample(5, 3, 4), sample(3, 33, 70), sample(1, 17, 300), sample(50, 2, 10), sample(5, 3, 0)]
    }
}

impl Tensor {
    /// Rows of this table `[rows, width]` by number.
    ///
    /// # Errors
    /// If `self` is not a table or the numbers are not integers.
    pub fn embedding(&self, numbers: &Tensor) -> Result<Tensor> {
        self.tracer().apply_one(Embedding { padding: None }, &[self, numbers])
    }

    /// [`Tensor::embedding`] with a row that gets no gradient, wherever its number stands.
    ///
    /// # Errors
    /// As [`Tensor::embedding`], and if there is no such row.
    pub fn embedding_with_padding(&self, numbers: &Tensor, padding: usize) -> Result<Tensor> {
        self.tracer().apply_one(Embedding { padding: Some(padding) }, &[self, numbers])
    }
}
