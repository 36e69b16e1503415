//! Whole networks: against PyTorch in f64 and on the CPU, and what settings they refuse.

mod backend;
mod extremes;
mod goldens;
mod settings;
mod shapes;
mod training;

// The files themselves belong to the layers' tests.
#[path = "../../../deepfit-nn/tests/suite/golden.rs"]
mod golden;
