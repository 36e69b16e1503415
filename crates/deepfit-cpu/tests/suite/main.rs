//! The engine: every operation through the generic suite, and whole programs.

mod allocations;
mod attention;
mod errors;
mod operations;
mod programs;
mod small_network;
