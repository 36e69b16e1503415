//! Moving numbers: permutation, slices, concatenation, padding, conversion. All exact (integers above 2^24 round to the
//! nearest `f32`).

use super::Compute;
use super::context::ELEMENTS_PER_TASK;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// The most axes of a tensor.
pub const MAX_RANK: usize = 8;

/// Side of the square that a transposition handles at once: both sides stay in the first-level cache.
const TILE: usize = 32;

/// One axis of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    size: usize,
    from: usize,
    to: usize,
}

/// Copies a box of sizes `dims`: the element at index `(i, j, ...)` goes from
/// `x[from + i * from_strides[0] + j * from_strides[1] + ...]` to the place in `y` that `to` and `to_strides` say. A stride
/// of 0 in `from_strides` repeats (broadcasts).
///
/// # Panics
/// If there are more than [`MAX_RANK`] axes, or an element lies outside of its slice, or the places written overlap.
pub fn copy_box(
    cx: &Compute,
    dims: &[usize],
    x: &[f32],
    from: usize,
    from_strides: &[usize],
    y: &mut [f32],
    to: usize,
    to_strides: &[usize],
) {
    assert!(dims.len() <= MAX_RANK && from_strides.len() == dims.len() && to_strides.len() == dims.len());
    if dims.contains(&0) {
        return;
    }
    let mut axes = [Axis { size: 1, from: 0, to: 0 }; MAX_RANK];
    let mut count = 0;
    for (i, &size) in dims.iter().enumerate() {
        if size > 1 {
            axes[count] = Axis { size, from: from_strides[i], to: to_strides[i] };
            count += 1;
        }
    }
    // In the order of the places written, neighbours that continue each other merged.
    axes[..count].sort_unstable_by_key(|a| std::cmp::Reverse(a.to));
    let mut merged = 0;
    for i in 1..count {
        let (outer, inner) = (axes[merged], axes[i]);
        if outer.from == inner.from * inner.size && outer.to == inner.to * inner.size {
            axes[merged] = Axis { size: outer.size * inner.size, from: inner.from, to: inner.to };
        } else {
            merged += 1;
            axes[merged] = inner;
        }
    }
    let axes = &axes[..if count == 0 { 0 } else { merged + 1 }];
    let (mut last_from, mut last_to, mut reach) = (from, to, 0);
    for axis in axes.iter().rev() {
        assert!(axis.to > reach, "copy: the places written overlap");
        reach += (axis.size - 1) * axis.to;
        last_from += (axis.size - 1) * axis.from;
        last_to += (axis.size - 1) * axis.to;
    }
    assert!(last_from < x.len() && last_to < y.len(), "copy: outside of a slice");
    run(cx, axes, x, from, SharedMut::new(y), to);
}

/// Splits the outer axes into tasks; the inner ones are lines or squares.
fn run(cx: &Compute, axes: &[Axis], x: &[f32], from: usize, y: SharedMut<f32>, to: usize) {
    const ONE: Axis = Axis { size: 1, from: 0, to: 0 };
    let Some((&last, outer)) = axes.split_last() else {
        // SAFETY: the only task.
        unsafe { y.slice(to, 1)[0] = x[from] };
        return;
    };
    // The outer axis that reads contiguously, if the last does not: the two make a transposition.
    let across = if last.from == 1 { None } else { outer.iter().position(|a| a.from == 1) };
    let mut rest = [ONE; MAX_RANK];
    let mut n = 0;
    for (i, &axis) in outer.iter().enumerate() {
        if Some(i) != across {
            rest[n] = axis;
            n += 1;
        }
    }
    let rest = &rest[..n];
    let across = across.map_or(ONE, |i| outer[i]);
    // One piece: up to TILE lines of the axis across, the whole last axis.
    let bands = across.size.div_ceil(TILE);
    // A long last axis is cut, too.
    let segments = last.size.div_ceil(ELEMENTS_PER_TASK);
    let pieces = rest.iter().map(|a| a.size).product::<usize>() * bands * segments;
    let together = ELEMENTS_PER_TASK.div_ceil(last.size.min(ELEMENTS_PER_TASK) * across.size.min(TILE));
    cx.pool.run(pieces.div_ceil(together), &|task, _| {
        for piece in task * together..pieces.min((task + 1) * together) {
            let (segment, band, mut index) = (piece % segments, piece / segments % bands, piece / segments / bands);
            let (start, first) = (segment * ELEMENTS_PER_TASK, band * TILE);
            let (mut from, mut to) =
                (from + first * across.from + start * last.from, to + first * across.to + start * last.to);
            for axis in rest.iter().rev() {
                from += index % axis.size * axis.from;
                to += index % axis.size * axis.to;
                index /= axis.size;
            }
            let last = Axis { size: ELEMENTS_PER_TASK.min(last.size - start), ..last };
            let across = Axis { size: TILE.min(across.size - first), ..across };
            // SAFETY: the whole box lies inside of both slices and no two of its places coincide (checked by `copy_box`), so
            // each piece writes places of its own.
            unsafe { copy_piece(x.as_ptr().add(from), y.as_mut_ptr().add(to), across, last) };
        }
    });
}

/// # Safety
/// All elements that the two axes reach must be readable from `x` and writable at `y`.
unsafe fn copy_piece(x: *const f32, y: *mut f32, across: Axis, last: Axis) {
    // SAFETY: every index is below its axis' size.
    unsafe {
        if last.from == 1 && last.to == 1 {
            for i in 0..across.size {
                std::ptr::copy_nonoverlapping(x.add(i * across.from), y.add(i * across.to), last.size);
            }
            return;
        }
        for first in (0..last.size).step_by(TILE) {
            for i in 0..across.size {
                for j in first..last.size.min(first + TILE) {
                    *y.add(i * across.to + j * last.to) = *x.add(i * across.from + j * last.from);
                }
            }
        }
    }
}

