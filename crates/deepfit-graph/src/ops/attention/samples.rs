//! Samples of attention and of its gradient.

use super::{Attention, AttentionGrad};
use crate::host::{HostData, HostTensor};
use crate::op::{Operation, ReferenceContext};
use crate::ops::Dropout;
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, TensorType};

/// Sizes of one sample.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    kv_heads: usize,
    d: usize,
    e: usize,
}

impl Sizes {
    fn itself(batch: usize, length: usize, heads: usize, d: usize) -> Self {
        Sizes { batch, queries: length, keys: length, heads, kv_heads: heads, d, e: d }
    }
}

/// An operation, its inputs, and which of these have a batch axis.
struct Case {
    op: Attention,
    inputs: Vec<HostTensor>,
    batched: Vec<bool>,
    small: bool,
}

impl Case {
    fn new(s: Sizes, packed: bool) -> Case {
        let shape = |length, heads, width| [s.batch, length, heads, width];
        let inputs = if packed {
            vec![uniform(&shape(s.queries, s.heads + 2 * s.kv_heads, s.d), -2.0, 2.0, 1)]
        } else {
            vec![
                uniform(&shape(s.queries, s.heads, s.d), -2.0, 2.0, 1),
                uniform(&shape(s.keys, s.kv_heads, s.d), -2.0, 2.0, 2),
                uniform(&shape(s.keys, s.kv_heads, s.e), -1.0, 1.0, 3),
            ]
        };
        let op = Attention {
            packed: packed.then_some(s.kv_heads),
            scale: 1.0 / (s.d.max(1) as f32).sqrt(),
            causal: false,
            bias: false,
            masks: 0,
            lengths: false,
            allow_hidden: true,
            dropout: None,
        };
        let batched = vec![true; inputs.len()];
        Case { op, inputs, batched, small: s.batch * s.heads * s.queries * s.keys * s.d <= 400 }
    }

    fn causal(mut self) -> Case {
        self.op.causal = true;
        self
    }

    fn bias(mut self, shape: &[usize]) -> Case {
        self.op.bias = true;
        self.inputs.push(uniform(shape, -2.0, 2.0, 4));
        self.batched.push(shape.len() == 4 && shape[0] > 1);
        self
    }

    /// Hides about a quarter of the keys.
    fn mask(mut self, shape: &[usize]) -> Case {
        self.op.masks += 1;
        let random = uniform(shape, 0.0, 1.0, 5 + self.op.masks as u64);
        let HostData::F32(values) = random.data() else { unreachable!("uniform values are f32") };
        let values = values.iter().map(|&v| if v < 0.25 { 255 } else { 0 }).collect();
        self.inputs.push(HostTensor::u8(shape, values));
        self.batched.push(shape.len() == 4 && shape[0] > 1);
        self
    }

    /// A mask that hides all keys from one query.
    fn hiding_query(mut self, queries: usize, keys: usize, query: usize) -> Case {
        self.op.masks += 1;
        let values = (0..queries * keys).map(|i| u8::from(i / keys == query)).collect();
        self.inputs.push(HostTensor::u8(&[queries, keys], values));
        self.batched.push(false);
        self
    }

    fn lengths(mut self, lengths: &[i32]) -> Case {
        self.op.lengths = true;
        self.inputs.push(HostTensor::i32(&[lengths.len()], lengths.to_vec()));
        self.batched.push(true);
        self
    }

    fn dropout(mut self, probability: f32) -> Case {
        self.op.dropout = Some(Dropout { probability, stream: 3 });
        self.inputs.push(HostTensor::i32(&[4], vec![11, -2, 5, 1]));
        self.batched.push(false);
        self
    }
}

