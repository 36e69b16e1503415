//! Features of a network that has learned nothing: what the same learner makes of them is what the published weights must beat.

use std::sync::Arc;
use std::time::Instant;

use deepfit_classical::Matrix;
use deepfit_data::{Array, Loader, LoaderOptions, Source};
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

/// Of what features without knowledge are made.
pub(super) struct Ignorant<'a> {
    /// The published network, whose architecture is used.
    pub(super) backbone: &'a Backbone,
    pub(super) source: &'a Arc<dyn Source>,
    pub(super) rows: &'a [u32],
    pub(super) settings: &'a Settings,
    /// Seconds that the network may take.
    pub(super) allowed: f64,
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// Rows of values, in the order in which they were made.
struct Gathered {
    rows: Vec<u32>,
    values: Vec<f32>,
    width: usize,
}

impl Gathered {
    fn encoded(self, source: &Arc<dyn Source>) -> Encoded {
        // A channel that overflowed tells nothing, and would tell it to all others.
        let values = self.values.into_iter().map(|value| if value.is_finite() { value } else { 0.0 }).collect();
        Encoded::of(Matrix::dense(self.width, values), &self.rows, &**source)
    }
}

impl Ignorant<'_> {
    /// Features by the same architecture with weights as they are before training, if that takes no longer than it may, and
    /// else by random projections of the samples. Nothing if it was stopped.
    ///
    /// # Errors
    /// If the network cannot be compiled, or too many rows cannot be read.
    pub(super) fn features(&self) -> Result<Option<RandomFeatures>> {
        let name = &self.backbone.name;
        if let Some(encoded) = self.by_network()? {
            let what = format!("the architecture of {name} with random weights");
            return Ok(Some(RandomFeatures { encoded, what }));
        }
        if (self.stop)() {
            return Ok(None);
        }
        let what = if self.backbone.takes_texts() {
            "sums of a random vector for each token"
        } else {
            "random projections of the pixels"
        };
        let what = format!("{what}: the architecture of {name} with random weights would take too long");
        Ok(self.by_projection()?.map(|encoded| RandomFeatures { encoded, what }))
    }

    fn by_network(&self) -> Result<Option<Encoded>> {
        let &Ignorant { backbone, source, rows, settings, allowed, stop } = self;
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

    fn by_projection(&self) -> Result<Option<Encoded>> {
        let &Ignorant { source, rows, settings, stop, .. } = self;
        let seed = settings.seed;
        let mut loader = Loader::new(source.clone(), rows.to_vec(), LoaderOptions::evaluate(SAMPLES, 0))?;
        let mut made = Gathered { rows: Vec::new(), values: Vec::new(), width: PROJECTED };
        while let Some(batch) = loader.next()? {
            if stop() {
                return Ok(None);
            }
            if let [Array::U8(pixels), ..] = &batch.inputs[..] {
                let shape = &source.slots()[0].shape;
                let size: usize = shape.iter().product();
                for image in pixels.chunks_exact(size.max(1)) {
                    let means = means(image, shape);
                    project(means.iter().enumerate().map(|(i, mean)| (i as u64, *mean)), seed, &mut made.values);
                }
            } else if let Some(texts) = batch.texts(source.slots()) {
                for text in texts {
                    let own = text.iter().map(|token| (u64::from(token.unsigned_abs()), 1.0));
                    project(own, seed, &mut made.values);
                }
            } else {
                return Ok(None);
            }
            made.rows.extend_from_slice(&batch.rows);
        }
        Ok((!made.rows.is_empty()).then(|| made.encoded(source)))
    }
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
