//! Published models: recognised by their weights, with the preprocessing and the class names that belong to them.
//!
//! An architecture has a table of the names that other implementations give to its parts, and says from names and shapes
//! what its settings are. What shapes cannot tell (strides, epsilons) follows from whose names they are.

mod bert;
mod convnext;
mod distilbert;
mod folder;
mod gpt2;
mod imagenet;
mod inverted;
mod llama;
mod modernbert;
mod naming;
mod preprocessing;
mod report;
mod resnet;
mod roberta;
mod sentence;
mod static_embedding;
mod tensors;
mod text;
mod vit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use deepfit_nn::{Declaration, Scope};
use serde_json::Value;

use crate::error::{Result, ZooError};
use crate::network::{ModelConfig, build};
use crate::weights::{Array, Weights};

pub use preprocessing::{ImagePreprocessing, Interpolation, Resize};
pub use report::LoadReport;
pub use sentence::SentencePooling;
pub use text::PublishedText;

use folder::Folder;
use tensors::Shapes;

/// A published model, ready for use.
#[derive(Debug, Clone)]
pub struct Published {
    /// The network.
    pub config: ModelConfig,
    /// How images become what it takes.
    pub preprocessing: ImagePreprocessing,
    /// Names of its classes in the order of the outputs; numbers where none are known.
    pub classes: Vec<String>,
    /// Weights by the names that the network declares. Without a published head, they lack its parameters.
    pub weights: BTreeMap<String, Array>,
    /// What was found in the files.
    pub report: LoadReport,
}

impl Published {
    /// Whether the files hold the last layer, too: without it there are features, but no predictions.
    pub fn has_head(&self) -> bool {
        self.report.new.is_empty()
    }
}

/// What is known of a model beside its weights.
#[derive(Debug, Default)]
struct Hints {
    /// Name of the architecture, such as `tf_efficientnet_lite0`.
    architecture: Option<String>,
    /// `config.json`.
    config: Value,
}

impl Hints {
    fn number(&self, key: &str) -> Option<f64> {
        self.config[key].as_f64()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.config[key].as_str()
    }

    fn flag(&self, key: &str) -> bool {
        self.config[key].as_bool().unwrap_or(false)
    }
}

/// What an architecture makes of names and shapes; `P` is how its inputs are prepared.
struct Recognised<P = ImagePreprocessing> {
    architecture: &'static str,
    naming: &'static str,
    config: ModelConfig,
    /// How inputs are prepared unless the files say otherwise.
    preprocessing: P,
    /// Beginning of the names of the last layer.
    head: &'static str,
    /// Names in the file by those in the network; several are put one below the other.
    names: BTreeMap<String, Vec<String>>,
    /// Names in the file that play no role.
    ignored: BTreeSet<String>,
    notes: Vec<String>,
}

impl<P> Recognised<P> {
    fn new(
        architecture: &'static str,
        naming: &'static str,
        config: ModelConfig,
        preprocessing: P,
        head: &'static str,
    ) -> Self {
        let (names, ignored, notes) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        Recognised { architecture, naming, config, preprocessing, head, names, ignored, notes }
    }

    /// With the network's name of each tensor in the file.
    fn named(self, shapes: &Shapes, rename: impl Fn(&str) -> Option<String>) -> Self {
        self.ordered(shapes, |name| Some((0, rename(name)?)))
    }

    /// As [`Recognised::named`], with the order of those that become one.
    fn ordered(mut self, shapes: &Shapes, rename: impl Fn(&str) -> Option<(usize, String)>) -> Self {
        let mut found: Vec<(usize, String, &str)> =
            shapes.names().filter_map(|name| rename(name).map(|(order, new)| (order, new, name))).collect();
        found.sort();
        for (_, new, name) in found {
            self.names.entry(new).or_default().push(name.to_string());
        }
        self
    }

    fn ignoring(mut self, shapes: &Shapes, unused: impl Fn(&str) -> bool) -> Self {
        self.ignored.extend(shapes.names().filter(|name| unused(name)).map(str::to_string));
        self
    }

