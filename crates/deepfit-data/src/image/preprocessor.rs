//! What a trained image model needs to read new images: size, channels and classes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::container::{Container, Entry};
use super::labels::{ImageColumns, ImageTable, recognise, require};
use super::layout::{ImageFile, arrange};
use super::resize::Resize;
use super::scan::scan;
use super::source::{self, ImageSource};
use super::transform::Shape;
use crate::batch::Slot;
use crate::dataset::{Opened, Summary, Task};
use crate::error::{Error, Result};
use crate::split::Part;
use crate::table::{self, TargetScale, foreign};
use crate::target::{Target, TargetForm};

/// How images become the network's input: decoded upright with alpha on white, resized with a cubic
/// filter so that the shorter side fits, or as a published network wants it, and cropped in the centre. Values stay 0 to
/// 255.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImagePreprocessor {
    /// Version of this format.
    pub version: u32,
    /// Height of the input in pixels.
    pub height: usize,
    /// Width of the input in pixels.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// How images are resized before they are cropped, if it is not the way described above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// The task, with the class names in the order of the network's outputs.
    pub task: Task,
    /// Standardisation of a regression target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_scale: Option<TargetScale>,
    /// Columns of the table that named the images it was trained on, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<ImageColumns>,
}

impl ImagePreprocessor {
    /// The newest version of the format.
    pub const VERSION: u32 = 3;

    /// Whether all values are in range; a damaged file must not lead to a panic later.
    pub(crate) fn is_sound(&self) -> bool {
        let sides = (1..=4096).contains(&self.height) && (1..=4096).contains(&self.width);
        let resizes = self.resize.is_none_or(|resize| resize.holds(self.height, self.width));
        let scaled = match (&self.task, self.target_scale) {
            (Task::Regression, Some(scale)) => scale.mean.is_finite() && scale.deviation > 0.0,
            (Task::Regression, None) => false,
            (_, scale) => scale.is_none(),
        };
        sides && resizes && matches!(self.channels, 1 | 3) && scaled
    }

    /// Whether a table of images has a header, as that had which it was trained on.
    fn header(&self) -> Option<bool> {
        self.columns.as_ref().map(|columns| columns.header)
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape { height: self.height, width: self.width, channels: self.channels }
    }

    /// The input slot `image`: `[height, width, channels]`, `U8`.
    pub fn slots(&self) -> Vec<Slot> {
        vec![source::slot(self.shape())]
    }

    /// An error about a file that holds no images.
    pub(crate) fn refuse(&self, path: &Path, problem: &str, what: &'static str) -> Error {
        const NAMED: usize = 8;
        let all = self.task.classes();
        let mut classes = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if all.len() > NAMED {
            classes += &format!(" and {} more", all.len() - NAMED);
        }
        let trained = match (&self.task, &self.columns) {
            (Task::Classification { .. }, _) => format!("images of the classes {classes}"),
            (Task::MultiLabel { .. }, _) => format!("images with the labels {classes}"),
            (Task::Regression, Some(columns)) => format!("images with the numbers of '{}'", columns.target.join(", ")),
            (Task::Regression | Task::NextToken | Task::Labels { .. } | Task::Similarity { .. }, _) => {
                "images with numbers".to_string()
            }
        };
        Error::NotImages { path: path.to_path_buf(), problem: problem.to_string(), trained, what }
    }

    /// Opens class folders (or a zip of them) whose classes are among the model's, or a table that names images.
    ///
    /// # Errors
    /// As for [`open`](crate::open), and for a class that the model does not know.
    pub fn open_labelled(&self, path: &Path, threads: usize) -> Result<Opened> {
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        if !metadata.is_dir() && !begins_as_zip(path)? {
            if let Some(table) = self.find_table(path)? {
                return self.open_table(table, threads);
            }
            let what = "give a folder, or a .zip of it, with a sub-folder of images for each class, or a table that names \
                        images";
            return Err(self.refuse(
                path,
                "is a file, not a folder of images, a .zip of one or a table of images",
                what,
            ));
        }
        if !self.task.is_classification() {
            let what = "give a table that names the images and says what is on them, beside them or with --labels";
            return Err(self.refuse(path, "is a folder, which says no more of images than a class", what));
        }
        let (container, entries, _) = Container::open(path)?;
        let found = scan(&container, entries, threads)?;
        if found.images.is_empty() && found.broken.is_empty() {
            return Err(Error::Layout { path: path.to_path_buf(), problem: "no images were found".into() });
        }
        if let (true, Some((first, reason))) = (found.images.is_empty(), found.broken.first()) {
            let (count, first, reason) = (found.broken.len(), first.clone(), reason.clone());
            return Err(Error::Unreadable { path: path.to_path_buf(), count, total: count, first, reason });
        }
        let layout = arrange(path, found.images, Some(self.task.classes()))?;
        let parts: Vec<Option<Part>> = layout.files.iter().map(|file| file.part).collect();
        let names = layout.files.iter().map(|file| container.full_name(&file.entry)).collect();
        let form = TargetForm::of(&self.task, self.target_scale);
        let source = ImageSource::new(Arc::new(vec![container]), Arc::new(layout.files), self.shape(), None, form)
            .resized(self.resize);
        Ok(Opened::new(Arc::new(source), names, found.broken, &parts))
    }

