//! Layers, losses, optimisers and schedules against PyTorch, and the graph of a training step, all in f64.

mod activations;
mod criteria;
mod golden;
mod indexing;
mod initialisation;
mod layers;
mod losses;
mod optimisers;
mod schedules;
mod settings;
mod step;
mod tables;
