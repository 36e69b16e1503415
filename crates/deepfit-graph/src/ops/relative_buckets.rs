//! Buckets of relative positions, for encodings of position.

use super::arity;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::Sample;
use crate::shape::{DType, Dim, Shape, TensorType};

/// The bucket of each distance of a key from a query, i32 `[queries, keys]`, as T5 sorts them (Raffel et al., *Exploring the
/// Limits of Transfer Learning with a Unified Text-to-Text Transformer*, 2020).
///
/// Half of the buckets are for one distance each, the others grow with its logarithm until `max_distance`. If keys on both
/// sides count, half of all buckets are for keys behind the query; else those share the bucket of distance 0.
#[derive(Debug, Clone, PartialEq)]
pub struct RelativeBuckets {
    /// Number of queries.
    pub queries: Dim,
    /// Number of keys.
    pub keys: Dim,
    /// Number of buckets: at least 2, and at least 4 and even if keys on both sides count.
    pub buckets: usize,
    /// Distance from which on all are in the last bucket; larger than the number of exact distances.
    pub max_distance: usize,
    /// Whether keys behind the query have buckets of their own.
    pub bidirectional: bool,
}

impl RelativeBuckets {
    /// The bucket of key `key` for query `query`; at least 0 and below the number of buckets.
    pub fn bucket(&self, query: usize, key: usize) -> usize {
        let (buckets, offset, distance) = if self.bidirectional {
            let half = self.buckets / 2;
            (half, if key > query { half } else { 0 }, query.abs_diff(key))
        } else {
            (self.buckets, 0, query.saturating_sub(key))
        };
        let exact = buckets / 2;
        if distance < exact {
            return offset + distance;
        }
        // In f32, as the published implementation: some distances lie on the border of two buckets.
        let share = (distance as f32 / exact as f32).ln() / (self.max_distance as f64 / exact as f64).ln() as f32;
        offset + (exact + (share * (buckets - exact) as f32) as usize).min(buckets - 1)
    }
}

impl Operation for RelativeBuckets {
    fn name(&self) -> String {
        "relative_buckets".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 0)?;
        let sides = if self.bidirectional { 2 } else { 1 };
        let fits = self.buckets >= 2 * sides && self.buckets.is_multiple_of(sides);
        if !fits || self.max_distance <= self.buckets / sides / 2 {
            return Err(format!(
                "{} buckets up to distance {} cannot be: at least {} buckets (even for both sides), and a distance beyond \
                 the exact ones",
                self.buckets,
                self.max_distance,
                2 * sides
            ));
        }
        Ok(vec![TensorType { shape: Shape::new(&[self.queries, self.keys]), dtype: DType::I32 }])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::from_fn(&cx.shapes[0], |index| self.bucket(index[0], index[1]) as f64)]
    }

    fn samples() -> Vec<Sample> {
        let sample = |queries, keys, buckets, max_distance, bidirectional| {
            let (queries, keys) = (Dim::fixed(queries), Dim::fixed(keys));
            Sample::new(RelativeBuckets { queries, keys, buckets, max_distance, bidirectional }, Vec::new())
                .without_gradient()
        };
        vec![
            sample(5, 7, 8, 6, true),
            sample(7, 5, 8, 6, false),
            sample(70, 300, 32, 128, true),
            sample(300, 70, 32, 128, false),
            sample(0, 3, 4, 9, true),
        ]
    }
}
