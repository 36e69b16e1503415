use deepfit_graph::{Dim, HostTensor, Shape, Tensor};

use super::affine::check_epsilon;
use crate::declaration::{Parameter, Role, check_table, product};
use crate::error::{Result, require};
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// The last axes of a tensor as one.
#[derive(Debug, Clone)]
struct LastAxes {
    lengths: Vec<usize>,
}

impl LastAxes {
    /// Channels, height and width, PyTorch's order, of images that lie as height, width and channels.
    fn are_of_images(&self, x: &Tensor) -> bool {
        self.lengths.len() == 3 && x.shape().rank() == 4
    }

    /// `x` with the axes joined, after a check that they are these.
    fn join(&self, x: &Tensor, path: &str) -> Result<Tensor> {
        let lengths = match self.lengths[..] {
            [channels, height, width] if self.are_of_images(x) => vec![height, width, channels],
            _ => self.lengths.clone(),
        };
        check_table(path, &self.lengths)?;
        let dims = x.shape().dims();
        let lead = dims.len().checked_sub(lengths.len());
        let fits = lead.is_some_and(|lead| Shape::from(dims[lead..].to_vec()) == Shape::from(&lengths[..]));
        require(fits && !lengths.is_empty(), path, "normalized_shape", || {
            format!("is {:?}, which the last axes of {} must be", lengths, x.shape())
        })?;
        let mut joined = dims[..lead.unwrap_or(0)].to_vec();
        joined.push(Dim::fixed(product(&lengths)));
        Ok(x.reshape(joined)?)
    }

    /// A parameter of these axes as a vector in the order of the joined axis.
    fn vector(&self, parameter: &Parameter, x: &Tensor) -> Result<Tensor> {
        let value = parameter.on(x.tracer())?;
        let value = if self.are_of_images(x) { value.permute(&[1, 2, 0])? } else { value };
        Ok(value.reshape([self.elements()])?)
    }

    fn elements(&self) -> usize {
        product(&self.lengths)
    }

    fn constant(&self, x: &Tensor, value: f32) -> Tensor {
        x.tracer().constant(HostTensor::f32(&[self.elements()], vec![value; self.elements()]))
    }
}

/// Layer normalisation over the last axes (Ba, Kiros and Hinton, 2016), as PyTorch's `LayerNorm`: `[..., channels]` keeps
/// its shape.
///
/// Images `[batch, height, width, channels]` are normalised as a whole where PyTorch's shape `[channels, height, width]`
/// is given; the parameters then have that shape too.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    path: String,
    axes: LastAxes,
    weight: Option<Parameter>,
    bias: Option<Parameter>,
    epsilon: f32,
}

impl LayerNorm {
    /// A layer for the given length of the last axis with PyTorch's default epsilon, 1e-5, and `weight` and `bias`
    /// `[channels]`.
    pub fn new(scope: &Scope, channels: usize) -> Self {
        Self::with(scope, channels, 1e-5)
    }

    /// A layer with the given number, not negative, added to the variance.
    pub fn with(scope: &Scope, channels: usize, epsilon: f32) -> Self {
        Self::over(scope, &[channels], epsilon, true, true)
    }

    /// A layer over several axes, perhaps without scale (and then without shift), perhaps without shift: PyTorch's
    /// `elementwise_affine` and `bias`, which are true by default there. `weight` and `bias` have the normalised shape.
    pub fn over(scope: &Scope, normalized_shape: &[usize], epsilon: f32, elementwise_affine: bool, bias: bool) -> Self {
        let parameter = |name, init| scope.parameter(name, normalized_shape, init, Role::NoDecay);
        LayerNorm {
            path: scope.place("layer_norm"),
            axes: LastAxes { lengths: normalized_shape.to_vec() },
            weight: elementwise_affine.then(|| parameter("weight", Init::Ones)),
            bias: (elementwise_affine && bias).then(|| parameter("bias", Init::Zeros)),
            epsilon,
        }
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            check_epsilon(&self.path, self.epsilon)?;
            let vector = |parameter: &Option<Parameter>, otherwise| match parameter {
                Some(parameter) => self.axes.vector(parameter, x),
                None => Ok(self.axes.constant(x, otherwise)),
            };
            let joined = self.axes.join(x, &self.path)?;
            let (scale, shift) = (vector(&self.weight, 1.0)?, vector(&self.bias, 0.0)?);
            Ok(joined.layer_norm(&scale, &shift, self.epsilon)?.reshape(x.shape().clone())?)
        })
    }
}

/// Root mean square normalisation over the last axes (Zhang and Sennrich, 2019), as PyTorch's `RMSNorm`; images as in
/// [`LayerNorm`].
#[derive(Debug, Clone)]
pub struct RmsNorm {
    path: String,
    axes: LastAxes,
    weight: Option<Parameter>,
    epsilon: f32,
}

impl RmsNorm {
    /// A layer for the given length of the last axis with PyTorch's default epsilon, that of `f32`.
    pub fn new(scope: &Scope, channels: usize) -> Self {
        Self::over(scope, &[channels], f32::EPSILON, true)
    }

    /// A layer over several axes with the given number, not negative, added to the mean square, perhaps without scale:
    /// `weight` has the normalised shape.
    pub fn over(scope: &Scope, normalized_shape: &[usize], epsilon: f32, elementwise_affine: bool) -> Self {
        RmsNorm {
            path: scope.place("rms_norm"),
            axes: LastAxes { lengths: normalized_shape.to_vec() },
            weight: elementwise_affine.then(|| scope.parameter("weight", normalized_shape, Init::Ones, Role::NoDecay)),
            epsilon,
        }
    }
}

impl Module for RmsNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            check_epsilon(&self.path, self.epsilon)?;
            let joined = self.axes.join(x, &self.path)?;
            let scale = match &self.weight {
                Some(weight) => self.axes.vector(weight, x)?,
                None => self.axes.constant(x, 1.0),
            };
            Ok(joined.rms_norm(&scale, self.epsilon)?.reshape(x.shape().clone())?)
        })
    }
}
