//! Opening a data set of images: layout, size, channels, unreadable files, duplicates, memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use xxhash_rust::xxh3::xxh3_64;

use super::container::Container;
use super::labels::{ImageColumns, ImageTable};
use super::layout::{ImageFile, arrange};
use super::resize::Resize;
use super::scan::scan;
use super::source::{self, ImageSource, Work};
use super::transform::Shape;
use crate::dataset::{MIN_ROWS, OpenOptions, Summary, Task};
use crate::error::{Error, Result};
use crate::parallel;
use crate::split::{Part, number_groups, quantile_bins, rarest_labels};
use crate::table::{TargetScale, moments};
use crate::target::{Target, TargetForm};

/// Largest side chosen without being asked for.
const LARGEST_SIDE: usize = 224;

/// Images with what is to be learned of them, ready to be read.
pub(crate) struct ImageSet {
    pub(crate) containers: Arc<Vec<Container>>,
    pub(crate) files: Arc<Vec<ImageFile>>,
    pub(crate) task: Task,
    /// Columns of the table that names the images, if one does.
    pub(crate) columns: Option<ImageColumns>,
    pub(crate) shape: Shape,
    pub(crate) cache: Option<Arc<Vec<u8>>>,
    pub(crate) resize: Option<Resize>,
    /// Images with the same content share a number.
    pub(crate) groups: Vec<u32>,
}

impl ImageSet {
    /// What decoding everything at once leaves behind in the allocator: measured as about what one
    /// thread needed, whatever their number.
    pub(crate) fn opening_bytes(&self) -> usize {
        if self.cache.is_some() { source::decode_scratch(&self.files, self.shape) } else { 0 }
    }

    /// Standardisation of a regression's target, by the values of some rows.
    pub(crate) fn target_scale(&self, rows: &[u32]) -> Option<TargetScale> {
        let value = |&row: &u32| match self.files[row as usize].target {
            Target::Value(value) => Some(value),
            _ => None,
        };
        let values: Vec<f64> = rows.iter().filter_map(value).collect();
        (self.task == Task::Regression).then(|| {
            let (mean, deviation) = moments(&values);
            TargetScale { mean, deviation }
        })
    }

    pub(crate) fn source(&self, scale: Option<TargetScale>) -> ImageSource {
        let form = TargetForm::of(&self.task, scale);
        ImageSource::new(self.containers.clone(), self.files.clone(), self.shape, self.cache.clone(), form)
            .resized(self.resize)
    }

    /// Class of each row, quantile bin of its value, or the rarest of its labels.
    pub(crate) fn strata(&self) -> Vec<u32> {
        match &self.task {
            Task::Classification { .. } => {
                let class = |file: &ImageFile| if let Target::Class(class) = file.target { class } else { 0 };
                self.files.iter().map(class).collect()
            }
            Task::Regression | Task::NextToken | Task::Labels { .. } | Task::Similarity { .. } => {
                let value = |file: &ImageFile| if let Target::Value(value) = file.target { value } else { 0.0 };
                quantile_bins(&self.files.iter().map(value).collect::<Vec<f64>>())
            }
            Task::MultiLabel { classes } => {
                let rows = (0..self.files.len()).map(|row| self.labels_of(row as u32));
                rarest_labels(rows, classes.len())
            }
        }
    }

    /// Labels of a row, ascending.
    pub(crate) fn labels_of(&self, row: u32) -> &[u32] {
        if let Target::Labels(labels) = &self.files[row as usize].target { labels } else { &[] }
    }
}

/// What is known of a set of images once its files have been listed, and before any is decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSurvey {
    /// Number of images, of all parts.
    pub images: usize,
    /// Number of classes or labels; 0 for a regression.
    pub classes: usize,
    /// Median of the shorter sides, in pixels.
    pub side: usize,
}

