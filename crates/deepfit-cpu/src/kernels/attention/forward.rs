//! The forward pass.

use super::product::{self, Product};
use super::rows::{self, Place, Softmax};
use super::{KEYS, Layout, Problem, ROWS, transpose};
use crate::kernels::Compute;
use crate::pool::SharedMut;

/// Queries of a task: packing a block of keys costs little beside multiplying them by so many.
const QUERIES: usize = 4 * ROWS;

/// Working memory of one thread.
fn of_worker(d: usize) -> usize {
    d * KEYS + ROWS * KEYS + 2 * KEYS + 2 * QUERIES
}

/// How many `f32` of scratch [`attention`] needs.
pub fn attention_scratch(threads: usize, d: usize) -> usize {
    threads * of_worker(d)
}

/// The result `[batch, queries, heads, e]` and the logarithm of each row's sum of exponentials
/// `[batch, heads, queries]`. A row that sees no key gets zeros and minus infinity.
///
/// # Panics
/// If an operand or the scratch memory is too short.
pub fn attention(cx: &Compute, problem: &Problem, result: &mut [f32], log_sums: &mut [f32], scratch: &mut [f32]) {
    problem.check();
    let &Problem { batch, queries, heads, d, e, .. } = problem;
    assert_eq!(result.len(), batch * queries * heads * e, "attention: result");
    assert_eq!(log_sums.len(), batch * heads * queries, "attention: logarithms of sums");
    let (result, log_sums, scratch) = (SharedMut::new(result), SharedMut::new(log_sums), SharedMut::new(scratch));
    let parts = queries.div_ceil(QUERIES);
    cx.pool.run(batch * heads * parts, &|task, worker| {
        let (row, part) = (task / parts, task % parts);
        let (first, count) = (part * QUERIES, QUERIES.min(queries - part * QUERIES));
        // SAFETY: each worker index is used by one thread at a time, and each task has its own rows.
        let (own, log_sums) = unsafe {
            (scratch.slice(worker * of_worker(d), of_worker(d)), log_sums.slice(row * queries + first, count))
        };
        run_task(cx, problem, (row / heads, row % heads), first, &result, log_sums, own);
    });
}

fn run_task(
    cx: &Compute,
    problem: &Problem,
    (b, h): (usize, usize),
    first: usize,
    result: &SharedMut<f32>,
    log_sums: &mut [f32],
    own: &mut [f32],
) {
    let &Problem { queries, heads, d, e, .. } = problem;
    let count = log_sums.len();
    let kv = h / problem.group();
    let (transposed, own) = own.split_at_mut(d * KEYS);
    let (scores, own) = own.split_at_mut(ROWS * KEYS);
    let (addend, own) = own.split_at_mut(KEYS);
    let (factors, own) = own.split_at_mut(KEYS);
    let (largest, sum) = own.split_at_mut(QUERIES);
    largest.fill(f32::NEG_INFINITY);
    sum.fill(0.0);
    let layout = Layout::contiguous(queries, heads, e);
    let row = |t: usize| {
        // SAFETY: rows `first..first + count` of this head are this task's alone, and used one at a time.
        unsafe { result.slice(layout.at(b, first + t, h), e) }
    };
    (0..count).for_each(|t| row(t).fill(0.0));
    let last = if problem.causal { problem.keys_of(b).min(first + count) } else { problem.keys_of(b) };
    for key in (0..last).step_by(KEYS) {
        let keys = KEYS.min(last - key);
        transpose(problem.key.0, problem.key.1.at(b, key, kv), problem.key.1.row, keys, d, transposed);
        // With a causal mask, earlier queries see nothing of this block.
        let start = if problem.causal { key.saturating_sub(first) / ROWS * ROWS } else { 0 };
        for at in (start..count).step_by(ROWS) {
            let (query, rows) = (first + at, ROWS.min(count - at));
            let keys = if problem.causal { keys.min((query + rows).saturating_sub(key)) } else { keys };
            if keys == 0 {
                continue;
            }
            let place = Place { b, h, query, rows, key, keys, stride: KEYS };
            let out = result.as_mut_ptr().wrapping_add(layout.at(b, query, h));
            // SAFETY: rows of query and value exist by `check`; the scores hold ROWS x KEYS, the transposed block is
            // filled up to a multiple of the vectors; rows of the result are this task's alone.
            unsafe {
                product::run(
                    cx.isa,
                    Product {
                        a: problem.query.0[problem.query.1.at(b, query, h)..].as_ptr(),
                        a_row: problem.query.1.row,
                        a_col: 1,
                        b: transposed.as_ptr(),
                        b_row: KEYS,
                        c: scores.as_mut_ptr(),
                        c_row: KEYS,
                        m: rows,
                        n: keys.next_multiple_of(cx.isa.lanes()),
                        k: d,
                        accumulate: false,
                    },
                );
                let state = Softmax {
                    largest: &mut largest[at..at + rows],
                    sum: &mut sum[at..at + rows],
                    addend,
                    factors,
                    result: out,
                    result_stride: layout.row,
                    width: e,
                };
                rows::softmax(cx.isa, problem, place, scores, state);
                product::run(
                    cx.isa,
                    Product {
                        a: scores.as_ptr(),
                        a_row: KEYS,
                        a_col: 1,
                        b: problem.value.0[problem.value.1.at(b, key, kv)..].as_ptr(),
                        b_row: problem.value.1.row,
                        c: out,
                        c_row: layout.row,
                        m: rows,
                        n: e,
                        k: keys,
                        accumulate: true,
                    },
                );
            }
        }
    }
    for t in 0..count {
        if largest[t] == f32::NEG_INFINITY {
            log_sums[t] = f32::NEG_INFINITY;
        } else {
            rows::scaled(cx.isa, row(t), 1.0 / sum[t]);
            log_sums[t] = largest[t] + sum[t].ln();
        }
    }
}
