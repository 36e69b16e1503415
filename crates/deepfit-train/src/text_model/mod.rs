//! Published models for texts in use: embeddings, classes, and texts that are continued.

mod batches;
mod embedder;
mod generator;
mod predictor;
mod running;
mod stream;

use std::path::Path;
use std::sync::Arc;

use deepfit_cpu::{Engine, Precision};
use deepfit_data::{Preprocessor, Tokenizer};
use deepfit_graph::{Extents, Tracer};
use deepfit_nn::step::evaluation_graph;
use deepfit_nn::{Declaration, NnError, Scope};
use deepfit_zoo::{
    Array, Context, LoadReport, ModelConfig, Network, NextTokenConfig, PublishedText, TextHead, TextNetwork, TextSizes,
};

use crate::error::{Result, TrainError};
use crate::inspect::{InspectOptions, Inspection, Subject};
use crate::model_folder;
use crate::published;
use crate::tensors::Owned;

pub use embedder::TextEmbedder;
pub use generator::{Continuing, Finish, Generated, Generator, Sampling};
pub use predictor::TextPredictor;

/// Computed positions of longer texts are not kept ready: most networks allow so many only in name.
pub(crate) const MOST_POSITIONS: usize = 32_768;

/// Whether a folder, or a file in one, is a published model for texts.
pub fn is_text_model(path: &Path) -> bool {
    published::is_text(path)
}

/// A model for texts with its tokenizer.
struct TextModel {
    published: PublishedText,
    tokenizer: Arc<Tokenizer>,
    sizes: TextSizes,
    notes: Vec<String>,
    /// In which precision it multiplies matrices.
    precision: Precision,
}

impl TextModel {
    /// Reads the model.
    ///
    /// # Errors
    /// If it is damaged, or its tokenizer is missing or that of another model.
    fn open(path: &Path) -> Result<TextModel> {
        if let Some(trained) = trained(path)? {
            return Ok(trained);
        }
        let (mut published, tokenizer) = published::published_text(path)?;
        let tokenizer = Arc::new(tokenizer);
        published.config = published.config.with_positions(MOST_POSITIONS);
        let network = deepfit_zoo::build(&published.config, &Scope::root())?;
        let sizes = text(&*network)?.sizes();
        let words = tokenizer.vocabulary();
        if words > sizes.vocabulary {
            let problem = format!(
                "has tokens up to number {}, but the model's table of words has {} rows: it is the tokenizer of another \
                 model",
                words - 1,
                sizes.vocabulary
            );
            return Err(TrainError::run(tokenizer.path(), problem));
        }
        let mut notes = vec![format!("{}: {}", path.display(), published.report)];
        notes.extend(published.report.notes.iter().chain(tokenizer.notes()).cloned());
        Ok(TextModel { published, tokenizer, sizes, notes, precision: Precision::F32 })
    }

    /// An engine with the weights, which this model then has no more.
    fn engine(&mut self, threads: usize) -> Result<Engine> {
        let mut engine = Engine::new(threads)?.precision(self.precision)?.for_inference(true);
        for (name, array) in std::mem::take(&mut self.published.weights) {
            engine.set_parameter(&name, &array.shape, &array.values)?;
        }
        Ok(engine)
    }

    /// The network for texts of at most so many tokens, where its positions allow for that.
    fn network(&self, positions: usize) -> Result<Box<dyn Network>> {
        Ok(deepfit_zoo::build(&self.published.config.clone().with_positions(positions), &Scope::root())?)
    }
}

