//! Transfer learning: a published network, its backbone kept or changed a little, under a last layer for another task.
//!
//! The first blocks of the backbone stay as they are. What they make of each sample, its features, is computed once
//! (`features.rs`) and kept on disk (`cache.rs`); what is trained is a network that begins there (`network.rs`).

mod backbone;
mod cache;
mod completion;
mod decide;
mod features;
mod network;

pub use backbone::{Backbone, SCRATCH, Takes};
pub use completion::Completion;
pub(crate) use completion::{changed, completed};
pub use decide::{decide, decide_for_texts};
pub use features::Forecast;
pub use network::{Cut, FEATURES, Transferred};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use deepfit_data::{Dataset, FeatureSource, Prepared, Slot, Source, Split};
use deepfit_nn::Declaration;
use deepfit_nn::step::Group;

use crate::error::Result;
use crate::event::{Flow, Observer};
use crate::forecast::{Rehearsed, TransferForecast};
use crate::job::{Workshop, loader_bytes};
use crate::learner::{Blueprint, Learner};
use crate::recipe::Recipe;
use crate::settings::Settings;
use crate::stage::Stage;

use completion::Standardised;

/// A backbone with the features that it has made of a data set so far.
pub struct Transfer {
    /// The backbone.
    pub backbone: Arc<Backbone>,
    /// Features by the number of blocks that made them.
    sources: Mutex<BTreeMap<usize, Arc<FeatureSource>>>,
    /// A number for the content of each sample's file, once it is known: every file is read for it.
    contents: OnceLock<Vec<Option<u128>>>,
}

impl Transfer {
    /// A backbone that has made nothing yet.
    pub fn new(backbone: Arc<Backbone>) -> Self {
        Transfer { backbone, sources: Mutex::default(), contents: OnceLock::new() }
    }

