//! The workloads that speed is measured on: networks of public layers, trained by the ordinary step.

mod files;
mod networks;
mod run;
mod workload;

pub use files::{Batch, read_batch, write_gradients};
pub use run::{Bench, views};
pub use workload::{WORKLOADS, Workload};
