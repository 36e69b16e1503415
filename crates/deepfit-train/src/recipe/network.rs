//! The network that a recipe asks for, with the sizes that the data says.

use deepfit_data::{Array, Batch, Dataset, Pass, Prepared, Preprocessor, Slot, Source, Task};
use deepfit_zoo::{
    CATEGORIES, CnnConfig, EmbeddingConfig, ImageConfig, MlpConfig, MobilenetV2Config, ModelConfig, NUMERIC,
    PeriodicConfig, ResnetConfig, TabmConfig,
};

use super::{Recipe, text};
use crate::error::{Result, TrainError};

/// Members of the ensemble for tables.
pub(super) const MEMBERS: usize = 8;
/// Images up to this side are learned by the small network.
const SMALL_IMAGE: usize = 64;

impl Recipe {
    /// The network for prepared data whose training rows are given.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn model(&self, prepared: &Prepared, train: &[u32]) -> Result<ModelConfig> {
        let slots = prepared.source.slots();
        let outputs = self.task.outputs();
        let dropout = self.settings.dropout.unwrap_or(0.0);
        if let Some(slot) = slots.iter().find(|s| s.name == deepfit_zoo::IMAGE) {
            let image = image_config(slot, &*prepared.source, train)?;
            return Ok(match &self.settings.model[..] {
                "resnet18" => ModelConfig::Resnet(ResnetConfig::resnet18(image, outputs)),
                "resnet34" => ModelConfig::Resnet(ResnetConfig::resnet34(image, outputs)),
                "resnet50" => ModelConfig::Resnet(ResnetConfig::resnet50(image, outputs)),
                "mobilenet_v2" => {
                    let standard = MobilenetV2Config::standard(image, outputs);
                    ModelConfig::MobilenetV2(MobilenetV2Config { dropout, ..standard })
                }
                _ => ModelConfig::Cnn(CnnConfig { dropout, ..CnnConfig::for_images(image, outputs) }),
            });
        }
        if let Preprocessor::Text(text) = &prepared.preprocessor {
            let vocabulary = text.vocabulary();
            if self.task == Task::NextToken {
                return Ok(text::language(&self.settings.model, vocabulary, text.most_tokens, dropout));
            }
            if let Task::Labels { .. } = self.task {
                return Ok(text::labels(&self.settings.model, text, outputs, dropout));
            }
            return Ok(text::network(&self.settings.model, text, outputs, dropout));
        }
        let numeric = slots.iter().find(|s| s.name == NUMERIC).map_or(0, Slot::values);
        let categories = slots.iter().find(|s| s.name == CATEGORIES).map_or(&[][..], |s| &s.cardinalities);
        let embeddings = categories.iter().map(|&c| EmbeddingConfig::of(c)).collect();
        let hidden = self.settings.hidden.clone().unwrap_or_default();
        if self.settings.model == "tabm" {
            return Ok(ModelConfig::Tabm(TabmConfig {
                numeric,
                embeddings,
                periodic: PeriodicConfig::default(),
                members: self.settings.members.unwrap_or(MEMBERS),
                hidden,
                outputs,
                classification: self.task.is_classification(),
                dropout,
            }));
        }
        Ok(ModelConfig::Mlp(MlpConfig {
            numeric,
            embeddings,
            hidden,
            outputs,
            activation: deepfit_nn::Activation::Relu,
            dropout,
            batch_norm: false,
            skip: true,
        }))
    }
}

/// Whether a model is one for tables.
pub(super) fn for_tables(model: &str) -> bool {
    matches!(model, "tabm" | "mlp")
}

/// The model that is asked for or, where that is left open, suits the data.
pub(super) fn choose_model(model: &str, data: &Dataset) -> Result<String> {
    let images = data.is_images();
    let side = data.image_shape().map_or(0, |[h, w, _]| h.max(w));
    match (model, images) {
        (name, _) if data.is_texts() => match name {
            "auto" if *data.task() == Task::NextToken => Ok("transformer".to_string()),
            "auto" if matches!(data.task(), Task::Labels { .. }) => Ok("lstm".to_string()),
            "auto" => Ok("gru".to_string()),
            "lstm" | "gru" | "rnn" | "transformer" => Ok(name.to_string()),
            other => {
                let problem = format!("{other} is not for texts; use lstm, gru, rnn or transformer, or `from`");
                Err(TrainError::setting("model", problem))
            }
        },
        ("lstm" | "gru" | "rnn" | "transformer", _) => {
            let problem = format!("{model} is for texts; a table has none unless `text` names their column");
            Err(TrainError::setting("model", problem))
        }
        ("auto", true) => Ok(if side <= SMALL_IMAGE { "cnn" } else { "resnet18" }.to_string()),
        ("auto", false) => Ok("tabm".to_string()),
        (name, true) if for_tables(name) => Err(TrainError::setting(
            "model",
            format!("{name} is for tables; for images use cnn, resnet18, resnet34, resnet50 or mobilenet_v2"),
        )),
        (other, false) if !for_tables(other) => {
            Err(TrainError::setting("model", format!("{other} is for images; for tables use tabm or mlp")))
        }
        (other, _) => Ok(other.to_string()),
    }
}

/// Size of the images and the mean and deviation of each channel over some of the training rows.
fn image_config(slot: &Slot, source: &dyn Source, train: &[u32]) -> Result<ImageConfig> {
    const MOST_ROWS: usize = 512;
    let &[height, width, channels] = &slot.shape[..] else {
        return Err(TrainError::setting("data", "images must have height, width and channels"));
    };
    let (mut sums, mut squares, mut count) = (vec![0.0; channels], vec![0.0; channels], 0.0);
    let mut batch = Batch::new();
    let step = train.len().div_ceil(MOST_ROWS).max(1);
    let rows: Vec<u32> = train.iter().copied().step_by(step).collect();
    for rows in rows.chunks(64) {
        source.fill(rows, Pass::Evaluate, &mut batch)?;
        if let Some(Array::U8(pixels)) = batch.inputs.first() {
            for pixel in pixels.chunks_exact(channels) {
                for (c, &value) in pixel.iter().enumerate() {
                    let x = f64::from(value) / 255.0;
                    sums[c] += x;
                    squares[c] += x * x;
                }
                count += 1.0;
            }
        }
    }
    let count = f64::max(count, 1.0);
    let mean: Vec<f64> = sums.iter().map(|s| s / count).collect();
    // Constant images have no deviation to divide by.
    let deviation = squares.iter().zip(&mean).map(|(s, m)| (s / count - m * m).max(0.0).sqrt().max(1e-3) as f32);
    Ok(ImageConfig {
        height,
        width,
        channels,
        std: deviation.collect(),
        mean: mean.iter().map(|&m| m as f32).collect(),
    })
}
