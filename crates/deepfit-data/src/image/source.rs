//! Batches of images, from memory when all fit and from their files otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::augment::Augment;
use super::container::Container;
use super::decode::{self, Pixels, Refusal};
use super::layout::ImageFile;
use super::resample::{Resampler, Window};
use super::resize::{Resize, ResizeTo};
use super::transform::{self, Shape};
use super::{mix, transform::random_crop};
use crate::batch::{Array, Batch, DType, Failure, Slot};
use crate::error::{Error, Result};
use crate::memory::heap_bytes;
use crate::rng::{Purpose, Rng};
use crate::source::{Pass, Source};
use crate::target::TargetForm;

/// Images of a shape with what is to be learned of them.
pub(crate) struct ImageSource {
    pub(crate) containers: Arc<Vec<Container>>,
    pub(crate) files: Arc<Vec<ImageFile>>,
    pub(crate) shape: Shape,
    /// All images at their final size, if they fit into the bound.
    pub(crate) cache: Option<Arc<Vec<u8>>>,
    form: TargetForm,
    /// How images are resized, if it is the way of a published network.
    resize: Option<Resize>,
    slots: Vec<Slot>,
    /// Images that turned out unreadable, by row.
    failed: Mutex<BTreeMap<u32, String>>,
}

/// Buffers one thread reuses for all images of a batch.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) bytes: Vec<u8>,
    pub(crate) pixels: Vec<u8>,
    copy: Vec<u8>,
    pub(crate) resampler: Resampler,
}

/// The input slot of images.
pub(crate) fn slot(shape: Shape) -> Slot {
    Slot::new("image", &[shape.height, shape.width, shape.channels], DType::U8)
}

/// Reads and decodes one file; `bytes` is work space, and so is `used`, in which the pixels may lie.
///
/// # Errors
/// [`Error::Image`] if this file cannot be read, [`Error::Archive`] if the whole archive must not be.
pub(crate) fn load(
    container: &Container,
    file: &ImageFile,
    channels: usize,
    bytes: &mut Vec<u8>,
    used: Vec<u8>,
) -> Result<Pixels> {
    container.read(&file.entry, u64::MAX, bytes)?;
    decode::decode(bytes, channels, used).map_err(|refusal| {
        let reason = match refusal {
            Refusal::NotAnImage => "the content is not an image".to_string(),
            Refusal::Broken(reason) => reason,
        };
        Error::Image { name: container.full_name(&file.entry), reason }
    })
}

/// Writes an image at its final size.
pub(crate) fn fit(image: &Pixels, resize: Option<Resize>, shape: Shape, resampler: &mut Resampler, out: &mut [u8]) {
    match resize {
        Some(resize) => resize.apply(image, shape.height, shape.width, out),
        None => {
            let window = Window::centred(image, shape.height, shape.width);
            resampler.resample(image, window, shape.height, shape.width, out);
        }
    }
}

impl ImageSource {
    pub(crate) fn new(
        containers: Arc<Vec<Container>>,
        files: Arc<Vec<ImageFile>>,
        shape: Shape,
        cache: Option<Arc<Vec<u8>>>,
        form: TargetForm,
    ) -> ImageSource {
        let slots = vec![slot(shape)];
        ImageSource { containers, files, shape, cache, form, resize: None, slots, failed: Mutex::default() }
    }

    /// The same, resized in another way.
    pub(crate) fn resized(self, resize: Option<Resize>) -> ImageSource {
        ImageSource { resize, ..self }
    }

    /// Writes the image of `row` to `out`, augmented if an [`Augment`] and its random numbers are given.
    fn sample(&self, row: u32, vary: Option<(&Augment, Rng)>, work: &mut Work, out: &mut [u8]) -> Result<()> {
        let shape = self.shape;
        let file = &self.files[row as usize];
        let (augment, mut rng) = match vary {
            Some((augment, rng)) => (Some(augment), rng),
            None => (None, Rng::new(0, Purpose::Augment, 0, 0)),
        };
        let crop = augment.map_or(0.0, |augment| augment.crop);
        if let (Some(cache), false) = (&self.cache, crop > 0.0) {
            out.copy_from_slice(&cache[row as usize * shape.bytes()..][..shape.bytes()]);
        } else {
            let image = match &self.cache {
                Some(cache) => {
                    let mut data = std::mem::take(&mut work.pixels);
                    data.clear();
                    data.extend_from_slice(&cache[row as usize * shape.bytes()..][..shape.bytes()]);
                    Pixels { width: shape.width, height: shape.height, channels: shape.channels, data }
                }
                None => {
                    let (container, used) =
                        (&self.containers[usize::from(file.container)], std::mem::take(&mut work.pixels));
                    load(container, file, shape.channels, &mut work.bytes, used)?
                }
            };
            if crop > 0.0 {
                let window = random_crop(&image, shape, crop, &mut rng);
                work.resampler.resample(&image, window, shape.height, shape.width, out);
            } else {
                fit(&image, self.resize, shape, &mut work.resampler, out);
            }
            work.pixels = image.data;
        }
        if let Some(augment) = augment {
            transform::move_about(out, shape, augment, &mut work.copy, &mut rng);
            transform::colour(out, shape, augment, &mut rng);
        }
        Ok(())
    }

