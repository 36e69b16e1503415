//! Memory for the arena and for parameters: zeroed and aligned to cache lines.

use std::alloc::{Layout, alloc_zeroed, dealloc};

use deepfit_graph::DType;
use deepfit_graph::plan::ALIGNMENT;

use super::engine::View;
use crate::Error;

/// A piece of memory that starts on a cache line.
#[derive(Debug)]
pub(super) struct AlignedBuffer {
    start: *mut u8,
    bytes: usize,
    /// Where the allocation begins, at most a cache line before the start.
    base: *mut u8,
}

// SAFETY: the buffer owns its memory; access goes through `&self` or `&mut self` like that of a `Vec<u8>`.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// A buffer of nothing.
    pub(super) fn empty() -> Self {
        let nowhere = std::ptr::without_provenance_mut(ALIGNMENT);
        AlignedBuffer { start: nowhere, bytes: 0, base: nowhere }
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
        let base = unsafe { alloc_zeroed(layout) };
        if base.is_null() {
            return Err(Error::Memory { bytes });
        }
        // The layout has room for the bytes from the next cache line on.
        let start = base.wrapping_add(base.align_offset(ALIGNMENT));
        Ok(AlignedBuffer { start, bytes, base })
    }

    /// Room for as many bytes from the first cache line on; `None` if that does not fit the address space. It asks for no
    /// alignment of its own: what is aligned further would be set to zero by hand, and all of it touched.
    fn layout(bytes: usize) -> Option<Layout> {
        Layout::from_size_align(bytes.checked_next_multiple_of(ALIGNMENT)?.checked_add(ALIGNMENT)?, 16).ok()
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

    /// `len` elements of a type from a byte offset on, which is aligned for it.
    ///
    /// # Panics
    /// If the memory is shorter, or the offset is not aligned.
    pub(super) fn view(&self, offset: usize, len: usize, dtype: DType) -> View<'_> {
        let end = len.checked_mul(dtype.size()).and_then(|bytes| bytes.checked_add(offset));
        assert!(
            end.is_some_and(|end| end <= self.bytes) && offset.is_multiple_of(ALIGNMENT),
            "a value beyond its memory"
        );
        let start = self.start.wrapping_add(offset);
        // SAFETY: the memory is initialised, reaches that far, is aligned to more than any element type, all bits of which
        // are values, and borrowed with `self`.
        unsafe {
            match dtype {
                DType::F32 => View::F32(std::slice::from_raw_parts(start.cast(), len)),
                DType::U8 => View::U8(std::slice::from_raw_parts(start, len)),
                DType::I32 => View::I32(std::slice::from_raw_parts(start.cast(), len)),
            }
        }
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
            unsafe { dealloc(self.base, layout) }
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
