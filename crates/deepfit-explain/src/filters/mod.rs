//! What each channel of the convolutions of a network for pictures responds to: its filter where it looks at pixels, the training
//! pictures and patches that excite it most, and a picture made to excite it.

mod layers;
mod looks;
mod maximise;
mod scan;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use deepfit_data::{Batch, Opened, Pass};
use deepfit_train::training_rows;
use deepfit_zoo::ImageConfig;
use serde::Serialize;

pub use layers::Patch;
pub use looks::{Drawing, Looks};

use crate::error::{ExplainError, Result};
use crate::explainer::{Explainer, Inputs};
use crate::method::Kind;
use crate::pictures::is_picture;
use crate::rows::Rows;
use layers::Layer;
use looks::Pixels;
use scan::{Hit, Seen, scan};

/// Most pictures that are looked at.
const PICTURES: usize = 1000;

/// What is asked for of filters.
#[derive(Debug, Clone)]
pub struct FilterRequest {
    /// The layer, by its name in `deepfit inspect`; without, all convolutions.
    pub layer: Option<String>,
    /// Most channels of a layer that are told, those that differ most between pictures first.
    pub channels: usize,
}

/// What some channels of a convolution respond to.
#[derive(Debug, Clone)]
pub struct LayerFilters {
    /// Name of the layer.
    pub layer: String,
    /// The layer whose result counts as activation: the convolution, or the normalisation right behind it.
    pub activation_of: String,
    /// Number of its channels.
    pub of_channels: usize,
    /// Pictures that were looked at.
    pub pictures: usize,
    /// Whether it looks at the pixels themselves, so that its filters can be drawn.
    pub sees_pixels: bool,
    /// Whether patches are what the kernels and strides of all layers say, or a quarter of the sides around the same share of the
    /// picture, because a layer on the way moves places in another way.
    pub exact_patches: bool,
    /// The channels, those that differ most between pictures first.
    pub channels: Vec<Channel>,
}

/// What a channel responds to.
#[derive(Debug, Clone, Serialize)]
pub struct Channel {
    /// Its number, from 0.
    pub channel: usize,
    /// The largest activation that a picture gives it.
    pub largest: f32,
    /// The pictures that excite it most, the most first.
    pub pictures: Vec<Excited>,
    /// The picture that was made to excite it.
    pub maximised: Maximised,
    /// What its filter, or the picture that was made, looks like, where that can be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looks: Option<Looks>,
    /// Its filter, with zero as mid-grey, if it looks at the pixels themselves.
    #[serde(skip)]
    pub filter: Option<Drawing>,
}

/// A picture that excites a channel.
#[derive(Debug, Clone, Serialize)]
pub struct Excited {
    /// Its name.
    pub input: String,
    /// The largest activation in it.
    pub activation: f32,
    /// Which of its pixels that is: top, left, height and width, of the picture as the network sees it.
    pub patch: Patch,
    /// The patch.
    #[serde(skip)]
    pub drawn: Drawing,
}

/// A picture that was made to excite a channel, by gradient ascent.
#[derive(Debug, Clone, Serialize)]
pub struct Maximised {
    /// The activation that it reaches.
    pub activation: f32,
    /// Whether that is more than any picture gives. If not, the ascent failed, and says little of the channel.
    pub reached: bool,
    /// Its pixels that the activation is made of.
    #[serde(skip)]
    pub drawn: Drawing,
}

impl LayerFilters {
    /// Channels for which the ascent failed.
    pub fn failed(&self) -> usize {
        self.channels.iter().filter(|channel| !channel.maximised.reached).count()
    }
}

