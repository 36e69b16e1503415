//! The engine: every operation through the generic suite, and whole programs.

mod attention;
mod custom;
mod errors;
mod hidden;
mod operations;
mod out_of_range;
mod precision;
mod prepared;
mod profile;
mod programs;
mod recurrent;
mod results;
mod small_network;
mod trust;
