//! Optimiser updates of single rows of a table, in place.
//!
//! Row numbers are sorted, so that each row's gradients are added in their order and each row is updated once; time and
//! memory depend on the number of gradient rows, not on the size of the table. Errors: a few roundings of each operand.

use super::Compute;
use super::embedding::check;
use super::optim::all_finite;
use crate::error::Error;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// Tasks that the sorted row numbers are cut into.
const TASKS: usize = 16;

/// Columns whose gradient is added up at once.
const COLUMNS: usize = 64;

/// Gradient rows `[count, width]` of a table and the rows that they belong to.
#[derive(Debug, Clone, Copy)]
pub struct RowGradients<'a> {
    /// Row numbers.
    pub numbers: &'a [i32],
    /// The rows.
    pub rows: &'a [f32],
    /// Length of a row.
    pub width: usize,
    /// Row of the table that is left as it is.
    pub padding: Option<usize>,
}

impl RowGradients<'_> {
    /// How many integers of scratch memory an update needs.
    pub fn scratch(count: usize) -> usize {
        count
    }

    /// Checks numbers and rows, sorts the positions into `order`, and calls `update(row of the table, positions)` for each
    /// row that has a gradient.
    fn for_each_row(
        &self,
        cx: &Compute,
        table_rows: usize,
        order: &mut [u32],
        update: &(dyn Fn(usize, &[u32]) + Sync),
    ) -> Result<(), Error> {
        let Self { numbers, rows, width, padding } = *self;
        assert!(rows.len() == numbers.len() * width && order.len() == numbers.len());
        check(numbers, table_rows)?;
        order.iter_mut().enumerate().for_each(|(i, position)| *position = i as u32);
        order.sort_unstable_by_key(|&position| (numbers[position as usize], position));
        let order = &*order;
        let number = |i: usize| numbers[order[i] as usize];
        cx.pool.run(TASKS, &|task, _| {
            // A task has the rows whose first position lies in its part.
            let (first, end) = (task * order.len() / TASKS, (task + 1) * order.len() / TASKS);
            let mut i = first;
            while i < end {
                if i > 0 && number(i) == number(i - 1) {
                    i += 1;
                    continue;
                }
                let same = order[i..].iter().take_while(|&&p| numbers[p as usize] == number(i)).count();
                let row = number(i) as usize;
                if padding != Some(row) {
                    update(row, &order[i..i + same]);
                }
                i += same;
            }
        });
        Ok(())
    }
}

/// Gradient rows with those of equal number added up, where the number stands first; zeros where it stands again, and
/// for the padding row. `order` is scratch memory, one for each gradient row.
///
/// # Errors
/// [`Error::IndexOutOfRange`] for a negative row number, before anything is written.
pub fn coalesce(cx: &Compute, gradients: RowGradients, y: &mut [f32], order: &mut [u32]) -> Result<(), Error> {
    let width = gradients.width;
    assert_eq!(y.len(), gradients.rows.len());
    y.fill(0.0);
    if width == 0 {
        return Ok(());
    }
    let y = SharedMut::new(y);
    gradients.for_each_row(cx, usize::MAX, order, &|_, positions| {
        // SAFETY: each position belongs to one row of the table, and only its first is written.
        let sum = unsafe { y.slice(positions[0] as usize * width, width) };
        sum_of(&gradients, positions, 0, sum);
    })
}

/// The sum of a part of the rows at `positions`, in their order.
#[inline(always)]
fn sum_of(gradients: &RowGradients, positions: &[u32], first: usize, sum: &mut [f32]) {
    sum.fill(0.0);
    for &position in positions {
        let part = &gradients.rows[position as usize * gradients.width + first..][..sum.len()];
        for (s, g) in sum.iter_mut().zip(part) {
            *s += g;
        }
    }
}

/// `table[row] -= learning_rate * gradient[row]` for the rows that have a gradient. `order` is scratch memory, one for each
/// gradient row. Returns false, with nothing written, if a gradient is infinite or NaN.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn sgd_rows(
    cx: &Compute,
    gradients: RowGradients,
    learning_rate: f32,
    table: &mut [f32],
    order: &mut [u32],
) -> Result<bool, Error> {
    let width = gradients.width;
    if width == 0 {
        return Ok(true);
    }
    if !all_finite(cx, gradients.rows) {
        return Ok(false);
    }
    let rows = table.len() / width;
    let table = SharedMut::new(table);
    gradients.for_each_row(cx, rows, order, &|row, positions| {
        // SAFETY: each row of the table is updated once.
        let table = unsafe { table.slice(row * width, width) };
        sgd_row(cx.isa, &gradients, positions, learning_rate, table);
    })?;
    Ok(true)
}

