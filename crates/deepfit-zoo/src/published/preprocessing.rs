//! How images become what a published network takes: `preprocessor_config.json`, or timm's `pretrained_cfg`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::image::ImageConfig;

/// Statistics of ImageNet's pixels from 0 to 1, which most networks were trained with.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
/// No network takes larger images.
const MOST_SIDE: u64 = 4096;

/// What an image is resized to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The shorter side to so many pixels, and the other by the same factor.
    ShortestEdge(usize),
    /// Height and width, whatever the image's were.
    Exact(usize, usize),
}

/// How values between pixels are found; all but the first widen when an image shrinks, as Pillow's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The pixel that is there.
    Nearest,
    /// The mean of what a pixel covers.
    Box,
    /// Linear between neighbours.
    Bilinear,
    /// A raised cosine.
    Hamming,
    /// Cubic with a = -0.5.
    Bicubic,
    /// Lanczos with three lobes.
    Lanczos,
}

/// How images become what a network takes: resized, cropped in the centre, their pixels from 0 to 1 standardised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagePreprocessing {
    /// What the whole image is resized to.
    pub resize: Resize,
    /// How.
    pub interpolation: Interpolation,
    /// Height and width of the part in the centre that is used.
    pub crop: (usize, usize),
    /// Mean of each channel, of pixels from 0 to 1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, of pixels from 0 to 1.
    pub std: Vec<f32>,
}

impl ImagePreprocessing {
    /// The shorter side resized to `shortest` pixels, and a square of `side` cut out, with ImageNet's statistics.
    pub fn imagenet(shortest: usize, side: usize, interpolation: Interpolation) -> Self {
        let (mean, std) = (IMAGENET.0.to_vec(), IMAGENET.1.to_vec());
        ImagePreprocessing { resize: Resize::ShortestEdge(shortest), interpolation, crop: (side, side), mean, std }
    }

    /// With other statistics, the same for each channel.
    #[must_use]
    pub fn around(self, mean: f32, std: f32) -> Self {
        ImagePreprocessing { mean: vec![mean; 3], std: vec![std; 3], ..self }
    }

    /// The images that the network takes.
    pub fn image(&self) -> ImageConfig {
        ImageConfig::new(self.crop.0, self.crop.1, self.mean.len()).normalised(self.mean.clone(), self.std.clone())
    }

