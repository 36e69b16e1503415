//! Scaled dot-product attention, block by block (Dao, Fu, Ermon, Rudra and Ré, *FlashAttention*, NeurIPS 2022).
//!
//! Scores exist only as a block of some queries against some keys, in the cache. The forward pass keeps each row's largest
//! score and sum of exponentials and rescales what it has summed when a larger score appears; the backward pass makes the
//! weights again from the logarithm of that sum. A row's result does not depend on how queries are shared among tasks,
//! and sums over queries or keys run in ascending order, so the bits do not depend on the number of threads.
//!
//! Error of a result: about `1e-6` of the largest value that the query sees, more by the rounding of scores,
//! `d * 2^-24 * |scale| * |q| |k|`.

mod backward;
mod forward;
mod product;
mod rows;

pub use backward::{BiasTarget, Targets, Upstream, attention_backward, attention_backward_scratch};
pub use forward::{attention, attention_scratch};

use super::gemm;
use crate::simd::Simd;

/// Queries of a block.
const ROWS: usize = 64;
/// Keys of a block: with the rows, a block of scores fits the first-level cache.
const KEYS: usize = 128;

/// Where the rows of a head lie: row `t` of head `h` of example `b` begins at `start + b * batch + t * row + h * head`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Offset of the first row of the first head of the first example, in numbers, as all of these.
    pub start: usize,
    /// From an example to the next.
    pub batch: usize,
    /// From a row to the next.
    pub row: usize,
    /// From a head to the next.
    pub head: usize,
}

impl Layout {
    /// `[batch, length, heads, width]`.
    pub fn contiguous(length: usize, heads: usize, width: usize) -> Layout {
        Layout { start: 0, batch: length * heads * width, row: heads * width, head: width }
    }

    fn at(&self, b: usize, t: usize, h: usize) -> usize {
        self.start + b * self.batch + t * self.row + h * self.head
    }
}

/// An array that broadcasts to the scores `[batch, heads, queries, keys]`: strides are 0 where it is repeated.
#[derive(Clone, Copy)]
pub struct Broadcast<'a, T> {
    /// The values.
    pub data: &'a [T],
    /// Steps along `[batch, heads, queries, keys]`, in elements.
    pub strides: [usize; 4],
}

impl<T> Broadcast<'_, T> {
    #[inline(always)]
    fn at(&self, index: [usize; 4]) -> usize {
        (0..4).fold(0, |at, axis| at + index[axis] * self.strides[axis])
    }
}

/// Dropout of the weights: see [`random::dropout`](super::random::dropout).
#[derive(Clone, Copy)]
pub struct WeightDropout {
    /// Key of all random numbers of the run.
    pub key: u64,
    /// What tells them from those of other layers.
    pub stream: u64,
    /// Share of the weights that are dropped, in 0..1.
    pub probability: f32,
}

/// Most boolean masks.
pub const MAX_MASKS: usize = 4;

/// An attention: sizes, options and inputs.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    /// Examples.
    pub batch: usize,
    /// Queries of each example.
    pub queries: usize,
    /// Keys, and values, of each example.
    pub keys: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Divides `heads`; head `h` reads key head `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Width of query and key.
    pub d: usize,
    /// Width of value and result.
    pub e: usize,
    /// Factor of the scores before the softmax.
    pub scale: f32,
    /// Whether query `i` sees keys 0 to `i` alone.
    pub causal: bool,
    /// `[batch, queries, heads, d]`, where the layout says.
    pub query: (&'a [f32], Layout),
    /// `[batch, keys, kv_heads, d]`.
    pub key: (&'a [f32], Layout),
    /// `[batch, keys, kv_heads, e]`.
    pub value: (&'a [f32], Layout),
    /// Is added to the scores.
    pub bias: Option<Broadcast<'a, f32>>,
    /// Keys are hidden where one is not 0.
    pub masks: [Option<Broadcast<'a, u8>>; MAX_MASKS],
    /// Number of keys of each example.
    pub lengths: Option<&'a [i32]>,
    /// Which weights are dropped, in training.
    pub dropout: Option<WeightDropout>,
}

impl Problem<'_> {
    fn has_addend(&self) -> bool {
        self.bias.is_some() || self.masks[0].is_some()
    }

    /// Keys of an example that are not behind its number of keys.
    fn keys_of(&self, b: usize) -> usize {
        self.lengths.map_or(self.keys, |lengths| usize::try_from(lengths[b]).unwrap_or(0).min(self.keys))
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Panics unless every row that the layouts name exists.
    fn check(&self) {
        let holds = |len: usize, layout: &Layout, length: usize, heads: usize, width: usize| {
            self.batch * length * heads == 0 || layout.at(self.batch - 1, length - 1, heads - 1) + width <= len
        };
        assert!(self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads), "attention: heads do not form groups");
        assert!(holds(self.query.0.len(), &self.query.1, self.queries, self.heads, self.d), "attention: short query");
        assert!(holds(self.key.0.len(), &self.key.1, self.keys, self.kv_heads, self.d), "attention: short key");
        assert!(holds(self.value.0.len(), &self.value.1, self.keys, self.kv_heads, self.e), "attention: short value");
    }
}

/// `dst[c * KEYS + j] = src[at + j * stride + c]` for `rows` rows of `width`, and zeros for the other `j` up to `KEYS`.
fn transpose(src: &[f32], at: usize, stride: usize, rows: usize, width: usize, dst: &mut [f32]) {
    if rows > 0 {
        gemm::transpose(&src[at..], stride, rows, width, KEYS, dst);
    }
}

#[inline(always)]
fn gather_body<S: Simd>(s: S, src: &[f32], at: usize, stride: usize, rows: usize, width: usize, dst: &mut [f32]) {
    for row in 0..rows {
        let (from, to) = (&src[at + row * stride..][..width], &mut dst[row * width..][..width]);
        let mut at = 0;
        while at < width {
            s.store_at(to, at, s.load_at(from, at));
            at += S::LANES;
        }
    }
}

crate::simd_kernel! {
    /// Copies `rows` rows of `width`, `stride` apart, to rows without gaps: the rows of a head lie as far apart as all heads
    /// are wide, often in the same few sets of a cache, which would not hold a block of them.
    fn gather(src: &[f32], at: usize, stride: usize, rows: usize, width: usize, dst: &mut [f32]) = gather_body;
}
