//! What training tells whoever watches it. Observers never change the training; they may ask it to stop.

use deepfit_cpu::Profile;

use crate::checks::Finding;
use crate::data_times::DataTimes;
use crate::metrics::Scores;

/// What an observer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Write a checkpoint and stop; the run can be resumed.
    Stop,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A stage begins.
    Stage {
        /// Its number, from 1.
        number: usize,
        /// Number of stages.
        of: usize,
        /// What it is for.
        purpose: &'a str,
        /// Most epochs of it.
        epochs: u32,
    },
    /// Some of the samples have been seen by the part of a published network that stays as it is.
    Features {
        /// Number of them.
        done: usize,
        /// Number of those that must be seen.
        total: usize,
        /// Samples a second.
        per_second: f64,
        /// Seconds until all have been.
        seconds_left: f64,
    },
    /// The first step of this process has ended.
    FirstStep,
    /// A step has ended.
    Step {
        /// Epoch, from 1.
        epoch: u32,
        /// Most epochs of this stage.
        epochs: u32,
        /// Step of the epoch, from 1.
        step: u64,
        /// Steps of the epoch.
        steps: u64,
        /// Mean loss of the epoch so far.
        loss: f64,
        /// Training rows a second in this process.
        samples_per_second: f64,
        /// Seconds until the last epoch ends, if it comes to that.
        seconds_left: f64,
    },
    /// An epoch has ended.
    Epoch {
        /// Epoch, from 1.
        epoch: u32,
        /// Most epochs of this stage.
        epochs: u32,
        /// Mean loss over the training rows, with augmentation and dropout.
        train_loss: f64,
        /// Metrics on the validation rows, where the stage has some.
        validation: Option<&'a Scores>,
        /// The metric that decides which epoch is best.
        monitored: Option<(&'a str, f64)>,
        /// Whether it is the best so far.
        best: bool,
        /// How long it took, validation included.
        seconds: f64,
        /// What its data cost.
        data: DataTimes,
    },
    /// A stage of a recorded run has ended: see [`Job::record`](crate::Job::record).
    Profile(&'a Profile),
    /// Something was found in the data.
    Finding(&'a Finding),
    /// Something worth knowing.
    Note(&'a str),
}

/// Watches training.
pub trait Observer {
    /// Is told what happened.
    fn event(&mut self, event: &Event<'_>) -> Flow;
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event<'_>) -> Flow {
        Flow::Continue
    }
}