    /// From the `preprocessor_config.json` of a model in Hugging Face's layout.
    ///
    /// # Errors
    /// If a number is out of range or missing, naming it.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        let kind = [text("image_processor_type"), text("feature_extractor_type")].concat();
        let on = |key: &str| value[key].as_bool().unwrap_or(true);
        let (mean, std) = statistics(value, on("do_normalize"))?;
        // Pixels from 0 to 255 are multiplied by this factor before the statistics are used.
        let factor = if on("do_rescale") { number(value, "rescale_factor")?.unwrap_or(1.0 / 255.0) } else { 1.0 };
        if !(factor.is_finite() && factor > 0.0) {
            return Err(format!("`rescale_factor` is {factor}, but must be above 0"));
        }
        let to_unit = |v: &[f32]| v.iter().map(|&v| (f64::from(v) / (factor * 255.0)) as f32).collect::<Vec<f32>>();
        let interpolation = resample(value)?;
        let size = size(&value["size"], &kind)?;
        let (resize, crop) = if kind.starts_with("ConvNext") {
            convnext(size, number(value, "crop_pct")?.unwrap_or(224.0 / 256.0))?
        } else {
            let whole = match size {
                Resize::ShortestEdge(side) => (side, side),
                Resize::Exact(height, width) => (height, width),
            };
            let crops = value["do_center_crop"].as_bool().unwrap_or(!value["crop_size"].is_null());
            let crop = match (crops, &value["crop_size"]) {
                (false, _) | (true, Value::Null) => whole,
                (true, given) => match self::size(given, "ViT")? {
                    Resize::Exact(height, width) => (height, width),
                    Resize::ShortestEdge(side) => (side, side),
                },
            };
            if crop.0 > whole.0 || crop.1 > whole.1 {
                return Err(format!("`crop_size` {crop:?} is larger than `size` {whole:?}: images would get a border"));
            }
            (size, crop)
        };
        Ok(ImagePreprocessing { resize, interpolation, crop, mean: to_unit(&mean), std: to_unit(&std) })
    }

    /// From the `pretrained_cfg` that timm writes into `config.json`.
    ///
    /// # Errors
    /// If a number is out of range or missing, naming it.
    pub fn from_timm(value: &Value) -> Result<Self, String> {
        let axis = |i: usize| side(&value["input_size"][i], "input_size");
        let crop = (axis(1)?, axis(2)?);
        let share = number(value, "crop_pct")?.unwrap_or(0.875);
        if !(share > 0.0 && share <= 1.0) {
            return Err(format!("`crop_pct` is {share}, but must be above 0 and at most 1"));
        }
        let (mean, std) = timm_statistics(value)?;
        let scaled = |side: usize| (side as f64 / share).floor() as usize;
        let resize = match value["crop_mode"].as_str() {
            Some("squash") => Resize::Exact(scaled(crop.0), scaled(crop.1)),
            _ if crop.0 == crop.1 => Resize::ShortestEdge(scaled(crop.0)),
            _ => Resize::Exact(scaled(crop.0), scaled(crop.1)),
        };
        let interpolation = match value["interpolation"].as_str() {
            Some("nearest") => Interpolation::Nearest,
            Some("bilinear") => Interpolation::Bilinear,
            None | Some("bicubic") => Interpolation::Bicubic,
            Some("lanczos") => Interpolation::Lanczos,
            Some(other) => return Err(format!("`interpolation` is '{other}', which is not known")),
        };
        Ok(ImagePreprocessing { resize, interpolation, crop, mean, std })
    }

    /// As `preprocessor_config.json`, which transformers reads, too.
    pub fn to_json(&self) -> Value {
        let (kind, size) = match self.resize {
            Resize::ShortestEdge(side) => ("CLIPImageProcessor", json!({ "shortest_edge": side })),
            Resize::Exact(height, width) => ("ViTImageProcessor", json!({ "height": height, "width": width })),
        };
        let resample = match self.interpolation {
            Interpolation::Nearest => 0,
            Interpolation::Lanczos => 1,
            Interpolation::Bilinear => 2,
            Interpolation::Bicubic => 3,
            Interpolation::Box => 4,
            Interpolation::Hamming => 5,
        };
        json!({
            "image_processor_type": kind,
            "do_resize": true,
            "size": size,
            "resample": resample,
            "do_center_crop": true,
            "crop_size": { "height": self.crop.0, "width": self.crop.1 },
            "do_rescale": true,
            "rescale_factor": 1.0 / 255.0,
            "do_normalize": true,
            "image_mean": self.mean,
            "image_std": self.std,
        })
    }
}

fn number(value: &Value, key: &str) -> Result<Option<f64>, String> {
    match &value[key] {
        Value::Null => Ok(None),
        given => given.as_f64().map(Some).ok_or_else(|| format!("`{key}` is {given}, but must be a number")),
    }
}

fn side(value: &Value, key: &str) -> Result<usize, String> {
    match value.as_u64() {
        Some(side @ 1..=MOST_SIDE) => Ok(side as usize),
        _ => Err(format!("`{key}` is {value}, but must be from 1 to {MOST_SIDE} pixels")),
    }
}

