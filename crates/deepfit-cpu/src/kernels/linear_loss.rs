//! Cross-entropy of a linear layer whose outputs are computed in blocks of classes, of which one is there at a time.
//!
//! Each row's exponentials are summed up beside the largest logit so far: where a block has a larger one, the sum is brought
//! down to it. Errors as of [`super::softmax`], and those of the product.

use super::Compute;
use super::gemm::{Gemm, Matrix};
use super::softmax::{largest, over_rows, sum_of_exponentials};
use crate::math;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// A linear layer on some rows.
#[derive(Clone, Copy)]
pub struct LinearRows<'a> {
    /// `[rows, width]`.
    pub x: &'a [f32],
    /// `[classes, width]`.
    pub weight: &'a [f32],
    /// The class of each row, each below `classes`.
    pub targets: &'a [i32],
    /// Rows, each with a class.
    pub rows: usize,
    /// Inputs of the layer.
    pub width: usize,
    /// Outputs of the layer.
    pub classes: usize,
    /// Classes at a time.
    pub block: usize,
}

impl LinearRows<'_> {
    /// How many `f32` of scratch memory the loss and its gradient need.
    pub fn scratch(&self, cx: &Compute) -> usize {
        let block = self.block.min(self.classes);
        let products = [
            Gemm::new(self.rows, block, self.width).scratch(cx),
            Gemm::new(self.rows, self.width, block).scratch(cx),
            Gemm::new(block, self.width, self.rows).scratch(cx),
        ];
        self.rows * (block + 1) + products.into_iter().max().unwrap_or(0)
    }

    /// The blocks: their first class, and how many they are of.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (block, classes) = (self.block, self.classes);
        (0..classes).step_by(block).map(move |first| (first, block.min(classes - first)))
    }

    fn weight_of(&self, (first, count): (usize, usize)) -> &[f32] {
        &self.weight[first * self.width..][..count * self.width]
    }

    /// The logits of a block, `[rows, count]`.
    fn logits(&self, cx: &Compute, block: (usize, usize), logits: &mut [f32], scratch: &mut [f32]) {
        let x = Matrix::new(self.x, self.width, 1);
        let weight = Matrix::new(self.weight_of(block), 1, self.width);
        Gemm::new(self.rows, block.1, self.width).run(cx, &x, &weight, logits, block.1, scratch);
    }

    /// The rows whose class is in a block, and its place there.
    fn own(&self, (first, count): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
        let place = move |&target: &i32| (target as usize).checked_sub(first).filter(|&place| place < count);
        self.targets.iter().enumerate().filter_map(move |(row, target)| Some((row, place(target)?)))
    }

    /// The loss of each row, and the logarithm of the sum of the exponentials of its logits.
    pub fn loss(&self, cx: &Compute, losses: &mut [f32], sums: &mut [f32], scratch: &mut [f32]) {
        let (total, scratch) = scratch.split_at_mut(self.rows);
        let (buffer, scratch) = scratch.split_at_mut(self.rows * self.block.min(self.classes));
        total.fill(0.0);
        // The largest logits so far; the logits of the rows' own classes.
        let most = sums;
        most.fill(f32::NEG_INFINITY);
        losses.fill(f32::NAN);
        for block in self.blocks() {
            let (count, logits) = (block.1, &mut buffer[..self.rows * block.1]);
            self.logits(cx, block, logits, scratch);
            self.own(block).for_each(|(row, place)| losses[row] = logits[row * count + place]);
            let (most, total, logits) = (SharedMut::new(&mut *most), SharedMut::new(&mut *total), &*logits);
            over_rows(cx, self.rows, count, |row, n| {
                // SAFETY: tasks have different rows.
                let (most, total) = unsafe { (most.slice(row, n), total.slice(row, n)) };
                absorb_rows(cx.isa, &logits[row * count..][..n * count], most, total, count);
            });
        }
        for ((loss, most), total) in losses.iter_mut().zip(most).zip(total) {
            *most += total.ln();
            *loss = *most - *loss;
        }
    }

    /// Gradients of x and, if it is asked for, of the weight. A row's probabilities, from the logarithm of its sum, are
    /// multiplied by its number of `all`; at its class, that of `own` is taken away.
    pub fn gradients(
        &self,
        cx: &Compute,
        [sums, all, own]: [&[f32]; 3],
        of_x: &mut [f32],
        mut of_weight: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        if self.rows == 0 {
            of_weight.into_iter().for_each(|weight| weight.fill(0.0));
            return;
        }
        let (buffer, scratch) = scratch.split_at_mut(self.rows * self.block.min(self.classes));
        for block in self.blocks() {
            let ((first, count), logits) = (block, &mut buffer[..self.rows * block.1]);
            self.logits(cx, block, logits, scratch);
            let shared = SharedMut::new(&mut *logits);
            over_rows(cx, self.rows, count, |row, n| {
                // SAFETY: tasks have different rows.
                let logits = unsafe { shared.slice(row * count, n * count) };
                weigh_rows(cx.isa, logits, &sums[row..][..n], &all[row..][..n], count);
            });
            self.own(block).for_each(|(row, place)| logits[row * count + place] -= own[row]);
            let slopes = Matrix::new(logits, count, 1);
            let weight = Matrix::new(self.weight_of(block), self.width, 1);
            let product = Gemm::new(self.rows, self.width, count).accumulate(first > 0);
            product.run(cx, &slopes, &weight, of_x, self.width, scratch);
            if let Some(of_weight) = &mut of_weight {
                let (slopes, x) = (Matrix::new(logits, 1, count), Matrix::new(self.x, self.width, 1));
                let of_block = &mut of_weight[first * self.width..][..count * self.width];
                Gemm::new(count, self.width, self.rows).run(cx, &slopes, &x, of_block, self.width, scratch);
            }
        }
    }
}

#[inline(always)]
fn absorb_body<S: Simd>(s: S, x: &[f32], most: &mut [f32], total: &mut [f32], cols: usize) {
    for ((x, most), total) in x.chunks_exact(cols).zip(most).zip(total) {
        let here = largest(s, x);
        let shift = if here > *most || here.is_nan() { here } else { *most };
        // Of nothing but minus infinity the sum is 0; a NaN, which may hide from the largest, is in the sum, and stays there.
        let nothing = f32::NEG_INFINITY;
        let more = sum_of_exponentials(s, x, if shift == nothing { 0.0 } else { shift }, None);
        let before = if *most == nothing { *total } else { *total * (*most - shift).exp() };
        (*most, *total) = (shift, before + more);
    }
}
crate::simd_kernel! {
    fn absorb_rows(x: &[f32], most: &mut [f32], total: &mut [f32], cols: usize) = absorb_body;
}

#[inline(always)]
fn weigh_body<S: Simd>(s: S, x: &mut [f32], sums: &[f32], all: &[f32], cols: usize) {
    for ((x, &sum), &all) in x.chunks_exact_mut(cols).zip(sums).zip(all) {
        let (sum, all) = (s.splat(sum), s.splat(all));
        let mut i = 0;
        while i < cols {
            let v = s.mul(math::exp(s, s.sub(s.load_at(x, i), sum)), all);
            s.store_at(x, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn weigh_rows(x: &mut [f32], sums: &[f32], all: &[f32], cols: usize) = weigh_body;
}
