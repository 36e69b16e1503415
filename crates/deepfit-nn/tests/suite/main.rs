//! Layers, losses, optimisers and schedules against PyTorch, and the graph of a training step, all in f64.

mod activations;
mod attention;
mod attention_masks;
mod criteria;
mod golden;
mod indexing;
mod initialisation;
mod layers;
mod losses;
mod more_initialisations;
mod more_optimisers;
mod more_schedules;
mod optimisers;
mod recurrent;
mod refusals;
mod regions;
mod schedules;
mod scopes;
mod settings;
mod spatial;
mod step;
mod tables;
mod training;
mod watching;
