//! Kernels of the convolution and its gradients.

use deepfit_graph::ops::{Conv2d, Conv2dAttributes, Conv2dInputGrad, Conv2dWeightGrad};

use super::elementwise::EpilogueProgram;
use super::{Bind, is_kernel};
use crate::executor::{Call, Fault, Kernel, Preparable, Shapes};
use crate::kernels::Compute;
use crate::kernels::conv::{self, Conv2dShape, ConvWeights};

is_kernel!(Conv2dInputGrad, Conv2dWeightGrad);

fn geometry(attributes: &Conv2dAttributes, image: &[usize], weight: &[usize]) -> Conv2dShape {
    let (vertical, horizontal) = attributes.padding;
    Conv2dShape {
        n: image[0],
        h: image[1],
        w: image[2],
        c: image[3],
        o: weight[0],
        kh: weight[2],
        kw: weight[3],
        stride: [attributes.stride.0, attributes.stride.1],
        padding: [vertical, vertical, horizontal, horizontal],
        dilation: [attributes.dilation.0, attributes.dilation.1],
        groups: attributes.groups,
    }
}

struct Convolution {
    attributes: Conv2dAttributes,
    epilogue: Option<EpilogueProgram>,
}

impl Bind for Conv2d {
    fn bind(&self) -> Box<dyn Kernel> {
        let epilogue = self.epilogue.as_ref().map(EpilogueProgram::new);
        Box::new(Convolution { attributes: self.attributes, epilogue })
    }
}

impl Kernel for Convolution {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        conv::conv2d_scratch(cx, &geometry(&self.attributes, shapes.input(0), shapes.input(1)))
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shapes = call.shapes();
        let shape = geometry(&self.attributes, shapes.input(0), shapes.input(1));
        let epilogue = self.epilogue.as_ref().map(|program| program.bound(call, 2, shape.o));
        let epilogue = epilogue.as_ref().map(|e| e as &dyn crate::kernels::gemm::Epilogue);
        let (images, weights) = (call.input(0), ConvWeights { plain: call.input(1), prepared: call.prepared() });
        conv::conv2d(call.compute(), &shape, images, weights, call.output(0), epilogue, call.scratch());
        Ok(())
    }

    fn preparable(&self, cx: &Compute<'_>, shapes: &Shapes) -> Option<Preparable> {
        let shape = geometry(&self.attributes, shapes.input(0), shapes.input(1));
        conv::conv2d_prepared_size(cx, &shape).map(|size| Preparable { input: 1, size })
    }

    fn prepared_scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        conv::conv2d_prepared_scratch(cx, &geometry(&self.attributes, shapes.input(0), shapes.input(1)))
    }

    fn prepare(&self, cx: &Compute<'_>, shapes: &Shapes, weights: &[f32], prepared: &mut [f32]) {
        conv::conv2d_prepare(cx, &geometry(&self.attributes, shapes.input(0), shapes.input(1)), weights, prepared);
    }
}

impl Kernel for Conv2dInputGrad {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        conv::conv2d_input_gradient_scratch(cx, &geometry(&self.attributes, shapes.output(0), shapes.input(1)))
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shapes = call.shapes();
        let shape = geometry(&self.attributes, shapes.output(0), shapes.input(1));
        let (upstream, weights) = (call.input(0), call.input(1));
        conv::conv2d_input_gradient(call.compute(), &shape, upstream, weights, call.output(0), call.scratch());
        Ok(())
    }
}

impl Kernel for Conv2dWeightGrad {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        conv::conv2d_weight_gradient_scratch(cx, &geometry(&self.attributes, shapes.input(0), shapes.output(0)))
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shapes = call.shapes();
        let shape = geometry(&self.attributes, shapes.input(0), shapes.output(0));
        let (images, upstream) = (call.input(0), call.input(1));
        conv::conv2d_weight_gradient(call.compute(), &shape, images, upstream, call.output(0), call.scratch());
        Ok(())
    }
}
