//! 2-D convolution over NHWC images, with weights in PyTorch's layout `[out, in / groups, height, width]`.

use super::fused::{Instruction, Operand, Program, check_epilogue, reference_epilogue};
use super::{BinaryKind, UnaryKind, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{Reference, for_each_index};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Geometry of a convolution; pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2dAttributes {
    /// Steps between neighbouring windows.
    pub stride: (usize, usize),
    /// Zeros around the image on each side.
    pub padding: (usize, usize),
    /// Distance between neighbouring taps of a window.
    pub dilation: (usize, usize),
    /// Number of groups of channels that are convolved apart from each other.
    pub groups: usize,
}

impl Default for Conv2dAttributes {
    fn default() -> Self {
        Conv2dAttributes { stride: (1, 1), padding: (0, 0), dilation: (1, 1), groups: 1 }
    }
}

/// Most positions of an axis with the border around it: far below what overflows, far beyond any memory.
const MOST_POSITIONS: usize = 1 << 47;

/// By how many positions a window of `size` taps can move over `n` positions with a border on each side; `None` if it
/// does not fit, or is of a size that no axis has.
pub(super) fn room(n: usize, size: usize, padding: usize, dilation: usize) -> Option<usize> {
    let span = dilation.checked_mul(size.checked_sub(1)?)?.checked_add(1)?;
    let all = padding.checked_mul(2)?.checked_add(n).filter(|&all| all <= MOST_POSITIONS)?;
    all.checked_sub(span)
}

impl Conv2dAttributes {
    /// Height and width of the output for those of the image and the kernel; `None` if no window fits.
    pub fn output_size(&self, image: (usize, usize), kernel: (usize, usize)) -> Option<(usize, usize)> {
        let length = |n: usize, k: usize, stride: usize, padding: usize, dilation: usize| {
            Some(room(n, k, padding, dilation)?.checked_div(stride)? + 1)
        };
        Some((
            length(image.0, kernel.0, self.stride.0, self.padding.0, self.dilation.0)?,
            length(image.1, kernel.1, self.stride.1, self.padding.1, self.dilation.1)?,
        ))
    }

    /// Output type for images `[n, h, w, c]` and weights `[o, c / groups, kh, kw]`.
    fn infer(&self, image: &Shape, weight: &Shape) -> Result<Shape, String> {
        let fixed = |shape: &Shape, axis| shape.fixed(axis);
        let (Some(h), Some(w), Some(c)) = (fixed(image, 1), fixed(image, 2), fixed(image, 3)) else {
            return Err(format!("images must be [batch, height, width, channels], not {image}"));
        };
        let lengths: Option<Vec<usize>> = (0..4).map(|a| weight.fixed(a)).collect();
        let (Some(lengths), true) = (lengths, image.rank() == 4 && weight.rank() == 4) else {
            return Err(format!("weights must be [out, in / groups, height, width], not {weight}"));
        };
        if self.stride.0 == 0 || self.stride.1 == 0 || self.dilation.0 == 0 || self.dilation.1 == 0 {
            return Err("stride and dilation must be at least 1".to_string());
        }
        let groups = self.groups;
        if groups == 0 || c % groups != 0 || lengths[0] % groups != 0 || lengths[1] != c / groups {
            return Err(format!("{groups} groups of weights {weight} do not fit images {image} with {c} channels"));
        }
        let (oh, ow) = self.output_size((h, w), (lengths[2], lengths[3])).ok_or_else(|| {
            format!(
                "a window of {}x{}, of weights {weight}, with dilation {:?} does not fit into images {image} with padding {:?}",
                lengths[2], lengths[3], self.dilation, self.padding
            )
        })?;
        Ok(vec![image.dims()[0], oh.into(), ow.into(), lengths[0].into()].into())
    }

    /// Calls `f(image index, output index, weight index)` for every product that the convolution sums.
    fn for_each_product(
        &self,
        image: &[usize],
        output: &[usize],
        weight: &[usize],
        mut f: impl FnMut([usize; 4], [usize; 4], [usize; 4]),
    ) {
        let (in_group, out_group) = (weight[1], weight[0] / self.groups);
        for_each_index(output, |o| {
            let group = o[3] / out_group;
            for_each_index(&[weight[2], weight[3], in_group], |k| {
                let y = (o[1] * self.stride.0 + k[0] * self.dilation.0).wrapping_sub(self.padding.0);
                let x = (o[2] * self.stride.1 + k[1] * self.dilation.1).wrapping_sub(self.padding.1);
                if y < image[1] && x < image[2] {
                    let c = group * in_group + k[2];
                    f([o[0], y, x, c], [o[0], o[1], o[2], o[3]], [o[3], k[2], k[0], k[1]]);
                }
            });
        });
    }
}

/// Multiplications and additions of one convolution.
fn conv_operations(output: &Shape, weight: &Shape, extents: &Extents) -> u64 {
    let w = weight.resolve(extents);
    (2 * output.count(extents) * w[1] * w[2] * w[3]) as u64
}

/// Convolution (cross-correlation), followed by an element-wise program.
///
/// Inputs: images, weights, and those of the epilogue, whose input 0 is the convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2d {
    /// Geometry.
    pub attributes: Conv2dAttributes,
    /// What is applied to each element of the result.
    pub epilogue: Option<Program>,
}