    /// As [`sample`](Self::sample), remembering what cannot be read. `Ok(false)` says that it cannot.
    fn try_sample(&self, row: u32, pass: Pass<'_>, work: &mut Work, out: &mut Batch, position: usize) -> Result<bool> {
        let lock = || self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let name = || {
            let file = &self.files[row as usize];
            self.containers[usize::from(file.container)].full_name(&file.entry)
        };
        let known = lock().get(&row).cloned();
        let result = match known {
            Some(reason) => Err(Error::Image { name: name(), reason }),
            None => {
                let vary = match pass {
                    Pass::Evaluate => None,
                    Pass::Train { seed, epoch, augment } => {
                        Some((augment, Rng::new(seed, Purpose::Augment, epoch, row)))
                    }
                };
                let Array::U8(pixels) = &mut out.inputs[0] else { unreachable!("reset made a pixel array") };
                let bytes = self.shape.bytes();
                pixels.resize((position + 1) * bytes, 0);
                self.sample(row, vary, work, &mut pixels[position * bytes..])
            }
        };
        let reason = match result {
            Ok(()) => return Ok(true),
            Err(Error::Image { reason, .. }) => reason,
            Err(other) => return Err(other),
        };
        let mut failed = lock();
        failed.insert(row, reason.clone());
        let count = failed.len();
        drop(failed);
        if self.has_targets() && count * 10 > self.files.len() {
            return Err(self.too_many(count, name(), reason));
        }
        if !out.failures.iter().any(|failure| failure.row == row) {
            out.failures.push(Failure { row, name: name(), reason });
        }
        Ok(false)
    }

    fn too_many(&self, count: usize, first: String, reason: String) -> Error {
        let folder = self.containers[0].path();
        let path = if folder.as_os_str().is_empty() { ".".into() } else { folder.to_path_buf() };
        Error::Unreadable { path, count, total: self.files.len(), first, reason }
    }
}

impl Source for ImageSource {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn is_cut(&self, row: u32) -> bool {
        let Some(ImageFile { header, .. }) = self.files.get(row as usize) else { return false };
        let stretched = matches!(self.resize, Some(Resize { to: ResizeTo::Exact(..), .. }));
        // The shorter side fits; the longer one is cut to the same ratio.
        let (across, along) = (header.width * self.shape.height, header.height * self.shape.width);
        !stretched && across.abs_diff(along) >= self.shape.height.max(self.shape.width)
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn target_dtype(&self) -> DType {
        self.form.dtype()
    }

    fn target_width(&self) -> usize {
        self.form.width()
    }

    fn has_targets(&self) -> bool {
        self.form != TargetForm::None
    }

    fn fill(&self, rows: &[u32], pass: Pass<'_>, out: &mut Batch) -> Result<()> {
        out.reset(&self.slots, (self.form.dtype(), self.form.width()), rows.len());
        let mut work = Work::default();
        let mut used = Vec::with_capacity(rows.len());
        for (i, &row) in rows.iter().enumerate() {
            // Another row of the same batch stands in for an unreadable one: it is certainly a training row.
            let candidates = if matches!(pass, Pass::Train { .. }) { rows.len() } else { 1 };
            for step in 0..candidates {
                let row = if step == 0 { row } else { rows[(i + step) % rows.len()] };
                if self.try_sample(row, pass, &mut work, out, used.len())? {
                    used.push(row);
                    break;
                }
            }
        }
        self.targets(&used, &mut out.targets);
        out.rows.extend_from_slice(&used);
        out.truncate(&self.slots, used.len());
        if let (Pass::Train { seed, epoch, augment }, Some(&first)) = (pass, rows.first()) {
            if used.is_empty() {
                let failure = &out.failures[0];
                return Err(self.too_many(out.failures.len(), failure.name.clone(), failure.reason.clone()));
            }
            let Array::U8(pixels) = &mut out.inputs[0] else { unreachable!("reset made a pixel array") };
            let shares = mix::blend(pixels, self.shape, used.len(), augment, mix::numbers(seed, epoch, first));
            out.mix = shares.and_then(|shares| mix::blend_targets(&mut out.targets, self.form.width(), shares));
        }
        Ok(())
    }

    fn targets(&self, rows: &[u32], out: &mut Array) {
        match self.form.dtype() {
            DType::F32 => out.replace_f32(std::iter::empty()),
            _ => out.replace_i32(std::iter::empty()),
        }
        rows.iter().for_each(|&row| self.form.push(&self.files[row as usize].target, out));
    }

    fn content_of(&self, row: u32) -> Option<u128> {
        let file = &self.files[row as usize];
        let mut bytes = Vec::new();
        self.containers[usize::from(file.container)].read(&file.entry, u64::MAX, &mut bytes).ok()?;
        Some(xxhash_rust::xxh3::xxh3_128(&bytes))
    }

    fn resident_bytes(&self) -> usize {
        let names: usize = self.files.iter().map(|file| heap_bytes(file.entry.name.capacity())).sum();
        let containers: usize = self.containers.iter().map(Container::resident_bytes).sum();
        names
            + self.files.capacity() * size_of::<ImageFile>()
            + containers
            + self.cache.as_ref().map_or(0, |cache| cache.capacity())
    }

    fn scratch_bytes(&self) -> usize {
        let bytes = self.shape.bytes();
        if self.cache.is_some() {
            // A copy for moves, one for crops, and the work space that these are resized in.
            return 3 * bytes;
        }
        decode_scratch(&self.files, self.shape) + bytes
    }
}

/// Most memory that decoding and resizing any of the files takes: the file itself (twice for JPEG, whose decoder copies
/// it), its pixels, and the work space.
pub(crate) fn decode_scratch(files: &[ImageFile], shape: Shape) -> usize {
    let of = |file: &ImageFile| {
        2 * file.entry.size as usize + file.header.decode_bytes + Resampler::scratch_bytes(file.header.width, shape)
    };
    files.iter().map(of).max().unwrap_or(0)
}
