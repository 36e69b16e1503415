//! One step of one row: what the gates do with the product.

use crate::math::{sigmoid, tanh};
use crate::simd::Simd;

/// What one step computes from its projected input `a` and `u`, the product of the recurrent weights with `h`, plus bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// `h' = tanh(a + u)`
    Tanh,
    /// `h' = max(a + u, 0)`
    Relu,
    /// Gates `i, f, g, o`; `c' = f c + i g`, `h' = o tanh(c')`.
    Lstm,
    /// Gates `r, z, n`; `n = tanh(a_n + r u_n)`, `h' = (1 - z) n + z h`.
    Gru,
}

impl Cell {
    /// Rows of the weights for each unit.
    pub fn gates(self) -> usize {
        match self {
            Cell::Tanh | Cell::Relu => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// Gate values for each unit that the backward pass needs.
    pub fn saved(self) -> usize {
        match self {
            Cell::Tanh | Cell::Relu => 0,
            Cell::Lstm | Cell::Gru => 4,
        }
    }
}

/// A row of a step, forward. Arrays of several gates have them one after the other.
pub(super) struct Forward<'a> {
    /// Projected input, all gates.
    pub input: &'a [f32],
    /// Product with `h`, all gates.
    pub product: &'a [f32],
    /// Its bias, all gates.
    pub bias: &'a [f32],
    /// Old, then new.
    pub h: &'a mut [f32],
    /// Old, then new; empty without a cell.
    pub c: &'a mut [f32],
    /// New `h` once more.
    pub output: &'a mut [f32],
    /// What the backward pass needs; empty where nothing is saved.
    pub gates: &'a mut [f32],
    /// New `c` once more; empty where nothing is saved.
    pub cells: &'a mut [f32],
}

/// A row of a step, backward.
pub(super) struct Backward<'a> {
    /// Gradient of the output of this step; empty: zero.
    pub upstream: &'a [f32],
    pub output: &'a [f32],
    pub gates: &'a [f32],
    pub cells: &'a [f32],
    /// `h` before this step; empty: zero. Used by the GRU.
    pub old_h: &'a [f32],
    /// `c` before this step; empty: zero.
    pub old_c: &'a [f32],
    /// Gradient of `h` after this step; then the part of the gradient of `h` before it that skips the product.
    pub dh: &'a mut [f32],
    /// Gradient of `c` after, then before this step; empty without a cell.
    pub dc: &'a mut [f32],
    /// Gradient of the projected input, all gates.
    pub input: &'a mut [f32],
    /// Gradient of `u_n` of a GRU; empty for others.
    pub inner: &'a mut [f32],
}

/// The parts of several gates.
#[inline(always)]
fn parts<const N: usize>(all: &[f32], n: usize) -> [&[f32]; N] {
    std::array::from_fn(|g| &all[g * n..][..n])
}

/// The parts of several gates, to write them; all empty if `all` is.
#[inline(always)]
fn parts_mut<const N: usize>(mut all: &mut [f32]) -> [&mut [f32]; N] {
    let n = all.len() / N;
    std::array::from_fn(|_| {
        let (part, rest) = std::mem::take(&mut all).split_at_mut(n);
        all = rest;
        part
    })
}

#[inline(always)]
fn forward_body<S: Simd>(s: S, cell: Cell, row: &mut Forward<'_>) {
    match cell {
        Cell::Tanh | Cell::Relu => simple_forward(s, cell, row),
        Cell::Lstm => lstm_forward(s, row),
        Cell::Gru => gru_forward(s, row),
    }
}

#[inline(always)]
fn simple_forward<S: Simd>(s: S, cell: Cell, row: &mut Forward<'_>) {
    let n = row.h.len();
    let (input, product, bias) = (&row.input[..n], &row.product[..n], &row.bias[..n]);
    let (h, output) = (&mut row.h[..n], &mut row.output[..n]);
    let mut i = 0;
    while i < n {
        let x = s.add(s.load_at(input, i), s.add(s.load_at(product, i), s.load_at(bias, i)));
        let v = if cell == Cell::Relu { s.max(s.zero(), x) } else { tanh(s, x) };
        s.store_at(h, i, v);
        s.store_at(output, i, v);
        i += S::LANES;
    }
}

#[inline(always)]
fn lstm_forward<S: Simd>(s: S, row: &mut Forward<'_>) {
    let n = row.h.len();
    let (input, product, bias): ([_; 4], [_; 4], [_; 4]) =
        (parts(row.input, n), parts(row.product, n), parts(row.bias, n));
    let (h, c, output) = (&mut row.h[..n], &mut row.c[..n], &mut row.output[..n]);
    let save = !row.gates.is_empty();
    let gates: [_; 4] = parts_mut(row.gates);
    let mut i = 0;
    while i < n {
        let mut x = [s.zero(); 4];
        for g in 0..4 {
            x[g] = s.add(s.load_at(input[g], i), s.add(s.load_at(product[g], i), s.load_at(bias[g], i)));
        }
        let values = [sigmoid(s, x[0]), sigmoid(s, x[1]), tanh(s, x[2]), sigmoid(s, x[3])];
        let cell = s.mul_add(values[1], s.load_at(c, i), s.mul(values[0], values[2]));
        let v = s.mul(values[3], tanh(s, cell));
        s.store_at(c, i, cell);
        s.store_at(h, i, v);
        s.store_at(output, i, v);
        if save {
            for g in 0..4 {
                s.store_at(gates[g], i, values[g]);
            }
            s.store_at(row.cells, i, cell);
        }
        i += S::LANES;
    }
}

