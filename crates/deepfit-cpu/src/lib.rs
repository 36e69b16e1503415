//! CPU kernels: SIMD chosen at run time, one pool of threads, results that do not depend on the number of threads.

#![deny(missing_docs)]

mod allocator;
mod bandwidth;
mod bind;
pub mod error;
pub mod executor;
pub mod kernels;
pub mod math;
mod peak;
pub mod pool;
pub mod simd;
pub mod suite;

pub use allocator::return_large_blocks;
pub use bandwidth::bandwidth;
pub use error::Error;
pub use executor::{Culprit, Engine, Measured, Profile, ProgramId, Span, View};
pub use kernels::Precision;
pub use peak::peak;
