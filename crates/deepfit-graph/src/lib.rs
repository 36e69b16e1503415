//! The graph at the heart of deepfit: shapes, operations, tracing, differentiation, optimisation, the memory plan, and an
//! f64 interpreter as the measure of right. No SIMD and no threads: executors such as `deepfit-cpu` run what is planned
//! here.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod autodiff;
mod constant_value;
pub mod differences;
mod error;
mod graph;
mod hazard;
mod host;
pub mod interpret;
pub mod mutation;
mod op;
pub mod ops;
pub mod passes;
pub mod philox;
pub mod plan;
pub mod sample;
mod shape;
mod trace;
mod watch;

pub use autodiff::{Derivative, gradients};
pub use error::{GraphError, Result};
pub use graph::{Cost, Graph, Node, Value};
pub use host::{HostData, HostTensor, Reference, for_each_index};
pub use op::{Op, Operation, ReferenceContext};
pub use ops::CustomOperation;
pub use shape::{DType, Dim, Extents, MOST_AXES, MOST_BYTES, Shape, Symbol, TensorType};
pub use trace::{MOST_NODES, Mode, RANDOM_KEY, Tensor, Tracer};
pub use watch::{LayerResult, OUTPUT};
