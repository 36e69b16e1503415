//! The convolutions of a network, and which pixels a place in their result is made of.

use deepfit_graph::ops::Regions;
use deepfit_graph::{Graph, Mode, OUTPUT, Op, Shape, Tracer, Value};

use crate::error::{ExplainError, Result};
use crate::subject::Subject;

/// Endings of the name of a statistic that only normalisations have.
const STATISTIC: &str = "running_mean";

/// A convolution whose channels are looked at.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Its path.
    pub name: String,
    /// The path of the layer whose result is looked at: the convolution itself, or the normalisation behind it, which may turn
    /// the sign of a channel.
    pub seen: String,
    /// What is looked at in the graph that [`all`] gives.
    value: Value,
    /// Rows, columns and channels of the result.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Name, height and width of its weight, if it looks at the pixels themselves.
    pub kernel: Option<(String, usize, usize)>,
}

/// A rectangle of pixels: top, left, height and width.
pub type Patch = [usize; 4];

/// Rows and columns of an image of channels.
fn sides(shape: &Shape) -> Option<(usize, usize)> {
    (shape.rank() == 4).then(|| shape.fixed(1).zip(shape.fixed(2))).flatten()
}

/// All convolutions that see more than one pixel, in the order in which they are applied, and the graph in which they stand.
pub(super) fn all(subject: &Subject) -> Result<(Vec<Layer>, Graph)> {
    let tracer = Tracer::new(Mode::Evaluate);
    subject.network().forward(&subject.inputs(&tracer))?;
    let offered = tracer.offered();
    // A second time, with all layers' results at hand.
    let tracer = Tracer::new(Mode::Evaluate);
    offered.iter().filter(|(_, name)| name == OUTPUT).for_each(|(layer, _)| tracer.watch(layer, OUTPUT));
    subject.network().forward(&subject.inputs(&tracer))?;
    let (graph, watched) = (tracer.graph(), tracer.watched());
    let shape = |value: Value| &graph.type_of(value).shape;
    let result = |layer: &str| {
        let name = format!("{layer}.{OUTPUT}");
        watched.iter().find(|(found, _)| *found == name).map(|(_, tensor)| tensor.value())
    };
    let mut layers: Vec<Layer> = Vec::new();
    for (place, node) in graph.nodes().iter().enumerate() {
        let Op::Conv2d(_) = &node.op else { continue };
        let (image, weight) = (node.inputs[0], node.inputs[1]);
        let several = sides(shape(image)).is_some_and(|(height, width)| height * width > 1);
        let own = result(&node.layer).filter(|value| value.node >= place && shape(*value) == &node.outputs[0].shape);
        let (Some(own), true) = (own.filter(|_| several), layers.iter().all(|known| known.name != node.layer)) else {
            continue;
        };
        let norm = normalisation(&graph, own).and_then(|norm| Some((result(norm)?, norm.to_string())));
        let (value, seen) = norm.unwrap_or((own, node.layer.clone()));
        let (Some((height, width)), Some(channels)) = (sides(shape(value)), shape(value).fixed(3)) else { continue };
        let kernel = match &graph.nodes()[weight.node].op {
            Op::Parameter(parameter) if sees_pixels(&graph, image) => {
                let shape = &parameter.ty.shape;
                let whole = shape.fixed(1) == graph.type_of(image).shape.fixed(3);
                shape.fixed(2).zip(shape.fixed(3)).filter(|_| whole).map(|(h, w)| (parameter.name.clone(), h, w))
            }
            _ => None,
        };
        layers.push(Layer { name: node.layer.clone(), seen, value, height, width, channels, kernel });
    }
    if layers.is_empty() {
        let problem = "--filters needs convolutional layers, and this network has none; use integrated-gradients or occlusion \
                       to see which parts of a picture it goes by";
        return Err(ExplainError::asked(problem));
    }
    Ok((layers, graph))
}

/// The layer that normalises a result, if nothing else reads it.
fn normalisation(graph: &Graph, value: Value) -> Option<&str> {
    let mut readers = graph.nodes().iter().filter(|node| node.inputs.contains(&value));
    let layer = &readers.next()?.layer;
    let statistic = format!("{layer}.{STATISTIC}");
    let normalises = graph.parameter_names().any(|name| name == statistic);
    (normalises && readers.all(|reader| reader.layer == *layer)).then_some(layer)
}

/// Whether an image is made of the pixels one by one: scaled, shifted, with a border.
fn sees_pixels(graph: &Graph, mut image: Value) -> bool {
    loop {
        let node = &graph.nodes()[image.node];
        let next = node.inputs.iter().find(|input| sides(&graph.type_of(**input).shape).is_some());
        match (&node.op, next) {
            (Op::Input(_), _) => return true,
            (Op::Unary(_) | Op::Binary(_) | Op::Convert(_) | Op::Pad(_), Some(next)) => image = *next,
            _ => return false,
        }
    }
}

