//! Every setting of a run.

use std::path::{Path, PathBuf};

use deepfit_data::{Augment, Scaling, TaskKind, nearest};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};
use crate::fingerprint::FINGERPRINT;
use crate::progress::check_version;

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $ty:ty = $default:expr, $help:literal;)*) => {
        /// Every setting of a run. What is `None` is chosen from the data; a run saves all of them resolved.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Settings {
            $(#[doc = $help] pub $field: $ty,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($field: $default),* }
            }
        }

        impl Settings {
            /// Every setting with one line of help, in the order of the settings file.
            pub const KEYS: &'static [(&'static str, &'static str)] = &[$((stringify!($field), $help)),*];
        }
    };
}

settings! {
    data: PathBuf = PathBuf::new(), "Folder of images, .zip of one, or CSV/TSV table.";
    target: Option<String> = None, "Column to predict (default: one named target, label, class or y, else the last).";
    task: Option<TaskKind> = None, "classification or regression (default: inferred from the target).";
    validation: Option<PathBuf> = None, "Validation data of its own instead of a split.";
    test: Option<PathBuf> = None, "Test data of its own instead of a split.";
    validation_share: f64 = 0.1, "Share of the rows for validation, above 0 and at most 0.5.";
    test_share: f64 = 0.2, "Share of the rows for the test, above 0 and at most 0.5.";
    image_size: Option<usize> = None, "Height and width that images are brought to (default: from the data, at most 224).";
    channels: Option<usize> = None, "1 for grey, 3 for colour (default: from the data).";
    scaling: Scaling = Scaling::default(), "Of numeric columns: robust, standard or quantile.";
    model: String = "auto".to_string(), "auto, mlp, cnn, resnet18, resnet34, resnet50 or mobilenet_v2.";
    hidden: Option<Vec<usize>> = None, "Widths of the hidden layers of an mlp, such as [64, 64].";
    dropout: Option<f32> = None, "Share of values dropped in training, 0 to below 1.";
    epochs: Option<u32> = None, "Most passes over the training rows.";
    time: Option<f64> = None, "Most seconds of training; the number of epochs is fitted to it.";
    batch: Option<usize> = None, "Rows in a batch.";
    accumulate: u64 = 1, "Batches whose gradients are added up before an update.";
    optimizer: String = "adamw".to_string(), "adamw, adam or sgd.";
    lr: Option<f64> = None, "Learning rate at the top of the schedule.";
    momentum: f64 = 0.9, "Momentum of sgd, 0 to below 1.";
    nesterov: bool = false, "Whether sgd looks ahead.";
    weight_decay: Option<f64> = None, "Weight decay of weights; biases and norms have none.";
    schedule: Option<String> = None, "constant, cosine or one_cycle.";
    warmup: f64 = 0.0, "Epochs of linear warm-up of the learning rate.";
    clip: Option<f64> = None, "Largest norm of the gradient.";
    average: Option<f64> = None, "Decay of the moving average of the weights, which is then what is used; 0 for none.";
    label_smoothing: Option<f32> = None, "Label smoothing, 0 to below 1.";
    class_weights: bool = false, "Whether rare classes count more, in inverse proportion to their number.";
    loss: Option<String> = None, "Of a regression: squared, absolute or huber.";
    patience: Option<u32> = None, "Epochs without improvement on validation before training stops; 0 for never.";
    folds: Option<usize> = None, "Folds of the cross-validated choice of epochs; 1 for a single validation part.";
    refit: Option<bool> = None, "Whether to train again on training and validation rows for the chosen number of epochs.";
    augment: Option<toml::Table> = None, "Changes of training images, as augment.shift=0.1, augment.flip=true and so on.";
    seed: u64 = 1, "Of splits, first weights, order, augmentation and dropout.";
    threads: usize = default_threads(), "Threads; the result does not depend on them.";
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Settings {
    /// Defaults for the given data.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Settings { data: data.into(), ..Settings::default() }
    }

    /// Sets one setting from text, as `key=value` on the command line.
    ///
    /// # Errors
    /// If the key is unknown (the nearest known one is named) or the value does not fit.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let key = &key.replace('-', "_");
        if key == "time" {
            self.time = Some(parse_duration(value)?);
            return Ok(());
        }
        let mut table = toml::Table::try_from(&*self).map_err(|e| TrainError::setting(key, e.to_string()))?;
        let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
        let quoted = || toml::Value::String(value.to_string());
        // A column may be called 2020 and a file 1.
        let is_text = ["data", "target", "validation", "test"].contains(&&key[..]);
        let parsed = parsed.ok().and_then(|mut t| t.remove("value")).filter(|_| !is_text);
        let value = parsed.unwrap_or_else(quoted);
        let (first, inner) = match key.split_once('.') {
            Some((first, inner)) => (first, Some(inner)),
            None => (&key[..], None),
        };
        check_key(first)?;
        match inner {
            None => {
                table.insert(first.to_string(), value);
            }
            Some(inner) => {
                let group = table.entry(first).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                match group.as_table_mut() {
                    Some(group) => group.insert(inner.to_string(), value),
                    None => return Err(TrainError::setting(key, format!("`{first}` has no settings of its own"))),
                };
            }
        }
        let changed: Settings = table.try_into().map_err(|e: toml::de::Error| self.explain(key, &e))?;
        changed.validate()?;
        *self = changed;
        Ok(())
    }

    fn explain(&self, key: &str, error: &toml::de::Error) -> TrainError {
        TrainError::setting(key, format!("{}; expected: {}", error.message().trim(), help_of(key)))
    }

    /// Takes over the settings of a TOML text; what it does not mention stays.
    ///
    /// # Errors
    /// If it is not TOML, or a setting is unknown or does not fit.
    pub fn merge_toml(&mut self, text: &str, path: &Path) -> Result<()> {
        let fail = |problem: String| TrainError::SettingsFile { path: path.to_path_buf(), problem };
        let mut given: toml::Table = toml::from_str(text).map_err(|e| fail(e.to_string()))?;
        // The settings of a run say which version of this format they have, and which data they were for.
        given.remove(FINGERPRINT);
        if let Some(version) = given.remove("version") {
            check_version(path, version.as_integer().and_then(|v| u64::try_from(v).ok()))?;
        }
        let mut table = toml::Table::try_from(&*self).map_err(|e| fail(e.to_string()))?;
        for (key, value) in given {
            check_key(&key).map_err(|e| fail(e.to_string()))?;
            if let (true, Some(text)) = (key == "time", value.as_str()) {
                table.insert(key, toml::Value::Float(parse_duration(text)?));
                continue;
            }
            table.insert(key, value);
        }
        let changed: Settings = table.try_into().map_err(|e: toml::de::Error| fail(e.to_string()))?;
        changed.validate()?;
        *self = changed;
        Ok(())
    }

    /// The settings as TOML.
    ///
    /// # Errors
    /// If a path is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| TrainError::setting("data", format!("cannot be saved: {e}")))
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// If one is out of range.
    pub fn validate(&self) -> Result<()> {
        let check = |key: &str, fine: bool, expected: &str| {
            if fine { Ok(()) } else { Err(TrainError::setting(key, format!("must be {expected}"))) }
        };
        let share = |x: f64| x > 0.0 && x <= 0.5;
        check("validation_share", share(self.validation_share), "above 0 and at most 0.5")?;
        check("test_share", share(self.test_share), "above 0 and at most 0.5")?;
        check("test_share", self.validation_share + self.test_share < 1.0, "so small that rows for training are left")?;
        check("image_size", self.image_size.is_none_or(|n| (4..=1024).contains(&n)), "4 to 1024")?;
        check("channels", self.channels.is_none_or(|n| n == 1 || n == 3), "1 or 3")?;
        check(
            "hidden",
            self.hidden.as_ref().is_none_or(|h| h.iter().all(|&n| (1..=65_536).contains(&n))),
            "widths of 1 to 65536",
        )?;
        check("dropout", self.dropout.is_none_or(|p| (0.0..1.0).contains(&p)), "0 to below 1")?;
        check("epochs", self.epochs.is_none_or(|n| (1..=1_000_000).contains(&n)), "1 to 1000000")?;
        check("time", self.time.is_none_or(|t| t > 0.0 && t.is_finite()), "a duration such as 90s, 2m or 1h")?;
        check("batch", self.batch.is_none_or(|n| (1..=1_000_000).contains(&n)), "1 to 1000000")?;
        check("accumulate", (1..=1_000_000).contains(&self.accumulate), "1 to 1000000")?;
        check("lr", self.lr.is_none_or(|x| x > 0.0 && x.is_finite()), "above 0")?;
        check("momentum", (0.0..1.0).contains(&self.momentum), "0 to below 1")?;
        check("weight_decay", self.weight_decay.is_none_or(|x| x >= 0.0 && x.is_finite()), "0 or more")?;
        check("warmup", self.warmup >= 0.0 && self.warmup.is_finite(), "0 or more epochs")?;
        check("clip", self.clip.is_none_or(|x| x > 0.0 && x.is_finite()), "above 0")?;
        check("average", self.average.is_none_or(|x| (0.0..1.0).contains(&x)), "0 to below 1")?;
        check("label_smoothing", self.label_smoothing.is_none_or(|x| (0.0..1.0).contains(&x)), "0 to below 1")?;
        check("folds", self.folds.is_none_or(|k| (1..=100).contains(&k)), "1 to 100")?;
        check("threads", (1..=1024).contains(&self.threads), "1 to 1024")?;
        let one_of = |key: &str, value: &str, known: &[&str]| {
            if known.contains(&value) {
                return Ok(());
            }
            let hint =
                nearest(value, known.iter().copied()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            Err(TrainError::setting(key, format!("`{value}` is not one of {}{hint}", known.join(", "))))
        };
        one_of("model", &self.model, &["auto", "mlp", "cnn", "resnet18", "resnet34", "resnet50", "mobilenet_v2"])?;
        one_of("optimizer", &self.optimizer, &["adamw", "adam", "sgd"])?;
        if let Some(schedule) = &self.schedule {
            one_of("schedule", schedule, &["constant", "cosine", "one_cycle"])?;
        }
        if let Some(loss) = &self.loss {
            one_of("loss", loss, &["squared", "absolute", "huber"])?;
        }
        self.augment_over(&Augment::none()).map(|_| ())
    }

    /// The given changes of training images, with defaults for those that are not mentioned.
    ///
    /// # Errors
    /// If there is no such change, or it is out of range.
    pub fn augment_over(&self, default: &Augment) -> Result<Augment> {
        let fail = |problem: String| TrainError::setting("augment", problem);
        let mut table = toml::Table::try_from(default).map_err(|e| fail(e.to_string()))?;
        for (key, value) in self.augment.iter().flatten() {
            if !table.contains_key(key) {
                let hint = nearest(key, table.keys().map(String::as_str));
                let hint = hint.map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                return Err(TrainError::setting(&format!("augment.{key}"), format!("there is no such setting{hint}")));
            }
            table.insert(key.clone(), value.clone());
        }
        let augment: Augment = table.try_into().map_err(|e: toml::de::Error| fail(e.message().trim().to_string()))?;
        augment.validate()?;
        Ok(augment)
    }
}

