//! Samples: the inputs on which the generic suite tests an operation.

use crate::host::HostTensor;
use crate::op::Op;

/// An operation with inputs worth testing.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The operation.
    pub op: Op,
    /// Its inputs.
    pub inputs: Vec<HostTensor>,
    /// Largest allowed error of an f32 kernel, relative to the largest absolute value of the output (at least 1).
    pub tolerance: f64,
    /// Whether the derivative is compared with central differences.
    pub gradient: bool,
    /// Whether a kernel may make more elements NaN or infinite than the reference does, by multiplying zeros that the
    /// reference leaves out or by taking differences.
    pub non_finite_may_spread: bool,
    /// For each input, whether its first axis is the batch; empty where the operation knows no batch.
    pub batched: Vec<bool>,
}

impl Sample {
    /// A sample with the default tolerance of 2e-6 whose derivative is tested.
    pub fn new(op: impl Into<Op>, inputs: Vec<HostTensor>) -> Self {
        Sample {
            op: op.into(),
            inputs,
            tolerance: 2e-6,
            gradient: true,
            non_finite_may_spread: false,
            batched: Vec::new(),
        }
    }

    /// Sets the tolerance.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Leaves the derivative out, for operations that have none.
    pub fn without_gradient(mut self) -> Self {
        self.gradient = false;
        self
    }

    /// Lets a kernel spread NaN and infinity further than the reference; it may never hide them.
    pub fn non_finite_may_spread(mut self) -> Self {
        self.non_finite_may_spread = true;
        self
    }

    /// Also runs the sample with the first axis of the marked inputs as a batch axis planned for more examples.
    pub fn batched(mut self, inputs: &[bool]) -> Self {
        self.batched = inputs.to_vec();
        self
    }
}

/// Deterministic values, uniform between `low` and `high`; `seed` tells inputs of one sample apart.
pub fn uniform(shape: &[usize], low: f32, high: f32, seed: u64) -> HostTensor {
    let n = shape.iter().product();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(n as u64 + 1);
    let data = (0..n).map(|_| low + (high - low) * unit(&mut state)).collect();
    HostTensor::f32(shape, data)
}

/// Deterministic values in random order, each at least `gap` from every other and from zero: for maxima and kinks.
pub fn distinct(shape: &[usize], gap: f32, seed: u64) -> HostTensor {
    let n: usize = shape.iter().product();
    let half = n / 2;
    let steps = (0..n).map(|i| if i < half { i as f32 - half as f32 } else { (i - half + 1) as f32 });
    let mut values: Vec<f32> = steps.map(|step| step * gap).collect();
    let mut state = seed + 17;
    for i in (1..n).rev() {
        values.swap(i, (unit(&mut state) * (i + 1) as f32) as usize % (i + 1));
    }
    HostTensor::f32(shape, values)
}

/// Deterministic integers, `0 <= value < below`.
pub fn integers(shape: &[usize], below: i32, seed: u64) -> HostTensor {
    let n = shape.iter().product();
    let mut state = seed + 5;
    let data = (0..n).map(|_| ((unit(&mut state) * below as f32) as i32).min(below - 1)).collect();
    HostTensor::i32(shape, data)
}

/// Deterministic bytes.
pub fn bytes(shape: &[usize], seed: u64) -> HostTensor {
    let n = shape.iter().product();
    let mut state = seed + 3;
    let data = (0..n).map(|_| (unit(&mut state) * 256.0).min(255.0) as u8).collect();
    HostTensor::u8(shape, data)
}

/// Next value in [0, 1): splitmix64 (Steele, Lea and Flood, 2014).
fn unit(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}
