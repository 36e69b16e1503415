//! A linear layer on what several depths of another network see, as in Head2Toe (Evci et al., 2022).
//!
//! The last features of a published network are made for the classes that it was trained on. Other tasks also need what
//! it sees before: textures, colours, simple shapes. Each depth gives mean and maximum of its channels over the image.

use std::collections::BTreeSet;
use std::ops::Range;

use deepfit_graph::{Dim, Shape, Tensor};
use deepfit_nn::layers::Linear;
use deepfit_nn::{Module, Scope, step};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_lengths};
use crate::network::{InputSlot, ModelConfig, Network, build, first_blocks};

const MODEL: &str = "tapped";
/// Keeps the derivative of a root finite.
const SMALL: f32 = 1e-6;

/// Settings of a [`Tapped`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TappedConfig {
    /// The network whose depths are used; its own last layer is not.
    pub backbone: Box<ModelConfig>,
    /// Numbers of its first blocks after which channels are looked at, in rising order.
    pub taps: Vec<usize>,
    /// Number of outputs.
    pub outputs: usize,
}

/// A linear layer on what several depths of another network see. Inputs: those of that network.
pub struct Tapped {
    backbone: Box<dyn Network>,
    taps: Vec<usize>,
    /// Shape of one sample after each number of blocks.
    shapes: Vec<Vec<usize>>,
    outputs: usize,
    probe: Linear,
}

impl TappedConfig {
    /// Looks at the last four depths of a network before its resolution or width changes; nothing if it has only one.
    ///
    /// # Errors
    /// If the network cannot be built.
    pub fn of(backbone: &ModelConfig, outputs: usize) -> Result<Option<TappedConfig>> {
        const DEPTHS: usize = 4;
        let network = build(backbone, &Scope::root())?;
        let shapes = shapes(&*network)?;
        let mut taps: Vec<usize> = (1..shapes.len())
            .filter(|&blocks| shapes[blocks].len() == 3 && shapes.get(blocks + 1) != Some(&shapes[blocks]))
            .collect();
        taps.drain(..taps.len().saturating_sub(DEPTHS));
        let config = TappedConfig { backbone: Box::new(backbone.clone()), taps, outputs };
        Ok((config.taps.len() > 1).then_some(config))
    }

    /// Makes the network and declares its parameters: those of the backbone but its last layer, and `probe`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<Tapped> {
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        let whole = scope.apart();
        let backbone = build(&self.backbone, &whole)?;
        let shapes = shapes(&*backbone)?;
        let rising = self.taps.windows(2).all(|pair| pair[0] < pair[1]) && !self.taps.is_empty();
        let is_image = |&tap: &usize| shapes.get(tap).is_some_and(|shape| shape.len() == 3);
        require(rising && self.taps.iter().all(is_image), MODEL, "taps", || {
            format!("are {:?}, which must rise, each with an image of channels after so many blocks", self.taps)
        })?;
        let body = first_blocks(&*backbone, self.taps[self.taps.len() - 1])?;
        let used: BTreeSet<&str> = body.parameter_names().collect();
        for d in whole.declarations().into_iter().filter(|d| used.contains(&d.name[..])) {
            scope.declare(d);
        }
        let channels: usize = self.taps.iter().map(|&tap| 2 * shapes[tap][2]).sum();
        let probe = Linear::new(&scope.child("probe"), channels, self.outputs);
        Ok(Tapped { backbone, taps: self.taps.clone(), shapes, outputs: self.outputs, probe })
    }

    /// Number of channels of each group of features: two groups a tap, their means and their maxima.
    ///
    /// # Errors
    /// If the network cannot be built.
    pub fn groups(&self) -> Result<Vec<usize>> {
        let network = self.build(&Scope::root())?;
        Ok(self.taps.iter().flat_map(|&tap| [network.shapes[tap][2]; 2]).collect())
    }
}

