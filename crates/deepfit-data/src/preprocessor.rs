//! What is saved with a model so that new data is prepared as its training data was.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::Slot;
use crate::dataset::{Opened, Task};
use crate::error::{Error, Result};
use crate::image::ImagePreprocessor;
use crate::table::{TablePreprocessor, TargetScale};
use crate::text::{TextPreprocessor, Tokenizer};

/// Prepares new data as the training data was; saved as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Preprocessor {
    /// Of images.
    Image(ImagePreprocessor),
    /// Of texts.
    Text(Box<TextPreprocessor>),
    /// Of table rows.
    Table(#[serde(with = "shared")] Arc<TablePreprocessor>),
}

impl Preprocessor {
    /// What it prepares, as it is saved: `image`, `text` or `table`.
    pub fn input(&self) -> &'static str {
        match self {
            Preprocessor::Image(_) => "image",
            Preprocessor::Text(_) => "text",
            Preprocessor::Table(_) => "table",
        }
    }
}

/// A shared value is saved as the value itself.
mod shared {
    use super::{Arc, TablePreprocessor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Arc<TablePreprocessor>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<TablePreprocessor>, D::Error> {
        TablePreprocessor::deserialize(from).map(Arc::new)
    }
}

impl Preprocessor {
    /// The task, with class names.
    pub fn task(&self) -> &Task {
        match self {
            Preprocessor::Image(image) => &image.task,
            Preprocessor::Text(text) => &text.task,
            Preprocessor::Table(table) => &table.task,
        }
    }

    /// The network's inputs.
    pub fn slots(&self) -> Vec<Slot> {
        match self {
            Preprocessor::Image(image) => image.slots(),
            Preprocessor::Text(text) => text.slots(),
            Preprocessor::Table(table) => table.slots(),
        }
    }

    /// Standardisation of a regression target.
    pub fn target_scale(&self) -> Option<TargetScale> {
        match self {
            Preprocessor::Image(image) => image.target_scale,
            Preprocessor::Text(text) => text.target_scale,
            Preprocessor::Table(table) => table.target_scale,
        }
    }

    /// As JSON text, ending in a line break. Numbers are written so that they are read back exactly.
    pub fn to_json(&self) -> String {
        // Plain structs of numbers and text cannot fail to be written.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What is saved beside the JSON text: names and contents of files.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        match self {
            Preprocessor::Text(text) => {
                let json = text.tokenizer.as_ref().map(|tokenizer| tokenizer.to_json());
                json.map(|json| (TextPreprocessor::TOKENIZER_FILE, json)).into_iter().collect()
            }
            Preprocessor::Image(_) | Preprocessor::Table(_) => Vec::new(),
        }
    }

    /// Reads what was saved beside the JSON text in a folder.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn with_files(mut self, folder: &Path) -> Result<Preprocessor> {
        if let Preprocessor::Text(text) = &mut self {
            text.tokenizer = Some(Arc::new(Tokenizer::open(folder)?));
        }
        Ok(self)
    }

    /// From JSON text.
    ///
    /// # Errors
    /// If the text is damaged or of a newer version.
    pub fn from_json(text: &str) -> Result<Preprocessor> {
        let what = "the saved preprocessor";
        let damaged = |problem: serde_json::Error| Error::Damaged { what, problem: problem.to_string() };
        let value: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
        let known = ImagePreprocessor::VERSION.max(TablePreprocessor::VERSION).max(TextPreprocessor::VERSION);
        // The version is looked at first: a newer format may not even be readable.
        if let Some(found) = value.get("version").and_then(serde_json::Value::as_u64)
            && found > u64::from(known)
        {
            return Err(Error::NewerVersion { what, found: found as u32, known });
        }
        let preprocessor = serde_json::from_value(value).map_err(damaged)?;
        let sound = match &preprocessor {
            Preprocessor::Image(image) => image.is_sound(),
            Preprocessor::Text(text) => text.is_sound(),
            Preprocessor::Table(table) => table.is_sound(),
        };
        if sound { Ok(preprocessor) } else { Err(Error::Damaged { what, problem: "a value is out of range".into() }) }
    }

    /// Opens labelled data to evaluate the model on.
    ///
    /// # Errors
    /// As for [`open`](crate::open); also for classes or columns that do not fit the model.
    pub fn open_labelled(&self, path: &Path, threads: usize) -> Result<Opened> {
        match self {
            Preprocessor::Image(image) => image.open_labelled(path, threads),
            Preprocessor::Text(text) => text.open_labelled(path, threads),
            Preprocessor::Table(table) => table.open_labelled(path, threads),
        }
    }

    /// Opens images of a folder or archive with a table that says what is on them, to evaluate the model on.
    ///
    /// # Errors
    /// As for [`open_labelled`](Self::open_labelled); also if the model takes tables.
    pub fn open_images_with(&self, images: &Path, labels: &Path, threads: usize) -> Result<Opened> {
        match self {
            Preprocessor::Image(image) => image.open_images_with(images, labels, threads),
            Preprocessor::Table(_) | Preprocessor::Text(_) => {
                let takes = if matches!(self, Preprocessor::Table(_)) { "tables" } else { "texts" };
                let problem = format!("are for a model of images, and this one takes {takes}");
                Err(Error::Setting { setting: "labels", problem })
            }
        }
    }

    /// Opens data without labels: image files, folders and archives, or one table.
    ///
    /// # Errors
    /// If a path cannot be read, or a column the model uses is missing.
    pub fn open_inputs(&self, inputs: &[PathBuf], threads: usize) -> Result<Opened> {
        match self {
            Preprocessor::Image(image) => image.open_inputs(inputs, threads),
            Preprocessor::Text(text) => text.open_inputs(inputs, threads),
            Preprocessor::Table(table) => {
                let [path] = inputs else {
                    let problem = format!(
                        "{} inputs were given, but the model was trained on a table and reads one table at a time; run \
                         the command once for each",
                        inputs.len()
                    );
                    return Err(Error::Inputs { problem });
                };
                table.open_inputs(path, threads)
            }
        }
    }

    /// Reads table rows without target from any reader; `name` stands for it in messages.
    ///
    /// # Errors
    /// If the model takes images, or a column it uses is missing.
    pub fn read_inputs(&self, reader: impl Read, name: &str) -> Result<Opened> {
        match self {
            Preprocessor::Table(table) => table.read_inputs(reader, name),
            Preprocessor::Text(text) => text.read_inputs(reader, name),
            Preprocessor::Image(image) => {
                let what = "give image files, folders or .zip archives of them";
                Err(image.refuse(Path::new(name), "is read as a table", what))
            }
        }
    }
}