impl Layer {
    /// The pixels that a place of the result is made of, from the kernels, strides and borders of all layers up to there; of gates,
    /// which weigh whole channels by a mean over all places, nothing is told. Nothing if a layer on the way moves places in another
    /// way than convolutions and pools do.
    pub fn field(&self, graph: &Graph, y: usize, x: usize) -> Option<Patch> {
        // For each node from where to before where, vertically and horizontally.
        let mut wanted: Vec<Option<[[isize; 2]; 2]>> = vec![None; self.value.node + 1];
        wanted[self.value.node] = Some([[y as isize, y as isize + 1], [x as isize, x as isize + 1]]);
        let mut found: Option<[[isize; 2]; 2]> = None;
        for place in (0..=self.value.node).rev() {
            let Some(range) = wanted[place] else { continue };
            let node = &graph.nodes()[place];
            let own = sides(&node.outputs[0].shape)?;
            let clipped = |range: [[isize; 2]; 2], (height, width): (usize, usize)| {
                let one =
                    |[from, to]: [isize; 2], most: usize| [from.clamp(0, most as isize), to.clamp(0, most as isize)];
                [one(range[0], height), one(range[1], width)]
            };
            let range = clipped(range, own);
            let image = node.inputs.first().and_then(|input| sides(&graph.type_of(*input).shape));
            // Which places of the input these are made of: (axis, from and to before).
            let window = |axis: usize, size: usize, stride: usize, padding: usize, dilation: usize| {
                let [from, to] = range[axis];
                let begin = |at: isize| at * stride as isize - padding as isize;
                [begin(from), begin(to - 1) + (dilation * (size - 1)) as isize + 1]
            };
            let before = match &node.op {
                Op::Input(_) => {
                    found = Some(range);
                    continue;
                }
                op if op.is_leaf() => continue,
                Op::Conv2d(conv) => {
                    let weight = &graph.type_of(node.inputs[1]).shape;
                    let a = conv.attributes;
                    [
                        window(0, weight.fixed(2)?, a.stride.0, a.padding.0, a.dilation.0),
                        window(1, weight.fixed(3)?, a.stride.1, a.padding.1, a.dilation.1),
                    ]
                }
                Op::MaxPool2d(_) | Op::AvgPool2d(_) => {
                    let regions = match &node.op {
                        Op::MaxPool2d(pool) => pool.regions,
                        Op::AvgPool2d(pool) => pool.regions,
                        _ => return None,
                    };
                    match regions {
                        Regions::Window(w) => [
                            window(0, w.size.0, w.stride.0, w.padding.0, w.dilation.0),
                            window(1, w.size.1, w.stride.1, w.padding.1, w.dilation.1),
                        ],
                        Regions::Adaptive((rows, columns)) => {
                            let (height, width) = image?;
                            let of = |[from, to]: [isize; 2], length: usize, n: usize| {
                                [from as usize * length / n, (to as usize * length).div_ceil(n)].map(|at| at as isize)
                            };
                            [of(range[0], height, rows), of(range[1], width, columns)]
                        }
                    }
                }
                Op::Pad(pad) if pad.axis == 1 || pad.axis == 2 => {
                    let mut moved = range;
                    moved[pad.axis - 1] =
                        moved[pad.axis - 1].map(|at| at - pad.before.as_fixed().unwrap_or(0) as isize);
                    moved
                }
                Op::Slice(slice) if slice.axis == 1 || slice.axis == 2 => {
                    let mut moved = range;
                    moved[slice.axis - 1] =
                        moved[slice.axis - 1].map(|at| at + slice.start.as_fixed().unwrap_or(0) as isize);
                    moved
                }
                Op::Unary(_)
                | Op::Binary(_)
                | Op::Select(_)
                | Op::Convert(_)
                | Op::Fused(_)
                | Op::Pad(_)
                | Op::Slice(_)
                | Op::Concat(_)
                | Op::LayerNorm(_)
                | Op::MatMul(_)
                | Op::StopGradient(_)
                | Op::Reshape(_)
                | Op::BroadcastTo(_) => range,
                _ => return None,
            };
            let moves =
                matches!(node.op, Op::Conv2d(_) | Op::MaxPool2d(_) | Op::AvgPool2d(_) | Op::Pad(_) | Op::Slice(_));
            let mut went_on = false;
            let takes = if moves { 1 } else { node.inputs.len() };
            for input in &node.inputs[..takes] {
                let size = sides(&graph.type_of(*input).shape);
                if !moves && size != Some(own) {
                    // Numbers for all places alike. What has another form and as many numbers has moved them.
                    continue;
                }
                went_on = true;
                let known = &mut wanted[input.node];
                *known = Some(match *known {
                    Some(known) => {
                        [0, 1].map(|axis| [known[axis][0].min(before[axis][0]), known[axis][1].max(before[axis][1])])
                    }
                    None => before,
                });
            }
            if !went_on {
                return None;
            }
        }
        let [[top, bottom], [left, right]] = found?;
        let [top, bottom, left, right] = [top, bottom, left, right].map(|at| at.max(0) as usize);
        (bottom > top && right > left).then_some([top, left, bottom - top, right - left])
    }

    /// Where a place of the result lies in a picture: a quarter of its sides, around the same share of it.
    pub fn about(&self, y: usize, x: usize, height: usize, width: usize) -> Patch {
        let one = |at: usize, places: usize, length: usize| {
            let side = length.div_ceil(4);
            let centre = (2 * at + 1) * length / (2 * places);
            (centre.saturating_sub(side / 2).min(length - side), side)
        };
        let ((top, rows), (left, columns)) = (one(y, self.height, height), one(x, self.width, width));
        [top, left, rows, columns]
    }
}