/// Strides of a contiguous tensor, last axis first to vary.
fn contiguous(dims: &[usize]) -> [usize; MAX_RANK] {
    assert!(dims.len() <= MAX_RANK, "copy: at most {MAX_RANK} axes");
    let mut strides = [1; MAX_RANK];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1];
    }
    strides
}

/// Permutes the axes of `x` (sizes `dims`): axis `i` of `y` is axis `order[i]` of `x`, as in PyTorch's `permute`.
pub fn permute(cx: &Compute, x: &[f32], dims: &[usize], order: &[usize], y: &mut [f32]) {
    let rank = dims.len();
    let strides = contiguous(dims);
    let (mut sizes, mut from) = ([1; MAX_RANK], [0; MAX_RANK]);
    for (i, &axis) in order.iter().enumerate() {
        (sizes[i], from[i]) = (dims[axis], strides[axis]);
    }
    copy_box(cx, &sizes[..rank], x, 0, &from[..rank], y, 0, &contiguous(&sizes[..rank])[..rank]);
}

/// The part of `x` (sizes `dims`) that begins at `start` and takes every `step`-th element of each axis, `sizes` of them,
/// into contiguous `y`.
pub fn slice(cx: &Compute, x: &[f32], dims: &[usize], start: &[usize], step: &[usize], sizes: &[usize], y: &mut [f32]) {
    let rank = dims.len();
    let mut strides = contiguous(dims);
    let mut from = 0;
    for i in 0..rank {
        assert!(
            sizes[i] == 0 || start[i] + (sizes[i] - 1) * step[i] < dims[i],
            "slice: axis {i} of {dims:?} is too short"
        );
        from += start[i] * strides[i];
        strides[i] *= step[i];
    }
    copy_box(cx, sizes, x, from, &strides[..rank], y, 0, &contiguous(sizes)[..rank]);
}

/// Writes contiguous `x` (sizes `sizes`) into the part of `y` (sizes `dims`) that begins at `start` with steps `step`: the
/// inverse of [`slice()`]. The rest of `y` is left as it is; fill it first to pad or to differentiate a slice.
pub fn place(cx: &Compute, x: &[f32], sizes: &[usize], y: &mut [f32], dims: &[usize], start: &[usize], step: &[usize]) {
    let rank = dims.len();
    let mut strides = contiguous(dims);
    let mut to = 0;
    for i in 0..rank {
        assert!(
            sizes[i] == 0 || start[i] + (sizes[i] - 1) * step[i] < dims[i],
            "place: axis {i} of {dims:?} is too short"
        );
        to += start[i] * strides[i];
        strides[i] *= step[i];
    }
    copy_box(cx, sizes, x, 0, &contiguous(sizes)[..rank], y, to, &strides[..rank]);
}

/// Lays tensors one after the other along an axis: `parts` are slices with their sizes along it; each is
/// `[outer, size, inner]` and `y` `[outer, sum of sizes, inner]`.
pub fn concatenate(cx: &Compute, parts: &[(&[f32], usize)], outer: usize, inner: usize, y: &mut [f32]) {
    let total: usize = parts.iter().map(|p| p.1).sum();
    assert_eq!(y.len(), outer * total * inner, "concatenate: result of another length");
    let mut at = 0;
    for &(x, size) in parts {
        assert_eq!(x.len(), outer * size * inner, "concatenate: part of another length");
        copy_box(cx, &[outer, size * inner], x, 0, &[size * inner, 1], y, at * inner, &[total * inner, 1]);
        at += size;
    }
}

/// `x` (sizes `dims`) with `before[i]` and `after[i]` times `value` around it along each axis `i`.
pub fn pad(cx: &Compute, x: &[f32], dims: &[usize], before: &[usize], after: &[usize], value: f32, y: &mut [f32]) {
    let rank = dims.len();
    let mut sizes = [1; MAX_RANK];
    for i in 0..rank {
        sizes[i] = before[i] + dims[i] + after[i];
    }
    assert_eq!(y.len(), sizes[..rank].iter().product::<usize>(), "pad: result of another length");
    fill(cx, y, value);
    place(cx, x, dims, y, &sizes[..rank], before, &[1; MAX_RANK][..rank]);
}

/// All elements of `y` become `value`.
pub fn fill(cx: &Compute, y: &mut [f32], value: f32) {
    cx.pool.for_each_chunk(y, ELEMENTS_PER_TASK, |_, y| y.fill(value));
}

/// Bytes to numbers.
pub fn u8_to_f32(cx: &Compute, x: &[u8], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "conversion: operands of different lengths");
    cx.pool.for_each_chunk(y, ELEMENTS_PER_TASK, |task, y| bytes(cx.isa, &x[task * ELEMENTS_PER_TASK..][..y.len()], y));
}

#[inline(always)]
fn bytes_body<S: Simd>(_: S, x: &[u8], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x as f32;
    }
}
crate::simd_kernel! {
    fn bytes(x: &[u8], y: &mut [f32]) = bytes_body;
}

/// Integers to the nearest numbers.
pub fn i32_to_f32(cx: &Compute, x: &[i32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "conversion: operands of different lengths");
    cx.pool
        .for_each_chunk(y, ELEMENTS_PER_TASK, |task, y| integers(cx.isa, &x[task * ELEMENTS_PER_TASK..][..y.len()], y));
}

#[inline(always)]
fn integers_body<S: Simd>(_: S, x: &[i32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x as f32;
    }
}
crate::simd_kernel! {
    fn integers(x: &[i32], y: &mut [f32]) = integers_body;
}
