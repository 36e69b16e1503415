//! One pass over pictures: what excites each channel of each layer most.

use deepfit_data::{Loader, LoaderOptions, Opened};
use deepfit_graph::OUTPUT;
use deepfit_nn::step::evaluation_graph;

use super::layers::Layer;
use crate::error::Result;
use crate::rows::Rows;
use crate::subject::{LOGITS, Subject};

/// Pictures that are kept of each channel.
const KEPT: usize = 4;
/// Pictures that are read together.
const AT_ONCE: usize = 32;

/// The largest activation of a channel in a picture, and where it is in the layer's result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub activation: f32,
    pub row: u32,
    pub y: usize,
    pub x: usize,
}

/// What is known of a channel after the pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The pictures that excite it most, the most first.
    pub best: Vec<Hit>,
    sum: f64,
    squares: f64,
    count: f64,
}

impl Seen {
    fn add(&mut self, hit: Hit) {
        let value = f64::from(hit.activation);
        self.sum += value;
        self.squares += value * value;
        self.count += 1.0;
        let place = self.best.partition_point(|known| known.activation >= hit.activation);
        self.best.insert(place, hit);
        self.best.truncate(KEPT);
    }

    /// The variance of the largest activations of the pictures.
    pub fn variance(&self) -> f64 {
        let mean = self.sum / self.count.max(1.0);
        (self.squares / self.count.max(1.0) - mean * mean).max(0.0)
    }
}

/// For each layer what is known of each of its channels, and how many pictures were read.
pub(super) fn scan(
    subject: &mut Subject,
    layers: &[Layer],
    opened: &Opened,
    chosen: Vec<u32>,
) -> Result<(Vec<Vec<Seen>>, usize)> {
    let mut seen: Vec<Vec<Seen>> = layers.iter().map(|layer| vec![Seen::default(); layer.channels]).collect();
    let mut loader = Loader::new(opened.source.clone(), chosen, LoaderOptions::evaluate(AT_ONCE, 1))?;
    let mut count = 0;
    while let Some(batch) = loader.next()? {
        let rows = Rows::of(&batch);
        let compiled = subject.program("filters", &rows, |subject| {
            Ok(evaluation_graph(|tracer| {
                layers.iter().for_each(|layer| tracer.watch(&layer.seen, OUTPUT));
                Ok(vec![(LOGITS.to_string(), subject.network().forward(&subject.inputs(tracer))?)])
            })?)
        })?;
        for begin in (0..rows.len).step_by(compiled.batch) {
            let part = rows.slice(begin, rows.len.min(begin + compiled.batch));
            subject.run(compiled, &part, &[])?;
            for (layer, seen) in layers.iter().zip(&mut seen) {
                let values = subject.output(compiled, &format!("{}.{OUTPUT}", layer.seen))?;
                for (i, picture) in values.chunks_exact(layer.height * layer.width * layer.channels).enumerate() {
                    let mut most = vec![(f32::NEG_INFINITY, 0_usize); layer.channels];
                    for (place, values) in picture.chunks_exact(layer.channels).enumerate() {
                        for (most, &value) in most.iter_mut().zip(values) {
                            if value > most.0 {
                                *most = (value, place);
                            }
                        }
                    }
                    for (seen, (activation, place)) in seen.iter_mut().zip(most) {
                        let row = batch.rows[begin + i];
                        seen.add(Hit { activation, row, y: place / layer.width, x: place % layer.width });
                    }
                }
            }
        }
        count += rows.len;
    }
    Ok((seen, count))
}
