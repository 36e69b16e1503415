//! The backward pass.

use std::ops::Range;

use super::product::{self, Product};
use super::rows::{self, Gradients, Place};
use super::{KEYS, Layout, Problem, ROWS, transpose};
use crate::kernels::Compute;
use crate::pool::SharedMut;

/// With fewer (example, key head) pairs than this, queries and keys are cut into tasks too, and the scores are computed
/// once for the gradients of keys and values and once more for that of queries.
const ENOUGH_TASKS: usize = 8;

/// What the forward pass gave, and the gradient of its result.
#[derive(Clone, Copy)]
pub struct Upstream<'a> {
    /// What the attention gave, `[batch, queries, heads, e]`.
    pub result: &'a [f32],
    /// Logarithm of the sum of exponentials of the scores of each row, `[batch, heads, queries]`.
    pub log_sums: &'a [f32],
    /// Gradient of the loss by the result, in its shape.
    pub up: &'a [f32],
}

/// The gradients to be written, each laid out as its input; they may lie in one array.
#[derive(Clone, Copy)]
pub struct Targets<'a> {
    /// Gradient of the queries.
    pub query: (SharedMut<'a, f32>, Layout),
    /// Gradient of the keys.
    pub key: (SharedMut<'a, f32>, Layout),
    /// Gradient of the values.
    pub value: (SharedMut<'a, f32>, Layout),
}

/// The gradient of the bias: axis lengths, 1 where the bias is repeated, and strides, 0 there.
pub struct BiasTarget<'a> {
    /// Where it is written.
    pub data: &'a mut [f32],
    /// Axis lengths of the bias along `[batch, heads, queries, keys]`.
    pub lengths: [usize; 4],
    /// Steps along these axes, in numbers.
    pub strides: [usize; 4],
}

/// Working memory of one thread.
fn of_worker(d: usize, e: usize) -> usize {
    (d + e) * KEYS + 2 * ROWS * KEYS + 2 * KEYS
}

/// How many `f32` of scratch [`attention_backward`] needs.
pub fn attention_backward_scratch(threads: usize, d: usize, e: usize) -> usize {
    threads * of_worker(d, e)
}

/// One thread's working memory.
struct Own<'a> {
    key: &'a mut [f32],
    value: &'a mut [f32],
    scores: &'a mut [f32],
    of_scores: &'a mut [f32],
    addend: &'a mut [f32],
    factors: &'a mut [f32],
}

impl<'a> Own<'a> {
    fn new(own: &'a mut [f32], d: usize, e: usize) -> Self {
        let (key, own) = own.split_at_mut(d * KEYS);
        let (value, own) = own.split_at_mut(e * KEYS);
        let (scores, own) = own.split_at_mut(ROWS * KEYS);
        let (of_scores, own) = own.split_at_mut(ROWS * KEYS);
        let (addend, factors) = own.split_at_mut(KEYS);
        Own { key, value, scores, of_scores, addend, factors }
    }
}

struct Pass<'a> {
    cx: &'a Compute<'a>,
    problem: &'a Problem<'a>,
    upstream: Upstream<'a>,
    targets: Targets<'a>,
    /// Of the result and its gradient.
    layout: Layout,
}

