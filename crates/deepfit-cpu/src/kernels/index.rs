//! Elements picked and placed by index along an axis, largest elements, running sums, reversal.
//!
//! Tensors are `[outer, length, inner]`, the axis in the middle. All but the sums are exact; sums of [`scatter_add`] are
//! added in the order of the indices, those of [`cumsum`] in f64.

use std::cmp::Ordering;

use super::Compute;
use super::context::rows_per_task;
use super::embedding::check;
use crate::error::Error;
use crate::pool::SharedMut;

/// Lengths before, at and after an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    /// Product of the lengths before the axis.
    pub outer: usize,
    /// Length of the axis.
    pub length: usize,
    /// Product of the lengths after the axis.
    pub inner: usize,
}

/// Columns that one task takes where the axis is walked along.
const COLUMNS: usize = 64;

/// `y[o, j, i] = x[o, indices[o, j, i], i]`.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn gather(cx: &Compute, x: &[f32], around: Around, indices: &[i32], y: &mut [f32]) -> Result<(), Error> {
    let Around { outer, length, inner } = around;
    assert!(x.len() == outer * length * inner && indices.len() == y.len());
    check(indices, length)?;
    if y.is_empty() {
        return Ok(());
    }
    let count = y.len() / (outer * inner);
    let step = rows_per_task(inner);
    cx.pool.for_each_chunk(y, step * inner, |task, mut y| {
        let mut row = task * step;
        // All rows of one outer index at a time.
        while !y.is_empty() {
            let rows = (count - row % count).min(y.len() / inner);
            let (part, rest) = y.split_at_mut(rows * inner);
            let x = &x[row / count * length * inner..][..length * inner];
            let indices = &indices[row * inner..][..rows * inner];
            if inner == 1 {
                for (y, &index) in part.iter_mut().zip(indices) {
                    *y = x[index as usize];
                }
            } else {
                for (y, indices) in part.chunks_exact_mut(inner).zip(indices.chunks_exact(inner)) {
                    for (i, (y, &index)) in y.iter_mut().zip(indices).enumerate() {
                        *y = x[index as usize * inner + i];
                    }
                }
            }
            (y, row) = (rest, row + rows);
        }
    });
    Ok(())
}

/// Calls `put(place in y, value)` for each element of `indices` `[outer, count, inner]`, those of one place in the order of
/// the indices; first calls `begin` on the parts of `y`.
fn scattered(
    cx: &Compute,
    indices: &[i32],
    values: &[f32],
    y: &mut [f32],
    around: Around,
    begin: impl Fn(&mut [f32]) + Sync,
    put: impl Fn(&mut f32, f32) + Sync,
) {
    let Around { outer, length, inner } = around;
    assert!(y.len() == outer * length * inner && indices.len() == values.len());
    if y.is_empty() {
        return;
    }
    let count = indices.len() / (outer * inner);
    let blocks = inner.div_ceil(COLUMNS);
    let y = SharedMut::new(y);
    cx.pool.run(outer * blocks, &|task, _| {
        let (o, first) = (task / blocks, task % blocks * COLUMNS);
        if blocks == 1 {
            // SAFETY: a task has an outer index of its own.
            let y = unsafe { y.slice(o * length * inner, length * inner) };
            begin(y);
            let elements = o * count * inner..(o + 1) * count * inner;
            let (indices, values) = (&indices[elements.clone()], &values[elements]);
            for (indices, values) in indices.chunks_exact(inner).zip(values.chunks_exact(inner)) {
                for (i, (&index, &value)) in indices.iter().zip(values).enumerate() {
                    put(&mut y[index as usize * inner + i], value);
                }
            }
            return;
        }
        let width = COLUMNS.min(inner - first);
        // SAFETY: a task has columns and an outer index of its own, and takes one row's part at a time.
        let part = |row: usize| unsafe { y.slice((o * length + row) * inner + first, width) };
        for row in 0..length {
            begin(part(row));
        }
        for j in 0..count {
            let at = (o * count + j) * inner + first;
            for (i, (&index, &value)) in indices[at..][..width].iter().zip(&values[at..][..width]).enumerate() {
                put(&mut part(index as usize)[i], value);
            }
        }
    });
}

