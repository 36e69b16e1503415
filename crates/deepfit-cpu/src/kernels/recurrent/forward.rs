//! From the first step to the last.

use super::Sequences;
use super::cells::{self, Cell};
use crate::kernels::Compute;
use crate::kernels::gemm::{Gemm, Matrix, Prepacked, UNPACKED_ROWS};
use crate::pool::SharedMut;

/// What a recurrence starts from.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Projected inputs, `gates * hidden` numbers a row and step.
    pub projected: &'a [f32],
    /// Recurrent weights `[gates * hidden, hidden]`.
    pub weight: &'a [f32],
    /// Recurrent bias `[gates * hidden]`.
    pub bias: Option<&'a [f32]>,
    /// `h` before the first step, `[batch, hidden]`; else zero.
    pub h: Option<&'a [f32]>,
    /// `c` before the first step, `[batch, hidden]`; else zero.
    pub c: Option<&'a [f32]>,
}

/// Where the results go.
#[derive(Debug)]
pub struct Results<'a> {
    /// `h` of each row and step.
    pub output: &'a mut [f32],
    /// Last `h`, `[batch, hidden]`.
    pub h: &'a mut [f32],
    /// Last `c`, `[batch, hidden]`; empty without a cell.
    pub c: &'a mut [f32],
    /// Gates of each row and step, [`Cell::saved`] times `hidden` numbers; empty if they are not wanted.
    pub gates: &'a mut [f32],
    /// `c` of each row and step; empty if they are not wanted.
    pub cells: &'a mut [f32],
}

/// The parts of the scratch memory.
struct Sizes {
    weight: usize,
    bias: usize,
    /// Of one thread: `h` packed, and the product.
    left: usize,
    product: usize,
}

impl Sizes {
    fn new(cx: &Compute<'_>, s: &Sequences<'_>) -> Sizes {
        let (rows, width) = (s.task_rows(), s.cell.gates() * s.hidden);
        Sizes {
            weight: Prepacked::size(cx, s.hidden, width, rows),
            bias: width,
            left: Prepacked::left_size(cx, s.hidden, width, rows),
            product: rows * width,
        }
    }

    fn of_thread(&self) -> usize {
        (self.left + self.product).next_multiple_of(16)
    }
}

/// How many `f32` of scratch [`recurrent`] needs.
pub fn recurrent_scratch(cx: &Compute<'_>, s: &Sequences<'_>) -> usize {
    let sizes = Sizes::new(cx, s);
    sizes.weight + sizes.bias + cx.pool.threads().min(s.tasks()) * sizes.of_thread()
}

/// Runs a recurrence. Lengths must have been [checked](Sequences::check).
///
/// # Panics
/// If an array is too short.
pub fn recurrent(cx: &Compute<'_>, s: &Sequences<'_>, given: &Given<'_>, results: Results<'_>, scratch: &mut [f32]) {
    let sizes = Sizes::new(cx, s);
    let (hidden, width) = (s.hidden, s.cell.gates() * s.hidden);
    let all = s.batch * s.steps;
    assert!(given.projected.len() == all * width && results.output.len() == all * hidden, "length of the sequences");
    assert!(results.h.len() == s.batch * hidden, "length of the last state");
    let (packed, scratch) = scratch.split_at_mut(sizes.weight);
    let (bias, scratch) = scratch.split_at_mut(sizes.bias);
    match given.bias {
        Some(given) => bias.copy_from_slice(given),
        None => bias.fill(0.0),
    }
    let bias = &*bias;
    let weight = Matrix::new(given.weight, 1, hidden);
    // For one step of a few rows, packing the weights would cost more than multiplying by them where they are.
    let direct = s.steps == 1 && s.batch <= UNPACKED_ROWS;
    let packed = (!direct).then(|| Prepacked::pack(cx, &weight, hidden, width, s.task_rows(), packed));
    let (saved, has_cell) = (s.cell.saved() * hidden, s.cell == Cell::Lstm);
    let wants_gates = !results.gates.is_empty();
    let wants_cells = !results.cells.is_empty();
    let (output, h, c) = (SharedMut::new(results.output), SharedMut::new(results.h), SharedMut::new(results.c));
    let (gates, cells) = (SharedMut::new(results.gates), SharedMut::new(results.cells));
    let scratch = SharedMut::new(scratch);
    cx.pool.run(s.tasks(), &|task, worker| {
        let first = task * s.task_rows();
        let rows = s.task_rows().min(s.batch - first);
        let slot = if s.tasks() <= cx.pool.threads() { task } else { worker };
        // SAFETY: each task, and each worker index, is used by one thread at a time.
        let own = unsafe { scratch.slice(slot * sizes.of_thread(), sizes.of_thread()) };
        let (left, product) = own.split_at_mut(sizes.left);
        // SAFETY: tasks have different rows; the state is kept where the last one belongs.
        let h = unsafe { h.slice(first * hidden, rows * hidden) };
        start(h, given.h, first * hidden);
        let c = if has_cell {
            // SAFETY: as above.
            let c = unsafe { c.slice(first * hidden, rows * hidden) };
            start(c, given.c, first * hidden);
            c
        } else {
            &mut []
        };
        for position in 0..s.steps {
            let step = s.step_at(position);
            let busy = s.any_has(first..first + rows, step);
            let state = Matrix::row_major(h, hidden);
            match &packed {
                Some(packed) if busy => {
                    packed.pack_left(&state, rows, 0, hidden, left);
                    packed.multiply(left, rows, product, width, false);
                }
                Some(_) => {}
                None => Gemm::new(rows, width, hidden).run(cx, &state, &weight, product, width, &mut []),
            }
            for row in 0..rows {
                let place = s.place(first + row, step);
                // SAFETY: tasks have different rows, and so have these parts of all arrays.
                let (output, gates, cells) = unsafe {
                    (
                        output.slice(place * hidden, hidden),
                        if wants_gates { gates.slice(place * saved, saved) } else { &mut [] },
                        if wants_cells { cells.slice(place * hidden, hidden) } else { &mut [] },
                    )
                };
                if step >= s.length(first + row) {
                    output.fill(0.0);
                    gates.fill(0.0);
                    cells.fill(0.0);
                    continue;
                }
                let mut row = cells::Forward {
                    input: &given.projected[place * width..][..width],
                    product: &product[row * width..][..width],
                    bias,
                    h: &mut h[row * hidden..][..hidden],
                    c: if has_cell { &mut c[row * hidden..][..hidden] } else { &mut [] },
                    output,
                    gates,
                    cells,
                };
                cells::forward(cx.isa, s.cell, &mut row);
            }
        }
    });
}

/// The state before the first step of the rows that begin at `at`.
fn start(state: &mut [f32], given: Option<&[f32]>, at: usize) {
    match given {
        Some(given) => state.copy_from_slice(&given[at..][..state.len()]),
        None => state.fill(0.0),
    }
}
