//! What happens to each row of a block of scores: scale, bias, masks, exponentials, dropout.

use super::Problem;
use crate::kernels::random;
use crate::math;
use crate::simd::{AT_ONCE, Several, Simd};

/// Where a block of scores lies: queries `query..query + rows` of head `h` of example `b`, keys `key..key + keys`.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub b: usize,
    pub h: usize,
    pub query: usize,
    pub rows: usize,
    pub key: usize,
    pub keys: usize,
    /// Distance of rows of the block.
    pub stride: usize,
}

impl Place {
    /// How many of the block's keys row `i` sees, before masks.
    #[inline(always)]
    fn seen(&self, problem: &Problem, i: usize) -> usize {
        let behind = if problem.causal { self.query + i + 1 } else { usize::MAX };
        behind.saturating_sub(self.key).min(self.keys)
    }
}

/// What is added to the scores of row `i`: the bias, or minus infinity where a mask hides the key.
#[inline(always)]
fn addend(problem: &Problem, place: &Place, i: usize, out: &mut [f32]) {
    let index = [place.b, place.h, place.query + i, place.key];
    match &problem.bias {
        Some(bias) if bias.strides[3] == 0 => out.fill(bias.data[bias.at(index)]),
        Some(bias) => out.copy_from_slice(&bias.data[bias.at(index)..][..out.len()]),
        None => out.fill(0.0),
    }
    for mask in problem.masks.iter().flatten() {
        if mask.strides[3] == 0 {
            if mask.data[mask.at(index)] != 0 {
                out.fill(f32::NEG_INFINITY);
            }
        } else {
            for (out, &hidden) in out.iter_mut().zip(&mask.data[mask.at(index)..]) {
                *out = if hidden != 0 { f32::NEG_INFINITY } else { *out };
            }
        }
    }
}

/// Whether row `i` needs an addend of its own, or has that of the first row.
#[inline(always)]
fn addend_changes(problem: &Problem) -> bool {
    problem.bias.is_some_and(|b| b.strides[2] != 0) || problem.masks.iter().flatten().any(|m| m.strides[2] != 0)
}

/// Writes what dropout multiplies the weights of row `i` by.
#[inline(always)]
fn dropout_factors(problem: &Problem, place: &Place, i: usize, out: &mut [f32]) {
    let Some(dropout) = &problem.dropout else { return };
    let row = (place.b * problem.heads + place.h) * problem.queries + place.query + i;
    let first = (row * problem.keys + place.key) as u64;
    random::dropout_factors(dropout.key, dropout.stream, first, dropout.probability, out);
}

/// Running state of the softmax of the rows of a block, and their results.
pub(super) struct Softmax<'a> {
    /// Largest score of each row so far.
    pub largest: &'a mut [f32],
    /// Sum of `e^(score - largest)` of each row so far.
    pub sum: &'a mut [f32],
    /// Two rows of working memory, each of a block's keys.
    pub addend: &'a mut [f32],
    pub factors: &'a mut [f32],
    /// First row of the results, `result_stride` apart and `width` wide: scaled when a larger score is found.
    pub result: *mut f32,
    pub result_stride: usize,
    pub width: usize,
}

/// Scaled products with their addend.
#[inline(always)]
fn score<S: Simd>(s: S, row: &[f32], at: usize, scale: f32, addend: Option<&[f32]>) -> S::F {
    let x = s.mul(s.load_at(row, at), s.splat(scale));
    match addend {
        Some(addend) => s.add(x, s.load_at(addend, at)),
        None => x,
    }
}

