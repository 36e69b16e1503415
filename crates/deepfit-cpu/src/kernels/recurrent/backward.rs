//! Backpropagation through time.

use super::Sequences;
use super::cells::{self, Cell};
use crate::kernels::Compute;
use crate::kernels::gemm::{Gemm, Matrix, PackB, Prepacked};
use crate::pool::SharedMut;

/// What the gradient is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a> {
    /// Recurrent weights `[gates * hidden, hidden]`.
    pub weight: &'a [f32],
    /// `h` of each row and step.
    pub output: &'a [f32],
    /// Gates of each row and step; empty for cells that save none.
    pub gates: &'a [f32],
    /// `c` of each row and step; empty without a cell.
    pub cells: &'a [f32],
    /// `h` before the first step; else zero.
    pub h: Option<&'a [f32]>,
    /// `c` before the first step; else zero.
    pub c: Option<&'a [f32]>,
    /// Gradients of `h` of each row and step; else zero.
    pub d_output: Option<&'a [f32]>,
    /// Gradient of the last `h`; else zero.
    pub d_h: Option<&'a [f32]>,
    /// Gradient of the last `c`; else zero.
    pub d_c: Option<&'a [f32]>,
}

/// Where the gradients go.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of the projected inputs.
    pub projected: &'a mut [f32],
    /// Of the recurrent weights.
    pub weight: &'a mut [f32],
    /// Of `u_n` of a GRU in each row and step; empty for others.
    pub inner: &'a mut [f32],
    /// Of `h` before the first step; empty if not wanted.
    pub h: &'a mut [f32],
    /// Of `c` before the first step; empty if not wanted.
    pub c: &'a mut [f32],
}

/// The parts of the scratch memory.
struct Sizes {
    weight: usize,
    /// Of one thread: gradients of the gates packed, gradients of `h` and of `c`.
    left: usize,
    state: usize,
    /// For the product that gives the gradient of the weights, after the recurrence.
    product: usize,
}

impl Sizes {
    fn new(cx: &Compute<'_>, s: &Sequences<'_>) -> Sizes {
        let (rows, width) = (s.task_rows(), s.cell.gates() * s.hidden);
        Sizes {
            weight: Prepacked::size(cx, width, s.hidden, rows),
            left: Prepacked::left_size(cx, width, s.hidden, rows),
            state: rows * s.hidden,
            product: weight_products(s).into_iter().map(|g| g.scratch(cx)).max().unwrap_or(0),
        }
    }

    fn of_thread(&self) -> usize {
        (self.left + 2 * self.state).next_multiple_of(16)
    }
}

/// The products that give the gradient of the weights: for a GRU the last gate is apart.
fn weight_products(s: &Sequences<'_>) -> [Gemm<'static>; 2] {
    let (all, hidden) = (s.batch * s.steps, s.hidden);
    let last = if s.cell == Cell::Gru { hidden } else { 0 };
    [Gemm::new(s.cell.gates() * hidden - last, hidden, all), Gemm::new(last, hidden, all)]
}

/// How many `f32` of scratch [`recurrent_backward`] needs.
pub fn recurrent_backward_scratch(cx: &Compute<'_>, s: &Sequences<'_>) -> usize {
    let sizes = Sizes::new(cx, s);
    let recurrence = sizes.weight + cx.pool.threads().min(s.tasks()) * sizes.of_thread();
    recurrence.max(sizes.product)
}

/// `h` before each row and step, as the right operand of a product over all of them.
struct Before<'a> {
    s: Sequences<'a>,
    output: &'a [f32],
    initial: Option<&'a [f32]>,
}

impl Before<'_> {
    /// `h` before a row and step; `None` where it is zero or does not matter.
    fn row(&self, row: usize, step: usize) -> Option<&[f32]> {
        let hidden = self.s.hidden;
        if step >= self.s.length(row) {
            return None;
        }
        match self.s.before(row, step) {
            Some(step) => Some(&self.output[self.s.place(row, step) * hidden..][..hidden]),
            None => self.initial.map(|initial| &initial[row * hidden..][..hidden]),
        }
    }
}

impl PackB for Before<'_> {
    fn pack(&self, k0: usize, kc: usize, col0: usize, cols: usize, nr: usize, dst: &mut [f32]) {
        for (k, dst) in dst.chunks_exact_mut(nr).take(kc).enumerate() {
            let inner = if self.s.time_first { self.s.batch } else { self.s.steps };
            let (outer, inner) = ((k0 + k) / inner, (k0 + k) % inner);
            let (row, step) = if self.s.time_first { (inner, outer) } else { (outer, inner) };
            match self.row(row, step) {
                Some(source) => dst[..cols].copy_from_slice(&source[col0..col0 + cols]),
                None => dst[..cols].fill(0.0),
            }
            dst[cols..].fill(0.0);
        }
    }
}

/// Gradients of a recurrence. Lengths must have been [checked](Sequences::check).
///
/// # Panics
/// If an array is too short.
pub fn recurrent_backward(
    cx: &Compute<'_>,
    s: &Sequences<'_>,
    up: &Upstream<'_>,
    gradients: Gradients<'_>,
    scratch: &mut [f32],
) {
    let (hidden, width) = (s.hidden, s.cell.gates() * s.hidden);
    let all = s.batch * s.steps;
    assert!(up.output.len() == all * hidden && gradients.projected.len() == all * width, "length of the sequences");
    let Gradients { projected, weight, inner, h, c } = gradients;
    steps_back(cx, s, up, projected, inner, h, c, scratch);
    let before = Before { s: *s, output: up.output, initial: up.h };
    let [main, last] = weight_products(s);
    let (first, rest) = weight.split_at_mut(main.m * hidden);
    main.run(cx, &Matrix::new(projected, 1, width), &before, first, hidden, scratch);
    last.run(cx, &Matrix::new(inner, 1, hidden), &before, rest, hidden, scratch);
}

