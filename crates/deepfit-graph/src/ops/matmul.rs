//! Matrix product.

use super::fused::{Instruction, Operand, Program, check_epilogue, reference_epilogue};
use super::{BinaryKind, UnaryKind, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// `A · B`, with either transposed, followed by an element-wise program while the result is in cache.
///
/// `A` is `[..., m, k]`, `B` is `[k, n]` (all leading axes of `A` are then rows) or `[..., k, n]` with equal leading axes.
/// Inputs after the first two belong to the epilogue, whose input 0 is the product.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatMul {
    /// `A` is given as `[..., k, m]`.
    pub transpose_a: bool,
    /// `B` is given as `[..., n, k]`.
    pub transpose_b: bool,
    /// What is applied to each element of the product.
    pub epilogue: Option<Program>,
}

/// The product's axes: leading ones, rows, inner length, columns.
struct Axes {
    lead: Vec<Dim>,
    m: Dim,
    k: Dim,
    n: Dim,
}

impl MatMul {
    fn axes(&self, a: &Shape, b: &Shape) -> Result<Axes, String> {
        let flip = |shape: &Shape, flip: bool| {
            let dims = shape.dims();
            let (x, y) = (dims[dims.len() - 2], dims[dims.len() - 1]);
            if flip { (y, x) } else { (x, y) }
        };
        if a.rank() < 2 || b.rank() < 2 {
            return Err(format!("needs matrices, not {a} and {b}"));
        }
        let (m, k) = flip(a, self.transpose_a);
        let (k2, n) = flip(b, self.transpose_b);
        let lead = a.dims()[..a.rank() - 2].to_vec();
        if k != k2 {
            return Err(format!(
                "{a}{} and {b}{} do not fit: the inner lengths {k} and {k2} differ",
                if self.transpose_a { " transposed" } else { "" },
                if self.transpose_b { " transposed" } else { "" },
            ));
        }
        if b.rank() != 2 && b.dims()[..b.rank() - 2] != lead[..] {
            return Err(format!("{a} and {b} do not fit: the leading axes differ"));
        }
        if b.rank() == 2 && a.rank() > 2 && self.transpose_a {
            return Err(format!("{a} transposed cannot be multiplied by the matrix {b}"));
        }
        Ok(Axes { lead, m, k, n })
    }
}

impl Operation for MatMul {
    fn name(&self) -> String {
        match &self.epilogue {
            None => "matmul".to_string(),
            Some(program) => format!("matmul+{}", program.names()),
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let extra = inputs.len().checked_sub(2).ok_or("needs two matrices")?;
        if extra > 0 && self.epilogue.is_none() {
            return Err(format!("takes 2 inputs, not {}", inputs.len()));
        }
        floating(inputs)?;
        let Axes { mut lead, m, n, .. } = self.axes(&inputs[0].shape, &inputs[1].shape)?;
        lead.extend([m, n]);
        let shape = Shape::from(lead);
        check_epilogue(self.epilogue.as_ref(), &shape, &inputs[2..])?;
        Ok(vec![TensorType::f32(shape)])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        if self.epilogue.is_some() {
            return cx.through_decomposition(self);
        }
        let (a, b, up) = (cx.input(0), cx.input(1), cx.upstream()?);
        let da = if !cx.wants(0) {
            None
        } else if self.transpose_a {
            Some(b.matmul_with(up, self.transpose_b, true)?)
        } else {
            Some(up.matmul_with(b, false, !self.transpose_b)?)
        };
        let db = if !cx.wants(1) {
            None
        } else {
            // Leading axes of A that B does not have are rows of one long product.
            let rows = |t: &Tensor| if b.shape().rank() == 2 { t.as_rows() } else { Ok(t.clone()) };
            let (a, up) = (rows(a)?, rows(up)?);
            Some(if self.transpose_b {
                up.matmul_with(&a, true, self.transpose_a)?
            } else {
                a.matmul_with(&up, !self.transpose_a, false)?
            })
        };
        Ok(vec![da, db])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (a, b) = (cx.inputs[0], cx.inputs[1]);
        let rank = a.shape.len();
        let inner = a.shape[if self.transpose_a { rank - 2 } else { rank - 1 }];
        let mut index_b = Vec::new();
        let product = Reference::from_fn(&cx.shapes[0], |index| {
            let (i, j) = (index[rank - 2], index[rank - 1]);
            let mut index_a = index.to_vec();
            index_b.clear();
            index_b.extend_from_slice(if b.shape.len() == 2 { &index[rank - 2..] } else { index });
            let last = index_b.len();
            (0..inner)
                .map(|p| {
                    let (row, column) = if self.transpose_a { (p, i) } else { (i, p) };
                    (index_a[rank - 2], index_a[rank - 1]) = (row, column);
                    let (row, column) = if self.transpose_b { (j, p) } else { (p, j) };
                    (index_b[last - 2], index_b[last - 1]) = (row, column);
                    a.at(&index_a) * b.at(&index_b)
                })
                .sum()
        });
        vec![reference_epilogue(self.epilogue.as_ref(), product, &cx.inputs[2..])]
    }

    fn decompose(&self, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
        let Some(program) = &self.epilogue else { return Ok(None) };
        let mut values = vec![inputs[0].matmul_with(&inputs[1], self.transpose_a, self.transpose_b)?];
        values.extend_from_slice(&inputs[2..]);
        Ok(Some(vec![program.apply(&values)?]))
    }

    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        let k = self.axes(&inputs[0].shape, &inputs[1].shape).map_or(0, |axes| axes.k.length(extents));
        let per_element = 2 * k + self.epilogue.as_ref().map_or(0, |p| p.instructions.len());
        (outputs[0].shape.count(extents) * per_element) as u64
    }

