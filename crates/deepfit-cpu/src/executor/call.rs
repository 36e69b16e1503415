//! What a kernel is given: its inputs, outputs, scratch memory and shapes.

use std::sync::atomic::{AtomicU64, Ordering};

use deepfit_graph::{DType, Extents};

use crate::kernels::Compute;

/// What stops a run in the middle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A number that must be finite is not.
    NonFinite,
    /// A row number or a length is out of range.
    Index(crate::error::Error),
}

/// An input that a kernel would rather have in another form: see [`Kernel::preparable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparable {
    /// Which input.
    pub input: usize,
    /// `f32` of the other form.
    pub size: usize,
}

/// The kernel of one node.
///
/// `shapes` in all methods are the axis lengths of inputs and outputs in this run.
pub trait Kernel: Send {
    /// How many `f32` of scratch memory one call needs.
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        let _ = (cx, shapes);
        0
    }

    /// Computes the outputs.
    ///
    /// # Errors
    /// If the run must stop; see [`Fault`].
    fn run(&self, call: &Call<'_>) -> Result<(), Fault>;

    /// The input that [`Kernel::prepare`] can bring into the form in which the kernel reads it. Neither which it is nor the
    /// form may depend on a batch or sequence axis.
    fn preparable(&self, cx: &Compute<'_>, shapes: &Shapes) -> Option<Preparable> {
        let _ = (cx, shapes);
        None
    }

    /// How many `f32` of scratch memory one call needs that is given the prepared form.
    fn prepared_scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        self.scratch(cx, shapes)
    }

    /// Brings the values of that input into the other form. Where they stay the same from run to run, this is done once,
    /// and [`Call::prepared`] has the form; the results must be the same to the last bit as without it.
    fn prepare(&self, cx: &Compute<'_>, shapes: &Shapes, values: &[f32], prepared: &mut [f32]) {
        let _ = (cx, shapes, values, prepared);
    }
}

/// Axis lengths of a node's inputs and outputs in one run.
#[derive(Debug, Clone, Default)]
pub struct Shapes {
    /// Of the inputs.
    pub inputs: Vec<Vec<usize>>,
    /// Of the outputs.
    pub outputs: Vec<Vec<usize>>,
}

impl Shapes {
    /// Axis lengths of an input.
    pub fn input(&self, i: usize) -> &[usize] {
        &self.inputs[i]
    }

    /// Axis lengths of an output.
    pub fn output(&self, i: usize) -> &[usize] {
        &self.outputs[i]
    }
}

/// A typed piece of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) start: *mut u8,
    /// Elements.
    pub(crate) len: usize,
    pub(crate) dtype: DType,
}

// SAFETY: an address, a length and a type; what may be done with the memory is up to `Call`.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

/// One call of a kernel. Made by the executor alone.
///
/// The plan guarantees that the outputs overlap neither each other nor any input, except that an operation which
/// declares `in_place` may be given an input and the output at the same place, and that an updated parameter is at the
/// same place as the output that replaces it. Kernels of the former read through [`Call::input_pointer`]; kernels of
/// the latter find the old value in the output.
pub struct Call<'a> {
    pub(super) cx: Compute<'a>,
    pub(super) inputs: &'a [Raw],
    pub(super) outputs: &'a [Raw],
    pub(super) scratch: Raw,
    pub(super) prepared: Option<&'a [f32]>,
    pub(super) shapes: &'a Shapes,
    pub(super) extents: Extents,
    /// Which outputs (bits 0 to 62) and whether the scratch memory (bit 63) have been handed out.
    pub(super) taken: AtomicU64,
}

impl<'a> Call<'a> {
    /// Threads, instruction set and caches.
    pub fn compute(&self) -> &Compute<'a> {
        &self.cx
    }

    /// Axis lengths.
    pub fn shapes(&self) -> &'a Shapes {
        self.shapes
    }

    /// Extents of this run.
    pub fn extents(&self) -> Extents {
        self.extents
    }

    /// Number of inputs.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// Number of outputs.
    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// Element type of an input.
    pub fn input_dtype(&self, i: usize) -> DType {
        self.inputs[i].dtype
    }

    /// An input as numbers.
    pub fn input(&self, i: usize) -> &'a [f32] {
        self.typed(i, DType::F32)
    }

    /// An input as integers.
    pub fn input_i32(&self, i: usize) -> &'a [i32] {
        self.typed(i, DType::I32)
    }

    /// An input as bytes.
    pub fn input_u8(&self, i: usize) -> &'a [u8] {
        self.typed(i, DType::U8)
    }

    fn typed<T>(&self, i: usize, dtype: DType) -> &'a [T] {
        let raw = self.inputs[i];
        assert_eq!(raw.dtype, dtype, "input {i} is of another type");
        // SAFETY: the executor made `raw` from memory of this type and length, aligned for it, that nobody writes
        // during the call: see the guarantee of the plan in the documentation of `Call`.
        unsafe { std::slice::from_raw_parts(raw.start.cast(), raw.len) }
    }

    /// Start of an input that may be at the same place as the output.
    pub fn input_pointer(&self, i: usize) -> *const u8 {
        self.inputs[i].start
    }

    /// An output as numbers. Each can be taken once in a call.
    #[allow(clippy::mut_from_ref)]
    pub fn output(&self, i: usize) -> &'a mut [f32] {
        assert_eq!(self.outputs[i].dtype, DType::F32, "output {i} is of another type");
        self.take(i, self.outputs[i])
    }

    /// An output as integers. Each can be taken once in a call.
    #[allow(clippy::mut_from_ref)]
    pub fn output_i32(&self, i: usize) -> &'a mut [i32] {
        assert_eq!(self.outputs[i].dtype, DType::I32, "output {i} is of another type");
        self.take(i, self.outputs[i])
    }

    /// An output as bytes of any element type. Each can be taken once in a call.
    #[allow(clippy::mut_from_ref)]
    pub fn output_bytes(&self, i: usize) -> &'a mut [u8] {
        let raw = self.outputs[i];
        self.take(i, Raw { len: raw.len * raw.dtype.size(), ..raw })
    }

    /// An input as bytes of any element type.
    pub fn input_bytes(&self, i: usize) -> &'a [u8] {
        let raw = self.inputs[i];
        // SAFETY: as in `typed`; every element type may be read as bytes.
        unsafe { std::slice::from_raw_parts(raw.start, raw.len * raw.dtype.size()) }
    }

    /// What [`Kernel::prepare`] made of the input that [`Kernel::preparable`] named, if it was asked to.
    pub fn prepared(&self) -> Option<&'a [f32]> {
        self.prepared
    }

    /// The scratch memory, with arbitrary content. It can be taken once in a call.
    #[allow(clippy::mut_from_ref)]
    pub fn scratch(&self) -> &'a mut [f32] {
        self.take(63, self.scratch)
    }

    #[allow(clippy::mut_from_ref)]
    fn take<T>(&self, bit: usize, raw: Raw) -> &'a mut [T] {
        let mask = 1u64 << bit;
        let before = self.taken.fetch_or(mask, Ordering::Relaxed);
        assert_eq!(before & mask, 0, "output {bit} was taken before");
        // SAFETY: memory of this type and length, aligned for it; it is handed out once, and by the guarantee of the
        // plan nobody else uses it during the call.
        unsafe { std::slice::from_raw_parts_mut(raw.start.cast(), raw.len) }
    }
}
