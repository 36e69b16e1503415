//! Element-wise operations with broadcasting.

mod binary;
mod choice;
mod methods;
mod unary;

pub use binary::{Binary, BinaryKind};
pub use choice::{Convert, Select};
pub use unary::{Unary, UnaryKind};

use crate::host::HostTensor;
use crate::sample::integers;

/// Small integers as floating point, for samples of comparisons.
fn integers_as_f32(shape: &[usize], below: i32, seed: u64) -> HostTensor {
    let values = integers(shape, below, seed).to_reference();
    HostTensor::f32(shape, values.data.iter().map(|&x| x as f32).collect())
}