    fn samples() -> Vec<Sample> {
        let u = |shape: &[usize], seed| uniform(shape, -1.0, 1.0, seed);
        let mut samples = Vec::new();
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let op = MatMul { transpose_a, transpose_b, epilogue: None };
            let shape = |a, b, flip| if flip { [b, a] } else { [a, b] };
            let pair = |m, k, n| vec![u(&shape(m, k, transpose_a), 1), u(&shape(k, n, transpose_b), 2)];
            samples.push(Sample::new(op.clone(), pair(3, 5, 4)));
            for (m, k, n) in [
                (1, 1, 1),
                (1, 300, 17),
                (7, 1, 33),
                (13, 64, 31),
                (14, 65, 32),
                (15, 3, 33),
                (65, 257, 49),
                (129, 40, 130),
                (0, 3, 4),
                (3, 0, 4),
                (3, 4, 0),
                (8, 3000, 8),
            ] {
                samples.push(Sample::new(op.clone(), pair(m, k, n)).without_gradient().tolerance(8e-6));
            }
            if !transpose_a {
                samples.push(
                    Sample::new(op.clone(), vec![u(&[2, 3, 5], 3), u(&shape(5, 4, transpose_b), 4)])
                        .batched(&[true, false]),
                );
            }
            let (a, b) = (shape(3, 5, transpose_a), shape(5, 4, transpose_b));
            let batch = vec![u(&[2, a[0], a[1]], 5), u(&[2, b[0], b[1]], 6)];
            samples.push(Sample::new(op, batch).batched(&[true, true]));
        }
        // relu(A·B + bias) + residual
        let epilogue = Program {
            instructions: vec![
                Instruction::Binary(BinaryKind::Add, Operand::Input(0), Operand::Input(1)),
                Instruction::Unary(UnaryKind::Relu, Operand::Result(0)),
                Instruction::Binary(BinaryKind::Add, Operand::Result(1), Operand::Input(2)),
            ],
        };
        for (m, k, n) in [(4, 5, 6), (30, 20, 40), (31, 600, 65)] {
            let op = MatMul { epilogue: Some(epilogue.clone()), ..MatMul::default() };
            let inputs = vec![u(&[m, k], 1), u(&[k, n], 2), u(&[n], 3), u(&[m, n], 4)];
            let sample = Sample::new(op, inputs).tolerance(8e-6).batched(&[true, false, false, true]);
            samples.push(if m == 4 { sample } else { sample.without_gradient() });
        }
        samples
    }
}

impl Tensor {
    /// Matrix product `self · other`.
    ///
    /// # Errors
    /// If the inner lengths differ.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        self.matmul_with(other, false, false)
    }

    /// Matrix product with the last two axes of either side transposed.
    ///
    /// # Errors
    /// If the inner lengths differ.
    pub fn matmul_with(&self, other: &Tensor, transpose_self: bool, transpose_other: bool) -> Result<Tensor> {
        let op = MatMul { transpose_a: transpose_self, transpose_b: transpose_other, epilogue: None };
        self.tracer().apply_one(op, &[self, other])
    }

    /// All axes but the last as rows of one matrix.
    fn as_rows(&self) -> Result<Tensor> {
        let dims = self.shape().dims();
        let (&last, lead) = dims.split_last().expect("a product has at least two axes");
        self.reshape(vec![lead.iter().fold(Dim::fixed(1), |n, &d| n * d), last])
    }
}
