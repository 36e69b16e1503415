//! Low-rank adaptation (Hu et al., 2022): a weight that stays as it is, with a small change beside it that is trained.

use deepfit_graph::Tensor;

use crate::declaration::{Parameter, Role};
use crate::error::Result;
use crate::init::Init;
use crate::scope::Scope;

/// How weights are adapted.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// Rank of the change, 1 or more.
    pub rank: usize,
    /// The change is multiplied by this over the rank.
    pub alpha: f32,
    /// What the names of the places of adapted layers fit: in each pattern `*` stands for any letters, dots among them.
    pub places: Vec<String>,
}

/// End of the names of the two factors, after what the name of the weight has before `weight`.
const FACTORS: [&str; 2] = ["lora_a", "lora_b"];

/// The change beside a weight `[out, in]`: `alpha / rank * B A` with `A` `[rank, in]` and `B` `[out, rank]`, which begins
/// at zero.
#[derive(Debug, Clone)]
pub struct Adapter {
    a: Parameter,
    b: Parameter,
    scale: f32,
}

impl Adapter {
    /// Declares the factors beside the weight of a layer, if the scope adapts it.
    pub fn new(scope: &Scope, weight: &str, outputs: usize, inputs: usize) -> Option<Adapter> {
        let low_rank = scope.low_rank()?;
        let rank = low_rank.rank;
        let before = weight.strip_suffix("weight")?;
        let [a, b] = FACTORS.map(|factor| format!("{before}{factor}"));
        Some(Adapter {
            a: scope.parameter(&a, &[rank, inputs], Init::default_weight(), Role::Weight),
            b: scope.parameter(&b, &[outputs, rank], Init::Zeros, Role::Weight),
            scale: low_rank.alpha / rank as f32,
        })
    }

    /// What the change adds to `x` times the transposed weight.
    pub(crate) fn on(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        let narrow = x.matmul_with(&self.a.on(tracer)?, false, true)?;
        Ok(narrow.matmul_with(&self.b.on(tracer)?, false, true)?.mul_scalar(self.scale)?)
    }

    /// What the change adds to `x` times a weight that is not transposed, `[in, out]`: of such a one the change has `A`
    /// `[rank, out]` and `B` `[in, rank]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn on_transposed(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        let narrow = x.matmul(&self.b.on(tracer)?)?;
        Ok(narrow.matmul(&self.a.on(tracer)?)?.mul_scalar(self.scale)?)
    }

    /// The change itself, `[out, in]`.
    pub(crate) fn weight(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        Ok(self.b.on(tracer)?.matmul(&self.a.on(tracer)?)?.mul_scalar(self.scale)?)
    }
}

/// The names of the weight and of the second factor that belong to the first factor of a change.
pub fn adapted(factor: &str) -> Option<(String, String)> {
    let before = factor.strip_suffix(FACTORS[0])?;
    Some((format!("{before}weight"), format!("{before}{}", FACTORS[1])))
}

impl LowRank {
    /// A change of the given rank, twice itself over it, of all layers whose places fit a pattern.
    pub fn new(rank: usize, places: &[&str]) -> Self {
        LowRank { rank, alpha: 2.0 * rank as f32, places: places.iter().map(ToString::to_string).collect() }
    }

    /// Adds the change to a weight, in double precision: `weight` `[out, in]`, `a` `[rank, in]`, `b` `[out, rank]`.
    pub fn merge(&self, weight: &mut [f32], a: &[f32], b: &[f32]) {
        let inputs = a.len() / self.rank;
        let scale = f64::from(self.alpha) / self.rank as f64;
        for (row, b) in weight.chunks_exact_mut(inputs).zip(b.chunks_exact(self.rank)) {
            for (i, w) in row.iter_mut().enumerate() {
                let change: f64 = (0..self.rank).map(|r| f64::from(b[r]) * f64::from(a[r * inputs + i])).sum();
                *w = (f64::from(*w) + scale * change) as f32;
            }
        }
    }
}