/// Opens class folders or a zip of them, with validation and test data of their own if given. How images are prepared may
/// depend on what is found: `adapt` changes the options before an image is decoded.
pub(crate) fn open(
    path: &Path,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&ImageSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<ImageSet> {
    let mut containers = Vec::new();
    let mut files: Vec<ImageFile> = Vec::new();
    let mut classes: Option<Vec<String>> = None;
    let extra = [(&options.validation, Part::Validation), (&options.test, Part::Test)];
    let extra = extra.into_iter().filter_map(|(path, part)| path.as_deref().map(|path| (path, Some(part))));
    for (path, part) in std::iter::once((path, None)).chain(extra) {
        let (container, entries, hidden) = Container::open(path)?;
        let found = scan(&container, entries, options.threads)?;
        summary.ignored += hidden + found.others;
        if found.images.is_empty() && found.broken.is_empty() {
            return Err(Error::Layout { path: path.to_path_buf(), problem: "no images were found".into() });
        }
        let total = found.images.len() + found.broken.len();
        check_unreadable(path, total, &found.broken)?;
        summary.skipped.extend(found.broken);
        let layout = arrange(path, found.images, classes.as_deref())?;
        summary.ignored += layout.stray;
        if layout.stray > 0 {
            let what = if layout.stray == 1 { "1 image" } else { &format!("{} images", layout.stray) };
            let are = if layout.stray == 1 { "is" } else { "are" };
            summary.notes.push(format!("{what} outside of the class folders {are} ignored"));
        }
        let index = containers.len() as u16;
        let own = layout.files.into_iter();
        files.extend(own.map(|file| ImageFile { container: index, part: part.or(file.part), ..file }));
        classes.get_or_insert(layout.classes);
        containers.push(container);
    }
    let task = Task::Classification { classes: classes.unwrap_or_default() };
    complete(path, Found { containers, files, task, columns: None }, options, adapt, summary)
}

/// Opens the images that a table names, with validation and test tables of their own if given.
pub(crate) fn open_table(
    path: &Path,
    table: ImageTable,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&ImageSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<ImageSet> {
    let found = table.open(options, summary)?;
    summary.skipped.extend(found.broken);
    summary.notes.extend(found.notes);
    let (containers, files, columns) = (found.containers, found.files, Some(found.columns));
    complete(path, Found { containers, files, task: found.task, columns }, options, adapt, summary)
}

/// Images that were found, and what is to be learned of them.
struct Found {
    containers: Vec<Container>,
    files: Vec<ImageFile>,
    task: Task,
    columns: Option<ImageColumns>,
}

/// Chooses size and channels, and decodes the images if all fit into memory.
fn complete(
    path: &Path,
    found: Found,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&ImageSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<ImageSet> {
    let Found { containers, mut files, task, columns } = found;
    if files.is_empty() {
        let name = path.to_string_lossy().into_owned();
        return Err(Error::TooFewRows { name, rows: 0, unit: "image(s)", least: MIN_ROWS });
    }
    files.shrink_to_fit();
    let survey = ImageSurvey { images: files.len(), classes: task.classes().len(), side: median_side(&files) };
    adapt(&survey, options);
    let options = &*options;
    let (height, width) = match options.image_size {
        Some(side) if (4..=1024).contains(&side) => (side, side),
        Some(side) => {
            let problem = format!("{side} is outside of 4 to 1024 pixels");
            return Err(Error::Setting { setting: "image_size", problem });
        }
        None => infer_size(&files),
    };
    let channels = match options.channels {
        Some(channels @ (1 | 3)) => channels,
        Some(other) => {
            let problem = format!("{other} is neither 1 (grey) nor 3 (colour)");
            return Err(Error::Setting { setting: "channels", problem });
        }
        None if files.iter().any(|file| file.header.colour) => 3,
        None => 1,
    };
    if let Some(resize) = options.resize.filter(|resize| !resize.holds(height, width)) {
        let problem = format!("{height}x{width} pixels are not within what images are resized to, {:?}", resize.to);
        return Err(Error::Setting { setting: "image_size", problem });
    }
    let reader = Reader { containers: &containers, threads: options.threads, resize: options.resize };
    let mut shape = Shape { height, width, channels };
    let mut cache = None;
    if files.len().saturating_mul(shape.bytes()) <= options.cache_bytes {
        if channels == 3 && options.channels.is_none() && reader.sample_is_grey(&files) {
            shape.channels = 1;
        }
        let grey_only = shape.channels == 1 && options.channels.is_none();
        let mut decoded = match reader.read_all(&files, shape, grey_only)? {
            Some(decoded) => decoded,
            // A few images in colour among grey ones.
            None => {
                shape.channels = 3;
                reader.read_all(&files, shape, false)?.unwrap_or_default()
            }
        };
        remove_broken(path, &containers, &mut files, &mut decoded, shape, summary)?;
        cache = Some(decoded.pixels);
    }
    let groups = match &cache {
        Some(pixels) => number_groups(pixels.chunks_exact(shape.bytes()).map(xxh3_64)),
        None => reader.duplicate_files(&files)?,
    };
    check_classes(path, &task, &files, summary)?;
    Ok(ImageSet {
        containers: Arc::new(containers),
        files: Arc::new(files),
        task,
        columns,
        shape,
        cache: cache.map(Arc::new),
        resize: options.resize,
        groups,
    })
}

/// Some unreadable images are skipped, more than one in ten are an error.
pub(crate) fn check_unreadable(path: &Path, total: usize, broken: &[(String, String)]) -> Result<()> {
    match broken.first() {
        Some((first, reason)) if broken.len() * 10 > total => Err(Error::Unreadable {
            path: path.to_path_buf(),
            count: broken.len(),
            total,
            first: first.clone(),
            reason: reason.clone(),
        }),
        _ => Ok(()),
    }
}

/// Every class must have training images left.
fn check_classes(path: &Path, task: &Task, files: &[ImageFile], summary: &mut Summary) -> Result<()> {
    let classes = task.classes();
    let mut counts = vec![0usize; classes.len()];
    for file in files.iter().filter(|file| matches!(file.part, None | Some(Part::Train))) {
        match &file.target {
            Target::Class(class) => counts[*class as usize] += 1,
            Target::Labels(labels) => labels.iter().for_each(|&label| counts[label as usize] += 1),
            Target::Value(_) | Target::Unknown => {}
        }
    }
    if let Some(empty) = counts.iter().position(|&count| count == 0) {
        let class = &classes[empty];
        match task {
            // A label may be rare; that nothing can be learned of it is no reason not to learn the others.
            Task::MultiLabel { .. } => {
                summary.notes.push(format!("no training image has the label '{class}', which cannot be learned"));
            }
            _ if files.iter().any(|file| file.row.is_some()) => {
                let problem = format!("no training image of class '{class}' is left; add some, or take the class away");
                return Err(Error::Table { name: path.to_string_lossy().into_owned(), problem });
            }
            _ => {
                let problem = format!("none of the images of class '{class}' can be read");
                return Err(Error::Layout { path: path.to_path_buf(), problem });
            }
        }
    }
    summary.class_counts = counts;
    Ok(())
}

/// The size all images have, or a square from the median of their shorter sides.
fn infer_size(files: &[ImageFile]) -> (usize, usize) {
    let first = (files[0].header.height, files[0].header.width);
    let same = files.iter().all(|file| (file.header.height, file.header.width) == first);
    if same && first.0.max(first.1) <= LARGEST_SIDE {
        return first;
    }
    let median = median_side(files);
    // Multiples of 8 survive three halvings without a remainder.
    let side = if median < 8 { median } else { median / 8 * 8 }.min(LARGEST_SIDE);
    (side, side)
}

/// The median of the shorter sides.
fn median_side(files: &[ImageFile]) -> usize {
    let mut sides: Vec<usize> = files.iter().map(|file| file.header.height.min(file.header.width)).collect();
    let middle = sides.len() / 2;
    *sides.select_nth_unstable(middle).1
}

fn remove_broken(
    path: &Path,
    containers: &[Container],
    files: &mut Vec<ImageFile>,
    decoded: &mut Decoded,
    shape: Shape,
    summary: &mut Summary,
) -> Result<()> {
    let Decoded { pixels, broken } = decoded;
    if broken.is_empty() {
        return Ok(());
    }
    let total = files.len() + summary.skipped.len();
    let mut reasons: HashMap<usize, String> = broken.drain(..).collect();
    let bytes = shape.bytes();
    let (mut index, mut kept) = (0, 0);
    files.retain(|file| {
        let broken = reasons.remove(&index);
        if broken.is_none() {
            pixels.copy_within(index * bytes..(index + 1) * bytes, kept * bytes);
            kept += 1;
        }
        index += 1;
        let keep = broken.is_none();
        summary
            .skipped
            .extend(broken.map(|reason| (containers[usize::from(file.container)].full_name(&file.entry), reason)));
        keep
    });
    pixels.truncate(kept * bytes);
    pixels.shrink_to_fit();
    summary.skipped.sort();
    check_unreadable(path, total, &summary.skipped)
}

/// All images at their final size.
#[derive(Default)]
struct Decoded {
    pixels: Vec<u8>,
    /// Those that cannot be decoded, with the reason; their pixels are black.
    broken: Vec<(usize, String)>,
}

struct Reader<'a> {
    containers: &'a [Container],
    threads: usize,
    resize: Option<Resize>,
}

impl Reader<'_> {
    fn container(&self, file: &ImageFile) -> &Container {
        &self.containers[usize::from(file.container)]
    }

    /// Whether up to 64 images spread over the set have grey pixels only, though stored in colour.
    fn sample_is_grey(&self, files: &[ImageFile]) -> bool {
        let step = files.len().div_ceil(64);
        let mut bytes = Vec::new();
        files.iter().step_by(step).all(|file| {
            !file.header.colour
                || source::load(self.container(file), file, 3, &mut bytes, Vec::new())
                    .map_or(true, |image| is_grey(&image.data))
        })
    }

    /// Decodes everything at its final size. With `verify_grey`, `None` if an image is not grey.
    fn read_all(&self, files: &[ImageFile], shape: Shape, verify_grey: bool) -> Result<Option<Decoded>> {
        let mut pixels = vec![0u8; files.len() * shape.bytes()];
        let targets: Vec<Mutex<&mut [u8]>> = pixels.chunks_exact_mut(shape.bytes()).map(Mutex::new).collect();
        let results =
            parallel::map(files.len(), self.threads, Default::default, |work: &mut Work, i| -> Result<bool> {
                let Work { bytes, pixels, resampler, .. } = work;
                let file = &files[i];
                let check = verify_grey && file.header.colour;
                let channels = if check { 3 } else { shape.channels };
                let mut image = source::load(self.container(file), file, channels, bytes, std::mem::take(pixels))?;
                if check {
                    if !is_grey(&image.data) {
                        return Ok(false);
                    }
                    image.data = image.data.chunks_exact(3).map(|pixel| pixel[0]).collect();
                    image.channels = 1;
                }
                let mut target = targets[i].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                source::fit(&image, self.resize, shape, resampler, &mut target);
                *pixels = image.data;
                Ok(true)
            });
        drop(targets);
        let mut broken = Vec::new();
        for (i, result) in results.into_iter().enumerate() {
            match result {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(Error::Image { reason, .. }) => broken.push((i, reason)),
                Err(other) => return Err(other),
            }
        }
        Ok(Some(Decoded { pixels, broken }))
    }

    /// Groups files of equal content. Only those that share their length with another are read.
    fn duplicate_files(&self, files: &[ImageFile]) -> Result<Vec<u32>> {
        let mut lengths: HashMap<u64, u32> = HashMap::new();
        for file in files {
            *lengths.entry(file.entry.size).or_insert(0) += 1;
        }
        let hashes = parallel::map(files.len(), self.threads, Vec::new, |bytes, i| -> Result<u64> {
            let file = &files[i];
            // Alone of its length: the name stands for the content.
            let own = xxh3_64(file.entry.name.as_bytes());
            if lengths[&file.entry.size] == 1 {
                return Ok(own);
            }
            match self.container(file).read(&file.entry, u64::MAX, bytes) {
                Ok(()) => Ok(xxh3_64(bytes)),
                // Unreadable now, unreadable later: it is then left out of its batch.
                Err(Error::Image { .. }) => Ok(own),
                Err(other) => Err(other),
            }
        });
        let hashes: Vec<u64> = hashes.into_iter().collect::<Result<_>>()?;
        Ok(number_groups(hashes.into_iter()))
    }
}

fn is_grey(data: &[u8]) -> bool {
    data.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2])
}
