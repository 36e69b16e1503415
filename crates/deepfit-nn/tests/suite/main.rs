//! Layers, losses, optimisers and schedules against PyTorch, and the graph of a training step, all in f64.

mod activations;
mod attention;
mod golden;
mod initialisation;
mod layers;
mod losses;
mod optimisers;
mod schedules;
mod settings;
mod step;