    fn noted(mut self, notes: Vec<String>) -> Self {
        self.notes.extend(notes);
        self
    }
}

/// Recognises an architecture: nothing if it is another one, a problem if it is a variant that is not read.
type Recognise = fn(&Shapes, &Hints) -> Option<std::result::Result<Recognised, String>>;

/// The architectures, each with what recognises it. The first that fits is taken.
const ARCHITECTURES: [Recognise; 4] = [resnet::recognise, inverted::recognise, convnext::recognise, vit::recognise];

/// What is read, for messages.
const KNOWN: &str = "ResNet, MobileNetV2, MobileNetV3, EfficientNet, EfficientNet-Lite, ConvNeXt, ViT and DeiT, with the names \
                     of torchvision, timm, transformers or efficientnet-pytorch";

impl Published {
    /// Whether a folder holds files of weights.
    pub fn is_in(folder: &Path) -> bool {
        folder::holds_weights(folder)
    }

    /// Reads a model: a folder in Hugging Face's layout (`config.json`, `preprocessor_config.json`, `model.safetensors`), or
    /// a file of weights alone, whose architecture is recognised from names and shapes.
    ///
    /// # Errors
    /// If a file cannot be read or is damaged, the architecture is not known, a tensor has a wrong shape or is missing, or
    /// one is left over; all such tensors are named.
    pub fn load(path: &Path) -> Result<Published> {
        let Folder { mut weights, hints, preprocessing, classes } = Folder::open(path)?;
        Self::from_parts(&mut weights, &hints, preprocessing, classes)
    }

    /// Makes a model of weights that were opened already, such as those that are part of a program.
    ///
    /// `architecture` is its name as timm has it, if it is known; `preprocessor` the text of a
    /// `preprocessor_config.json`, without which that of the architecture is taken.
    ///
    /// # Errors
    /// As [`Published::load`].
    pub fn from_weights(
        weights: &mut Weights,
        architecture: Option<&str>,
        preprocessor: Option<&str>,
    ) -> Result<Published> {
        let wrong =
            |problem: String| ZooError::file(weights.path(), format!("has a preprocessor that is wrong: {problem}"));
        let preprocessing = match preprocessor {
            None => None,
            Some(text) => {
                let value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
                Some(ImagePreprocessing::from_json(&value).map_err(wrong)?)
            }
        };
        let hints = Hints { architecture: architecture.map(str::to_string), config: Value::Null };
        Self::from_parts(weights, &hints, preprocessing, None)
    }

    fn from_parts(
        weights: &mut Weights,
        hints: &Hints,
        preprocessing: Option<ImagePreprocessing>,
        classes: Option<Vec<String>>,
    ) -> Result<Published> {
        let path = weights.path().to_path_buf();
        let (shapes, prefix) = Shapes::of(weights);
        let recognised = ARCHITECTURES.iter().find_map(|recognise| recognise(&shapes, hints));
        let recognised = match recognised {
            Some(Ok(recognised)) => recognised,
            Some(Err(problem)) => return Err(ZooError::file(&path, problem)),
            None => return Err(ZooError::file(&path, unknown(&shapes))),
        };
        let fixed = matches!(recognised.config, ModelConfig::Vit(_)).then_some(recognised.preprocessing.crop);
        let preprocessing = preprocessing.unwrap_or_else(|| recognised.preprocessing.clone());
        if let Some(side) = fixed.filter(|side| *side != preprocessing.crop) {
            let problem = format!(
                "has positions for images of {side:?} pixels, but its preprocessor makes {:?}; make both the same",
                preprocessing.crop
            );
            return Err(ZooError::file(&path, problem));
        }
        let config = recognised.config.clone().with_image(preprocessing.image());
        let scope = Scope::root();
        build(&config, &scope).map_err(|error| {
            ZooError::file(&path, format!("is like a {}, but cannot be one: {error}", recognised.architecture))
        })?;
        let declarations = scope.declarations();
        let (report, found) = compare(&shapes, &recognised, &declarations, weights.notes());
        let missing = report.new.iter().filter(|(name, _)| !name.starts_with(recognised.head)).collect::<Vec<_>>();
        let wrong = report::wrong(&report, &found.shapes, &missing);
        if let Some(problem) = wrong {
            return Err(ZooError::file(&path, problem));
        }
        let values = read_values(weights, &prefix, &recognised.names, &declarations)?;
        let mut report = report;
        let classes = match classes {
            Some(names) if names.len() == config.outputs() => names,
            Some(names) => {
                let (names, outputs) = (names.len(), config.outputs());
                report.notes.push(format!("`config.json` names {names} classes, but there are {outputs} outputs"));
                imagenet::numbered(outputs)
            }
            None => imagenet::classes(config.outputs(), &mut report.notes),
        };
        Ok(Published { config, preprocessing, classes, weights: values, report })
    }
}