fn row(value: &Value, key: &str) -> Result<Vec<f32>, String> {
    let numbers = value[key].as_array().map(|items| items.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
    match numbers.flatten() {
        Some(numbers) if matches!(numbers.len(), 1 | 3) => Ok(numbers.into_iter().map(|v| v as f32).collect()),
        _ => Err(format!("`{key}` is {}, but must have a number for each of 1 or 3 channels", value[key])),
    }
}

fn checked(mean: Vec<f32>, std: Vec<f32>) -> Result<(Vec<f32>, Vec<f32>), String> {
    if mean.len() != std.len() || !std.iter().all(|&s| s > 0.0 && s.is_finite()) {
        return Err(format!("the deviations {std:?} must be above 0, one for each of the means {mean:?}"));
    }
    Ok((mean, std))
}

fn statistics(value: &Value, normalises: bool) -> Result<(Vec<f32>, Vec<f32>), String> {
    if !normalises {
        return Ok((vec![0.0; 3], vec![1.0; 3]));
    }
    let given = |key: &str, otherwise: [f32; 3]| {
        if value[key].is_null() { Ok(otherwise.to_vec()) } else { row(value, key) }
    };
    checked(given("image_mean", IMAGENET.0)?, given("image_std", IMAGENET.1)?)
}

fn timm_statistics(value: &Value) -> Result<(Vec<f32>, Vec<f32>), String> {
    checked(row(value, "mean")?, row(value, "std")?)
}

/// `size` or `crop_size`, in one of the forms that there have been.
fn size(value: &Value, kind: &str) -> Result<Resize, String> {
    if let Some(shortest) = value.get("shortest_edge") {
        return Ok(Resize::ShortestEdge(side(shortest, "size.shortest_edge")?));
    }
    if let (Some(height), Some(width)) = (value.get("height"), value.get("width")) {
        return Ok(Resize::Exact(side(height, "size.height")?, side(width, "size.width")?));
    }
    match value {
        Value::Null => Ok(Resize::Exact(224, 224)),
        // One number meant a square to some, and the shorter side to others.
        Value::Number(_) => {
            let side = side(value, "size")?;
            let square = kind.starts_with("ViT") || kind.starts_with("DeiT");
            Ok(if square { Resize::Exact(side, side) } else { Resize::ShortestEdge(side) })
        }
        _ => Err(format!("`size` is {value}, which has neither `shortest_edge` nor `height` and `width`")),
    }
}

fn resample(value: &Value) -> Result<Interpolation, String> {
    match &value["resample"] {
        Value::Null => Ok(Interpolation::Bilinear),
        given => Ok(match given.as_u64() {
            Some(0) => Interpolation::Nearest,
            Some(1) => Interpolation::Lanczos,
            Some(2) => Interpolation::Bilinear,
            Some(3) => Interpolation::Bicubic,
            Some(4) => Interpolation::Box,
            Some(5) => Interpolation::Hamming,
            _ => return Err(format!("`resample` is {given}, but must be one of Pillow's filters, 0 to 5")),
        }),
    }
}

/// ConvNeXt crops small images, and squeezes those from 384 pixels into a square.
fn convnext(size: Resize, share: f64) -> Result<(Resize, (usize, usize)), String> {
    let (Resize::ShortestEdge(side) | Resize::Exact(side, _)) = size;
    if side >= 384 {
        return Ok((Resize::Exact(side, side), (side, side)));
    }
    if !(share > 0.0 && share <= 1.0) {
        return Err(format!("`crop_pct` is {share}, but must be above 0 and at most 1"));
    }
    Ok((Resize::ShortestEdge((side as f64 / share) as usize), (side, side)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let plain = ImagePreprocessing::imagenet(256, 224, Interpolation::Bicubic).around(0.5, 0.25);
        let exact = ImagePreprocessing { resize: Resize::Exact(224, 300), crop: (200, 300), ..plain.clone() };
        for preprocessing in [plain, exact] {
            assert_eq!(ImagePreprocessing::from_json(&preprocessing.to_json()), Ok(preprocessing));
        }
    }

    #[test]
    fn the_forms_of_transformers_and_timm_are_understood() {
        let vit = json!({ "feature_extractor_type": "ViTFeatureExtractor", "size": 224, "image_mean": [0.5, 0.5, 0.5],
                          "image_std": [0.5, 0.5, 0.5], "resample": 2 });
        let expected = ImagePreprocessing::imagenet(224, 224, Interpolation::Bilinear).around(0.5, 0.5);
        let expected = ImagePreprocessing { resize: Resize::Exact(224, 224), ..expected };
        assert_eq!(ImagePreprocessing::from_json(&vit), Ok(expected));
        let convnext = json!({ "feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875,
                               "resample": 3 });
        let expected = ImagePreprocessing::imagenet(256, 224, Interpolation::Bicubic);
        assert_eq!(ImagePreprocessing::from_json(&convnext), Ok(expected));
        let timm = json!({ "input_size": [3, 224, 224], "crop_pct": 0.9, "interpolation": "bicubic",
                           "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5] });
        let expected = ImagePreprocessing::imagenet(248, 224, Interpolation::Bicubic).around(0.5, 0.5);
        assert_eq!(ImagePreprocessing::from_timm(&timm), Ok(expected));
    }

    #[test]
    fn impossible_settings_are_named() {
        for (json, told) in [
            (json!({ "size": { "shortest_edge": 0 } }), "size.shortest_edge"),
            (json!({ "size": 224, "crop_size": 256, "do_center_crop": true }), "crop_size"),
            (json!({ "resample": 9 }), "resample"),
            (json!({ "image_mean": [0.5] }), "deviations"),
            (json!({ "image_std": [0.0, 1.0, 1.0] }), "deviations"),
            (json!({ "rescale_factor": 0.0 }), "rescale_factor"),
            (json!({ "size": { "width": 3 } }), "size"),
        ] {
            let problem = ImagePreprocessing::from_json(&json).expect_err(told);
            assert!(problem.contains(told), "{problem}");
        }
    }
}