/// Everything but the gradient of the weights.
fn steps_back(
    cx: &Compute<'_>,
    s: &Sequences<'_>,
    up: &Upstream<'_>,
    projected: &mut [f32],
    inner: &mut [f32],
    h: &mut [f32],
    c: &mut [f32],
    scratch: &mut [f32],
) {
    let sizes = Sizes::new(cx, s);
    let (hidden, width) = (s.hidden, s.cell.gates() * s.hidden);
    let (packed, scratch) = scratch.split_at_mut(sizes.weight);
    let weight = Matrix::row_major(up.weight, hidden);
    let packed = Prepacked::pack(cx, &weight, width, hidden, s.task_rows(), packed);
    let before = Before { s: *s, output: up.output, initial: up.h };
    let (saved, has_cell, is_gru) = (s.cell.saved() * hidden, s.cell == Cell::Lstm, s.cell == Cell::Gru);
    // What comes before the first step is computed only if it is wanted.
    let wants_initial = !h.is_empty();
    let (projected, inner) = (SharedMut::new(projected), SharedMut::new(inner));
    let (h, c, scratch) = (SharedMut::new(h), SharedMut::new(c), SharedMut::new(scratch));
    cx.pool.run(s.tasks(), &|task, worker| {
        let first = task * s.task_rows();
        let rows = s.task_rows().min(s.batch - first);
        let slot = if s.tasks() <= cx.pool.threads() { task } else { worker };
        // SAFETY: each task, and each worker index, is used by one thread at a time.
        let own = unsafe { scratch.slice(slot * sizes.of_thread(), sizes.of_thread()) };
        let (left, states) = own.split_at_mut(sizes.left);
        let (dh, states) = states.split_at_mut(sizes.state);
        let (dh, dc) = (&mut dh[..rows * hidden], &mut states[..rows * hidden]);
        begin(dh, up.d_h, first * hidden);
        begin(dc, up.d_c, first * hidden);
        for position in (0..s.steps).rev() {
            let step = s.step_at(position);
            for row in 0..rows {
                let (row, of_row) = (first + row, row * hidden..(row + 1) * hidden);
                let place = s.place(row, step);
                // SAFETY: tasks have different rows, and so have these parts of all arrays.
                let (input, inner) = unsafe {
                    (
                        projected.slice(place * width, width),
                        if is_gru { inner.slice(place * hidden, hidden) } else { &mut [] },
                    )
                };
                if step >= s.length(row) {
                    // Zeros leave the gradient of `h` as it is when their product is added to it.
                    input.fill(0.0);
                    inner.fill(0.0);
                    continue;
                }
                let old_c = match s.before(row, step) {
                    Some(step) if has_cell => &up.cells[s.place(row, step) * hidden..][..hidden],
                    None if has_cell => up.c.map_or(&[][..], |c| &c[row * hidden..][..hidden]),
                    _ => &[],
                };
                let part = |array: &'_ [f32], width: usize| (place * width).min(array.len());
                let mut row = cells::Backward {
                    upstream: up.d_output.map_or(&[][..], |d| &d[place * hidden..][..hidden]),
                    output: &up.output[place * hidden..][..hidden],
                    gates: &up.gates[part(up.gates, saved)..],
                    cells: &up.cells[part(up.cells, hidden)..],
                    old_h: before.row(row, step).unwrap_or(&[]),
                    old_c,
                    dh: &mut dh[of_row.clone()],
                    dc: &mut dc[of_row],
                    input,
                    inner,
                };
                cells::backward(cx.isa, s.cell, &mut row);
            }
            let is_first = position == 0 && !wants_initial;
            if is_first || !s.any_has(first..first + rows, step) {
                continue;
            }
            // SAFETY: only rows of this task are read, which no other task writes, and they are not written meanwhile.
            unsafe {
                let from = s.place(first, step);
                let reach = (rows - 1) * s.row_stride() + 1;
                let of_gates = projected.slice(from * width, reach * width);
                let same = if is_gru { 2 * hidden } else { width };
                packed.pack_left(&Matrix::row_major(of_gates, s.row_stride() * width), rows, 0, same, left);
                if is_gru {
                    let of_inner = inner.slice(from * hidden, reach * hidden);
                    packed.pack_left(&Matrix::row_major(of_inner, s.row_stride() * hidden), rows, same, hidden, left);
                }
            }
            packed.multiply(left, rows, dh, hidden, true);
        }
        if wants_initial {
            // SAFETY: tasks have different rows.
            unsafe {
                h.slice(first * hidden, rows * hidden).copy_from_slice(dh);
                if has_cell {
                    c.slice(first * hidden, rows * hidden).copy_from_slice(dc);
                }
            }
        }
    });
}

/// The gradient that comes from behind the last step, of the rows that begin at `at`.
fn begin(state: &mut [f32], given: Option<&[f32]>, at: usize) {
    match given {
        Some(given) => state.copy_from_slice(&given[at..][..state.len()]),
        None => state.fill(0.0),
    }
}
