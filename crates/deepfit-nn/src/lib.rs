//! Layers, initialisation, losses, optimisers, learning-rate schedules, and the graph of a training step.
//!
//! A layer is a plain struct: it holds the names and shapes of its parameters, which it declared in a [`Scope`], and adds
//! its operations to a graph when its `forward` is called. Values live with whoever runs the graph. Names and first
//! values are PyTorch's; images are NHWC.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod declaration;
mod error;
pub mod init;
pub mod layers;
pub mod losses;
mod low_rank;
mod max_norm;
mod module;
pub mod optim;
mod pattern;
pub mod schedule;
mod scope;
pub mod step;

pub use declaration::{Declaration, MOST_BYTES, Parameter, Role};
pub use error::{NnError, Result};
pub use init::{Fan, Init, Nonlinearity};
pub use layers::Activation;
pub use low_rank::{Adapter, LowRank, adapted};
pub use max_norm::MaxNorm;
pub use module::{Module, Sequential};
pub use optim::{Clip, MovingAverage, Optimizer};
pub use schedule::{Anneal, ReduceOnPlateau, Schedule};
pub use scope::Scope;