/// Every option, on sizes around the tiles, for operations and gradients alike.
fn cases() -> Vec<Case> {
    let grouped = Sizes { batch: 2, queries: 3, keys: 4, heads: 4, kv_heads: 2, d: 3, e: 2 };
    let tiny = Sizes::itself(2, 3, 2, 3);
    let mut cases = vec![
        Case::new(tiny, false),
        Case::new(tiny, true),
        Case::new(tiny, true).causal(),
        Case::new(grouped, false),
        Case::new(Sizes { kv_heads: 1, ..tiny }, true).causal().dropout(0.3),
        Case::new(grouped, false).causal().bias(&[4, 3, 4]),
        Case::new(grouped, false).bias(&[2, 1, 1, 4]),
        Case::new(grouped, false).bias(&[3, 1]),
        Case::new(grouped, false).bias(&[2, 4, 3, 4]).mask(&[3, 4]),
        Case::new(grouped, false).mask(&[2, 1, 1, 4]).mask(&[4, 3, 1]),
        Case::new(grouped, false).lengths(&[3, 1]),
        Case::new(grouped, false).lengths(&[0, 4]).causal(),
        Case::new(grouped, false).hiding_query(3, 4, 1).dropout(0.4),
        Case::new(grouped, false).bias(&[4]).mask(&[1, 4]).lengths(&[4, 2]).causal().dropout(0.2),
        Case::new(Sizes::itself(0, 3, 2, 3), false),
        Case::new(Sizes::itself(2, 0, 2, 3), false),
    ];
    for (length, d) in [(1, 5), (7, 8), (64, 16), (65, 33), (129, 32), (257, 8)] {
        cases.push(Case::new(Sizes::itself(1, length, 2, d), true));
        cases.push(Case::new(Sizes::itself(2, length, 1, d), true).causal());
    }
    let long = Sizes { batch: 1, queries: 70, keys: 300, heads: 2, kv_heads: 1, d: 20, e: 12 };
    cases.push(Case::new(long, false).bias(&[70, 300]).dropout(0.1));
    cases.push(Case::new(long, false).mask(&[2, 70, 300]).lengths(&[270]));
    // Enough heads for tasks of whole heads.
    let many = Sizes { batch: 4, queries: 70, keys: 70, heads: 4, kv_heads: 2, d: 8, e: 8 };
    cases.push(Case::new(many, true).causal().bias(&[4, 70, 70]).dropout(0.2));
    cases.push(Case::new(many, false).mask(&[70]).lengths(&[70, 3, 0, 65]));
    cases
}

pub(super) fn forward() -> Vec<Sample> {
    let sample = |case: Case| {
        let sample = Sample::new(case.op, case.inputs).tolerance(8e-6).non_finite_may_spread().batched(&case.batched);
        if case.small { sample } else { sample.without_gradient() }
    };
    cases().into_iter().map(sample).collect()
}

pub(super) fn backward() -> Vec<Sample> {
    cases().into_iter().flat_map(of_gradient).collect()
}

/// The gradient of a case, whose result and sums are those of the attention, rounded.
fn of_gradient(case: Case) -> Vec<Sample> {
    let types: Vec<TensorType> =
        case.inputs.iter().map(|i| TensorType { shape: i.shape().into(), dtype: i.data().dtype() }).collect();
    let outputs = case.op.infer(&types.iter().collect::<Vec<_>>()).expect("samples fit");
    let extents = Extents::batch(1);
    let shapes: Vec<Vec<usize>> = outputs.iter().map(|t| t.shape.resolve(&extents)).collect();
    let references: Vec<_> = case.inputs.iter().map(HostTensor::to_reference).collect();
    let given: Vec<_> = references.iter().collect();
    let results = case.op.reference(&ReferenceContext { inputs: &given, shapes: &shapes, extents });
    let mut inputs = case.inputs;
    for result in results {
        inputs.push(HostTensor::f32(&result.shape, result.data.iter().map(|&v| v as f32).collect()));
    }
    inputs.push(uniform(&shapes[0], -1.0, 1.0, 9));
    let mut batched = case.batched;
    batched.extend([true; 3]);
    let sample = |bias_gradient: bool| {
        let op = AttentionGrad { attention: case.op.clone(), bias_gradient };
        let sample = Sample::new(op, inputs.clone()).without_gradient().tolerance(2e-5).non_finite_may_spread();
        sample.batched(&batched)
    };
    if case.op.bias { vec![sample(false), sample(true)] } else { vec![sample(false)] }
}
