//! Deep learning on the computer you have.
//!
//! This is the facade of the workspace: each crate under its short name, and a [`prelude`] with what a program that
//! trains or uses a network needs. The `deepfit` command is built on nothing else.
//!
//! ```no_run
//! use deepfit::prelude::*;
//!
//! # fn main() -> deepfit::train::Result<()> {
//! let mut settings = Settings::new("examples/digits.zip");
//! settings.set("epochs", "10")?;
//! let job = prepare(settings, Some("runs/digits".into()))?;
//! println!("{} has {} parameters", job.description().model, job.description().parameters);
//! if let Outcome::Finished(report) = job.run(&mut Silent)? {
//!     println!("{:?}", report.metrics.test);
//! }
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub use deepfit_cpu as cpu;
pub use deepfit_data as data;
pub use deepfit_explain as explain;
pub use deepfit_graph as graph;
pub use deepfit_nn as nn;
pub use deepfit_train as train;
pub use deepfit_zoo as zoo;

pub use deepfit_train::{Result, TrainError as Error};

/// What a program that defines, trains or uses a network needs.
///
/// Layers, losses and optimisers are in their modules: `layers::Linear`, `losses::mse`, `optim::Sgd`.
pub mod prelude {
    pub use std::sync::Arc;

    pub use deepfit_cpu::{View, suite};
    pub use deepfit_data::{Dataset, OpenOptions, Split, SplitOptions, Task, TaskKind};
    pub use deepfit_graph::ops::{Custom, Interpolation, ReduceKind, Window, Window1d};
    pub use deepfit_graph::sample::{Sample, uniform};
    pub use deepfit_graph::{
        CustomOperation, DType, Derivative, Dim, Graph, HostData, HostTensor, Mode, Reference, ReferenceContext, Shape,
        Symbol, Tensor, TensorType, Tracer,
    };
    pub use deepfit_nn::losses::Reduction;
    pub use deepfit_nn::schedule::{Plateau, RateCurve, RateSearch, ReduceOnPlateau, Schedule};
    pub use deepfit_nn::step::{Group, Training};
    pub use deepfit_nn::{
        Activation, Clip, Init, Module, MovingAverage, Optimizer, Parameter, Role, Scope, Sequential, layers, losses,
        optim,
    };
    pub use deepfit_train::{
        Epoch, Event, Examples, Fit, Flow, InspectOptions, Inspection, Job, Observer, Outcome, Outputs, Prediction,
        Predictor, Report, Session, SessionOptions, Settings, Silent, Values, inspect, prepare, resume,
    };
}

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
