//! What a network is fed with: named, typed arrays with the batch axis first.

use serde::{Deserialize, Serialize};

use crate::text::{LENGTHS, TOKENS};

/// Type of the values of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DType {
    /// Pixels, 0 to 255.
    U8,
    /// Indices of categories or classes.
    I32,
    /// Real numbers.
    F32,
}

impl DType {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            DType::U8 => 1,
            DType::I32 | DType::F32 => 4,
        }
    }
}

/// Values of one slot for all samples of a batch, batch-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Pixels, 0 to 255.
    U8(Vec<u8>),
    /// Indices of categories or classes.
    I32(Vec<i32>),
    /// Real numbers.
    F32(Vec<f32>),
}

impl Array {
    /// An empty array of a type.
    pub fn empty(dtype: DType) -> Array {
        match dtype {
            DType::U8 => Array::U8(Vec::new()),
            DType::I32 => Array::I32(Vec::new()),
            DType::F32 => Array::F32(Vec::new()),
        }
    }

    /// Type of the values.
    pub fn dtype(&self) -> DType {
        match self {
            Array::U8(_) => DType::U8,
            Array::I32(_) => DType::I32,
            Array::F32(_) => DType::F32,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Array::U8(v) => v.len(),
            Array::I32(v) => v.len(),
            Array::F32(v) => v.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values, if they are pixels.
    pub fn as_u8(&self) -> Option<&[u8]> {
        if let Array::U8(v) = self { Some(v) } else { None }
    }

    /// The values, if they are indices.
    pub fn as_i32(&self) -> Option<&[i32]> {
        if let Array::I32(v) = self { Some(v) } else { None }
    }

    /// The values, if they are real numbers.
    pub fn as_f32(&self) -> Option<&[f32]> {
        if let Array::F32(v) = self { Some(v) } else { None }
    }

    fn clear(&mut self) {
        match self {
            Array::U8(v) => v.clear(),
            Array::I32(v) => v.clear(),
            Array::F32(v) => v.clear(),
        }
    }

    /// Makes it indices, those given, in the memory that it has.
    pub(crate) fn replace_i32(&mut self, values: impl Iterator<Item = i32>) {
        let mut kept = if let Array::I32(kept) = self { std::mem::take(kept) } else { Vec::new() };
        kept.clear();
        kept.extend(values);
        *self = Array::I32(kept);
    }

    /// Makes it real numbers, those given, in the memory that it has.
    pub(crate) fn replace_f32(&mut self, values: impl Iterator<Item = f32>) {
        let mut kept = if let Array::F32(kept) = self { std::mem::take(kept) } else { Vec::new() };
        kept.clear();
        kept.extend(values);
        *self = Array::F32(kept);
    }

    /// Makes room for exactly `len` values; the memory plan counts these and no more.
    fn reserve(&mut self, len: usize) {
        match self {
            Array::U8(v) => v.reserve_exact(len),
            Array::I32(v) => v.reserve_exact(len),
            Array::F32(v) => v.reserve_exact(len),
        }
    }

    fn resize(&mut self, len: usize) {
        match self {
            Array::U8(v) => v.resize(len, 0),
            Array::I32(v) => v.resize(len, 0),
            Array::F32(v) => v.resize(len, 0.0),
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Array::U8(v) => v.truncate(len),
            Array::I32(v) => v.truncate(len),
            Array::F32(v) => v.truncate(len),
        }
    }
}

/// One input of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// `image`, `numeric`, `categories`, `tokens`, `lengths` or `terms`.
    pub name: String,
    /// Shape of one sample, without the batch axis. Images are `[height, width, channels]`.
    pub shape: Vec<usize>,
    /// Type of the values.
    pub dtype: DType,
    /// Whether a sample is a sequence of such values, in a batch as many for each as the longest has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sequence: bool,
    /// For `categories`: number of indices of each column, 0 being "missing" and 1 "unknown". Empty otherwise.
    pub cardinalities: Vec<usize>,
}

impl Slot {
    /// An input of a shape, no sequence.
    pub fn new(name: &str, shape: &[usize], dtype: DType) -> Slot {
        Slot { name: name.to_string(), shape: shape.to_vec(), dtype, sequence: false, cardinalities: Vec::new() }
    }

