//! Grad-CAM (Selvaraju et al., 2017): the channels of a convolutional layer, weighted by their mean gradients; or, where a network
//! does not pool them, by those of each place.

use deepfit_cpu::View;
use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{Mode, OUTPUT, Op, Tensor, Tracer, gradients};
use deepfit_nn::step::evaluation_graph;

use crate::error::{ExplainError, Result};
use crate::rows::Rows;
use crate::subject::{LOGITS, OF, Subject};

const CAM: &str = "explain:cam";
/// Least pixels along a side of a layer that is looked at if none is named: fewer hardly show a place.
const LEAST_SIDE: usize = 7;

/// A map of a layer's size.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Row by row.
    pub values: Vec<f64>,
}

impl Map {
    /// In which ninth of the map most of its strongest twentieth lies, in words; nothing if that is less than half of it.
    pub fn strongest_place(&self) -> Option<&'static str> {
        const PLACES: [&str; 9] = [
            "the upper left",
            "the upper middle",
            "the upper right",
            "the middle left",
            "the middle",
            "the middle right",
            "the lower left",
            "the lower middle",
            "the lower right",
        ];
        let mut order: Vec<usize> = (0..self.values.len()).filter(|&at| self.values[at] > 0.0).collect();
        order.sort_by(|&a, &b| self.values[b].total_cmp(&self.values[a]));
        order.truncate(self.values.len().div_ceil(20));
        let mut counts = [0_usize; 9];
        for at in &order {
            counts[3 * (at / self.width * 3 / self.height) + at % self.width * 3 / self.width] += 1;
        }
        let most = (0..9).max_by_key(|&place| counts[place])?;
        (!order.is_empty() && 2 * counts[most] >= order.len()).then_some(PLACES[most])
    }

    /// The map in another size, linear between the centres of its values.
    #[must_use]
    pub fn resized(&self, height: usize, width: usize) -> Map {
        let place = |i: usize, to: usize, from: usize| {
            let x = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
            (x.floor() as usize, (x.floor() as usize + 1).min(from - 1), x.fract())
        };
        let mut values = Vec::with_capacity(height * width);
        for y in 0..height {
            let (top, bottom, down) = place(y, height, self.height);
            for x in 0..width {
                let (left, right, along) = place(x, width, self.width);
                let row = |y: usize| {
                    let row = &self.values[y * self.width..];
                    row[left] * (1.0 - along) + row[right] * along
                };
                values.push(row(top) * (1.0 - down) + row(bottom) * down);
            }
        }
        Map { height, width, values }
    }
}

/// The shape of an image of channels, `[batch, height, width, channels]`, with several pixels.
fn pixels(tensor: &Tensor) -> Option<(usize, usize)> {
    let shape = tensor.shape();
    let size = (shape.rank() == 4).then(|| Some((shape.fixed(1)?, shape.fixed(2)?))).flatten()?;
    (size.0 * size.1 > 1).then_some(size)
}

/// The layer whose channels are looked at: the last whose result has as many pixels as that of the last convolution, before
/// anything is pooled. In networks for small images, whose last convolutions see less than 7 x 7 pixels, the last that sees more.
///
/// # Errors
/// If the network has no convolution whose result is an image.
pub fn last_convolution(subject: &Subject) -> Result<String> {
    let tracer = Tracer::new(Mode::Evaluate);
    subject.network().forward(&subject.inputs(&tracer))?;
    let offered = tracer.offered();
    // A second time, with all layers' results at hand.
    let tracer = Tracer::new(Mode::Evaluate);
    for (layer, name) in offered.iter().filter(|(_, name)| name == OUTPUT) {
        tracer.watch(layer, name);
    }
    subject.network().forward(&subject.inputs(&tracer))?;
    let graph = tracer.graph();
    let is_image = |node: usize| {
        let shape = &graph.nodes()[node].outputs[0].shape;
        shape.rank() == 4 && shape.fixed(1).zip(shape.fixed(2)).is_some_and(|(h, w)| h * w > 1)
    };
    let convolutions = graph.nodes().iter().enumerate().filter(|(_, node)| matches!(node.op, Op::Conv2d(_)));
    let images: Vec<usize> = convolutions.map(|(i, _)| i).filter(|&i| is_image(i)).collect();
    let shows = |node: &usize| {
        graph.nodes()[*node].outputs[0].shape.dims()[1..3]
            .iter()
            .all(|side| side.as_fixed().is_some_and(|side| side >= LEAST_SIDE))
    };
    let Some(last) = images.iter().copied().rfind(shows).or(images.last().copied()) else {
        let problem = "grad-cam needs a convolutional layer, and this network has none; use --method integrated-gradients \
                       or occlusion";
        return Err(ExplainError::asked(problem));
    };
    let size = |node: usize| graph.nodes()[node].outputs[0].shape.dims()[1..3].to_vec();
    let watched = tracer.watched();
    let candidates = watched.iter().filter(|(_, tensor)| {
        let node = tensor.value().node;
        node >= last && pixels(tensor).is_some() && size(node) == size(last)
    });
    // Of layers in layers with the same result, the outermost comes last.
    let found = candidates.max_by_key(|(_, tensor)| tensor.value().node);
    let layer = found.and_then(|(name, _)| name.strip_suffix(&format!(".{OUTPUT}")));
    let lost = || ExplainError::asked("the last convolution is part of no layer; name one with --layer");
    layer.map(str::to_string).ok_or_else(lost)
}

