//! Whole networks: against PyTorch in f64 and on the CPU, and what settings they refuse.

mod backend;
mod drawn;
mod ensembles;
mod extremes;
mod goldens;
mod hostile;
mod published;
mod reading;
mod settings;
mod shapes;
mod texts;
mod training;
mod weights;

// The files themselves belong to the layers' tests.
#[path = "../../../deepfit-nn/tests/suite/golden.rs"]
mod golden;
