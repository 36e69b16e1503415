use std::ops::Range;

use deepfit_graph::{DType, HostTensor, Tensor};
use deepfit_nn::{Module, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_lengths};
use crate::network::{InputSlot, Network, take};

/// Name of the input of networks for images.
pub const IMAGE: &str = "image";

/// The images that a network takes, and how their pixels become numbers around zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// Numbers of each pixel: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Mean of each channel, of pixels from 0 to 1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, of pixels from 0 to 1.
    pub std: Vec<f32>,
}

impl ImageConfig {
    /// Images whose pixels are used from 0 to 1 as they are.
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        ImageConfig { height, width, channels, mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// With the given statistics of pixels from 0 to 1.
    #[must_use]
    pub fn normalised(self, mean: Vec<f32>, std: Vec<f32>) -> Self {
        ImageConfig { mean, std, ..self }
    }

    pub(crate) fn validate(&self, model: &'static str) -> Result<()> {
        require_lengths(&[self.height, self.width, self.channels], model, "image")?;
        for (setting, values) in [("mean", &self.mean), ("std", &self.std)] {
            require(values.len() == self.channels && values.iter().all(|v| v.is_finite()), model, setting, || {
                format!("is {values:?}, but must have one finite number for each of {} channels", self.channels)
            })?;
        }
        require(self.std.iter().all(|&s| s > 0.0), model, "std", || {
            format!("is {:?}, but must be positive: use 1 for a channel that never changes", self.std)
        })
    }

    pub(crate) fn slot(&self) -> InputSlot {
        InputSlot::new(IMAGE, &[self.height, self.width, self.channels], DType::U8)
    }

    /// Pixels as numbers: bytes are taken from 0..255 to 0..1 first, floating point is taken as 0..1 already.
    ///
    /// # Errors
    /// If the image has not these channels.
    pub fn normalise(&self, image: &Tensor) -> deepfit_nn::Result<Tensor> {
        let unit = if image.dtype() == DType::F32 { 1.0 } else { 255.0 };
        let values = |f: &dyn Fn(usize) -> f32| (0..self.channels).map(f).collect::<Vec<f32>>();
        let scale = values(&|c| 1.0 / (unit * self.std[c]));
        let shift = values(&|c| -self.mean[c] / self.std[c]);
        let tracer = image.tracer();
        tracer.in_layer("normalise", || {
            let x = image.to_f32()?;
            // One number for all channels costs less than a row of equal ones.
            let same = |v: &[f32]| v.iter().all(|&x| x == v[0]);
            if same(&scale) && same(&shift) {
                return Ok(x.mul_scalar(scale[0])?.add_scalar(shift[0])?);
            }
            let row = |v: Vec<f32>| tracer.constant(HostTensor::f32(&[self.channels], v));
            Ok(x.mul(&row(scale))?.add(&row(shift))?)
        })
    }
}

/// A network for images that is one layer after the other. Input: [`IMAGE`], u8 `[batch, height, width, channels]`.
#[derive(Debug)]
pub struct ImageNetwork {
    image: ImageConfig,
    outputs: usize,
    layers: Sequential,
    head: Sequential,
}

impl ImageNetwork {
    /// The layers up to the features, and those from there to the outputs.
    pub(crate) fn new(image: &ImageConfig, outputs: usize, layers: Sequential, head: Sequential) -> Self {
        ImageNetwork { image: image.clone(), outputs, layers, head }
    }
}

impl Network for ImageNetwork {
    fn inputs(&self) -> Vec<InputSlot> {
        vec![self.image.slot()]
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn blocks(&self) -> usize {
        self.layers.len()
    }

    fn up_to(&self, inputs: &[Tensor], blocks: usize) -> deepfit_nn::Result<Tensor> {
        let [image] = take(self, inputs)?;
        self.layers.forward_range(&self.image.normalise(&image)?, 0..blocks)
    }

    fn through(&self, value: &Tensor, blocks: Range<usize>) -> deepfit_nn::Result<Tensor> {
        self.layers.forward_range(value, blocks)
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.head.forward(features)
    }
}