/// Whether the network pools what its last convolution sees: it then goes by what is there, wherever it is. Where pixels become a
/// row of numbers instead, each with weights of its own, gradients of different places cancel in a channel's mean.
///
/// # Errors
/// If the network has no convolution, or cannot be traced.
pub(crate) fn pools(subject: &Subject) -> Result<bool> {
    last_convolution(subject)?;
    let tracer = Tracer::new(Mode::Evaluate);
    subject.network().forward(&subject.inputs(&tracer))?;
    let graph = tracer.graph();
    let pixels = |value: &deepfit_graph::Value| {
        let shape = &graph.type_of(*value).shape;
        shape.rank() == 4 && shape.fixed(1).zip(shape.fixed(2)).is_some_and(|(height, width)| height * width > 1)
    };
    let spreads = |node: &deepfit_graph::Node| {
        matches!(node.op, Op::Reshape(_)) && node.outputs[0].shape.rank() == 2 && node.inputs.iter().any(pixels)
    };
    Ok(!graph.nodes().iter().any(spreads))
}

/// The map of a layer for an output of one row, by the positive part as in the paper. Of a network that [`pools`] channels are
/// weighted by their mean gradients, of another each place by its own (HiResCAM, Draelos and Carin, 2020).
///
/// # Errors
/// If there is no such layer, or its result is no image of several pixels.
pub fn grad_cam(subject: &mut Subject, row: &Rows, layer: &str, output: usize) -> Result<Map> {
    let name = format!("{layer}.{OUTPUT}");
    let pools = pools(subject)?;
    let compiled = subject.program(&format!("grad-cam {layer}"), row, |subject| {
        let mut unfit = None;
        let graph = evaluation_graph(|tracer| {
            tracer.watch(layer, OUTPUT);
            let logits = subject.network().forward(&subject.inputs(tracer))?;
            let loss = subject.explained(tracer, &logits)?;
            let watched = tracer.watched();
            let mut outputs = vec![(LOGITS.to_string(), logits)];
            if let Some((_, channels)) = watched.iter().find(|(found, _)| *found == name) {
                if pixels(channels).is_none() {
                    unfit = Some(channels.shape().to_string());
                    return Ok(outputs);
                }
                let gradient = gradients(&loss, std::slice::from_ref(channels))?.swap_remove(0);
                let weights = if pools { gradient.reduce(ReduceKind::Mean, &[1, 2], true)? } else { gradient };
                let cam = channels.mul(&weights)?.reduce(ReduceKind::Sum, &[3], false)?.relu()?;
                outputs.push((CAM.to_string(), cam));
            }
            Ok(outputs)
        });
        if let Some(shape) = unfit {
            let problem = format!("grad-cam needs a layer whose result is an image, and that of '{layer}' is {shape}");
            return Err(ExplainError::asked(problem));
        }
        graph.map_err(|error| match error {
            deepfit_nn::NnError::Graph(watch @ deepfit_graph::GraphError::Watch { .. }) => {
                ExplainError::asked(watch.to_string())
            }
            other => other.into(),
        })
    })?;
    let mask = subject.mask(1, output);
    subject.run(compiled, row, &[(OF, View::F32(&mask))])?;
    let shape = subject.output_shape(compiled, CAM);
    let values = subject.output(compiled, CAM)?.iter().map(|&x| f64::from(x)).collect();
    Ok(Map { height: shape[1], width: shape[2], values })
}