    /// Values of one sample, or of one step of a sequence.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of one sample, or of one step of a sequence.
    pub fn bytes(&self) -> usize {
        self.values() * self.dtype.size()
    }
}

/// Second labels of a batch whose samples were blended (mixup, Zhang et al. 2018; cutmix, Yun et al. 2019).
///
/// The loss of sample `i` is `weight[i] * loss(targets[i]) + (1 - weight[i]) * loss(partner[i])`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mix {
    /// Class id of the sample blended in.
    pub partner: Vec<i32>,
    /// Weight of the sample's own class, 0 to 1.
    pub weight: Vec<f32>,
}

/// A row that could not be read when its batch was prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The row.
    pub row: u32,
    /// Path of the image.
    pub name: String,
    /// Why it could not be read.
    pub reason: String,
}

/// Inputs and targets of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of samples.
    pub len: usize,
    /// Steps of the longest sequence among them; 1 where no input is a sequence.
    pub sequence: usize,
    /// Values of each slot of the source, in its order.
    pub inputs: Vec<Array>,
    /// Class ids (`I32`), standardised values, or 1 and 0 for each label (`F32`); zeros if the source has no targets.
    pub targets: Array,
    /// Second labels, when mixup or cutmix was applied to this batch.
    pub mix: Option<Mix>,
    /// The row each sample was made from.
    pub rows: Vec<u32>,
    /// Rows asked for that could not be read. In training another row of the batch stands in their
    /// place; in evaluation the batch is shorter.
    pub failures: Vec<Failure>,
}

impl Batch {
    /// An empty batch to be filled by a source; its buffers grow once, to the size of the largest batch.
    pub fn new() -> Batch {
        Batch {
            len: 0,
            sequence: 1,
            inputs: Vec::new(),
            targets: Array::I32(Vec::new()),
            mix: None,
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Clears the batch and makes room for `rows` samples, keeping its memory.
    pub(crate) fn reset(&mut self, slots: &[Slot], (targets, width): (DType, usize), rows: usize) {
        let matches =
            self.inputs.len() == slots.len() && self.inputs.iter().zip(slots).all(|(a, s)| a.dtype() == s.dtype);
        if !matches {
            self.inputs = slots.iter().map(|s| Array::empty(s.dtype)).collect();
        }
        if self.targets.dtype() != targets {
            self.targets = Array::empty(targets);
        }
        self.targets.clear();
        self.targets.reserve(rows * width);
        for (input, slot) in self.inputs.iter_mut().zip(slots) {
            input.clear();
            input.reserve(rows * slot.values());
        }
        self.rows.clear();
        self.rows.reserve_exact(rows);
        self.failures.clear();
        self.mix = None;
        self.len = 0;
        self.sequence = 1;
    }

    /// Takes all memory that batches of `rows` samples need, so that the plan is true from the start
    /// and nothing is allocated while training runs. Writing makes the pages resident.
    pub(crate) fn occupy(&mut self, slots: &[Slot], targets: (DType, usize), rows: usize) {
        self.reset(slots, targets, rows);
        for (input, slot) in self.inputs.iter_mut().zip(slots) {
            input.resize(rows * slot.values());
        }
        self.targets.resize(rows * targets.1);
    }

    /// The tokens of each text, of a source with these slots; of pairs, both as one. Nothing where its
    /// samples are no texts.
    pub fn texts(&self, slots: &[Slot]) -> Option<impl Iterator<Item = &[i32]>> {
        let input = |name: &str| self.inputs.get(slots.iter().position(|slot| slot.name == name)?)?.as_i32();
        let (tokens, lengths) = (input(TOKENS)?, input(LENGTHS)?);
        let width = (tokens.len() / self.len.max(1)).max(1);
        let length = move |&length: &i32| usize::try_from(length).unwrap_or(0).min(width);
        Some(tokens.chunks_exact(width).zip(lengths).map(move |(text, own)| &text[..length(own)]))
    }

    /// Keeps the first `len` samples; targets are those of the samples that are kept.
    pub(crate) fn truncate(&mut self, slots: &[Slot], len: usize) {
        for (input, slot) in self.inputs.iter_mut().zip(slots) {
            input.truncate(len * slot.values());
        }
        self.rows.truncate(len);
        self.len = len;
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new()
    }
}