/// A model that continues texts and was trained here: the folder of its run, or of the model alone.
fn trained(path: &Path) -> Result<Option<TextModel>> {
    if published::is_text(path) || !path.is_dir() {
        return Ok(None);
    }
    let Ok(folder) = model_folder::find(path) else { return Ok(None) };
    let model = model_folder::load(&folder)?;
    let (ModelConfig::NextToken(NextTokenConfig { network }), Preprocessor::Text(preprocessor)) =
        (&model.description.model, &model.preprocessor)
    else {
        let problem = "was not trained to continue texts; that is learned from a .txt file: deepfit train BOOK.txt";
        return Err(TrainError::run(path, problem));
    };
    let config = ModelConfig::clone(network);
    let sizes = text(&*deepfit_zoo::build(&config, &Scope::root())?)?.sizes();
    let missing = || TrainError::run(&folder, "has no tokenizer");
    let tokenizer = preprocessor.tokenizer().cloned().ok_or_else(missing)?;
    let report = LoadReport {
        architecture: model.description.name.clone(),
        naming: "deepfit".to_string(),
        matched: model.weights.len(),
        new: Vec::new(),
        left_over: Vec::new(),
        notes: Vec::new(),
    };
    let array = |tensor: Owned| Array { shape: tensor.shape, values: tensor.values };
    let published = PublishedText {
        config,
        head: TextHead::Vocabulary,
        classes: Vec::new(),
        multi_label: false,
        sentence: None,
        weights: model.weights.into_iter().map(|(name, tensor)| (name, array(tensor))).collect(),
        report,
        end_tokens: Vec::new(),
        folder,
    };
    Ok(Some(TextModel { published, tokenizer, sizes, notes: Vec::new(), precision: Precision::F32 }))
}

/// A network as one for texts.
fn text(network: &dyn Network) -> Result<&TextNetwork, NnError> {
    network.text().ok_or_else(|| NnError::Setting {
        place: "network".to_string(),
        setting: "model_type".to_string(),
        problem: "is none for texts".to_string(),
    })
}

/// Whether tokens are within the table of words.
fn check_tokens(ids: &[u32], sizes: &TextSizes) -> Result<(), String> {
    match ids.iter().find(|&&id| id as usize >= sizes.vocabulary) {
        None => Ok(()),
        Some(id) => {
            let rows = sizes.vocabulary;
            Err(format!(
                "has the token {id}, but the model's table of words has {rows} rows: the tokenizer is another's"
            ))
        }
    }
}

/// Looks into a model for texts; its memory and operations are told for texts of a medium length.
///
/// # Errors
/// If it is damaged.
pub(crate) fn inspect(path: &Path, options: &InspectOptions) -> Result<Inspection> {
    const MEDIUM: usize = 128;
    let (published, _) = published::published_text(path)?;
    let scope = Scope::root();
    let network = deepfit_zoo::build(&published.config.clone().with_positions(MEDIUM), &scope)?;
    let sizes = text(&*network)?.sizes();
    let forward = |tracer: &Tracer| {
        let inputs: Vec<_> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        Ok(vec![if sizes.head == TextHead::None {
            text(&*network)?.hidden(&inputs[0], &Context::whole(&inputs[0], &inputs[1])?)?
        } else {
            network.forward(&inputs)?
        }])
    };
    let named = |outputs: Vec<_>| outputs.into_iter().map(|output| ("output".to_string(), output)).collect();
    let prediction = evaluation_graph(|tracer| forward(tracer).map(named))?;
    let declarations: Vec<Declaration> = scope.declarations();
    let sequence = sizes.positions.min(MEDIUM);
    let maximum = Extents { batch: options.batch.unwrap_or(32), sequence };
    let subject =
        Subject { forward: &forward, prediction, step: None, declarations: &declarations, maximum, whole: false };
    let mut data = vec![published.report.to_string()];
    data.extend(published.report.notes.iter().cloned());
    data.push(format!(
        "vocabulary of {} tokens, texts of up to {} tokens",
        sizes.vocabulary,
        published_positions(&published)?
    ));
    data.push(match Tokenizer::open(&published.folder) {
        Ok(tokenizer) => format!("tokenizer: {}", tokenizer.path().display()),
        Err(error) => error.to_string(),
    });
    if !published.classes.is_empty() {
        data.push(format!("classes: {}", published.classes.join(", ")));
    }
    data.push(format!("memory and operations below are for texts of {sequence} tokens"));
    let title = format!("{}: a published {}", path.display(), published.report.architecture);
    subject.inspection(title, data, options.passes)
}

/// Most tokens of a text, as the model says.
fn published_positions(published: &PublishedText) -> Result<usize> {
    let network = deepfit_zoo::build(&published.config, &Scope::root())?;
    Ok(text(&*network)?.sizes().positions)
}