impl Operation for Conv2d {
    fn name(&self) -> String {
        match &self.epilogue {
            None => "conv2d".to_string(),
            Some(program) => format!("conv2d+{}", program.names()),
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let extra = inputs.len().checked_sub(2).ok_or("needs images and weights")?;
        if extra > 0 && self.epilogue.is_none() {
            return Err(format!("takes 2 inputs, not {}", inputs.len()));
        }
        floating(inputs)?;
        let shape = self.attributes.infer(&inputs[0].shape, &inputs[1].shape)?;
        check_epilogue(self.epilogue.as_ref(), &shape, &inputs[2..])?;
        Ok(vec![TensorType::f32(shape)])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        if self.epilogue.is_some() {
            return cx.through_decomposition(self);
        }
        let (images, weights, upstream) = (cx.input(0), cx.input(1), cx.upstream()?);
        let attributes = self.attributes;
        let dx = if cx.wants(0) {
            let op = Conv2dInputGrad { attributes, image: images.shape().clone() };
            Some(cx.tracer().apply_one(op, &[upstream, weights])?)
        } else {
            None
        };
        let dw = if cx.wants(1) {
            let op = Conv2dWeightGrad { attributes, weight: weights.shape().clone() };
            Some(cx.tracer().apply_one(op, &[images, upstream])?)
        } else {
            None
        };
        Ok(vec![dx, dw])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (images, weights) = (cx.inputs[0], cx.inputs[1]);
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        self.attributes.for_each_product(&images.shape, &cx.shapes[0], &weights.shape, |i, o, w| {
            let offset = out.offset(&o);
            out.data[offset] += images.at(&i) * weights.at(&w);
        });
        vec![reference_epilogue(self.epilogue.as_ref(), out, &cx.inputs[2..])]
    }

    fn decompose(&self, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
        let Some(program) = &self.epilogue else { return Ok(None) };
        let mut values = vec![inputs[0].conv2d(&inputs[1], self.attributes)?];
        values.extend_from_slice(&inputs[2..]);
        Ok(Some(vec![program.apply(&values)?]))
    }

    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        let epilogue = self.epilogue.as_ref().map_or(0, |p| p.instructions.len());
        conv_operations(&outputs[0].shape, &inputs[1].shape, extents)
            + (epilogue * outputs[0].shape.count(extents)) as u64
    }

    fn samples() -> Vec<Sample> {
        let mut samples: Vec<Sample> = geometries()
            .into_iter()
            .map(|g| {
                let inputs = vec![uniform(&g.image, -1.0, 1.0, 1), uniform(&g.weight, -1.0, 1.0, 2)];
                let sample = Sample::new(Conv2d { attributes: g.attributes, epilogue: None }, inputs);
                g.finish(sample, &[true, false])
            })
            .collect();
        let epilogue = Some(Program {
            instructions: vec![
                Instruction::Binary(BinaryKind::Add, Operand::Input(0), Operand::Input(1)),
                Instruction::Binary(BinaryKind::Add, Operand::Result(0), Operand::Input(2)),
                Instruction::Unary(UnaryKind::Relu, Operand::Result(1)),
            ],
        });
        for (height, channels, outputs, groups) in [(4, 2, 3, 1), (4, 4, 6, 2), (4, 3, 9, 3), (7, 16, 18, 1)] {
            let attributes = Conv2dAttributes { padding: (1, 1), groups, ..Conv2dAttributes::default() };
            let inputs = vec![
                uniform(&[2, height, height + 1, channels], -1.0, 1.0, 1),
                uniform(&[outputs, channels / groups, 3, 3], -1.0, 1.0, 2),
                uniform(&[outputs], -1.0, 1.0, 3),
                uniform(&[2, height, height + 1, outputs], -1.0, 1.0, 4),
            ];
            let op = Conv2d { attributes, epilogue: epilogue.clone() };
            // Kernels may compute in tiles if there are enough channels, which rounds more: measured 5e-6.
            let tolerance = if channels < 16 { 4e-6 } else { 2e-5 };
            let sample = Sample::new(op, inputs).tolerance(tolerance).non_finite_may_spread();
            let sample = sample.batched(&[true, false, false, true]);
            samples.push(if channels < 16 { sample } else { sample.without_gradient() });
        }
        samples
    }
}

