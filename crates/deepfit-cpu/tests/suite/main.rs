//! The engine: every operation through the generic suite, and whole programs.

mod errors;
mod operations;
mod programs;
mod recurrent;
mod small_network;
