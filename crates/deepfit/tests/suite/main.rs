//! The command from end to end: the real program on real and on bad files.

mod bad_images;
mod bad_runs;
mod bad_tables;
mod benching;
mod checking;
mod comparing;
mod continuing_texts;
mod deciding;
mod diagnosing;
mod drawn_texts;
mod evaluating;
mod examples;
mod explaining;
mod explaining_texts;
mod filters;
mod guide;
mod headers;
mod help;
mod inspecting;
mod interop;
mod labelled_tables;
mod labelled_texts;
mod labelling;
mod learning_texts;
mod library_errors;
mod models;
mod pairs_and_columns;
mod picture_tables;
mod planning;
mod predicting;
mod profiling;
mod program;
mod published;
mod real_input;
mod reporting;
mod resuming;
mod rolling_out;
mod series;
mod settings;
mod similarity;
mod splits_by_columns;
mod table_formats;
mod texts;
mod threads;
mod training;
mod transferring;

// The weights of small models belong to the networks' tests.
#[path = "../../../deepfit-zoo/tests/suite/drawn.rs"]
mod drawn;
