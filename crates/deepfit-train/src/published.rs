//! Published models, those that are part of the program among them, as models that can be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deepfit_cpu::Precision;
use deepfit_data::{Filter, ImagePreprocessor, Preprocessor, ResizeTo, Task, TextPreprocessor, Tokenizer};
use deepfit_nn::Scope;
use deepfit_zoo::{Array, ImagePreprocessing, Interpolation, Published, PublishedText, Resize, TextHead};
#[cfg(feature = "bundled-backbones")]
use deepfit_zoo::{LoadReport, ModelConfig, Pooling, SentencePooling, StaticEmbeddingConfig};

use crate::error::{Result, TrainError};
use crate::model_folder::{Model, ModelDescription};
use crate::run_folder::{FORMAT_VERSION, read_text};
use crate::tensors::Owned;
use crate::text_model::MOST_POSITIONS;

/// Name of the model for images that is part of the program.
pub const BUNDLED: &str = "efficientnet-lite0";
/// Name of the one for texts: a table of words.
pub const BUNDLED_TEXT: &str = "minilm-static";

/// Whether it is.
pub const HAS_BUNDLED: bool = cfg!(feature = "bundled-backbones");

/// Whether a folder with a `config.json` is that of another program: ours has a preprocessor in it.
pub fn is_published(folder: &Path) -> bool {
    let text = read_text(&folder.join("config.json")).unwrap_or_default();
    // What is no JSON was perhaps ours, and is told to be damaged.
    serde_json::from_str::<serde_json::Value>(&text)
        .is_ok_and(|value| value.is_object() && value.get("preprocessor").is_none() && value.get("version").is_none())
}

/// A published model by its folder or file, or one that is part of the program by its name.
///
/// # Errors
/// As [`Published::load`].
pub fn published_model(path: &Path) -> Result<Published> {
    if path.as_os_str() == BUNDLED && !path.exists() {
        return bundled_weights();
    }
    Ok(Published::load(path)?)
}

/// Opens a published model.
///
/// # Errors
/// As [`Published::load`]; if it is a model for texts, which are not used as images and tables are.
pub fn open(path: &Path) -> Result<Model> {
    if PublishedText::is_in(path) {
        let problem = "is a model for texts, which is used by `deepfit embed`, `predict` and `generate`";
        return Err(TrainError::run(path, problem));
    }
    model(Published::load(path)?, &path.display().to_string())
}

/// The model that is part of the program, if this is its name.
pub fn bundled(name: &Path) -> Option<Result<Model>> {
    if name.as_os_str() != BUNDLED {
        return None;
    }
    Some(bundled_weights().and_then(|published| model(published, BUNDLED)))
}

/// The network that is part of the program.
#[cfg(feature = "bundled-backbones")]
pub fn bundled_weights() -> Result<Published> {
    use deepfit_backbone_efficientnet_lite0::{ARCHITECTURE, PREPROCESSOR, WEIGHTS};
    let mut weights = deepfit_zoo::Weights::from_bytes(WEIGHTS, BUNDLED)?;
    Ok(Published::from_weights(&mut weights, Some(ARCHITECTURE), Some(PREPROCESSOR))?)
}

/// The network that is part of the program, which was built without it.
#[cfg(not(feature = "bundled-backbones"))]
pub fn bundled_weights() -> Result<Published> {
    let problem = "is not part of this program, which was built without the feature `bundled-backbones`";
    Err(TrainError::run(BUNDLED, problem))
}

/// Whether a path is the name of the model for texts that is part of the program.
pub fn is_bundled_text(path: &Path) -> bool {
    path.as_os_str() == BUNDLED_TEXT && HAS_BUNDLED && !path.exists()
}

/// The folder of a published model for texts: of a run that has trained one, that in it.
pub fn text_folder(path: &Path) -> PathBuf {
    let within = path.join("model");
    if !PublishedText::is_in(path) && PublishedText::is_in(&within) { within } else { path.to_path_buf() }
}

/// Whether a path is that of a published model for texts, or of a run that has trained one, or the name of the one that is
/// part of the program.
pub fn is_text(path: &Path) -> bool {
    PublishedText::is_in(&text_folder(path)) || is_bundled_text(path)
}

/// A published model for texts with its tokenizer: in a folder, or the one that is part of the program, by its name.
///
/// # Errors
/// As [`PublishedText::load`], or if the tokenizer is missing or damaged.
pub fn published_text(path: &Path) -> Result<(PublishedText, Tokenizer)> {
    if is_bundled_text(path) {
        return bundled_text();
    }
    let published = PublishedText::load(&text_folder(path))?;
    let tokenizer = Tokenizer::open(&published.folder)?;
    Ok((published, tokenizer))
}

/// What stands behind the hidden states of a published model for texts.
///
/// # Errors
/// As [`published_text`].
pub fn text_head(path: &Path) -> Result<TextHead> {
    Ok(if is_bundled_text(path) { TextHead::None } else { PublishedText::load(&text_folder(path))?.head })
}

