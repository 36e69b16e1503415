//! Counter-based random numbers and dropout.
//!
//! Philox4x32-10 (Salmon, Moraes, Dror and Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3*, SC 2011) maps a counter
//! and a key to four numbers of 32 bits. Element `i` of a stream takes number `i % 4` of counter `i / 4`, so it does not
//! depend on threads, on vector width or on what was drawn before.

use super::Compute;
use super::context::ELEMENTS_PER_TASK;
use crate::simd::Simd;

/// Counters that are mapped together, so that the compiler can use vectors.
const BLOCKS: usize = 16;

/// Four numbers of 32 bits from a counter and a key.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    philox_blocks(counter.map(|c| [c]), key).map(|lane| lane[0])
}

#[inline(always)]
fn philox_blocks<const N: usize>(counter: [[u32; N]; 4], key: [u32; 2]) -> [[u32; N]; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        for i in 0..N {
            let p = 0xd251_1f53u64 * a[i] as u64;
            let q = 0xcd9e_8d57u64 * c[i] as u64;
            let (b0, d0) = (b[i], d[i]);
            a[i] = (q >> 32) as u32 ^ b0 ^ k0;
            b[i] = q as u32;
            c[i] = (p >> 32) as u32 ^ d0 ^ k1;
            d[i] = p as u32;
        }
        k0 = k0.wrapping_add(0x9e37_79b9);
        k1 = k1.wrapping_add(0xbb67_ae85);
    }
    [a, b, c, d]
}

/// Numbers of elements `first..first + 4 * BLOCKS` of a stream; `first` is a multiple of four.
#[inline(always)]
fn draw(key: u64, stream: u64, first: u64) -> [u32; 4 * BLOCKS] {
    let mut counter = [[0; BLOCKS]; 4];
    for i in 0..BLOCKS {
        let block = first / 4 + i as u64;
        counter[0][i] = block as u32;
        counter[1][i] = (block >> 32) as u32;
        counter[2][i] = stream as u32;
        counter[3][i] = (stream >> 32) as u32;
    }
    let lanes = philox_blocks(counter, [key as u32, (key >> 32) as u32]);
    let mut out = [0; 4 * BLOCKS];
    for i in 0..BLOCKS {
        for lane in 0..4 {
            out[4 * i + lane] = lanes[lane][i];
        }
    }
    out
}

/// Dropout: `y = x * mask / (1 - p)`, where element `i`'s mask is 0 with probability `p` and else 1, a function of
/// (`key`, `stream`, `i`) alone. The gradient is the same function of `dy`. With `p >= 1` the scale is zero. Exact but
/// for the rounding of the scale and of the product.
pub fn dropout(cx: &Compute, key: u64, stream: u64, p: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "dropout: operands of different lengths");
    cx.pool.for_each_chunk(y, ELEMENTS_PER_TASK, |task, y| {
        let first = task * ELEMENTS_PER_TASK;
        dropout_part(cx.isa, key, stream, first as u64, p, &x[first..][..y.len()], y);
    });
}

#[inline(always)]
fn dropout_body<S: Simd>(_: S, key: u64, stream: u64, first: u64, p: f32, x: &[f32], y: &mut [f32]) {
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    let threshold = (p.clamp(0.0, 1.0) as f64 * 4_294_967_296.0) as u64;
    let mut at = first;
    for (x, y) in x.chunks(4 * BLOCKS).zip(y.chunks_mut(4 * BLOCKS)) {
        let random = draw(key, stream, at);
        for i in 0..x.len() {
            y[i] = x[i] * if random[i] as u64 >= threshold { scale } else { 0.0 };
        }
        at += 4 * BLOCKS as u64;
    }
}
crate::simd_kernel! {
    fn dropout_part(key: u64, stream: u64, first: u64, p: f32, x: &[f32], y: &mut [f32]) = dropout_body;
}

/// What [`dropout`] multiplies elements `first..first + out.len()` by, on one thread.
#[inline(always)]
pub(crate) fn dropout_factors(key: u64, stream: u64, first: u64, p: f32, out: &mut [f32]) {
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    let threshold = (p.clamp(0.0, 1.0) as f64 * 4_294_967_296.0) as u64;
    // Numbers are drawn from a multiple of four on.
    let mut skip = (first % 4) as usize;
    let (mut block, mut at) = (first - skip as u64, 0);
    while at < out.len() {
        let random = draw(key, stream, block);
        let count = (random.len() - skip).min(out.len() - at);
        for i in 0..count {
            out[at + i] = if random[skip + i] as u64 >= threshold { scale } else { 0.0 };
        }
        (at, block, skip) = (at + count, block + random.len() as u64, 0);
    }
}

/// Uniform numbers in [0, 1), multiples of `2^-24`: element `i` is a function of (`key`, `stream`, `i`) alone.
pub fn uniform(cx: &Compute, key: u64, stream: u64, y: &mut [f32]) {
    cx.pool.for_each_chunk(y, ELEMENTS_PER_TASK, |task, y| {
        uniform_part(cx.isa, key, stream, (task * ELEMENTS_PER_TASK) as u64, y)
    });
}

#[inline(always)]
fn uniform_body<S: Simd>(_: S, key: u64, stream: u64, first: u64, y: &mut [f32]) {
    let mut at = first;
    for y in y.chunks_mut(4 * BLOCKS) {
        let random = draw(key, stream, at);
        for i in 0..y.len() {
            y[i] = (random[i] >> 8) as f32 * (1.0 / 16_777_216.0);
        }
        at += 4 * BLOCKS as u64;
    }
}
crate::simd_kernel! {
    fn uniform_part(key: u64, stream: u64, first: u64, y: &mut [f32]) = uniform_body;
}
