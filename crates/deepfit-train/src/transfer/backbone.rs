//! The network that a transfer begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deepfit_cpu::Precision;
use deepfit_data::TextForm;
use deepfit_nn::{Declaration, LowRank, Scope, adapted};
use deepfit_zoo::{
    ImageConfig, ImagePreprocessing, ModelConfig, Network, NextTokenConfig, PooledTextConfig, Published, PublishedText,
    Resize, SentencePairsConfig, TappedConfig, TextHead, TokenLabelsConfig,
};
use xxhash_rust::xxh3::Xxh3;

use super::network::shape_after;
use crate::error::{Result, TrainError};
use crate::published::{self, BUNDLED, BUNDLED_TEXT, HAS_BUNDLED};
use crate::settings::Settings;
use crate::tensors::{Owned, Shared};

/// The value of the setting `from` that declines a transfer.
pub const SCRATCH: &str = "scratch";

/// Share of hidden states that is dropped before words are labelled, as BERT has it (Devlin et al., 2019).
const LABELS_DROPOUT: f32 = 0.1;
/// Computed positions of longer texts are not kept ready.
const MOST_POSITIONS: usize = 8192;

/// What a network takes, and how it is prepared.
#[derive(Debug, Clone)]
pub enum Takes {
    /// Images.
    Images(ImagePreprocessing),
    /// Texts.
    Texts(TextForm),
}

/// A published network, and what belongs to it.
#[derive(Clone)]
pub struct Backbone {
    /// Its name or path, as it was asked for.
    pub name: String,
    /// The network, with outputs of its own.
    pub config: ModelConfig,
    /// Numbers of features that belong together.
    pub groups: Vec<usize>,
    /// Names of the parameters of its last layer.
    pub last_layer: BTreeSet<String>,
    /// How samples become what it takes.
    pub takes: Takes,
    /// Weights by name.
    pub weights: Shared,
    /// What was found in its files, a sentence each.
    pub notes: Vec<String>,
    /// Of all weights.
    pub digest: u128,
    /// The folder of its files, where it is for texts.
    pub folder: PathBuf,
}

