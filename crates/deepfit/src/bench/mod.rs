//! The workloads that speed is measured on: networks of public layers, trained by the ordinary step.

mod files;
mod machine;
mod networks;
mod run;
mod workload;

pub use files::{Batch, read_batch, write_gradients};
pub use machine::Machine;
pub use run::{Bench, Timing, views};
pub use workload::{Sizes, WORKLOADS, Workload};
