//! Kernels of attention.

use deepfit_graph::ops::{Attention, AttentionGrad, RelativeBuckets};

use super::is_kernel;
use crate::error::Error;
use crate::executor::{Call, Fault, Kernel, Shapes};
use crate::kernels::Compute;
use crate::kernels::attention::*;
use crate::pool::SharedMut;

is_kernel!(Attention, AttentionGrad, RelativeBuckets);

/// Sizes of an attention in one run.
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    kv_heads: usize,
    d: usize,
    e: usize,
    /// Of query, key and value, and of their gradients.
    layouts: [Layout; 3],
}

impl Sizes {
    fn new(op: &Attention, shapes: &Shapes) -> Sizes {
        let query = shapes.input(0);
        let (batch, queries, all, d) = (query[0], query[1], query[2], query[3]);
        if let Some(kv_heads) = op.packed {
            let heads = all - 2 * kv_heads;
            let whole = Layout::contiguous(queries, all, d);
            let from = |head: usize| Layout { start: head * d, ..whole };
            let layouts = [whole, from(heads), from(heads + kv_heads)];
            return Sizes { batch, queries, keys: queries, heads, kv_heads, d, e: d, layouts };
        }
        let (key, value) = (shapes.input(1), shapes.input(2));
        let (keys, kv_heads, e) = (key[1], key[2], value[3]);
        let layouts = [
            Layout::contiguous(queries, all, d),
            Layout::contiguous(keys, kv_heads, d),
            Layout::contiguous(keys, kv_heads, e),
        ];
        Sizes { batch, queries, keys, heads: all, kv_heads, d, e, layouts }
    }
}

/// Axis lengths, and strides that are 0 along axes of length 1, of a shape seen as one of four axes.
fn broadcast(shape: &[usize]) -> ([usize; 4], [usize; 4]) {
    let (mut lengths, mut strides) = ([1; 4], [0; 4]);
    lengths[4 - shape.len()..].copy_from_slice(shape);
    let mut stride = 1;
    for axis in (0..4).rev() {
        strides[axis] = if lengths[axis] == 1 { 0 } else { stride };
        stride *= lengths[axis];
    }
    (lengths, strides)
}

fn problem<'a>(op: &Attention, call: &Call<'a>) -> Problem<'a> {
    let s = Sizes::new(op, call.shapes());
    let places = op.inputs();
    let packed = op.packed.is_some();
    let data = |i: usize| call.input(if packed { 0 } else { i });
    let strides = |i: usize| broadcast(call.shapes().input(i)).1;
    let mut masks = [None; MAX_MASKS];
    for (i, mask) in masks.iter_mut().take(op.masks).enumerate() {
        let place = places.masks + i;
        *mask = Some(Broadcast { data: call.input_u8(place), strides: strides(place) });
    }
    let dropout = op.dropout.as_ref().zip(places.key).map(|(dropout, place)| {
        let word = |i: usize| u64::from(call.input_i32(place)[i] as u32);
        WeightDropout {
            key: word(0) | (word(1) ^ word(3)) << 32,
            stream: u64::from(dropout.stream) | word(2) << 32,
            probability: dropout.probability,
        }
    });
    Problem {
        batch: s.batch,
        queries: s.queries,
        keys: s.keys,
        heads: s.heads,
        kv_heads: s.kv_heads,
        d: s.d,
        e: s.e,
        scale: op.scale,
        causal: op.causal,
        query: (data(0), s.layouts[0]),
        key: (data(1), s.layouts[1]),
        value: (data(2), s.layouts[2]),
        bias: places.bias.map(|i| Broadcast { data: call.input(i), strides: strides(i) }),
        masks,
        lengths: places.lengths.map(|i| call.input_i32(i)),
        dropout,
    }
}

impl Kernel for Attention {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        let Sizes { d, e, .. } = Sizes::new(self, shapes);
        attention_scratch(cx.pool.threads(), d, e)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let problem = problem(self, call);
        check_lengths(&problem, self.allow_hidden).map_err(Fault::Index)?;
        let log_sums = call.output(1);
        attention(call.compute(), &problem, call.output(0), log_sums, call.scratch());
        if self.allow_hidden {
            return Ok(());
        }
        match log_sums.iter().position(|&log_sum| log_sum == f32::NEG_INFINITY) {
            Some(row) => {
                let (queries, heads) = (problem.queries, problem.heads);
                let (example, head, query) = (row / queries / heads, row / queries % heads, row % queries);
                Err(Fault::Index(Error::HiddenQuery { example, head, query }))
            }
            None => Ok(()),
        }
    }
}

/// Checks that each example has at least one key, unless it may have none, and at most all.
fn check_lengths(problem: &Problem<'_>, allow_hidden: bool) -> Result<(), Error> {
    let (least, most) = (usize::from(!allow_hidden), problem.keys);
    let fits = |length: i32| usize::try_from(length).is_ok_and(|n| (least..=most).contains(&n));
    match problem.lengths.and_then(|lengths| Some((lengths, lengths.iter().position(|&n| !fits(n))?))) {
        Some((lengths, position)) => {
            let what = "the number of keys of example";
            Err(Error::Length { what, position, length: lengths[position], least, most })
        }
        None => Ok(()),
    }
}

impl Kernel for AttentionGrad {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        let Sizes { d, e, .. } = Sizes::new(&self.attention, shapes);
        attention_backward_scratch(cx.pool.threads(), d, e)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let [query, key, value] = Sizes::new(&self.attention, call.shapes()).layouts;
        let first = SharedMut::new(call.output(0));
        let other = |i: usize| if self.attention.packed.is_some() { first } else { SharedMut::new(call.output(i)) };
        let targets = Targets { query: (first, query), key: (other(1), key), value: (other(2), value) };
        let bias = self.bias_gradient.then(|| {
            let output = self.floats();
            let (lengths, strides) = broadcast(call.shapes().output(output));
            BiasTarget { data: call.output(output), lengths, strides }
        });
        let given = self.attention.inputs().count;
        let upstream =
            Upstream { result: call.input(given), log_sums: call.input(given + 1), up: call.input(given + 2) };
        attention_backward(call.compute(), &problem(&self.attention, call), upstream, targets, bias, call.scratch());
        Ok(())
    }
}

impl Kernel for RelativeBuckets {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let keys = call.shapes().output(0)[1];
        for (query, row) in call.output_i32(0).chunks_exact_mut(keys.max(1)).enumerate() {
            row.iter_mut().enumerate().for_each(|(key, bucket)| *bucket = self.bucket(query, key) as i32);
        }
        Ok(())
    }
}