#[inline(always)]
fn gru_forward<S: Simd>(s: S, row: &mut Forward<'_>) {
    let n = row.h.len();
    let (input, product, bias): ([_; 3], [_; 3], [_; 3]) =
        (parts(row.input, n), parts(row.product, n), parts(row.bias, n));
    let (h, output) = (&mut row.h[..n], &mut row.output[..n]);
    let save = !row.gates.is_empty();
    let gates: [_; 4] = parts_mut(row.gates);
    let mut i = 0;
    while i < n {
        let mut u = [s.zero(); 3];
        for g in 0..3 {
            u[g] = s.add(s.load_at(product[g], i), s.load_at(bias[g], i));
        }
        let r = sigmoid(s, s.add(s.load_at(input[0], i), u[0]));
        let z = sigmoid(s, s.add(s.load_at(input[1], i), u[1]));
        let new = tanh(s, s.mul_add(r, u[2], s.load_at(input[2], i)));
        let v = s.mul_add(z, s.sub(s.load_at(h, i), new), new);
        s.store_at(h, i, v);
        s.store_at(output, i, v);
        if save {
            let values = [r, z, new, u[2]];
            for g in 0..4 {
                s.store_at(gates[g], i, values[g]);
            }
        }
        i += S::LANES;
    }
}

crate::simd_kernel! {
    /// Takes a row one step forward.
    pub(super) fn forward(cell: Cell, row: &mut Forward<'_>) = forward_body;
}

#[inline(always)]
fn backward_body<S: Simd>(s: S, cell: Cell, row: &mut Backward<'_>) {
    match cell {
        Cell::Tanh | Cell::Relu => simple_backward(s, cell, row),
        Cell::Lstm => lstm_backward(s, row),
        Cell::Gru => gru_backward(s, row),
    }
}

/// `x (1 - x)`, the derivative of the logistic function by its value.
#[inline(always)]
fn slope<S: Simd>(s: S, x: S::F) -> S::F {
    s.mul(x, s.sub(s.splat(1.0), x))
}

#[inline(always)]
fn simple_backward<S: Simd>(s: S, cell: Cell, row: &mut Backward<'_>) {
    let n = row.dh.len();
    let (output, dh, input) = (&row.output[..n], &mut row.dh[..n], &mut row.input[..n]);
    let mut i = 0;
    while i < n {
        let d = s.add(s.load_at(dh, i), s.load_at(row.upstream, i));
        let y = s.load_at(output, i);
        let v = if cell == Cell::Relu {
            s.select(s.le(y, s.zero()), s.zero(), d)
        } else {
            s.mul(d, s.sub(s.splat(1.0), s.mul(y, y)))
        };
        s.store_at(input, i, v);
        s.store_at(dh, i, s.zero());
        i += S::LANES;
    }
}

#[inline(always)]
fn lstm_backward<S: Simd>(s: S, row: &mut Backward<'_>) {
    let n = row.dh.len();
    let gates: [_; 4] = parts(row.gates, n);
    let (cells, dh, dc) = (&row.cells[..n], &mut row.dh[..n], &mut row.dc[..n]);
    let input: [_; 4] = parts_mut(row.input);
    let one = s.splat(1.0);
    let mut at = 0;
    while at < n {
        let (i, f) = (s.load_at(gates[0], at), s.load_at(gates[1], at));
        let (g, o) = (s.load_at(gates[2], at), s.load_at(gates[3], at));
        let d = s.add(s.load_at(dh, at), s.load_at(row.upstream, at));
        let t = tanh(s, s.load_at(cells, at));
        let dcell = s.mul_add(s.mul(d, o), s.sub(one, s.mul(t, t)), s.load_at(dc, at));
        let old = s.load_at(row.old_c, at);
        let values = [
            s.mul(s.mul(dcell, g), slope(s, i)),
            s.mul(s.mul(dcell, old), slope(s, f)),
            s.mul(s.mul(dcell, i), s.sub(one, s.mul(g, g))),
            s.mul(s.mul(d, t), slope(s, o)),
        ];
        for k in 0..4 {
            s.store_at(input[k], at, values[k]);
        }
        s.store_at(dc, at, s.mul(dcell, f));
        s.store_at(dh, at, s.zero());
        at += S::LANES;
    }
}

#[inline(always)]
fn gru_backward<S: Simd>(s: S, row: &mut Backward<'_>) {
    let n = row.dh.len();
    let gates: [_; 4] = parts(row.gates, n);
    let (dh, inner) = (&mut row.dh[..n], &mut row.inner[..n]);
    let input: [_; 3] = parts_mut(row.input);
    let one = s.splat(1.0);
    let mut i = 0;
    while i < n {
        let (r, z) = (s.load_at(gates[0], i), s.load_at(gates[1], i));
        let (new, q) = (s.load_at(gates[2], i), s.load_at(gates[3], i));
        let d = s.add(s.load_at(dh, i), s.load_at(row.upstream, i));
        let dn = s.mul(s.mul(d, s.sub(one, z)), s.sub(one, s.mul(new, new)));
        let old = s.load_at(row.old_h, i);
        let values = [s.mul(s.mul(dn, q), slope(s, r)), s.mul(s.mul(d, s.sub(old, new)), slope(s, z)), dn];
        for k in 0..3 {
            s.store_at(input[k], i, values[k]);
        }
        s.store_at(inner, i, s.mul(dn, r));
        s.store_at(dh, i, s.mul(d, z));
        i += S::LANES;
    }
}

crate::simd_kernel! {
    /// Takes the gradients of a row one step back.
    pub(super) fn backward(cell: Cell, row: &mut Backward<'_>) = backward_body;
}
