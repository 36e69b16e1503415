//! Bags of rows: which bag a position belongs to, and the largest element of each bag.

use super::embedding::EmbeddingGrad;
use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{HostTensor, Reference};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, integers};
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// The bag of each position: i32 `[numbers]`.
///
/// Inputs: row numbers i32 `[numbers]` and where each bag begins, offsets i32 `[bags]`, ascending from 0; or row numbers
/// i32 `[bags, length]` alone. Offsets that are not so stop the run with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct BagNumbers {
    /// The row number that belongs to no bag: its position gets -1.
    pub padding: Option<usize>,
}

impl Operation for BagNumbers {
    fn name(&self) -> String {
        "bag_numbers".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let fits = match inputs {
            [numbers] => numbers.dtype == DType::I32 && numbers.shape.rank() == 2,
            [numbers, offsets] => [numbers, offsets].iter().all(|t| t.dtype == DType::I32 && t.shape.rank() == 1),
            _ => false,
        };
        if !fits {
            let given: Vec<String> = inputs.iter().map(ToString::to_string).collect();
            return Err(format!(
                "needs row numbers i32 [numbers] and offsets i32 [bags], or row numbers i32 [bags, length], not {}",
                given.join(" and ")
            ));
        }
        Ok(vec![TensorType { shape: Shape::from(vec![inputs[0].shape.elements()]), dtype: DType::I32 }])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let numbers = cx.inputs[0];
        let bag = |i: usize| match cx.inputs.get(1) {
            Some(offsets) => offsets.data.iter().filter(|&&o| o <= i as f64).count() as f64 - 1.0,
            None => (i / numbers.shape[1]) as f64,
        };
        let hidden = |n: f64| self.padding.is_some_and(|p| n == p as f64);
        let data = numbers.data.iter().enumerate().map(|(i, &n)| if hidden(n) { -1.0 } else { bag(i) });
        vec![Reference::new(&cx.shapes[0], data.collect())]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let offsets = |list: &[i32]| HostTensor::i32(&[list.len()], list.to_vec());
        let sample = |padding, inputs| Sample::new(BagNumbers { padding }, inputs).without_gradient();
        vec![
            sample(None, vec![integers(&[7], 5, 1), offsets(&[0, 2, 2, 6])]),
            sample(Some(2), vec![integers(&[9], 4, 1), offsets(&[0, 9])]),
            sample(Some(1), vec![integers(&[3, 4], 3, 1)]).batched(&[true]),
            sample(None, vec![integers(&[0], 3, 1), offsets(&[0, 0])]),
        ]
    }
}

/// The largest element of each bag in each column, 0 for a bag without rows, and the row where it stands, -1 for none.
///
/// Inputs: bag numbers i32 `[rows]` as of [`BagNumbers`], -1 for a row of no bag, and rows f32 `[rows, width]`; outputs
/// f32 and i32 `[bags, width]`. Of equal elements the first counts; NaN is larger than every number.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentMax {
    /// Number of bags.
    pub bags: Dim,
}

