//! The executor: compiles graphs to plans with kernels, and runs them in one arena without allocating.

mod call;
mod diagnose;
mod empty;
mod engine;
mod memory;
mod prepared;
mod profile;
mod program;

pub use call::{Call, Fault, Kernel, Preparable, Shapes};
pub use diagnose::Culprit;
pub use engine::{Engine, ProgramId, View};
pub use profile::{Measured, Profile, Span};