fn help_of(key: &str) -> &'static str {
    let first = key.split('.').next().unwrap_or(key);
    Settings::KEYS.iter().find(|(k, _)| *k == first).map_or("", |(_, help)| help)
}

fn check_key(key: &str) -> Result<()> {
    let known = || Settings::KEYS.iter().map(|(k, _)| *k);
    if known().any(|k| k == key) {
        return Ok(());
    }
    let hint = nearest(key, known())
        .map_or_else(|| "`deepfit train --help` lists all settings".to_string(), |n| format!("did you mean `{n}`?"));
    Err(TrainError::setting(key, format!("there is no such setting; {hint}")))
}

/// Seconds of a duration such as `90s`, `2m`, `1h` or `45` (seconds).
///
/// # Errors
/// If it is not one, or not above zero.
pub fn parse_duration(text: &str) -> Result<f64> {
    let text = text.trim().trim_matches('"');
    let (number, unit) = match text.char_indices().find(|(_, c)| c.is_ascii_alphabetic()) {
        Some((at, _)) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let seconds = number.trim().parse::<f64>().ok().zip(factor).map(|(n, f)| n * f);
    seconds
        .filter(|s| *s > 0.0 && s.is_finite())
        .ok_or_else(|| TrainError::setting("time", format!("`{text}` is not a duration such as 90s, 2m or 1h")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_set_from_text() {
        let mut settings = Settings::new("x.csv");
        settings.set("lr", "0.01").unwrap();
        settings.set("hidden", "[32, 16]").unwrap();
        settings.set("model", "mlp").unwrap();
        settings.set("target", "price").unwrap();
        settings.set("time", "2m").unwrap();
        settings.set("augment.shift", "0.1").unwrap();
        settings.set("class-weights", "true").unwrap();
        assert_eq!(settings.lr, Some(0.01));
        assert_eq!(settings.hidden, Some(vec![32, 16]));
        assert_eq!(settings.target.as_deref(), Some("price"));
        assert_eq!(settings.time, Some(120.0));
        assert_eq!(settings.augment_over(&Augment::none()).unwrap().shift, 0.1);
        assert!(settings.class_weights);
        let mut again = Settings::default();
        again.merge_toml(&settings.to_toml().unwrap(), Path::new("settings.toml")).unwrap();
        assert_eq!(again, settings);
    }

    #[test]
    fn wrong_settings_name_the_nearest() {
        let mut settings = Settings::new("x.csv");
        let message = |r: Result<()>| r.unwrap_err().to_string();
        assert!(message(settings.set("epoch", "3")).contains("`epochs`"));
        assert!(message(settings.set("augment.shfit", "0.1")).contains("`shift`"));
        assert!(message(settings.set("model", "resnet")).contains("`resnet18`"));
        assert!(message(settings.set("epochs", "many")).contains("epochs"));
        assert!(message(settings.set("lr", "-1")).contains("above 0"));
        assert!(parse_duration("3 weeks").is_err());
        assert_eq!(settings, Settings::new("x.csv"), "a setting that is refused changes nothing");
    }
}
