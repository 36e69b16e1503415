//! Memory for the arena and for parameters: zeroed and aligned to cache lines.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use deepfit_graph::plan::ALIGNMENT;

/// A piece of memory that starts on a cache line.
#[derive(Debug)]
pub(super) struct AlignedBuffer {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the buffer owns its memory; access goes through `&self` or `&mut self` like that of a `Vec<u8>`.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// Zeroed memory. The system maps pages only when they are touched.
    pub(super) fn new(bytes: usize) -> Self {
        let layout = Self::layout(bytes);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        AlignedBuffer { start, bytes }
    }

    fn layout(bytes: usize) -> Layout {
        let size = bytes.next_multiple_of(ALIGNMENT).max(ALIGNMENT);
        Layout::from_size_align(size, ALIGNMENT).expect("sizes of buffers fit the address space")
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start
    }

    /// The memory as numbers.
    pub(super) fn f32(&self) -> &[f32] {
        // SAFETY: the memory is initialised, aligned to more than an f32, and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.bytes / 4) }
    }

    /// The memory as numbers.
    pub(super) fn f32_mut(&mut self) -> &mut [f32] {
        // SAFETY: as for `f32`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.bytes / 4) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout and is not used after this.
        unsafe { dealloc(self.start, Self::layout(self.bytes)) }
    }
}