/// Gradient of a convolution with respect to its images, which is also the transposed convolution. Inputs: gradient of
/// the result, weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2dInputGrad {
    /// Geometry of the convolution.
    pub attributes: Conv2dAttributes,
    /// Shape of the images.
    pub image: Shape,
}

impl Operation for Conv2dInputGrad {
    fn name(&self) -> String {
        "conv2d_input_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        super::arity(inputs, 2)?;
        floating(inputs)?;
        let expected = self.attributes.infer(&self.image, &inputs[1].shape)?;
        super::same_shape("the gradient and the convolution", inputs[0], &TensorType::f32(expected))?;
        Ok(vec![TensorType::f32(self.image.clone())])
    }

    // It is linear in both inputs, which is also what a transposed convolution is trained by.
    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let (values, weights, upstream) = (cx.input(0), cx.input(1), cx.upstream()?);
        let dv = if cx.wants(0) { Some(upstream.conv2d(weights, self.attributes)?) } else { None };
        let dw = if cx.wants(1) {
            let op = Conv2dWeightGrad { attributes: self.attributes, weight: weights.shape().clone() };
            Some(cx.tracer().apply_one(op, &[upstream, values])?)
        } else {
            None
        };
        Ok(vec![dv, dw])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (upstream, weights) = (cx.inputs[0], cx.inputs[1]);
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        self.attributes.for_each_product(&cx.shapes[0], &upstream.shape, &weights.shape, |i, o, w| {
            let offset = out.offset(&i);
            out.data[offset] += upstream.at(&o) * weights.at(&w);
        });
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        conv_operations(&inputs[0].shape, &inputs[1].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        geometries()
            .into_iter()
            .map(|g| {
                let inputs = vec![uniform(&g.output(), -1.0, 1.0, 3), uniform(&g.weight, -1.0, 1.0, 2)];
                let op = Conv2dInputGrad { attributes: g.attributes, image: Shape::from(&g.image[..]) };
                // The image's shape is part of the operation, so there is no batch axis to vary.
                g.finish(Sample::new(op, inputs), &[])
            })
            .collect()
    }
}

/// Gradient of a convolution with respect to its weights. Inputs: images, gradient of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2dWeightGrad {
    /// Geometry of the convolution.
    pub attributes: Conv2dAttributes,
    /// Shape of the weights.
    pub weight: Shape,
}

impl Operation for Conv2dWeightGrad {
    fn name(&self) -> String {
        "conv2d_weight_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        super::arity(inputs, 2)?;
        floating(inputs)?;
        let expected = self.attributes.infer(&inputs[0].shape, &self.weight)?;
        super::same_shape("the gradient and the convolution", inputs[1], &TensorType::f32(expected))?;
        Ok(vec![TensorType::f32(self.weight.clone())])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let (images, gradient, upstream) = (cx.input(0), cx.input(1), cx.upstream()?);
        let dx = if cx.wants(0) {
            let op = Conv2dInputGrad { attributes: self.attributes, image: images.shape().clone() };
            Some(cx.tracer().apply_one(op, &[gradient, upstream])?)
        } else {
            None
        };
        let dg = if cx.wants(1) { Some(images.conv2d(upstream, self.attributes)?) } else { None };
        Ok(vec![dx, dg])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (images, upstream) = (cx.inputs[0], cx.inputs[1]);
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        self.attributes.for_each_product(&images.shape, &upstream.shape, &cx.shapes[0], |i, o, w| {
            let offset = out.offset(&w);
            out.data[offset] += upstream.at(&o) * images.at(&i);
        });
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        conv_operations(&inputs[1].shape, &outputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        geometries()
            .into_iter()
            .map(|g| {
                let inputs = vec![uniform(&g.image, -1.0, 1.0, 1), uniform(&g.output(), -1.0, 1.0, 3)];
                let op = Conv2dWeightGrad { attributes: g.attributes, weight: Shape::from(&g.weight[..]) };
                g.finish(Sample::new(op, inputs), &[true, true])
            })
            .collect()
    }
}

struct Geometry {
    image: Vec<usize>,
    weight: Vec<usize>,
    attributes: Conv2dAttributes,
    gradient: bool,
}

impl Geometry {
    fn output(&self) -> Vec<usize> {
        let shape = self.attributes.infer(&Shape::from(&self.image[..]), &Shape::from(&self.weight[..]));
        shape.expect("sample geometries are valid").resolve(&Extents::batch(1))
    }