/// Gradients of query, key and value from the gradient `[batch, queries, heads, e]` of the result, and that of the bias if
/// it is wanted.
///
/// # Panics
/// If an operand or the scratch memory is too short.
pub fn attention_backward(
    cx: &Compute,
    problem: &Problem,
    upstream: Upstream,
    targets: Targets,
    bias: Option<BiasTarget>,
    scratch: &mut [f32],
) {
    problem.check();
    let &Problem { batch, queries, keys, heads, kv_heads, d, e, .. } = problem;
    let layout = Layout::contiguous(queries, heads, e);
    assert_eq!(upstream.result.len(), batch * queries * heads * e, "attention: result");
    assert_eq!(upstream.up.len(), upstream.result.len(), "attention: gradient of the result");
    assert_eq!(upstream.log_sums.len(), batch * heads * queries, "attention: logarithms of sums");
    let pass = Pass { cx, problem, upstream, targets, layout };
    let scratch = SharedMut::new(scratch);
    let pairs = batch * kv_heads;
    let size = of_worker(d, e);
    let own = |worker| {
        // SAFETY: each worker index is used by one thread at a time, for one task at a time.
        Own::new(unsafe { scratch.slice(worker * size, size) }, d, e)
    };
    let of_group = |kv: usize| kv * problem.group()..(kv + 1) * problem.group();
    if pairs >= ENOUGH_TASKS {
        cx.pool.run(pairs, &|task, worker| {
            let (b, kv) = (task / kv_heads, task % kv_heads);
            pass.run(b, kv, of_group(kv), 0..queries, 0..keys, true, true, &mut own(worker));
        });
    } else {
        let parts = keys.div_ceil(KEYS);
        cx.pool.run(pairs * parts, &|task, worker| {
            let (pair, part) = (task / parts, task % parts);
            let (b, kv) = (pair / kv_heads, pair % kv_heads);
            let part = part * KEYS..keys.min((part + 1) * KEYS);
            pass.run(b, kv, of_group(kv), 0..queries, part, false, true, &mut own(worker));
        });
        let parts = queries.div_ceil(ROWS);
        cx.pool.run(batch * heads * parts, &|task, worker| {
            let (row, part) = (task / parts, task % parts);
            let (b, h) = (row / heads, row % heads);
            let part = part * ROWS..queries.min((part + 1) * ROWS);
            pass.run(b, h / problem.group(), h..h + 1, part, 0..keys, true, false, &mut own(worker));
        });
    }
    if let Some(BiasTarget { data, lengths, strides }) = bias {
        data.fill(0.0);
        let data = SharedMut::new(data);
        // A task has whole rows of the bias, and adds up all that is repeated along the other axes.
        let parts = if lengths[2] == 1 { 1 } else { queries.div_ceil(ROWS) };
        cx.pool.run(lengths[0] * lengths[1] * parts, &|task, worker| {
            let (row, part) = (task / parts, task % parts);
            let (b, h) = (row / lengths[1], row % lengths[1]);
            let all = |own: usize, length: usize, all: usize| if length == 1 { 0..all } else { own..own + 1 };
            let part = if lengths[2] == 1 { 0..queries } else { part * ROWS..queries.min((part + 1) * ROWS) };
            for b in all(b, lengths[0], batch) {
                for h in all(h, lengths[1], heads) {
                    pass.bias(b, h, part.clone(), &data, &strides, &mut own(worker));
                }
            }
        });
    }
}

