//! Features of a network that has learned nothing: what the same learner makes of them is what the published weights must beat.

use std::sync::Arc;
use std::time::Instant;

use deepfit_classical::Matrix;
use deepfit_data::{Array, Loader, LoaderOptions, Slot, Source};
use deepfit_graph::Tensor;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::runner::Runner;
use crate::classical::Encoded;
use crate::error::Result;
use crate::settings::Settings;
use crate::transfer::{Backbone, FEATURES};

/// Numbers of a sample where the network would take too long.
const PROJECTED: usize = 256;
/// Images are divided into so many parts along each side, of which means are projected.
const PARTS: usize = 16;
const SAMPLES: usize = 64;

/// Random features, and what they are in words.
pub(super) struct RandomFeatures {
    pub(super) encoded: Encoded,
    pub(super) what: String,
}

/// Features of rows by the same architecture with weights as they are before training, if that takes no longer than
/// `allowed` seconds, and else by random projections of the samples. Nothing if it was stopped.
///
/// # Errors
/// If the network cannot be compiled, or too many rows cannot be read.
pub(super) fn random_features(
    backbone: &Backbone,
    source: &Arc<dyn Source>,
    rows: &[u32],
    settings: &Settings,
    allowed: f64,
    stop: &dyn Fn() -> bool,
) -> Result<Option<RandomFeatures>> {
    if let Some(matrix) = by_network(backbone, source, rows, settings, allowed, stop)? {
        let what = format!("the architecture of {} with random weights", backbone.name);
        return Ok(Some(RandomFeatures { encoded: matrix, what }));
    }
    if stop() {
        return Ok(None);
    }
    let what = if backbone.takes_texts() {
        "sums of a random vector for each token"
    } else {
        "random projections of the pixels"
    };
    let what = format!("{what}: the architecture of {} with random weights would take too long", backbone.name);
    Ok(by_projection(source, rows, settings.seed, stop)?.map(|encoded| RandomFeatures { encoded, what }))
}

/// Rows of values in ascending order.
struct Gathered {
    rows: Vec<u32>,
    values: Vec<f32>,
    width: usize,
}

impl Gathered {
    fn encoded(self, source: &Arc<dyn Source>) -> Encoded {
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        order.sort_by_key(|&place| self.rows[place as usize]);
        // A channel that overflowed tells nothing, and would tell it to all others.
        let values = self.values.into_iter().map(|value| if value.is_finite() { value } else { 0.0 }).collect();
        let matrix = Matrix::dense(self.width, values).select(&order);
        let rows: Vec<u32> = order.into_iter().map(|place| self.rows[place as usize]).collect();
        let targets = source.targets_of(&rows);
        Encoded { matrix, targets, rows }
    }
}

fn by_network(
    backbone: &Backbone,
    source: &Arc<dyn Source>,
    rows: &[u32],
    settings: &Settings,
    allowed: f64,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Encoded>> {
    let blocks = backbone.blocks()?;
    let (network, declarations) = backbone.network()?;
    let used = |name: &str| !backbone.last_layer.contains(name);
    let values: Vec<Vec<f32>> = declarations.iter().map(|d| d.values(settings.seed)).collect();
    let weights = declarations.iter().zip(&values).filter(|(d, _)| used(&d.name));
    let weights = weights.map(|(d, values)| (&d.name[..], &d.shape[..], &values[..]));
    let begun = Instant::now();
    let mut runner = Runner::new(&*network, weights, source.longest(), settings, |_, inputs: &[Tensor]| {
        Ok(vec![(FEATURES.to_string(), network.up_to(inputs, blocks)?)])
    })?;
    let mut made = Gathered { rows: Vec::new(), values: Vec::new(), width: 0 };
    let all = runner.each(source, rows, &mut |ran| {
        let values = ran.output(FEATURES)?;
        made.width = values.len() / ran.batch.len.max(1);
        made.values.extend_from_slice(values);
        made.rows.extend_from_slice(&ran.batch.rows);
        let all = begun.elapsed().as_secs_f64() / made.rows.len().max(1) as f64 * rows.len() as f64;
        // The first batch takes longer than others.
        let is_first = made.rows.len() == ran.batch.len;
        Ok(!stop() && (is_first || all <= allowed || made.rows.len() == rows.len()))
    })?;
    Ok((all && !made.rows.is_empty()).then(|| made.encoded(source)))
}

fn by_projection(
    source: &Arc<dyn Source>,
    rows: &[u32],
    seed: u64,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Encoded>> {
    let slots = source.slots().to_vec();
    let mut loader = Loader::new(source.clone(), rows.to_vec(), LoaderOptions::evaluate(SAMPLES, 0))?;
    let mut made = Gathered { rows: Vec::new(), values: Vec::new(), width: PROJECTED };
    while let Some(batch) = loader.next()? {
        if stop() {
            return Ok(None);
        }
        match &batch.inputs[..] {
            [Array::U8(pixels), ..] => {
                let shape = &slots[0].shape;
                let size: usize = shape.iter().product();
                for image in pixels.chunks_exact(size.max(1)) {
                    let means = means(image, shape);
                    project(means.iter().enumerate().map(|(i, mean)| (i as u64, *mean)), seed, &mut made.values);
                }
            }
            [Array::I32(tokens), ..] => {
                let lengths = slots.iter().position(|slot: &Slot| slot.name == "lengths");
                let lengths = lengths.and_then(|place| batch.inputs[place].as_i32());
                for (i, row) in tokens.chunks_exact(batch.sequence.max(1)).enumerate() {
                    let length = lengths.map_or(row.len(), |lengths| lengths[i].unsigned_abs() as usize);
                    let own = row.iter().take(length).map(|token| (u64::from(token.unsigned_abs()), 1.0));
                    project(own, seed, &mut made.values);
                }
            }
            _ => return Ok(None),
        }
        made.rows.extend_from_slice(&batch.rows);
    }
    Ok((!made.rows.is_empty()).then(|| made.encoded(source)))
}

/// Means of the parts of an image `[height, width, channels]`, -0.5 to 0.5.
fn means(image: &[u8], shape: &[usize]) -> Vec<f32> {
    let &[height, width, channels] = shape else { return Vec::new() };
    let (down, across) = (height.min(PARTS), width.min(PARTS));
    let (mut sums, mut counts) = (vec![0.0_f32; down * across * channels], vec![0.0_f32; down * across]);
    for (place, pixel) in image.chunks_exact(channels.max(1)).enumerate() {
        let part = (place / width * down / height) * across + place % width * across / width;
        counts[part] += 1.0;
        sums[part * channels..].iter_mut().zip(pixel).for_each(|(sum, value)| *sum += f32::from(*value));
    }
    sums.iter().enumerate().map(|(i, sum)| sum / counts[i / channels.max(1)] / 255.0 - 0.5).collect()
}

/// Adds the projection of numbers with their weights: sums with random signs (Achlioptas, 2003).
fn project(weighted: impl Iterator<Item = (u64, f32)>, seed: u64, out: &mut Vec<f32>) {
    let mut sums = [0.0_f32; PROJECTED];
    for (number, weight) in weighted {
        for (word, sums) in sums.chunks_mut(64).enumerate() {
            let bits = xxh3_64_with_seed(&[number.to_le_bytes(), (word as u64).to_le_bytes()].concat(), seed);
            sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += if bits >> i & 1 == 1 { weight } else { -weight });
        }
    }
    out.extend_from_slice(&sums);
}
