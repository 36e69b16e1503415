//! Memory for the arena and for parameters: zeroed and aligned to cache lines.

use std::alloc::{Layout, alloc_zeroed, dealloc};

use deepfit_graph::plan::ALIGNMENT;

use crate::Error;

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
    /// A buffer of nothing.
    pub(super) fn empty() -> Self {
        AlignedBuffer { start: std::ptr::without_provenance_mut(ALIGNMENT), bytes: 0 }
    }

    /// Zeroed memory. The system maps pages only when they are touched.
    ///
    /// # Errors
    /// If the system does not give it.
    pub(super) fn new(bytes: usize) -> Result<Self, Error> {
        if bytes == 0 {
            return Ok(AlignedBuffer::empty());
        }
        let layout = Self::layout(bytes).ok_or(Error::Memory { bytes })?;
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            return Err(Error::Memory { bytes });
        }
        Ok(AlignedBuffer { start, bytes })
    }

    /// `None` if the size does not fit the address space.
    fn layout(bytes: usize) -> Option<Layout> {
        Layout::from_size_align(bytes.checked_next_multiple_of(ALIGNMENT)?, ALIGNMENT).ok()
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
        if let (Some(layout), true) = (Self::layout(self.bytes), self.bytes > 0) {
            // SAFETY: the memory was allocated with this layout and is not used after this.
            unsafe { dealloc(self.start, layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_the_system_does_not_give_is_an_error() {
        for bytes in [1 << 60, isize::MAX as usize, usize::MAX] {
            assert_eq!(AlignedBuffer::new(bytes).unwrap_err(), Error::Memory { bytes });
        }
        let mut buffer = AlignedBuffer::new(10).unwrap();
        assert_eq!((buffer.bytes(), buffer.f32_mut()), (10, &mut [0.0, 0.0][..]));
        assert!(AlignedBuffer::new(0).unwrap().f32().is_empty());
    }
}