    /// Features of the samples of `base` after the first blocks, so many; they may not have been computed yet.
    ///
    /// # Errors
    /// If the network cannot be cut there.
    pub fn source(&self, base: &Arc<dyn Source>, blocks: usize) -> Result<Arc<FeatureSource>> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(&blocks) {
            return Ok(source.clone());
        }
        let shape = network::shape_after(&*self.backbone.network()?.0, blocks)?;
        let source = Arc::new(FeatureSource::new(base.clone(), FEATURES, &shape));
        sources.insert(blocks, source.clone());
        Ok(source)
    }

    fn contents(&self, base: &dyn Source) -> &[Option<u128>] {
        self.contents.get_or_init(|| (0..base.len() as u32).map(|row| base.content_of(row)).collect())
    }

    /// What a stage of a transfer is trained with, beside so many bytes that are planned for other things.
    ///
    /// # Errors
    /// If the network cannot be cut, built or compiled.
    pub fn workshop(&self, recipe: &Recipe, stage: &Stage, prepared: Prepared, planned: u64) -> Result<Workshop> {
        let Prepared { source: base, preprocessor } = prepared;
        let inputs = base.clone();
        let cut = recipe.cut(&stage.trial);
        let outputs = recipe.task.outputs();
        let plan = recipe.transfer.as_ref().filter(|_| stage.trial.unfrozen > 0);
        let lora = plan.and_then(|plan| plan.lora);
        let terms = beside(&*base);
        let (network, declarations, values) = Transferred::new(&self.backbone, (outputs, terms), cut, lora)?;
        let mut training = recipe.training_of(&stage.trial);
        training.frozen = network.frozen()?;
        if lora.is_some() {
            let is_kept = |d: &&Declaration| values.contains_key(&d.name);
            training.frozen.extend(declarations.iter().filter(is_kept).map(|d| d.name.clone()));
        } else if let Some(plan) = plan.filter(|plan| !plan.embeds) {
            let blocks = network.trained_blocks()?;
            if plan.continues_texts {
                // Its last layer is no new one, and is trained like the block below it.
                let is_last = |d: &&Declaration| !blocks.iter().any(|names| names.contains(&d.name));
                let last = declarations.iter().filter(is_last);
                training.groups.extend(last.map(|d| Group::new(&d.name, plan.block_rate(0))));
            }
            for (below, names) in blocks.into_iter().enumerate() {
                training.groups.extend(names.iter().map(|name| Group::new(name, plan.block_rate(below))));
            }
        }
        let trained: BTreeSet<String> = training.trained(&declarations).into_iter().map(|p| p.name).collect();
        let mut completion = Completion { backbone: self.backbone.clone(), standardised: None, lora };
        let source: Arc<dyn Source> = if !cut.applied {
            base
        } else {
            let features = Arc::new(self.source(&base, cut.blocks)?.with_targets_of(base));
            // What the last layer alone sees can be brought to one scale, since the layer can take that over afterwards.
            match completion.linear(&declarations).filter(|_| trained == self.backbone.last_layer) {
                Some(linear) => {
                    let (features, mut mean, mut deviation) =
                        features.standardised(&stage.train, &self.backbone.groups);
                    mean.resize(mean.len() + terms, 0.0);
                    deviation.resize(mean.len(), 1.0);
                    completion.standardised = Some(Standardised { linear, mean, deviation });
                    Arc::new(features)
                }
                None => features,
            }
        };
        let model = self.backbone.config_with(outputs, terms);
        let blueprint = Blueprint { network: Box::new(network), declarations, training, values };
        let planned = planned + loader_bytes(recipe, &*source, stage);
        let learner = Learner::new(recipe, blueprint, recipe.settings.threads, planned)?;
        Ok(Workshop { source, inputs, preprocessor, model, learner, completion: Some(completion) })
    }

    /// Tries what a transfer costs beside the training of a last layer.
    ///
    /// # Errors
    /// If the network cannot be cut, built or compiled, or a sample cannot be read.
    pub fn rehearse(
        &self,
        data: &Dataset,
        split: &Split,
        recipe: &Recipe,
        stages: &[Stage],
        current: usize,
        planned: u64,
    ) -> Result<TransferForecast> {
        // The more blocks are trained, the more it costs.
        let trained = stages[current..].iter().filter(|stage| stage.trial.unfrozen > 0);
        let unfrozen = match trained.max_by_key(|stage| stage.trial.unfrozen) {
            Some(stage) => {
                let prepared = data.prepare(&stage.train)?;
                let mut workshop = self.workshop(recipe, stage, prepared, planned)?;
                Some(Rehearsed::new(recipe, split, stages, stage, &mut workshop)?)
            }
            None => None,
        };
        let base = data.prepare(&stages[current].train)?.source;
        let cuts: Vec<Cut> = stages[current..].iter().map(|stage| recipe.cut(&stage.trial)).collect();
        let contents = self.contents(&*base);
        let mut features = Forecast::default();
        for (i, blocks) in depths(&cuts).into_iter().enumerate() {
            let one =
                features::forecast(&self.backbone, &*self.source(&base, blocks)?, contents, blocks, &recipe.settings)?;
            features.bytes += one.bytes;
            features.working_bytes = features.working_bytes.max(one.working_bytes);
            // Those of later blocks are made of those of earlier ones.
            if i == 0 {
                features.seconds = one.seconds;
            }
        }
        let network_bytes = self.backbone.weights.values().map(|tensor| 4 * tensor.values.len() as u64).sum();
        Ok(TransferForecast { features, unfrozen, network_bytes })
    }

    /// Computes the features for all cuts: those after the fewest blocks of the samples, all others of these.
    ///
    /// # Errors
    /// As [`features::compute`].
    pub fn compute(
        &self,
        base: &Arc<dyn Source>,
        cuts: &[Cut],
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Flow> {
        let mut before: Option<(usize, Arc<FeatureSource>)> = None;
        for blocks in depths(cuts) {
            let source = self.source(base, blocks)?;
            if !source.is_set() {
                let from = before.as_ref().map(|(blocks, source)| (*blocks, source));
                let contents = self.contents(&**base);
                let flow = features::compute(&self.backbone, &source, contents, blocks, from, settings, observer)?;
                if flow == Flow::Stop {
                    return Ok(flow);
                }
            }
            before = Some((blocks, source));
        }
        Ok(Flow::Continue)
    }

    /// Seconds that the features after so many blocks would take, where they are not known from before.
    ///
    /// # Errors
    /// If the network cannot be built, or a sample cannot be read.
    pub fn feature_seconds(&self, base: &Arc<dyn Source>, blocks: usize, settings: &Settings) -> Result<f64> {
        let source = self.source(base, blocks)?;
        Ok(features::forecast(&self.backbone, &source, self.contents(&**base), blocks, settings)?.seconds)
    }

    /// Seconds that so many blocks take for a sample, tried on some.
    ///
    /// # Errors
    /// If the network cannot be built, or the samples that are tried cannot be read.
    pub fn seconds_per_sample(&self, base: &Arc<dyn Source>, blocks: usize, settings: &Settings) -> Result<f64> {
        features::seconds_per_sample(&self.backbone, base, blocks, settings)
    }

    /// Forgets features that no later stage needs.
    pub fn keep_only(&self, needed: impl Fn(usize) -> bool) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).retain(|&blocks, _| needed(blocks));
    }
}

/// The numbers of blocks after which features are wanted, each once, in rising order.
fn depths(cuts: &[Cut]) -> BTreeSet<usize> {
    cuts.iter().filter(|cut| cut.applied).map(|cut| cut.blocks).collect()
}

/// Number of the values that the last layer sees beside what the network makes of a sample.
pub(crate) fn beside(source: &dyn Source) -> usize {
    source.beside_slots().iter().map(Slot::values).sum()
}
