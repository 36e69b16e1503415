//! Kernels on plain slices, knowing nothing of graphs. Nothing here allocates: a kernel that needs working memory
//! takes it as `scratch` and has a function that says how many `f32` it needs.

pub mod attention;
mod context;
pub mod conv;
pub mod copy;
pub mod ctc;
pub mod embedding;
pub mod fractional_pool;
pub mod gemm;
pub mod index;
pub mod linear_loss;
pub mod norm;
pub mod optim;
pub mod pool2d;
pub mod random;
pub mod recurrent;
pub mod reduce;
pub mod resample;
pub mod rows;
pub mod scratch;
pub mod segment;
pub mod softmax;

pub use context::{Caches, Compute, Precision, Products};