/// Turns scores into `e^(score - largest)`, dropped out, in place; updates the state.
#[inline(always)]
fn softmax_body<S: Simd>(s: S, problem: &Problem, place: Place, scores: &mut [f32], state: Softmax) {
    let with_addend = problem.has_addend();
    let changes = addend_changes(problem);
    if with_addend && !changes {
        addend(problem, &place, 0, &mut state.addend[..place.keys]);
    }
    for i in 0..place.rows {
        let seen = place.seen(problem, i);
        let row = &mut scores[i * place.stride..][..place.keys];
        row[seen..].fill(0.0);
        let row = &mut row[..seen];
        if with_addend && changes {
            addend(problem, &place, i, &mut state.addend[..seen]);
        }
        let scale = problem.scale;
        let with_addend = with_addend.then_some(&state.addend[..seen]);
        let (mut largest, mut at) = (s.splat(f32::NEG_INFINITY), 0);
        while at + S::LANES <= seen {
            largest = s.max(score(s, row, at, scale, with_addend), largest);
            at += S::LANES;
        }
        if at < seen {
            let last = s.select(s.first(seen - at), score(s, row, at, scale, with_addend), s.splat(f32::NEG_INFINITY));
            largest = s.max(last, largest);
        }
        let old = state.largest[i];
        let mut new = s.reduce_max(largest);
        let at_place = |j: usize| row[j] * problem.scale + with_addend.map_or(0.0, |addend| addend[j]);
        if new == f32::NEG_INFINITY && (0..seen).any(|j| at_place(j).is_nan()) {
            // `max` passed over the NaN, and beside it there is nothing.
            new = f32::NAN;
        }
        let new = if old.is_nan() || old > new { old } else { new };
        if new == f32::NEG_INFINITY {
            row.fill(0.0);
            continue;
        }
        if new != old {
            let factor = if old == f32::NEG_INFINITY { 0.0 } else { (old - new).exp() };
            state.sum[i] *= factor;
            // SAFETY: the row of the results exists and is this thread's.
            let result =
                unsafe { std::slice::from_raw_parts_mut(state.result.add(i * state.result_stride), state.width) };
            if old != f32::NEG_INFINITY {
                scale_row(s, result, factor);
            }
            state.largest[i] = new;
        }
        let (shift, mut sum, mut at) = (s.splat(new), s.zero(), 0);
        let several = Several::<S, AT_ONCE>::of(s);
        while at + AT_ONCE * S::LANES <= seen {
            let x = score(several, row, at, scale, with_addend);
            let e = math::exp(several, several.sub(x, several.splat(new)));
            several.store_at(row, at, e);
            for e in e {
                sum = s.add(sum, e);
            }
            at += AT_ONCE * S::LANES;
        }
        while at + S::LANES <= seen {
            let e = math::exp(s, s.sub(score(s, row, at, scale, with_addend), shift));
            s.store_at(row, at, e);
            sum = s.add(sum, e);
            at += S::LANES;
        }
        if at < seen {
            let e = math::exp(s, s.sub(score(s, row, at, scale, with_addend), shift));
            s.store_at(row, at, e);
            sum = s.add(sum, s.select(s.first(seen - at), e, s.zero()));
        }
        state.sum[i] += s.sum(sum);
        if problem.dropout.is_some() {
            dropout_factors(problem, &place, i, &mut state.factors[..seen]);
            multiply(s, row, &state.factors[..seen]);
        }
    }
}

crate::simd_kernel! {
    pub(super) fn softmax(problem: &Problem, place: Place, scores: &mut [f32], state: Softmax) = softmax_body;
}

#[inline(always)]
fn scale_row<S: Simd>(s: S, row: &mut [f32], factor: f32) {
    let mut at = 0;
    while at < row.len() {
        let x = s.mul(s.load_at(row, at), s.splat(factor));
        s.store_at(row, at, x);
        at += S::LANES;
    }
}

#[inline(always)]
fn multiply<S: Simd>(s: S, row: &mut [f32], by: &[f32]) {
    let mut at = 0;
    while at < row.len() {
        let x = s.mul(s.load_at(row, at), s.load_at(by, at));
        s.store_at(row, at, x);
        at += S::LANES;
    }
}

/// Writes a row multiplied by a number.
#[inline(always)]
fn scaled_body<S: Simd>(s: S, row: &[f32], factor: f32, out: &mut [f32]) {
    let mut at = 0;
    while at < row.len().min(out.len()) {
        s.store_at(out, at, s.mul(s.load_at(row, at), s.splat(factor)));
        at += S::LANES;
    }
}
crate::simd_kernel! {
    pub(super) fn scaled(row: &[f32], factor: f32, out: &mut [f32]) = scaled_body;
}

