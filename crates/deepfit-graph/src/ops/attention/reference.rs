//! Attention by the plainest loops, in f64.

use super::Attention;
use crate::host::Reference;

/// The inputs of an [`Attention`], by element.
pub(super) struct Rows<'a> {
    op: &'a Attention,
    inputs: &'a [&'a Reference],
    pub batch: usize,
    pub heads: usize,
    kv_heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub d: usize,
    pub e: usize,
}

impl<'a> Rows<'a> {
    pub fn new(op: &'a Attention, inputs: &'a [&'a Reference]) -> Self {
        let query = &inputs[0].shape;
        let [batch, queries, all, d] = query[..] else { unreachable!("checked by infer") };
        let (heads, kv_heads, keys, e) = match op.packed {
            Some(kv_heads) => (all - 2 * kv_heads, kv_heads, queries, d),
            None => (all, inputs[1].shape[2], inputs[1].shape[1], inputs[2].shape[3]),
        };
        Rows { op, inputs, batch, heads, kv_heads, queries, keys, d, e }
    }

    /// Calls `f(example, head, query)` for each row of scores.
    pub fn for_each(&self, mut f: impl FnMut(usize, usize, usize)) {
        for b in 0..self.batch {
            for h in 0..self.heads {
                (0..self.queries).for_each(|i| f(b, h, i));
            }
        }
    }

    /// Position (input, index) of an element of the key.
    pub fn key_at(&self, b: usize, h: usize, j: usize, c: usize) -> (usize, [usize; 4]) {
        let group = h / (self.heads / self.kv_heads);
        if self.op.packed.is_some() { (0, [b, j, self.heads + group, c]) } else { (1, [b, j, group, c]) }
    }

    /// Position (input, index) of an element of the value.
    pub fn value_at(&self, b: usize, h: usize, j: usize, c: usize) -> (usize, [usize; 4]) {
        let group = h / (self.heads / self.kv_heads);
        if self.op.packed.is_some() {
            (0, [b, j, self.heads + self.kv_heads + group, c])
        } else {
            (2, [b, j, group, c])
        }
    }

    fn at(&self, (input, index): (usize, [usize; 4])) -> f64 {
        self.inputs[input].at(&index)
    }

    pub fn query(&self, b: usize, h: usize, i: usize, c: usize) -> f64 {
        self.inputs[0].at(&[b, i, h, c])
    }

    pub fn key(&self, b: usize, h: usize, j: usize, c: usize) -> f64 {
        self.at(self.key_at(b, h, j, c))
    }

    pub fn value(&self, b: usize, h: usize, j: usize, c: usize) -> f64 {
        self.at(self.value_at(b, h, j, c))
    }

    fn hidden(&self, b: usize, h: usize, i: usize, j: usize) -> bool {
        let places = self.op.inputs();
        let masks = &self.inputs[places.masks..][..self.op.masks];
        (self.op.causal && j > i)
            || masks.iter().any(|mask| mask.at_broadcast(&[b, h, i, j]) != 0.0)
            || places.lengths.is_some_and(|l| j as f64 >= self.inputs[l].data[b])
            || places.bias.is_some_and(|p| self.inputs[p].at_broadcast(&[b, h, i, j]) == f64::NEG_INFINITY)
    }

    /// (key, score) of each key that the query sees.
    pub fn scores(&self, b: usize, h: usize, i: usize) -> Vec<(usize, f64)> {
        let bias = self.op.inputs().bias;
        let score = |j: usize| {
            let dot: f64 = (0..self.d).map(|c| self.query(b, h, i, c) * self.key(b, h, j, c)).sum();
            let added = bias.map_or(0.0, |p| self.inputs[p].at_broadcast(&[b, h, i, j]));
            f64::from(self.op.scale) * dot + added
        };
        (0..self.keys).filter(|&j| !self.hidden(b, h, i, j)).map(|j| (j, score(j))).collect()
    }

    /// (key, weight before dropout) of each key that the query sees, and the logarithm of the sum of exponentials.
    pub fn weights(&self, b: usize, h: usize, i: usize) -> (Vec<(usize, f64)>, f64) {
        let scores = self.scores(b, h, i);
        let largest = scores.iter().fold(f64::NEG_INFINITY, |m, &(_, s)| if s > m || s.is_nan() { s } else { m });
        if largest == f64::NEG_INFINITY {
            return (Vec::new(), f64::NEG_INFINITY);
        }
        let log_sum = largest + scores.iter().map(|(_, s)| (s - largest).exp()).sum::<f64>().ln();
        (scores.into_iter().map(|(j, s)| (j, (s - log_sum).exp())).collect(), log_sum)
    }

    /// What dropout multiplies a weight by.
    pub fn kept(&self, b: usize, h: usize, i: usize, j: usize) -> f64 {
        match (&self.op.dropout, self.op.inputs().key) {
            (Some(dropout), Some(key)) => {
                let element = ((b * self.heads + h) * self.queries + i) * self.keys + j;
                dropout.factor(self.inputs[key], element)
            }
            _ => 1.0,
        }
    }
}