/// Tensors of another shape: name, shape in the file, shape in the network.
#[derive(Default)]
struct Differences {
    shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
}

/// Reads the values of all parameters that a file has names for; `prefix` stands before all names in the file.
fn read_values(
    weights: &mut Weights,
    prefix: &str,
    names: &BTreeMap<String, Vec<String>>,
    declarations: &[Declaration],
) -> Result<BTreeMap<String, Array>> {
    let mut values = BTreeMap::new();
    for declaration in declarations {
        let Some(names) = names.get(&declaration.name) else { continue };
        let mut array = Array { shape: declaration.shape.clone(), values: Vec::new() };
        for name in names {
            array.values.append(&mut weights.read(&format!("{prefix}{name}"))?.values);
        }
        if let Some(place) = array.values.iter().position(|value| !value.is_finite()) {
            let problem = format!("is damaged: `{}` holds {} at {place}", names[0], array.values[place]);
            return Err(ZooError::file(weights.path(), problem));
        }
        values.insert(declaration.name.clone(), array);
    }
    Ok(values)
}

/// Holds the tensors of a file against what a network declares.
fn compare<P>(
    shapes: &Shapes,
    recognised: &Recognised<P>,
    declarations: &[Declaration],
    notes: &[String],
) -> (LoadReport, Differences) {
    let mut differences = Differences::default();
    let mut report = LoadReport {
        architecture: recognised.architecture.to_string(),
        naming: recognised.naming.to_string(),
        matched: 0,
        new: Vec::new(),
        left_over: Vec::new(),
        notes: notes.iter().chain(&recognised.notes).cloned().collect(),
    };
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for declaration in declarations {
        let Some(names) = recognised.names.get(&declaration.name) else {
            report.new.push((declaration.name.clone(), declaration.shape.clone()));
            continue;
        };
        used.extend(names.iter().map(|name| &name[..]));
        let given = joined(names.iter().filter_map(|name| shapes.get(name)));
        if given.as_deref().map(without_ones) == Some(without_ones(&declaration.shape)) {
            report.matched += 1;
        } else {
            differences.shapes.push((names.join(", "), given.unwrap_or_default(), declaration.shape.clone()));
        }
    }
    for name in shapes.names().filter(|name| !used.contains(name) && !recognised.ignored.contains(*name)) {
        report.left_over.push((name.to_string(), shapes.get(name).unwrap_or_default().to_vec()));
    }
    (report, differences)
}

/// The shape of tensors one below the other; none if they do not fit.
fn joined<'a>(mut parts: impl Iterator<Item = &'a [usize]>) -> Option<Vec<usize>> {
    let mut shape = parts.next()?.to_vec();
    for part in parts {
        if part.len() != shape.len() || part.is_empty() || part[1..] != shape[1..] {
            return None;
        }
        shape[0] = shape[0].checked_add(part[0])?;
    }
    Some(shape)
}

/// A shape without axes of length 1: a linear layer is the same as a convolution of 1x1.
fn without_ones(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&length| length != 1).collect()
}

fn unknown(shapes: &Shapes) -> String {
    let names: Vec<String> = shapes.names().take(4).map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    format!(
        "is of no architecture that is known: its tensors begin with {names}; known are {KNOWN}; \
             and, by the `model_type` in `config.json`, {}",
        text::KNOWN
    )
}
