//! How an input is read when it is broadcast to the output's shape.

use deepfit_graph::DType;

use crate::kernels::copy::MAX_RANK;

/// Steps through an input for each axis of the output; neighbouring axes that need not be told apart are merged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pattern {
    /// Element for element.
    Same,
    /// Output axes (length, step of the input), outermost first.
    Strided { axes: [(usize, usize); MAX_RANK], count: usize },
}

impl Pattern {
    /// The pattern of an input of shape `from` in an output of shape `to`.
    pub(super) fn new(from: &[usize], to: &[usize]) -> Self {
        if from == to {
            return Pattern::Same;
        }
        let lead = to.len() - from.len();
        let mut axes = [(1, 0); MAX_RANK];
        let mut count = 0;
        // From the innermost axis out: an axis joins the one inside of it if their steps continue each other.
        let mut stride = 1;
        for axis in (0..to.len()).rev() {
            let length = to[axis];
            let own = if axis < lead { 1 } else { from[axis - lead] };
            let step = if own == 1 { 0 } else { stride };
            stride *= own;
            if length == 1 {
                continue;
            }
            if count > 0 {
                let (inner_length, inner_step) = axes[count - 1];
                if step == inner_step * inner_length {
                    axes[count - 1].0 *= length;
                    continue;
                }
            }
            axes[count] = (length, step);
            count += 1;
        }
        axes[..count].reverse();
        Pattern::Strided { axes, count }
    }

    /// Fills `tile` with the input's values for output elements from `at` on, as f32.
    ///
    /// # Safety
    /// `start` must point to an input of type `dtype` and of the shape that the pattern was made from, and the output
    /// must have at least `at + tile.len()` elements.
    pub(super) unsafe fn gather(&self, start: *const u8, dtype: DType, at: usize, tile: &mut [f32]) {
        match dtype {
            // SAFETY: passed on from the caller.
            DType::F32 => unsafe { self.gather_as(start.cast::<f32>(), at, tile, |x| x) },
            // SAFETY: passed on from the caller.
            DType::U8 => unsafe { self.gather_as(start, at, tile, f32::from) },
            // SAFETY: passed on from the caller.
            DType::I32 => unsafe { self.gather_as(start.cast::<i32>(), at, tile, |x| x as f32) },
        }
    }

    /// # Safety
    /// As for `gather`.
    unsafe fn gather_as<T: Copy>(&self, start: *const T, at: usize, tile: &mut [f32], convert: impl Fn(T) -> f32) {
        let Pattern::Strided { axes, count } = self else {
            // SAFETY: the input has the output's shape.
            let values = unsafe { std::slice::from_raw_parts(start.add(at), tile.len()) };
            for (to, &from) in tile.iter_mut().zip(values) {
                *to = convert(from);
            }
            return;
        };
        let Some((&(length, step), outer)) = axes[..*count].split_last() else {
            // SAFETY: an input that is broadcast to anything has an element.
            tile.fill(convert(unsafe { *start }));
            return;
        };
        let mut done = 0;
        while done < tile.len() {
            // Runs along the innermost axis.
            let (mut rest, within) = ((at + done) / length, (at + done) % length);
            let mut offset = 0;
            for &(length, step) in outer.iter().rev() {
                offset += rest % length * step;
                rest /= length;
            }
            let run = (length - within).min(tile.len() - done);
            let tile = &mut tile[done..done + run];
            if step == 0 {
                // SAFETY: `offset` is the place of these output elements in the input.
                tile.fill(convert(unsafe { *start.add(offset) }));
            } else {
                for (i, to) in tile.iter_mut().enumerate() {
                    // SAFETY: as above; `within + i` is less than the length of the axis.
                    *to = convert(unsafe { *start.add(offset + (within + i) * step) });
                }
            }
            done += run;
        }
    }
}