#[inline(always)]
fn sgd_row_body<S: Simd>(_: S, gradients: &RowGradients, positions: &[u32], rate: f32, table: &mut [f32]) {
    let mut sum = [0.0; COLUMNS];
    for (block, table) in table.chunks_mut(COLUMNS).enumerate() {
        let sum = &mut sum[..table.len()];
        sum_of(gradients, positions, block * COLUMNS, sum);
        for (p, g) in table.iter_mut().zip(sum) {
            *p -= rate * *g;
        }
    }
}
crate::simd_kernel! {
    fn sgd_row(gradients: &RowGradients<'_>, positions: &[u32], rate: f32, table: &mut [f32]) = sgd_row_body;
}

/// Settings of PyTorch's `SparseAdam`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamRows {
    /// Factor of the step.
    pub learning_rate: f64,
    /// What is kept of the mean of gradients in a step, in 0..1.
    pub beta1: f64,
    /// What is kept of the mean of their squares in a step, in 0..1.
    pub beta2: f64,
    /// Added to the root of the second moment, before its bias is corrected.
    pub eps: f64,
}

/// What is the same for all rows of a step, in f32.
#[derive(Debug, Clone, Copy)]
struct Rates {
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    step_size: f32,
    eps: f32,
}

/// One step of Adam on the rows that have a gradient; `step` counts from 1. `order` is scratch memory, one for each gradient
/// row. Returns false, with nothing written, if a gradient is infinite or NaN.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn adam_rows(
    cx: &Compute,
    gradients: RowGradients,
    settings: &AdamRows,
    step: i32,
    table: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    order: &mut [u32],
) -> Result<bool, Error> {
    let width = gradients.width;
    if width == 0 {
        return Ok(true);
    }
    if !all_finite(cx, gradients.rows) {
        return Ok(false);
    }
    let rows = table.len() / width;
    assert!(first.len() == table.len() && second.len() == table.len(), "adam_rows: operands of different lengths");
    let correction = |beta: f64| 1.0 - beta.powi(step.max(1));
    let size = settings.learning_rate * correction(settings.beta2).sqrt() / correction(settings.beta1);
    let rates = Rates {
        beta1: settings.beta1 as f32,
        beta2: settings.beta2 as f32,
        rest1: (1.0 - settings.beta1) as f32,
        rest2: (1.0 - settings.beta2) as f32,
        step_size: size as f32,
        eps: settings.eps as f32,
    };
    let (table, first, second) = (SharedMut::new(table), SharedMut::new(first), SharedMut::new(second));
    gradients.for_each_row(cx, rows, order, &|row, positions| {
        let at = row * width;
        // SAFETY: each row of the table is updated once.
        let (p, m, v) = unsafe { (table.slice(at, width), first.slice(at, width), second.slice(at, width)) };
        adam_row(cx.isa, &gradients, positions, rates, p, m, v);
    })?;
    Ok(true)
}

#[inline(always)]
fn adam_row_body<S: Simd>(
    _: S,
    gradients: &RowGradients,
    positions: &[u32],
    rates: Rates,
    table: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let mut sum = [0.0; COLUMNS];
    let blocks = table.chunks_mut(COLUMNS).zip(first.chunks_mut(COLUMNS)).zip(second.chunks_mut(COLUMNS));
    for (block, ((p, m), v)) in blocks.enumerate() {
        let sum = &mut sum[..p.len()];
        sum_of(gradients, positions, block * COLUMNS, sum);
        for i in 0..p.len() {
            let g = sum[i];
            m[i] = rates.beta1 * m[i] + rates.rest1 * g;
            v[i] = rates.beta2 * v[i] + rates.rest2 * g * g;
            p[i] -= rates.step_size * m[i] / (v[i].sqrt() + rates.eps);
        }
    }
}
crate::simd_kernel! {
    fn adam_row(
        gradients: &RowGradients<'_>, positions: &[u32], rates: Rates, table: &mut [f32], first: &mut [f32],
        second: &mut [f32],
    ) = adam_row_body;
}
