//! The forward pass.

use super::product::{self, Product};
use super::rows::{self, Place, Softmax};
use super::{KEYS, Layout, Problem, ROWS, gather, transpose};
use crate::kernels::Compute;
use crate::pool::SharedMut;

/// Queries of a task: packing a block of keys costs little beside multiplying them by so many.
const QUERIES: usize = 4 * ROWS;

/// Working memory of one thread.
fn of_worker(d: usize, e: usize) -> usize {
    (d + e) * (KEYS + QUERIES) + ROWS * KEYS + 2 * KEYS + 2 * QUERIES
}

/// How many `f32` of scratch [`attention`] needs.
pub fn attention_scratch(threads: usize, d: usize, e: usize) -> usize {
    threads * of_worker(d, e)
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
            (scratch.slice(worker * of_worker(d, e), of_worker(d, e)), log_sums.slice(row * queries + first, count))
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
    let (values, own) = own.split_at_mut(e * KEYS);
    let (asked, own) = own.split_at_mut(d * QUERIES);
    let (sums, own) = own.split_at_mut(e * QUERIES);
    let (scores, own) = own.split_at_mut(ROWS * KEYS);
    let (addend, own) = own.split_at_mut(KEYS);
    let (factors, own) = own.split_at_mut(KEYS);
    let (largest, sum) = own.split_at_mut(QUERIES);
    largest.fill(f32::NEG_INFINITY);
    sum.fill(0.0);
    sums[..count * e].fill(0.0);
    gather(cx.isa, problem.query.0, problem.query.1.at(b, first, h), problem.query.1.row, count, d, asked);
    let last = if problem.causal { problem.keys_of(b).min(first + count) } else { problem.keys_of(b) };
    for key in (0..last).step_by(KEYS) {
        let keys = KEYS.min(last - key);
        transpose(problem.key.0, problem.key.1.at(b, key, kv), problem.key.1.row, keys, d, transposed);
        gather(cx.isa, problem.value.0, problem.value.1.at(b, key, kv), problem.value.1.row, keys, e, values);
        // With a causal mask, earlier queries see nothing of this block.
        let start = if problem.causal { key.saturating_sub(first) / ROWS * ROWS } else { 0 };
        for at in (start..count).step_by(ROWS) {
            let (query, rows) = (first + at, ROWS.min(count - at));
            let keys = if problem.causal { keys.min((query + rows).saturating_sub(key)) } else { keys };
            if keys == 0 {
                continue;
            }
            let place = Place { b, h, query, rows, key, keys, stride: KEYS };
            let out = sums[at * e..].as_mut_ptr();
            // SAFETY: the blocks hold as many rows as the product reads; the scores hold ROWS x KEYS, and the transposed
            // block is filled up to a multiple of the vectors.
            unsafe {
                product::run(
                    cx.isa,
                    Product {
                        a: asked[at * d..].as_ptr(),
                        a_row: d,
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
                    result_stride: e,
                    width: e,
                };
                rows::softmax(cx.isa, problem, place, scores, state);
                product::run(
                    cx.isa,
                    Product {
                        a: scores.as_ptr(),
                        a_row: KEYS,
                        a_col: 1,
                        b: values.as_ptr(),
                        b_row: e,
                        c: out,
                        c_row: e,
                        m: rows,
                        n: e,
                        k: keys,
                        accumulate: true,
                    },
                );
            }
        }
    }
    let layout = Layout::contiguous(queries, heads, e);
    for t in 0..count {
        // SAFETY: rows `first..first + count` of this head are this task's alone, and used one at a time.
        let row = unsafe { result.slice(layout.at(b, first + t, h), e) };
        let sums = &sums[t * e..(t + 1) * e];
        if largest[t] == f32::NEG_INFINITY {
            row.fill(0.0);
            log_sums[t] = f32::NEG_INFINITY;
        } else {
            rows::scaled(cx.isa, sums, 1.0 / sum[t], row);
            log_sums[t] = largest[t] + sum[t].ln();
        }
    }
}
