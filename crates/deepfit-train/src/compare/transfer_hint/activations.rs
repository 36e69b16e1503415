//! What the published network itself says of the data: its classes, and how far its activations are from those of the data
//! that it was trained on.

use std::path::Path;
use std::sync::Arc;

use deepfit_data::Source;
use deepfit_graph::OUTPUT;
use deepfit_nn::Scope;
use deepfit_zoo::ModelConfig;

use super::runner::Runner;
use crate::error::Result;
use crate::published::published_model;
use crate::settings::Settings;
use crate::transfer::Backbone;

/// Channels whose scale is smaller than this share of the largest tell nothing.
const LEAST: f32 = 1e-3;
const MEAN: &str = ".running_mean";
const LOGITS: &str = "logits";

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Rows that were looked at, in the order of the probabilities.
    pub(super) rows: Vec<u32>,
    /// Of each row and each class of the network; empty where it has no classes.
    pub(super) probabilities: Vec<f32>,
    /// Number of the network's classes.
    pub(super) classes: usize,
    /// The squared Fréchet distance (Dowson and Landau, 1982) of a channel's activations in the last batch normalisation to
    /// its running statistics, as normal distributions, in units of the running variance, and the mean over the channels:
    /// `m^2 + (s - 1)^2` with the standardised mean m and deviation s. Nothing of a network without batch normalisation.
    pub(super) distance: Option<f64>,
    /// Whether all rows were looked at.
    pub(super) all: bool,
}

/// Scale and shift of a batch normalisation, and its outputs' name in the graph.
struct Normalisation {
    output: String,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// Sums over activations of each channel.
struct Sums {
    count: f64,
    first: Vec<f64>,
    second: Vec<f64>,
}

/// Runs a published network for images as it was published.
///
/// # Errors
/// If it cannot be read or compiled, or too many images cannot be read.
pub(super) fn look(
    backbone: &Backbone,
    source: &Arc<dyn Source>,
    rows: &[u32],
    settings: &Settings,
    stop: &dyn Fn() -> bool,
) -> Result<Seen> {
    let published = published_model(Path::new(&backbone.name))?;
    // In the size of images in which the backbone is used, with its own last layer.
    let config = match &backbone.config {
        ModelConfig::Tapped(tapped) => (*tapped.backbone).clone(),
        other => other.clone(),
    };
    let classes = if published.has_head() { published.config.outputs() } else { 0 };
    let config = config.with_outputs(published.config.outputs());
    let scope = Scope::root();
    let network = deepfit_zoo::build(&config, &scope)?;
    let declarations = scope.declarations();
    let values = |name: &str| published.weights.get(name).map(|array| array.values.clone());
    let last = declarations.iter().rev().find_map(|d| {
        let layer = d.name.strip_suffix(MEAN)?;
        values(&d.name)?;
        let channels = d.elements();
        let scale = values(&format!("{layer}.weight")).unwrap_or(vec![1.0; channels]);
        let shift = values(&format!("{layer}.bias")).unwrap_or(vec![0.0; channels]);
        Some((layer.to_string(), Normalisation { output: format!("{layer}.{OUTPUT}"), scale, shift }))
    });
    let weights = declarations.iter().filter_map(|d| Some((&d.name[..], published.weights.get(&d.name)?)));
    let weights = weights.map(|(name, array)| (name, &array.shape[..], &array.values[..]));
    let mut runner = Runner::new(&*network, weights, 1, settings, |tracer, inputs| {
        if let Some((layer, _)) = &last {
            tracer.watch(layer, OUTPUT);
        }
        let logits = network.forward(inputs)?;
        Ok(vec![(LOGITS.to_string(), logits)])
    })?;
    let mut seen = Seen { classes, ..Seen::default() };
    let normalisation = last.map(|(_, normalisation)| normalisation);
    let mut sums = normalisation.as_ref().map(|n| {
        let nothing = vec![0.0; n.scale.len()];
        Sums { count: 0.0, first: nothing.clone(), second: nothing }
    });
    seen.all = runner.each(source, rows, &mut |ran| {
        if classes > 0 {
            let logits = ran.output(LOGITS)?;
            logits.chunks_exact(classes).for_each(|row| softmax(row, &mut seen.probabilities));
        }
        seen.rows.extend_from_slice(&ran.batch.rows);
        if let (Some(normalisation), Some(sums)) = (&normalisation, &mut sums) {
            sums.add(ran.output(&normalisation.output)?, normalisation);
        }
        Ok(!stop())
    })?;
    seen.distance = normalisation.as_ref().zip(sums).and_then(|(normalisation, sums)| sums.distance(normalisation));
    Ok(seen)
}

impl Sums {
    /// Activations, `[places, channels]`, standardised by the running statistics: without scale and shift.
    fn add(&mut self, values: &[f32], by: &Normalisation) {
        let channels = by.scale.len();
        for place in values.chunks_exact(channels) {
            self.count += 1.0;
            for (channel, value) in place.iter().enumerate() {
                let standard = f64::from((value - by.shift[channel]) / by.scale[channel]);
                self.first[channel] += standard;
                self.second[channel] += standard * standard;
            }
        }
    }

    fn distance(&self, by: &Normalisation) -> Option<f64> {
        let largest = by.scale.iter().fold(0.0_f32, |most, scale| most.max(scale.abs()));
        let used = (0..by.scale.len()).filter(|&channel| by.scale[channel].abs() > LEAST * largest);
        let of = |channel: usize| {
            let mean = self.first[channel] / self.count;
            let deviation = (self.second[channel] / self.count - mean * mean).max(0.0).sqrt();
            mean * mean + (deviation - 1.0).powi(2)
        };
        let distances: Vec<f64> = used.map(of).filter(|distance| distance.is_finite()).collect();
        (!distances.is_empty()).then(|| distances.iter().sum::<f64>() / distances.len() as f64)
    }
}

fn softmax(logits: &[f32], out: &mut Vec<f32>) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
    out.extend(logits.iter().map(|logit| (logit - most).exp() / all));
}

#[cfg(test)]
mod tests {
    use super::{Normalisation, Sums};

    #[test]
    fn activations_like_those_of_training_are_at_no_distance_and_shifted_ones_at_their_shift() {
        let by = Normalisation { output: String::new(), scale: vec![2.0, 0.5], shift: vec![1.0, -1.0] };
        let measured = |mean: f32, deviation: f32| {
            let mut sums = Sums { count: 0.0, first: vec![0.0; 2], second: vec![0.0; 2] };
            let standard = [mean - deviation, mean + deviation];
            let values: Vec<f32> = standard.iter().flat_map(|z| [z * 2.0 + 1.0, z * 0.5 - 1.0]).collect();
            sums.add(&values, &by);
            sums.distance(&by).unwrap()
        };
        assert!(measured(0.0, 1.0) < 1e-12);
        assert!((measured(2.0, 1.0) - 4.0).abs() < 1e-5);
        assert!((measured(0.5, 3.0) - 4.25).abs() < 1e-5);
    }
}