    fn finish(&self, sample: Sample, batched: &[bool]) -> Sample {
        // Zeros of the padding are multiplied like any other pixel.
        let sample = sample.tolerance(8e-6).non_finite_may_spread();
        if self.gradient { sample.batched(batched) } else { sample.without_gradient() }
    }
}

/// Small ones of every kind with gradient, larger ones around tile borders without.
fn geometries() -> Vec<Geometry> {
    let mut list: Vec<Geometry> = Vec::new();
    let mut add = |image: [usize; 4], weight: [usize; 4], s: usize, p: usize, d: usize, groups: usize, gradient| {
        let attributes = Conv2dAttributes { stride: (s, s), padding: (p, p), dilation: (d, d), groups };
        list.push(Geometry { image: image.to_vec(), weight: weight.to_vec(), attributes, gradient });
    };
    add([2, 5, 4, 2], [3, 2, 3, 3], 1, 1, 1, 1, true);
    add([2, 5, 4, 2], [3, 2, 1, 1], 1, 0, 1, 1, true);
    add([1, 5, 6, 2], [3, 2, 1, 1], 2, 0, 1, 1, true);
    add([1, 7, 6, 2], [2, 2, 3, 3], 2, 1, 1, 1, true);
    add([1, 7, 6, 2], [2, 2, 5, 2], 3, 2, 1, 1, true);
    add([1, 7, 7, 2], [2, 2, 3, 3], 1, 2, 2, 1, true);
    add([2, 4, 4, 4], [6, 2, 3, 3], 1, 1, 1, 2, true);
    add([2, 4, 4, 3], [3, 1, 3, 3], 1, 1, 1, 3, true);
    add([1, 5, 5, 3], [6, 1, 3, 3], 2, 1, 1, 3, true);
    add([3, 8, 8, 16], [33, 16, 3, 3], 1, 1, 1, 1, false);
    add([2, 9, 7, 17], [15, 17, 3, 3], 2, 1, 1, 1, false);
    add([2, 13, 13, 3], [8, 3, 7, 7], 2, 3, 1, 1, false);
    add([2, 9, 9, 33], [33, 1, 3, 3], 1, 1, 1, 33, false);
    add([2, 9, 9, 17], [34, 1, 5, 5], 2, 2, 1, 17, false);
    add([2, 8, 8, 12], [20, 3, 3, 3], 1, 1, 1, 4, false);
    add([4, 16, 16, 64], [31, 64, 1, 1], 1, 0, 1, 1, false);
    // Computed in tiles; the last of them reach beyond the image.
    add([2, 7, 10, 20], [18, 20, 3, 3], 1, 1, 1, 1, false);
    add([1, 9, 6, 16], [16, 16, 3, 3], 1, 2, 1, 1, false);
    add([0, 4, 4, 2], [3, 2, 3, 3], 1, 1, 1, 1, false);
    // Dilation with a stride, in groups and depth-wise.
    add([1, 8, 7, 2], [2, 2, 3, 2], 2, 2, 3, 1, true);
    add([1, 7, 8, 4], [2, 2, 2, 3], 2, 1, 2, 2, true);
    add([1, 7, 6, 3], [3, 1, 3, 3], 1, 2, 2, 3, true);
    add([1, 8, 7, 2], [4, 1, 3, 2], 2, 2, 3, 2, true);
    add([2, 11, 12, 17], [17, 1, 3, 3], 2, 2, 2, 17, false);
    add([2, 11, 12, 33], [33, 1, 5, 3], 1, 4, 2, 33, false);
    add([2, 11, 12, 18], [33, 6, 3, 3], 3, 2, 2, 3, false);
    // Another geometry down than across; one line, as a sequence is.
    let mut uneven = |image: [usize; 4], weight: [usize; 4], attributes, gradient| {
        list.push(Geometry { image: image.to_vec(), weight: weight.to_vec(), attributes, gradient });
    };
    let attributes = |stride, padding, dilation, groups| Conv2dAttributes { stride, padding, dilation, groups };
    uneven([1, 6, 9, 2], [3, 2, 2, 3], attributes((1, 3), (0, 2), (2, 1), 1), true);
    uneven([1, 6, 9, 2], [2, 1, 2, 3], attributes((3, 2), (1, 0), (1, 2), 2), true);
    uneven([2, 1, 11, 3], [4, 3, 1, 3], attributes((1, 2), (0, 1), (1, 2), 1), true);
    uneven([3, 1, 70, 17], [9, 17, 1, 5], attributes((1, 1), (0, 4), (1, 2), 1), false);
    uneven([3, 1, 70, 17], [17, 1, 1, 5], attributes((1, 3), (0, 4), (1, 2), 17), false);
    list
}

impl Tensor {
    /// 2-D convolution of images `[batch, height, width, channels]` with weights `[out, in / groups, height, width]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn conv2d(&self, weight: &Tensor, attributes: Conv2dAttributes) -> Result<Tensor> {
        self.tracer().apply_one(Conv2d { attributes, epilogue: None }, &[self, weight])
    }
}
