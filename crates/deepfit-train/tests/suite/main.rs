//! Runs from data to a saved model, and their metrics.

mod accumulating;
mod checkpoints;
mod choosing;
mod guarding;
mod inspecting;
mod metrics;
mod non_finite;
mod noting;
mod overfitting;
mod predicting;
mod resuming;
mod runs;
mod session;
mod session_names;
mod session_updates;
mod session_ways;
mod training;