    /// Opens the images of a folder or archive that a table names.
    ///
    /// # Errors
    /// As for [`open_labelled`](Self::open_labelled), and if the table names no image of the folder.
    pub fn open_images_with(&self, images: &Path, labels: &Path, threads: usize) -> Result<Opened> {
        self.open_table(require(images, labels, self.header())?, threads)
    }

    /// The table of images that a file may be.
    fn find_table(&self, path: &Path) -> Result<Option<ImageTable>> {
        let (head, _) = table::begin(path)?;
        let is_table = table::known(&head).is_some() || (!head.is_empty() && foreign(&head).is_none());
        if is_table { recognise(path, self.header(), &mut Summary::default()) } else { Ok(None) }
    }

    fn open_table(&self, table: ImageTable, threads: usize) -> Result<Opened> {
        let found = table.open_known(&self.task, self.columns.as_ref(), threads)?;
        let parts: Vec<Option<Part>> = found.files.iter().map(|file| file.part).collect();
        let name = |file: &ImageFile| found.containers[usize::from(file.container)].full_name(&file.entry);
        let names: Vec<String> = found.files.iter().map(name).collect();
        let rows: Option<Vec<u32>> = found.files.iter().map(|file| file.row).collect();
        let form = TargetForm::of(&self.task, self.target_scale);
        let source = ImageSource::new(Arc::new(found.containers), Arc::new(found.files), self.shape(), None, form)
            .resized(self.resize);
        let mut opened = Opened::new(Arc::new(source), names, found.broken, &parts);
        opened.notes.extend(found.notes);
        (opened.table_rows, opened.header) = (rows, Some(found.columns.header));
        Ok(opened)
    }

    /// Opens images without labels: files, folders with everything below them, zip archives.
    ///
    /// Inputs that turn out unreadable, missing ones among them, are listed in [`Opened::failed`], or in a batch's
    /// failures if only decoding shows it. If that is all of several inputs, no rows are left.
    ///
    /// # Errors
    /// If there is nothing but one unreadable input, or an archive is dangerous.
    pub fn open_inputs(&self, inputs: &[PathBuf], threads: usize) -> Result<Opened> {
        let (mut files, mut names, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        // The error of the last input that failed as a whole, for when it was the only one.
        let mut whole = None;
        // Files named one by one share the first container.
        let mut containers = vec![Container::Folder(PathBuf::new())];
        for input in inputs {
            let given = || input.to_string_lossy().into_owned();
            let (many, container, entries) = match list(input) {
                Ok(listed) => listed,
                Err(error) => {
                    let Some(reason) = error.of_input() else { return Err(error) };
                    failed.push((given(), reason));
                    whole = Some(error);
                    continue;
                }
            };
            let Ok(index) = u16::try_from(if many { containers.len() } else { 0 }) else {
                let problem = "more than 65,535 folders were given; give one folder that holds them".to_string();
                return Err(Error::Inputs { problem });
            };
            let found = scan(&container, entries, threads)?;
            if found.images.is_empty() && found.broken.is_empty() {
                let what = "give image files, folders or .zip archives of them";
                let (reason, problem) = if many {
                    ("no images were found in it", "holds no images")
                } else {
                    ("the content is not an image", "is not an image")
                };
                failed.push((given(), reason.to_string()));
                whole = Some(self.refuse(input, problem, what));
            }
            failed.extend(found.broken);
            for (entry, header) in found.images {
                names.push(container.full_name(&entry));
                let (target, part, row) = (Target::Unknown, None, None);
                files.push(ImageFile { entry, header, target, part, container: index, row });
            }
            if many {
                containers.push(container);
            }
        }
        if let ([(name, reason)], true) = (failed.as_slice(), files.is_empty()) {
            let image = || Error::Image { name: name.clone(), reason: reason.clone() };
            return Err(whole.unwrap_or_else(image));
        }
        let source = ImageSource::new(Arc::new(containers), Arc::new(files), self.shape(), None, TargetForm::None)
            .resized(self.resize);
        Ok(Opened::new(Arc::new(source), names, failed, &[]))
    }
}

/// The files of one input, and whether it is a folder or archive.
fn list(input: &Path) -> Result<(bool, Container, Vec<Entry>)> {
    let metadata = std::fs::metadata(input).map_err(|source| Error::io(input, source))?;
    if metadata.is_dir() || begins_as_zip(input)? {
        let (container, entries, _) = Container::open(input)?;
        return Ok((true, container, entries));
    }
    let (container, entries) = Container::files(&[input.to_path_buf()])?;
    Ok((false, container, entries))
}

fn begins_as_zip(path: &Path) -> Result<bool> {
    use std::io::Read;
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(|source| Error::io(path, source))?;
    file.take(4).read_to_end(&mut head).map_err(|source| Error::io(path, source))?;
    Ok(super::looks_like_zip(&head))
}