/// What the gradient of a block of scores needs beside them.
pub(super) struct Gradients<'a> {
    /// Logarithm of the sum of exponentials of each row.
    pub log_sum: &'a [f32],
    /// First row of the result and of its gradient, `result_stride` apart and `width` wide.
    pub result: &'a [f32],
    pub up: &'a [f32],
    pub result_stride: usize,
    pub width: usize,
    /// What the gradients of the scores are multiplied by.
    pub scale: f32,
    /// Two rows of working memory, each of a block's keys.
    pub addend: &'a mut [f32],
    pub factors: &'a mut [f32],
}

/// Turns scores into weights after dropout, and gradients of weights into gradients of scores, both in place.
#[inline(always)]
fn gradients_body<S: Simd>(s: S, problem: &Problem, place: Place, scores: &mut [f32], of: &mut [f32], g: Gradients) {
    let with_addend = problem.has_addend();
    let changes = addend_changes(problem);
    if with_addend && !changes {
        addend(problem, &place, 0, &mut g.addend[..place.keys]);
    }
    for i in 0..place.rows {
        let log_sum = g.log_sum[i];
        // A query that sees nothing has no gradient.
        let seen = if log_sum == f32::NEG_INFINITY { 0 } else { place.seen(problem, i) };
        let row = &mut scores[i * place.stride..][..place.keys];
        let of = &mut of[i * place.stride..][..place.keys];
        row[seen..].fill(0.0);
        of[seen..].fill(0.0);
        if seen == 0 {
            continue;
        }
        let (row, of) = (&mut row[..seen], &mut of[..seen]);
        if with_addend && changes {
            addend(problem, &place, i, &mut g.addend[..seen]);
        }
        if problem.dropout.is_some() {
            dropout_factors(problem, &place, i, &mut g.factors[..seen]);
        }
        let (result, up) = (&g.result[i * g.result_stride..][..g.width], &g.up[i * g.result_stride..][..g.width]);
        let (mut inner, mut at) = (s.zero(), 0);
        while at < g.width {
            inner = s.mul_add(s.load_at(result, at), s.load_at(up, at), inner);
            at += S::LANES;
        }
        let given = OfRow {
            scale: problem.scale,
            out_scale: g.scale,
            log_sum,
            inner: s.sum(inner),
            addend: if with_addend { Some(&g.addend[..seen]) } else { None },
            factors: if problem.dropout.is_some() { Some(&g.factors[..seen]) } else { None },
        };
        let (several, mut at) = (Several::<S, AT_ONCE>::of(s), 0);
        while at + AT_ONCE * S::LANES <= seen {
            of_row(several, &given, row, of, at);
            at += AT_ONCE * S::LANES;
        }
        while at < seen {
            of_row(s, &given, row, of, at);
            at += S::LANES;
        }
    }
}

/// What the weights of a row and their gradients are made of, beside the products.
struct OfRow<'a> {
    scale: f32,
    out_scale: f32,
    log_sum: f32,
    /// The result times its gradient.
    inner: f32,
    addend: Option<&'a [f32]>,
    factors: Option<&'a [f32]>,
}

/// A vector of a row of [`gradients`].
#[inline(always)]
fn of_row<S: Simd>(s: S, given: &OfRow, row: &mut [f32], of: &mut [f32], at: usize) {
    let x = score(s, row, at, given.scale, given.addend);
    let weight = math::exp(s, s.sub(x, s.splat(given.log_sum)));
    let (mut of_weight, mut after_dropout) = (s.load_at(of, at), weight);
    if let Some(factors) = given.factors {
        let kept = s.load_at(factors, at);
        of_weight = s.mul(of_weight, kept);
        after_dropout = s.mul(weight, kept);
    }
    let of_score = s.mul(weight, s.sub(of_weight, s.splat(given.inner)));
    s.store_at(of, at, s.mul(of_score, s.splat(given.out_scale)));
    s.store_at(row, at, after_dropout);
}

crate::simd_kernel! {
    pub(super) fn gradients(problem: &Problem, place: Place, scores: &mut [f32], of: &mut [f32], g: Gradients)
        = gradients_body;
}