/// The shape of one sample after each number of blocks.
fn shapes(network: &dyn Network) -> Result<Vec<Vec<usize>>> {
    let mut shapes = Vec::new();
    let fixed = |shape: &Shape| (1..shape.dims().len()).filter_map(|axis| shape.fixed(axis)).collect::<Vec<_>>();
    step::evaluation_graph(|tracer| {
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        let mut value = network.up_to(&inputs, 0)?;
        shapes.push(fixed(value.shape()));
        for block in 0..network.blocks() {
            value = network.through(&value, block..block + 1)?;
            shapes.push(fixed(value.shape()));
        }
        Ok(vec![("value".to_string(), value)])
    })?;
    Ok(shapes)
}

impl Tapped {
    /// Mean and maximum of each channel. Of the last depth, whose means are far from normally distributed, the root.
    fn pooled(&self, value: &Tensor, tap: usize) -> deepfit_nn::Result<[Tensor; 2]> {
        let (mean, most) = (value.global_avg_pool2d()?, value.global_max_pool2d()?);
        if self.taps.last() != Some(&tap) {
            return Ok([mean, most]);
        }
        // The root of what is positive, with its sign of what is not.
        Ok([mean.div(&mean.abs()?.add_scalar(SMALL)?.sqrt()?)?, most])
    }

    /// Everything that later blocks need, in one row a sample: pooled depths, and the last block's result.
    fn pack(&self, mut pooled: Vec<Tensor>, value: &Tensor, blocks: usize) -> deepfit_nn::Result<Tensor> {
        if blocks < self.blocks() {
            let length: usize = self.shapes[blocks].iter().product();
            pooled.push(value.reshape(vec![value.shape().dims()[0], Dim::fixed(length)])?);
        }
        let others: Vec<&Tensor> = pooled[1..].iter().collect();
        Ok(if others.is_empty() { pooled[0].clone() } else { pooled[0].concat(&others, 1)? })
    }

    /// What was packed after so many blocks.
    fn unpack(&self, packed: &Tensor, blocks: usize) -> deepfit_nn::Result<(Vec<Tensor>, Tensor)> {
        let before = self.taps.iter().filter(|&&tap| tap <= blocks);
        let channels: usize = before.map(|&tap| 2 * self.shapes[tap][2]).sum();
        let shape = &self.shapes[blocks];
        let value = packed.slice(1, channels, shape.iter().product())?;
        let dims = std::iter::once(packed.shape().dims()[0]).chain(shape.iter().map(|&n| Dim::fixed(n)));
        let pooled = if channels > 0 { vec![packed.slice(1, 0, channels)?] } else { Vec::new() };
        Ok((pooled, value.reshape(dims.collect::<Vec<Dim>>())?))
    }

    fn go_on(&self, mut pooled: Vec<Tensor>, mut value: Tensor, blocks: Range<usize>) -> deepfit_nn::Result<Tensor> {
        let mut at = blocks.start;
        for &tap in self.taps.iter().filter(|&&tap| tap > blocks.start && tap <= blocks.end) {
            value = self.backbone.through(&value, at..tap)?;
            pooled.extend(self.pooled(&value, tap)?);
            at = tap;
        }
        if blocks.end < self.blocks() {
            value = self.backbone.through(&value, at..blocks.end)?;
        }
        self.pack(pooled, &value, blocks.end)
    }
}

impl Network for Tapped {
    fn inputs(&self) -> Vec<InputSlot> {
        self.backbone.inputs()
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    /// Up to the last depth that is looked at.
    fn blocks(&self) -> usize {
        self.taps[self.taps.len() - 1]
    }

    fn up_to(&self, inputs: &[Tensor], blocks: usize) -> deepfit_nn::Result<Tensor> {
        self.go_on(Vec::new(), self.backbone.up_to(inputs, 0)?, 0..blocks)
    }

    fn through(&self, value: &Tensor, blocks: Range<usize>) -> deepfit_nn::Result<Tensor> {
        if blocks.start >= self.blocks() {
            return Ok(value.clone());
        }
        let (pooled, value) = self.unpack(value, blocks.start)?;
        self.go_on(pooled, value, blocks)
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.probe.forward(features)
    }
}