/// `y` zero, then `y[o, indices[o, j, i], i] += values[o, j, i]` in the order of `j`.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn scatter_add(cx: &Compute, indices: &[i32], values: &[f32], y: &mut [f32], around: Around) -> Result<(), Error> {
    check(indices, around.length)?;
    scattered(cx, indices, values, y, around, |part| part.fill(0.0), |sum, value| *sum += value);
    Ok(())
}

/// `y = x`, then `y[o, indices[o, j, i], i] = values[o, j, i]` in the order of `j`.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn scatter(
    cx: &Compute,
    x: &[f32],
    indices: &[i32],
    values: &[f32],
    y: &mut [f32],
    around: Around,
) -> Result<(), Error> {
    check(indices, around.length)?;
    y.copy_from_slice(x);
    scattered(cx, indices, values, y, around, |_| (), |place, value| *place = value);
    Ok(())
}

/// `y = x`, then `y[o, indices[o, j, i], i]` becomes what `combine` makes of it and `values[o, j, i]`, in the order of
/// `j`.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn scatter_reduce(
    cx: &Compute,
    x: &[f32],
    indices: &[i32],
    values: &[f32],
    y: &mut [f32],
    around: Around,
    combine: impl Fn(f32, f32) -> f32 + Sync,
) -> Result<(), Error> {
    check(indices, around.length)?;
    y.copy_from_slice(x);
    scattered(cx, indices, values, y, around, |_| (), |place, value| *place = combine(*place, value));
    Ok(())
}

/// Row `i` of `y` is 1 at `numbers[i]` and 0 elsewhere; all zero for the number to be ignored.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn one_hot(cx: &Compute, numbers: &[i32], classes: usize, ignore: Option<i32>, y: &mut [f32]) -> Result<(), Error> {
    assert_eq!(y.len(), numbers.len() * classes);
    let wrong = |&n: &i32| ignore != Some(n) && (n < 0 || n as usize >= classes);
    if let Some(position) = numbers.iter().position(wrong) {
        return Err(Error::IndexOutOfRange { index: numbers[position], position, rows: classes });
    }
    let step = rows_per_task(classes);
    cx.pool.for_each_chunk(y, step * classes, |task, y| {
        for (y, &number) in y.chunks_exact_mut(classes.max(1)).zip(&numbers[task * step..]) {
            y.fill(0.0);
            if ignore != Some(number) {
                y[number as usize] = 1.0;
            }
        }
    });
    Ok(())
}

/// The `k` largest elements of each row of `x` `[rows, length]` in descending order, or the smallest in ascending order,
/// and their positions, both `[rows, k]`. NaN is larger than every number; of equal elements the first comes first.
pub fn topk(
    cx: &Compute,
    x: &[f32],
    length: usize,
    k: usize,
    largest: bool,
    values: &mut [f32],
    positions: &mut [i32],
) {
    assert!(k <= length && values.len() == positions.len());
    if k == 0 || x.is_empty() {
        return;
    }
    let rows = x.len() / length;
    assert_eq!(values.len(), rows * k);
    let step = rows_per_task(length);
    let (values, positions) = (SharedMut::new(values), SharedMut::new(positions));
    cx.pool.run(rows.div_ceil(step), &|task, _| {
        for row in task * step..rows.min((task + 1) * step) {
            // SAFETY: each task has rows of its own.
            let (values, positions) = unsafe { (values.slice(row * k, k), positions.slice(row * k, k)) };
            Best { values, positions, largest }.of(&x[row * length..][..length]);
        }
    });
}

/// The best elements so far, as a heap with the worst of them at the root.
struct Best<'a> {
    values: &'a mut [f32],
    positions: &'a mut [i32],
    largest: bool,
}

