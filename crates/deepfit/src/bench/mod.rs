//! The workloads that speed is measured on: networks of public layers, trained by the ordinary step.

mod beside_data;
mod files;
mod machine;
mod networks;
mod run;
mod workload;

pub use beside_data::BesideData;
pub use files::{Batch, read_batch, write_gradients};
pub use machine::{Machine, product_beside};
pub use run::{Bench, Timing, views};
pub use workload::{Sizes, WORKLOADS, Workload};