impl Explainer {
    /// Tells what the channels of convolutions respond to, and gives each layer to `each`. Of a run the training pictures are
    /// looked at unless others are given; at most 1000, evenly chosen.
    ///
    /// # Errors
    /// If the model takes no pictures, has no convolutions, or none of such a name; if there are no pictures; or if `each` fails.
    pub fn filters(
        &mut self,
        inputs: Option<Inputs<'_>>,
        request: &FilterRequest,
        each: &mut dyn FnMut(LayerFilters) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let kind = self.kind();
        let config = self.subject.image().cloned().filter(|_| is_picture(&self.subject.network().inputs()));
        let (Kind::Images, Some(config)) = (kind, config) else {
            let other = if kind == Kind::Images { "other inputs beside images".to_string() } else { kind.to_string() };
            let problem = format!("--filters is for networks that take images alone, and this is a model of {other}");
            return Err(ExplainError::asked(problem));
        };
        let (mut layers, graph) = layers::all(&self.subject)?;
        if let Some(name) = &request.layer {
            let known = layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>();
            layers.retain(|layer| layer.name == *name);
            if layers.is_empty() {
                let hint = deepfit_data::nearest(name, known.iter().map(String::as_str));
                let hint = hint.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
                let known = known.join(", ");
                let problem = format!("there is no convolutional layer '{name}'; they are {known}{hint}");
                return Err(ExplainError::asked(problem));
            }
        }
        let mut opened = match inputs {
            Some(Inputs::Paths(paths)) => self.subject.preprocessor().open_inputs(paths, self.threads)?,
            Some(Inputs::Reader(..)) => {
                return Err(ExplainError::asked("--filters looks at pictures in files, not at standard input"));
            }
            None => {
                let training = training_rows(self.run(), self.subject.preprocessor(), self.threads)?;
                let lost = "which pictures excite a filter is looked for in training pictures, which only a run folder tells; \
                            give pictures or a folder of them behind the model";
                training.ok_or_else(|| ExplainError::asked(lost))?
            }
        };
        self.notes.append(&mut opened.notes);
        let failed = std::mem::take(&mut opened.failed);
        let count = opened.rows.len().min(PICTURES);
        let chosen = (0..count).map(|i| opened.rows[i * opened.rows.len() / count]).collect();
        let (seen, pictures) = scan(&mut self.subject, &layers, &opened, chosen)?;
        if pictures == 0 {
            return Err(ExplainError::asked(
                "none of the pictures can be read, so that there is nothing that excites a filter",
            ));
        }
        for (layer, seen) in layers.iter().zip(&seen) {
            let field = |y: usize, x: usize| layer.field(&graph, y, x);
            each(self.layer_filters(layer, &field, seen, pictures, &config, &opened, request.channels)?)?;
        }
        Ok(failed)
    }

    #[allow(clippy::too_many_arguments)]
    fn layer_filters(
        &mut self,
        layer: &Layer,
        field: &dyn Fn(usize, usize) -> Option<Patch>,
        seen: &[Seen],
        pictures: usize,
        config: &ImageConfig,
        opened: &Opened,
        most: usize,
    ) -> Result<LayerFilters> {
        let size = [config.height, config.width, config.channels];
        let patch = |y, x| field(y, x).unwrap_or_else(|| layer.about(y, x, config.height, config.width));
        let mut order: Vec<usize> = (0..layer.channels).collect();
        order.sort_by(|&a, &b| seen[b].variance().total_cmp(&seen[a].variance()).then(a.cmp(&b)));
        order.truncate(most);
        let centre = (layer.height / 2, layer.width / 2);
        let central = patch(centre.0, centre.1);
        let made = maximise::maximise(&mut self.subject, layer, &order, centre, central, size)?;
        // The pictures that are shown, each read once more.
        let mut read: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
        for hit in order.iter().flat_map(|&channel| &seen[channel].best) {
            if let Entry::Vacant(place) = read.entry(hit.row) {
                let mut batch = Batch::new();
                opened.source.fill(&[hit.row], Pass::Evaluate, &mut batch)?;
                place.insert(Rows::of(&batch).numbers(0).to_vec());
            }
        }
        let excited = |hit: &Hit| {
            let patch = patch(hit.y, hit.x);
            let drawn = Pixels::patch(&read[&hit.row], config.width, config.channels, patch).drawn();
            Excited { input: opened.names[hit.row as usize].clone(), activation: hit.activation, patch, drawn }
        };
        let weights = layer.kernel.as_ref().and_then(|(name, height, width)| {
            let weights = self.subject.engine_mut().parameter(name)?.to_vec();
            Some((weights, *height, *width))
        });
        let mut channels = Vec::with_capacity(order.len());
        for (&channel, made) in order.iter().zip(made) {
            let filter = weights.as_ref().map(|(weights, height, width)| {
                let area = height * width;
                let own = &weights[channel * config.channels * area..(channel + 1) * config.channels * area];
                // By how much a pixel counts: the network divides colours by their deviations first.
                let value =
                    |i: usize| own[i % config.channels * area + i / config.channels] / config.std[i % config.channels];
                let values = (0..own.len()).map(value).collect();
                Pixels { height: *height, width: *width, channels: config.channels, values }
            });
            let largest = seen[channel].best.first().map_or(f32::NEG_INFINITY, |hit| hit.activation);
            let reached = made.activation > largest;
            let shown = Pixels::patch(&made.pixels, config.width, config.channels, central);
            let looks = match &filter {
                Some(filter) => filter.looks(0.0),
                None if reached => shown.looks(0.5),
                None => None,
            };
            channels.push(Channel {
                channel,
                largest,
                pictures: seen[channel].best.iter().map(excited).collect(),
                maximised: Maximised { activation: made.activation, reached, drawn: shown.drawn() },
                looks,
                filter: filter.map(|filter| filter.around_grey().drawn()),
            });
        }
        Ok(LayerFilters {
            layer: layer.name.clone(),
            activation_of: layer.seen.clone(),
            of_channels: layer.channels,
            pictures,
            sees_pixels: layer.kernel.is_some(),
            exact_patches: field(centre.0, centre.1).is_some(),
            channels,
        })
    }
}
