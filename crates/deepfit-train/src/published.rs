//! Published models, those that are part of the program among them, as models that can be used.

use std::path::Path;

use deepfit_data::{Filter, ImagePreprocessor, Preprocessor, ResizeTo, Task};
use deepfit_nn::Scope;
use deepfit_zoo::{ImagePreprocessing, Interpolation, Published, PublishedText, Resize};

use crate::error::{Result, TrainError};
use crate::model_folder::{Model, ModelDescription};
use crate::run_folder::{FORMAT_VERSION, read_text};
use crate::tensors::Owned;

/// Name of the model that is part of the program.
pub const BUNDLED: &str = "efficientnet-lite0";

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