impl Pass<'_> {
    /// Gradients of some queries (of some heads of one group) or of some keys and values, from all that has to do with
    /// them.
    fn run(
        &self,
        b: usize,
        kv: usize,
        heads: Range<usize>,
        queries: Range<usize>,
        keys: Range<usize>,
        of_query: bool,
        of_key: bool,
        own: &mut Own,
    ) {
        let Pass { cx, problem, targets, layout, .. } = self;
        let (d, e) = (problem.d, problem.e);
        let clear = |target: &(SharedMut<f32>, Layout), t: usize, h: usize, width: usize| {
            // SAFETY: the gradients of these rows are this task's alone.
            unsafe { target.0.slice(target.1.at(b, t, h), width) }.fill(0.0);
        };
        if of_query {
            heads.clone().for_each(|h| queries.clone().for_each(|t| clear(&targets.query, t, h, d)));
        }
        if of_key {
            keys.clone().for_each(|t| clear(&targets.key, t, kv, d));
            keys.clone().for_each(|t| clear(&targets.value, t, kv, e));
        }
        for h in heads {
            self.blocks(b, h, queries.clone(), keys.clone(), problem.scale, own, |place, weights, of_scores| {
                let &Place { query, rows, key, keys, .. } = place;
                let at = |target: &(SharedMut<f32>, Layout), t: usize, h: usize| {
                    (target.0.as_mut_ptr().wrapping_add(target.1.at(b, t, h)), target.1.row)
                };
                let block = |a: &[f32], transposed: bool, b: (*const f32, usize), c: (*mut f32, usize), n: usize| {
                    let (a_row, a_col) = if transposed { (1, KEYS) } else { (KEYS, 1) };
                    let (m, k) = if transposed { (keys, rows) } else { (rows, keys) };
                    let (b, b_row) = b;
                    let (c, c_row) = c;
                    // SAFETY: the blocks hold ROWS x KEYS numbers; the other operands exist by `check` and by the
                    // lengths checked above; the gradients are this task's alone and exist, laid out as the inputs.
                    unsafe {
                        let a = a.as_ptr();
                        product::run(
                            cx.isa,
                            Product { a, a_row, a_col, b, b_row, c, c_row, m, n, k, accumulate: true },
                        );
                    }
                };
                if of_key {
                    let up = (self.upstream.up[layout.at(b, query, h)..].as_ptr(), layout.row);
                    block(weights, true, up, at(&targets.value, key, kv), e);
                    let rows = (problem.query.0[problem.query.1.at(b, query, h)..].as_ptr(), problem.query.1.row);
                    block(of_scores, true, rows, at(&targets.key, key, kv), d);
                }
                if of_query {
                    let rows = (problem.key.0[problem.key.1.at(b, key, kv)..].as_ptr(), problem.key.1.row);
                    block(of_scores, false, rows, at(&targets.query, query, h), d);
                }
            });
        }
    }

    /// Adds the gradients of some rows of scores to that of the bias.
    fn bias(
        &self,
        b: usize,
        h: usize,
        queries: Range<usize>,
        data: &SharedMut<f32>,
        strides: &[usize; 4],
        own: &mut Own,
    ) {
        self.blocks(b, h, queries, 0..self.problem.keys, 1.0, own, |place, _, of_scores| {
            for i in 0..place.rows {
                let start = b * strides[0] + h * strides[1] + (place.query + i) * strides[2] + place.key * strides[3];
                let row = &of_scores[i * KEYS..][..place.keys];
                // SAFETY: these rows of the bias are this task's alone.
                let out = unsafe { data.slice(start, if strides[3] == 0 { 1 } else { place.keys }) };
                if strides[3] == 0 {
                    out[0] += row.iter().sum::<f32>();
                } else {
                    out.iter_mut().zip(row).for_each(|(out, of)| *out += of);
                }
            }
        });
    }

    /// Calls `f(place, weights after dropout, gradients of the scores times scale)` for each block in which a query sees a
    /// key: keys in the outer loop, both ascending.
    fn blocks(
        &self,
        b: usize,
        h: usize,
        queries: Range<usize>,
        keys: Range<usize>,
        scale: f32,
        own: &mut Own,
        f: impl Fn(&Place, &[f32], &[f32]),
    ) {
        let Pass { cx, problem, upstream, layout, .. } = self;
        let (d, e, kv) = (problem.d, problem.e, h / problem.group());
        let last = keys.end.min(problem.keys_of(b));
        let last = if problem.causal { last.min(queries.end) } else { last };
        for key in (keys.start..last).step_by(KEYS) {
            let count = KEYS.min(last - key);
            transpose(problem.key.0, problem.key.1.at(b, key, kv), problem.key.1.row, count, d, own.key);
            transpose(problem.value.0, problem.value.1.at(b, key, kv), problem.value.1.row, count, e, own.value);
            // With a causal mask, earlier queries see nothing of this block.
            let skip = if problem.causal { key.saturating_sub(queries.start) / ROWS * ROWS } else { 0 };
            for query in (queries.start + skip..queries.end).step_by(ROWS) {
                let rows = ROWS.min(queries.end - query);
                let keys = if problem.causal { count.min((query + rows).saturating_sub(key)) } else { count };
                if keys == 0 {
                    continue;
                }
                let place = Place { b, h, query, rows, key, keys, stride: KEYS };
                let block = |a: *const f32, a_row: usize, b: &[f32], c: &mut [f32], k: usize| {
                    let n = keys.next_multiple_of(cx.isa.lanes());
                    let (b, c) = (b.as_ptr(), c.as_mut_ptr());
                    let (a_col, b_row, c_row, m) = (1, KEYS, KEYS, rows);
                    // SAFETY: rows of the query and of the result's gradient exist by the checks at the beginning; the
                    // transposed blocks are filled up to a multiple of the vectors; the scores hold ROWS x KEYS.
                    unsafe {
                        product::run(
                            cx.isa,
                            Product { a, a_row, a_col, b, b_row, c, c_row, m, n, k, accumulate: false },
                        );
                    }
                };
                let at = layout.at(b, query, h);
                let row = problem.query.0[problem.query.1.at(b, query, h)..].as_ptr();
                block(row, problem.query.1.row, own.key, own.scores, d);
                block(upstream.up[at..].as_ptr(), layout.row, own.value, own.of_scores, e);
                let first = (b * problem.heads + h) * problem.queries + query;
                let gradients = Gradients {
                    log_sum: &upstream.log_sums[first..first + rows],
                    result: &upstream.result[at..],
                    up: &upstream.up[at..],
                    result_stride: layout.row,
                    width: e,
                    scale,
                    addend: own.addend,
                    factors: own.factors,
                };
                rows::gradients(cx.isa, problem, place, own.scores, own.of_scores, gradients);
                f(&place, own.scores, own.of_scores);
            }
        }
    }
}