impl Best<'_> {
    /// Whether an element comes before another in the result.
    fn before(&self, a: (f32, i32), b: (f32, i32)) -> bool {
        let ordering = if self.largest { order(b.0, a.0) } else { order(a.0, b.0) };
        ordering.then(a.1.cmp(&b.1)) == Ordering::Less
    }

    /// The whole row in order.
    fn all(self, x: &[f32]) {
        self.positions.iter_mut().enumerate().for_each(|(i, position)| *position = i as i32);
        let value = |position: i32| x[position as usize];
        let sign = |ordering: Ordering| if self.largest { ordering.reverse() } else { ordering };
        self.positions.sort_unstable_by(|&a, &b| sign(order(value(a), value(b))).then(a.cmp(&b)));
        self.values.iter_mut().zip(self.positions).for_each(|(v, &mut position)| *v = value(position));
    }

    fn at(&self, i: usize) -> (f32, i32) {
        (self.values[i], self.positions[i])
    }

    fn swap(&mut self, i: usize, j: usize) {
        self.values.swap(i, j);
        self.positions.swap(i, j);
    }

    /// Lets the element at `i` sink among the first `n` until none below it is worse.
    fn sink(&mut self, mut i: usize, n: usize) {
        loop {
            let mut worst = i;
            for child in [2 * i + 1, 2 * i + 2] {
                if child < n && self.before(self.at(worst), self.at(child)) {
                    worst = child;
                }
            }
            if worst == i {
                return;
            }
            self.swap(i, worst);
            i = worst;
        }
    }

    fn of(mut self, x: &[f32]) {
        let k = self.values.len();
        if k == x.len() {
            return self.all(x);
        }
        for i in 0..k {
            (self.values[i], self.positions[i]) = (x[i], i as i32);
        }
        for i in (0..k / 2).rev() {
            self.sink(i, k);
        }
        for (i, &value) in x.iter().enumerate().skip(k) {
            if self.before((value, i as i32), self.at(0)) {
                (self.values[0], self.positions[0]) = (value, i as i32);
                self.sink(0, k);
            }
        }
        for n in (1..k).rev() {
            self.swap(0, n);
            self.sink(0, n);
        }
    }
}

/// Order of two numbers, where NaN is larger than every other.
fn order(a: f32, b: f32) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Columns whose sums are kept at once.
const SUMS: usize = 16;

/// Sums of all elements up to each along the axis, or from each on if `reverse`.
pub fn cumsum(cx: &Compute, x: &[f32], y: &mut [f32], around: Around, reverse: bool) {
    let Around { outer, length, inner } = around;
    assert!(x.len() == outer * length * inner && y.len() == x.len());
    let blocks = inner.div_ceil(SUMS);
    let lanes = outer * blocks;
    let together = rows_per_task(length * inner.min(SUMS));
    let y = SharedMut::new(y);
    cx.pool.run(lanes.div_ceil(together), &|task, _| {
        for lane in task * together..lanes.min((task + 1) * together) {
            let (o, first) = (lane / blocks, lane % blocks * SUMS);
            if inner == 1 {
                // SAFETY: a lane has an outer index of its own.
                let (x, y) = (&x[o * length..][..length], unsafe { y.slice(o * length, length) });
                let mut sum = 0.0f64;
                let mut add = |(y, x): (&mut f32, &f32)| {
                    sum += f64::from(*x);
                    *y = sum as f32;
                };
                let pairs = y.iter_mut().zip(x);
                if reverse {
                    pairs.rev().for_each(&mut add)
                } else {
                    pairs.for_each(&mut add)
                }
                continue;
            }
            let width = SUMS.min(inner - first);
            let mut sums = [0.0f64; SUMS];
            for step in 0..length {
                let at = (o * length + if reverse { length - 1 - step } else { step }) * inner + first;
                // SAFETY: a lane has columns and an outer index of its own.
                let y = unsafe { y.slice(at, width) };
                for ((y, x), sum) in y.iter_mut().zip(&x[at..][..width]).zip(&mut sums) {
                    *sum += f64::from(*x);
                    *y = *sum as f32;
                }
            }
        }
    });
}

/// The rows of `inner` bytes along the axis in the opposite order.
pub fn flip(cx: &Compute, x: &[u8], y: &mut [u8], around: Around) {
    let Around { outer, length, inner } = around;
    assert!(x.len() == outer * length * inner && y.len() == x.len());
    if y.is_empty() {
        return;
    }
    let step = rows_per_task(inner);
    cx.pool.for_each_chunk(y, step * inner, |task, y| {
        for (r, y) in y.chunks_exact_mut(inner).enumerate() {
            let row = task * step + r;
            let from = row / length * length + (length - 1 - row % length);
            y.copy_from_slice(&x[from * inner..][..inner]);
        }
    });
}