/// A published model must be somewhere.
///
/// # Errors
/// If it is neither part of the program nor a file or folder, saying what was looked for.
fn require_found(from: &str) -> Result<()> {
    let path = Path::new(from);
    if path.exists() || (HAS_BUNDLED && [BUNDLED, BUNDLED_TEXT].contains(&from)) {
        return Ok(());
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let within = if HAS_BUNDLED {
        format!(
            "those that are part of the program are {BUNDLED} for images and {BUNDLED_TEXT} for texts, and others are"
        )
    } else {
        "published models are".to_string()
    };
    let near = deepfit_data::nearest(from, [BUNDLED, BUNDLED_TEXT].into_iter().filter(|_| HAS_BUNDLED));
    let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    let problem = format!(
        "is '{from}', and there is no such file or folder, '{}'{near}; {within} the folder or file of their weights, or the name \
         at a hub, OWNER/NAME, of one that was fetched before (`deepfit models pull`)",
        whole.display()
    );
    Err(TrainError::setting("from", problem))
}

impl Backbone {
    /// Reads a published model, or the one that is part of the program, by its name; to continue texts, if it is `to_continue`
    /// any.
    ///
    /// # Errors
    /// As [`Published::load`], or if its architecture cannot be cut in two, or continues no texts.
    pub fn load(from: &str, to_continue: bool) -> Result<Backbone> {
        require_found(from)?;
        if published::is_text(Path::new(from)) {
            return Backbone::load_text(from, to_continue);
        }
        let Published { config, preprocessing, weights, report, .. } = published::published_model(Path::new(from))?;
        let notes = vec![format!("{from}: {report}; its last layer is replaced")];
        let mut backbone = Backbone::new(from, config, Takes::Images(preprocessing), weights, notes);
        if backbone.blocks()? == 0 {
            let problem = format!("'{from}' is a {}, which cannot be fine-tuned", backbone.config.model_type());
            return Err(TrainError::setting("from", problem));
        }
        if let Some(tapped) = TappedConfig::of(&backbone.config, 1)? {
            backbone.groups = tapped.groups()?;
            backbone.config = ModelConfig::Tapped(tapped);
        }
        backbone.completed()
    }

    /// Reads a published model for texts.
    fn load_text(from: &str, to_continue: bool) -> Result<Backbone> {
        let (published, tokenizer) = published::published_text(Path::new(from))?;
        let PublishedText { config, sentence, weights, report, folder, .. } = published;
        let sizes = deepfit_zoo::build(&config, &Scope::root())?.text().map(|text| text.sizes());
        let Some(sizes) = sizes else { return Err(TrainError::setting("from", "names a network for something else")) };
        if tokenizer.vocabulary() > sizes.vocabulary {
            let (tokens, rows) = (tokenizer.vocabulary(), sizes.vocabulary);
            let problem = format!(
                "has {tokens} tokens, but the model's table of words has {rows} rows: it is the tokenizer of another model"
            );
            return Err(TrainError::run(tokenizer.path(), problem));
        }
        let replaced = if to_continue { "" } else { "; its last layer is replaced" };
        let mut notes = vec![format!("{from}: {report}{replaced}")];
        notes.extend(report.notes.iter().chain(tokenizer.notes()).cloned());
        if to_continue {
            if sizes.cache.is_none() {
                let problem = format!(
                    "'{from}' is a {}, which tells no next token; to continue a text, begin with a model like GPT-2 or LLaMA",
                    config.model_type()
                );
                return Err(TrainError::setting("from", problem));
            }
            let most_tokens = sizes.positions.min(TextForm::WINDOW);
            let form = TextForm { tokenizer: Arc::new(tokenizer), most_tokens, terms: false, pairs: false };
            let network = Box::new(config.with_text_head(TextHead::Vocabulary));
            let config = ModelConfig::NextToken(NextTokenConfig { network });
            let backbone = Backbone::new(from, config, Takes::Texts(form), weights, notes).completed()?;
            let missing = backbone.network()?.1.into_iter().find(|d| !backbone.weights.contains_key(&d.name));
            return match missing {
                Some(missing) => {
                    let problem =
                        format!("'{from}' has no layer that tells the next token: `{}` is missing", missing.name);
                    Err(TrainError::setting("from", problem))
                }
                None => Ok(backbone),
            };
        }
        let sentence = sentence.unwrap_or_default();
        let most_tokens = sentence.max_tokens.unwrap_or(TextForm::MOST_TOKENS).min(sizes.positions);
        // A table of words knows no names and no slang: the texts' own words are seen beside it.
        let terms = matches!(config, ModelConfig::StaticEmbedding(_));
        let form = TextForm { tokenizer: Arc::new(tokenizer), most_tokens, terms, pairs: false };
        let config = ModelConfig::PooledText(PooledTextConfig {
            backbone: Box::new(config.with_text_head(TextHead::None).with_positions(MOST_POSITIONS)),
            pooling: sentence.pooling,
            normalise: sentence.normalise,
            pairs: false,
            terms: 0,
            dropout: 0.0,
            outputs: 1,
        });
        Backbone { folder, ..Backbone::new(from, config, Takes::Texts(form), weights, notes) }.completed()
    }

    /// The same network for texts, with a last layer that labels each token.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn for_labels(&self) -> Result<Backbone> {
        let mut backbone = self.clone();
        if let ModelConfig::PooledText(PooledTextConfig { backbone: network, outputs, .. }) = &self.config {
            let (network, outputs) = (network.clone(), *outputs);
            backbone.config =
                ModelConfig::TokenLabels(TokenLabelsConfig { backbone: network, dropout: LABELS_DROPOUT, outputs });
        }
        backbone.completed()
    }

    fn new(
        from: &str,
        config: ModelConfig,
        takes: Takes,
        weights: BTreeMap<String, deepfit_zoo::Array>,
        notes: Vec<String>,
    ) -> Backbone {
        let mut hasher = Xxh3::new();
        let mut owned = BTreeMap::new();
        for (name, array) in weights {
            hasher.update(name.as_bytes());
            hasher.update(bytemuck::cast_slice(&array.values));
            owned.insert(name, Arc::new(Owned { shape: array.shape, values: array.values }));
        }
        let (groups, last_layer, digest) = (Vec::new(), BTreeSet::new(), hasher.digest128());
        let (name, folder) = (from.to_string(), PathBuf::new());
        Backbone { name, config, groups, last_layer, takes, weights: owned, notes, digest, folder }
    }

    /// Without weights that it does not use, and knowing its last layer.
    fn completed(mut self) -> Result<Backbone> {
        let known: BTreeSet<String> = self.network()?.1.into_iter().map(|d| d.name).collect();
        self.weights.retain(|name, _| known.contains(name));
        self.last_layer = self.find_last_layer()?;
        Ok(self)
    }

    /// Whether it learns to continue texts.
    pub fn continues_texts(&self) -> bool {
        matches!(self.config, ModelConfig::NextToken(_))
    }

    /// Whether it is for texts.
    pub fn takes_texts(&self) -> bool {
        matches!(self.takes, Takes::Texts(_))
    }

    /// The same network for texts of at most so many tokens, where it takes texts.
    ///
    /// # Errors
    /// If it knows fewer positions.
    pub fn for_texts_of(mut self, most: Option<usize>) -> Result<Backbone> {
        let (Takes::Texts(form), Some(most)) = (&mut self.takes, most) else { return Ok(self) };
        let positions = deepfit_zoo::build(&self.config, &Scope::root())?.positions().unwrap_or(usize::MAX);
        if most > positions {
            let problem = format!("is {most}, but '{}' knows {positions} positions", self.name);
            return Err(TrainError::setting("max_tokens", problem));
        }
        form.most_tokens = most;
        Ok(self)
    }

    /// The same network on two texts at a time, which are compared, where it takes texts.
    ///
    /// # Errors
    /// If the network in it cannot be built.
    pub fn for_pairs(&self) -> Result<Backbone> {
        let mut backbone = self.clone();
        if let ModelConfig::PooledText(config) = &mut backbone.config {
            config.pairs = true;
            let groups = config.groups();
            let network = deepfit_zoo::build(&config.backbone, &Scope::root())?;
            let width = network.text().map(|text| text.sizes().width);
            let problem = || TrainError::setting("from", format!("names '{}', which takes no texts", self.name));
            backbone.groups = vec![width.ok_or_else(problem)?; groups];
        }
        Ok(backbone)
    }

    /// The same network as it learns to embed texts, of which it takes two at a time: without a last layer.
    ///
    /// # Errors
    /// If it takes no texts.
    pub fn for_similarity(&self) -> Result<Backbone> {
        let mut backbone = self.clone();
        let ModelConfig::PooledText(PooledTextConfig { backbone: network, pooling, .. }) = &self.config else {
            return Err(TrainError::setting("from", format!("names '{}', which takes no texts", self.name)));
        };
        backbone.config =
            ModelConfig::SentencePairs(SentencePairsConfig { backbone: network.clone(), pooling: *pooling });
        backbone.notes.iter_mut().for_each(|note| *note = note.replace("; its last layer is replaced", ""));
        backbone.last_layer.clear();
        Ok(backbone)
    }

    /// The same network on images of another size, where it takes images.
    ///
    /// # Errors
    /// If it takes images of its own size alone.
    pub fn for_images_of(mut self, side: Option<usize>) -> Result<Backbone> {
        let Takes::Images(preprocessing) = &mut self.takes else { return Ok(self) };
        let (height, width) = preprocessing.crop;
        if height != width {
            let problem = format!("'{}' takes images of {height}x{width} pixels; they must be squares", self.name);
            return Err(TrainError::setting("from", problem));
        }
        // What is to be learned may stand at the edge: no more is cut off than it takes to make a square.
        if let Resize::ShortestEdge(length) = &mut preprocessing.resize {
            *length = height;
        }
        let Some(side) = side.filter(|&side| side != height) else { return Ok(self) };
        if matches!(self.config, ModelConfig::Vit(_)) {
            let problem = format!("is {side}, but '{}' knows positions in images of {height} pixels alone", self.name);
            return Err(TrainError::setting("image_size", problem));
        }
        let scaled = |length: usize| (length * side).div_ceil(height);
        preprocessing.resize = match preprocessing.resize {
            Resize::ShortestEdge(length) => Resize::ShortestEdge(scaled(length)),
            Resize::Exact(h, w) => Resize::Exact(scaled(h), scaled(w)),
        };
        preprocessing.crop = (side, side);
        if let Some(image) = self.config.image().cloned() {
            self.config = self.config.with_image(ImageConfig { height: side, width: side, ..image });
        }
        Ok(self)
    }

    /// The network with its parameters, as it was published.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn network(&self) -> Result<(Box<dyn Network>, Vec<Declaration>)> {
        self.with_outputs(self.config.outputs(), 0)
    }

    /// Its settings with other outputs, and a last layer that sees so many terms, too.
    pub fn config_with(&self, outputs: usize, terms: usize) -> ModelConfig {
        let mut config = self.config.clone().with_outputs(outputs);
        if let ModelConfig::PooledText(config) = &mut config {
            config.terms = terms;
        }
        config
    }

    /// The network with other outputs, and a last layer that sees so many terms, too; and its parameters.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn with_outputs(&self, outputs: usize, terms: usize) -> Result<(Box<dyn Network>, Vec<Declaration>)> {
        let scope = Scope::root();
        let network = deepfit_zoo::build(&self.config_with(outputs, terms), &scope)?;
        Ok((network, scope.declarations()))
    }

    /// The network with other outputs, low-rank changes of a rank beside all weights of linear layers but the last, and a
    /// last layer that sees so many terms, too; and its parameters.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn adapted(&self, outputs: usize, terms: usize, rank: usize) -> Result<(Box<dyn Network>, Vec<Declaration>)> {
        let names = self.network()?.1.into_iter().map(|d| d.name).filter(|name| !self.last_layer.contains(name));
        let places: Vec<String> = names.filter_map(|name| Some(name.rsplit_once('.')?.0.to_string())).collect();
        let scope = Scope::root();
        scope.adapt(LowRank::new(rank, &places.iter().map(|place| &place[..]).collect::<Vec<_>>()));
        let network = deepfit_zoo::build(&self.config_with(outputs, terms), &scope)?;
        Ok((network, scope.declarations()))
    }

    /// Refuses networks without a weight that can be adapted.
    ///
    /// # Errors
    /// If this is one.
    pub fn require_adaptable(&self, rank: usize) -> Result<()> {
        if self.adapted(1, 0, rank)?.1.iter().any(|d| adapted(&d.name).is_some()) {
            return Ok(());
        }
        let problem = format!("is for transformers: '{}' has no layers to adapt; use unfreeze", self.name);
        Err(TrainError::setting("lora", problem))
    }

    /// Number of the parameters of its layers: of all but tables of words, positions and the last layer.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn layer_parameters(&self) -> Result<u64> {
        let (network, declarations) = self.network()?;
        let tables: BTreeSet<String> =
            deepfit_zoo::first_blocks(&*network, 1)?.parameter_names().map(str::to_string).collect();
        let counts = |d: &&Declaration| !tables.contains(&d.name) && !self.last_layer.contains(&d.name);
        Ok(declarations.iter().filter(counts).map(|d| d.elements() as u64).sum())
    }

    /// Numbers of the hidden states of all layers that a token has, of a network that continues texts; 0 of others.
    pub fn states_per_token(&self) -> usize {
        let ModelConfig::NextToken(NextTokenConfig { network }) = &self.config else { return 0 };
        let network = deepfit_zoo::build(network, &Scope::root()).ok();
        network.and_then(|network| network.text().map(|text| text.layers() * text.sizes().width)).unwrap_or(0)
    }

    /// Number of blocks after each of which it can be cut.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn blocks(&self) -> Result<usize> {
        Ok(self.network()?.0.blocks())
    }

    /// Bytes of what its first blocks make of a sample.
    ///
    /// # Errors
    /// If it cannot be built, or has not so many blocks.
    pub fn feature_bytes(&self, blocks: usize) -> Result<u64> {
        Ok(4 * shape_after(&*self.network()?.0, blocks)?.iter().product::<usize>() as u64)
    }

    /// Names of the parameters whose shape depends on the number of outputs.
    fn find_last_layer(&self) -> Result<BTreeSet<String>> {
        let shapes = |outputs| -> Result<BTreeSet<(String, Vec<usize>)>> {
            Ok(self.with_outputs(outputs, 0)?.1.into_iter().map(|d| (d.name, d.shape)).collect())
        };
        Ok(shapes(2)?.difference(&shapes(3)?).map(|(name, _)| name.clone()).collect())
    }

    /// By this number, features after so many blocks are found again: plain sums of products are others than what faster
    /// ways to compute convolutions give, and so are those in another precision.
    pub fn key(&self, blocks: usize, settings: &Settings) -> u128 {
        let mut hasher = Xxh3::new();
        hasher.update(&self.digest.to_le_bytes());
        let network = serde_json::to_string(&self.config).unwrap_or_default();
        let prepared = match &self.takes {
            Takes::Images(preprocessing) => format!("{preprocessing:?}"),
            Takes::Texts(form) => form.most_tokens.to_string(),
        };
        let Settings { exact, precision, .. } = settings;
        let precision =
            if settings.multiplies_in() == Precision::F32 { String::new() } else { format!(" {precision}") };
        hasher.update(format!("{network} {prepared} {blocks} {exact}{precision}").as_bytes());
        hasher.digest128()
    }

    /// The weights that a network declares, without those of the last layer.
    pub fn weights_for(&self, declarations: &[Declaration]) -> Shared {
        let of = |d: &Declaration| {
            let tensor = self.weights.get(&d.name).filter(|_| !self.last_layer.contains(&d.name))?;
            Some((d.name.clone(), tensor.clone()))
        };
        declarations.iter().filter_map(of).collect()
    }
}