impl Operation for SegmentMax {
    fn name(&self) -> String {
        "segment_max".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[1..])?;
        let (bags, rows) = (inputs[0], inputs[1]);
        let fits = rows.shape.rank() == 2 && bags.dtype == DType::I32 && bags.shape.dims() == &rows.shape.dims()[..1];
        if !fits {
            return Err(format!("needs bag numbers i32 [rows] and rows [rows, width], not {bags} and {rows}"));
        }
        let shape = Shape::from(vec![self.bags, rows.shape.dims()[1]]);
        Ok(vec![TensorType::f32(shape.clone()), TensorType { shape, dtype: DType::I32 }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = SegmentMaxGrad { rows: cx.input(1).shape().dims()[0] };
        Ok(vec![None, Some(cx.tracer().apply_one(op, &[cx.output(1), cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (bags, rows) = (cx.inputs[0], cx.inputs[1]);
        let (count, width) = (cx.shapes[0][0], cx.shapes[0][1]);
        let mut values = Reference::full(&cx.shapes[0], 0.0);
        let mut from = Reference::full(&cx.shapes[1], -1.0);
        for (row, &bag) in bags.data.iter().enumerate() {
            if bag < 0.0 || bag as usize >= count {
                continue;
            }
            for j in 0..width {
                let (at, x) = (bag as usize * width + j, rows.data[row * width + j]);
                let known = values.data[at];
                if from.data[at] < 0.0 || x > known || (x.is_nan() && !known.is_nan()) {
                    (values.data[at], from.data[at]) = (x, row as f64);
                }
            }
        }
        vec![values, from]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        inputs[1].shape.count(extents) as u64
    }

    fn samples() -> Vec<Sample> {
        let bags = |list: &[i32]| HostTensor::i32(&[list.len()], list.to_vec());
        let sample = |count: usize, list: &[i32], width: usize| {
            let op = SegmentMax { bags: Dim::fixed(count) };
            Sample::new(op, vec![bags(list), distinct(&[list.len(), width], 0.13, 2)])
        };
        let many: Vec<i32> = (0..300).map(|i| i / 40).collect();
        vec![
            sample(3, &[0, 0, 2, 2, 2], 3),
            sample(2, &[0, -1, 1, -1], 2),
            sample(8, &many, 33).without_gradient(),
            sample(2, &[], 3).without_gradient(),
        ]
    }
}

/// Gradient of [`SegmentMax`]. Inputs: rows of the largest elements i32, gradient of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentMaxGrad {
    /// Number of rows.
    pub rows: Dim,
}

impl Operation for SegmentMaxGrad {
    fn name(&self) -> String {
        "segment_max_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[1..])?;
        let (from, up) = (inputs[0], inputs[1]);
        if from.dtype != DType::I32 || from.shape != up.shape || up.shape.rank() != 2 {
            return Err(format!("{from} are not the rows of the largest elements that {up} belongs to"));
        }
        Ok(vec![TensorType::f32(Shape::from(vec![self.rows, up.shape.dims()[1]]))])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (from, up) = (cx.inputs[0], cx.inputs[1]);
        let (rows, width) = (cx.shapes[0][0], cx.shapes[0][1]);
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        for (i, (&row, &up)) in from.data.iter().zip(&up.data).enumerate() {
            if row >= 0.0 && (row as usize) < rows {
                out.data[row as usize * width + i % width] += up;
            }
        }
        vec![out]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        // Each bag has rows of its own, as those of a maximum do; a bag without rows has none.
        let from = HostTensor::i32(&[3, 2], vec![1, 0, -1, -1, 3, 4]);
        let up = crate::sample::uniform(&[3, 2], -1.0, 1.0, 1);
        vec![Sample::new(SegmentMaxGrad { rows: Dim::fixed(5) }, vec![from, up]).without_gradient()]
    }
}

/// How the rows of a bag are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BagMode {
    /// Their sum.
    Sum,
    /// Their mean; 0 of none.
    Mean,
    /// The largest element of each column; 0 of none.
    Max,
}

/// What an [embedding bag](Tensor::embedding_bag) is made of.
#[derive(Debug, Clone, Copy)]
pub struct Bags<'a> {
    /// Row numbers i32: `[numbers]` with offsets, or `[bags, length]` without.
    pub numbers: &'a Tensor,
    /// Where each bag begins among the numbers, i32 `[bags]`, ascending from 0.
    pub offsets: Option<&'a Tensor>,
    /// Weight of each row in a sum, f32 of the numbers' shape.
    pub weights: Option<&'a Tensor>,
    /// Row number that belongs to no bag.
    pub padding: Option<usize>,
}

impl Tensor {
    /// Rows of this table `[rows, width]` looked up and combined bag by bag: `[bags, width]`; as PyTorch's `embedding_bag`.
    ///
    /// # Errors
    /// If the shapes do not fit, or weights are given for another mode than the sum. A number out of range, or offsets
    /// that do not ascend from 0, stop the run with an error.
    pub fn embedding_bag(&self, mode: BagMode, bags: Bags<'_>) -> Result<Tensor> {
        let Bags { numbers, offsets, weights, padding } = bags;
        let fail = |problem| Err(self.error("embedding_bag", problem));
        if weights.is_some() && mode != BagMode::Sum {
            return fail("weights of single rows have a meaning for the sum alone".to_string());
        }
        if let Some(weights) = weights.filter(|w| w.shape() != numbers.shape()) {
            return fail(format!("weights {} and row numbers {} differ", weights.shape(), numbers.shape()));
        }
        let hidden = if mode == BagMode::Max { padding } else { None };
        let mut inputs = vec![numbers];
        inputs.extend(offsets);
        let ids = self.tracer().apply_one(BagNumbers { padding: hidden }, &inputs)?;
        let count = offsets.unwrap_or(numbers).shape().dims()[0];
        let elements = numbers.shape().elements();
        let flat = numbers.reshape(vec![elements])?;
        let mut rows = match padding {
            Some(padding) => self.embedding_with_padding(&flat, padding)?,
            None => self.embedding(&flat)?,
        };
        if mode == BagMode::Max {
            return self.tracer().apply_one(SegmentMax { bags: count }, &[&ids, &rows]);
        }
        let sum = |rows: &Tensor| self.tracer().apply_one(EmbeddingGrad { rows: count, padding: None }, &[&ids, rows]);
        // What counts in its bag: 1, or 0 for padding.
        let column = vec![elements, Dim::fixed(1)];
        let counted = match padding {
            Some(padding) => {
                let is_padding = flat.to_f32()?.equal(&self.tracer().scalar(padding as f32))?;
                Some(is_padding.neg()?.add_scalar(1.0)?.reshape(column.clone())?)
            }
            None => None,
        };
        if let Some(weights) = weights {
            rows = rows.mul(&weights.reshape(column.clone())?)?;
        }
        if let Some(counted) = &counted {
            rows = counted.select(&rows, &self.tracer().scalar(0.0))?;
        }
        let total = sum(&rows)?;
        if mode == BagMode::Sum {
            return Ok(total);
        }
        let ones = match counted {
            Some(counted) => counted,
            None => self.tracer().scalar(1.0).broadcast_to(column)?,
        };
        total.div(&sum(&ones)?.clamp(1.0, f32::INFINITY)?)
    }
}