/// The table of words that is part of the program.
#[cfg(feature = "bundled-backbones")]
fn bundled_text() -> Result<(PublishedText, Tokenizer)> {
    use deepfit_backbone_minilm_static::{TOKENIZER, WEIGHTS};
    use safetensors::SafeTensors;
    const WEIGHT: &str = "embeddings.weight";
    let damaged = |error: safetensors::SafeTensorError| TrainError::run(BUNDLED_TEXT, format!("is damaged: {error}"));
    let file = SafeTensors::deserialize(WEIGHTS).map_err(damaged)?;
    let table = file.tensor(WEIGHT).map_err(damaged)?;
    let scales = file.tensor("embeddings.scale").map_err(damaged)?;
    let &[vocab_size, hidden_size] = table.shape() else {
        return Err(TrainError::run(BUNDLED_TEXT, "is damaged: it is no table"));
    };
    let scales =
        scales.data().chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let rows = table.data().chunks_exact(hidden_size).zip(scales);
    let values = rows.flat_map(|(row, scale)| row.iter().map(move |&value| f32::from(value as i8) * scale)).collect();
    let array = Array { shape: vec![vocab_size, hidden_size], values };
    let report = LoadReport {
        architecture: "table of words".to_string(),
        naming: "deepfit".to_string(),
        matched: 1,
        new: Vec::new(),
        left_over: Vec::new(),
        notes: Vec::new(),
    };
    let published = PublishedText {
        config: ModelConfig::StaticEmbedding(StaticEmbeddingConfig { vocab_size, hidden_size }),
        head: TextHead::None,
        classes: Vec::new(),
        multi_label: false,
        sentence: Some(SentencePooling { pooling: Pooling::Mean, normalise: true, max_tokens: None }),
        weights: [(WEIGHT.to_string(), array)].into(),
        report,
        end_tokens: Vec::new(),
        folder: BUNDLED_TEXT.into(),
    };
    Ok((published, Tokenizer::from_json(TOKENIZER.as_bytes(), Path::new(BUNDLED_TEXT))?))
}

/// The table of words of a program that was built without it.
#[cfg(not(feature = "bundled-backbones"))]
fn bundled_text() -> Result<(PublishedText, Tokenizer)> {
    let problem = "is not part of this program, which was built without the feature `bundled-backbones`";
    Err(TrainError::run(BUNDLED_TEXT, problem))
}

/// A published model with everything that uses need of one.
fn model(published: Published, name: &str) -> Result<Model> {
    let has_head = published.has_head();
    let Published { config, preprocessing, classes, weights, report } = published;
    let preprocessor = Preprocessor::Image(preprocessor(&preprocessing, Task::Classification { classes }));
    let described = serde_json::from_str(&preprocessor.to_json()).unwrap_or_default();
    let scope = Scope::root();
    let network = deepfit_zoo::build(&config, &scope)?;
    let description = ModelDescription {
        version: FORMAT_VERSION,
        model: config,
        name: name.to_string(),
        preprocessor: described,
        exact: false,
        positive: None,
        weight: None,
        decision: Default::default(),
    };
    let mut notes = vec![format!("{name}: {report}")];
    notes.extend(report.notes);
    let weights = weights.into_iter().map(|(name, array)| (name, Owned { shape: array.shape, values: array.values }));
    Ok(Model {
        description,
        preprocessor,
        weights: weights.collect(),
        network,
        declarations: scope.declarations(),
        notes,
        has_head,
        precision: Precision::F32,
    })
}

/// Opens a published model for texts that has classes.
///
/// # Errors
/// As [`published_text`]; if it has no classes.
pub fn open_text(path: &Path) -> Result<Model> {
    let (published, tokenizer) = published_text(path)?;
    let outputs = match published.head {
        TextHead::Classes(classes) => classes,
        TextHead::Vocabulary => {
            return Err(TrainError::run(path, "has no classes: it continues texts, by `deepfit generate`"));
        }
        TextHead::None => return Err(TrainError::run(path, "has no classes: it gives embeddings, by `deepfit embed`")),
    };
    let task = match (published.multi_label, outputs) {
        (true, _) => Task::MultiLabel { classes: published.classes.clone() },
        (false, 1) => Task::Regression,
        (false, _) => Task::Classification { classes: published.classes.clone() },
    };
    let config = published.config.with_positions(MOST_POSITIONS);
    let scope = Scope::root();
    let network = deepfit_zoo::build(&config, &scope)?;
    let most = network.positions().unwrap_or(1);
    let preprocessor = Preprocessor::Text(Box::new(TextPreprocessor::published(Arc::new(tokenizer), task, most)));
    let array = |(name, array): (String, Array)| (name, Owned { shape: array.shape, values: array.values });
    Ok(Model {
        description: ModelDescription {
            version: FORMAT_VERSION,
            model: config,
            name: path.display().to_string(),
            preprocessor: serde_json::Value::Null,
            exact: false,
            positive: None,
            weight: None,
            decision: Default::default(),
        },
        preprocessor,
        weights: published.weights.into_iter().map(array).collect(),
        network,
        declarations: scope.declarations(),
        notes: vec![format!("{}: {}", path.display(), published.report)],
        has_head: true,
        precision: Precision::F32,
    })
}

/// The same preprocessing in the words of the crate that does it.
pub fn preprocessor(preprocessing: &ImagePreprocessing, task: Task) -> ImagePreprocessor {
    let (height, width) = preprocessing.crop;
    ImagePreprocessor {
        version: ImagePreprocessor::VERSION,
        height,
        width,
        channels: preprocessing.mean.len(),
        resize: Some(resize(preprocessing)),
        task,
        target_scale: None,
        columns: None,
    }
}

/// How images are resized.
pub fn resize(preprocessing: &ImagePreprocessing) -> deepfit_data::Resize {
    let to = match preprocessing.resize {
        Resize::ShortestEdge(side) => ResizeTo::ShortestEdge(side),
        Resize::Exact(height, width) => ResizeTo::Exact(height, width),
    };
    let filter = match preprocessing.interpolation {
        Interpolation::Nearest => Filter::Nearest,
        Interpolation::Box => Filter::Box,
        Interpolation::Bilinear => Filter::Bilinear,
        Interpolation::Hamming => Filter::Hamming,
        Interpolation::Bicubic => Filter::Bicubic,
        Interpolation::Lanczos => Filter::Lanczos,
    };
    deepfit_data::Resize { to, filter }
}
