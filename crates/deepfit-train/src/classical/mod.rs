//! Classical learners on data sets: features of rows, models that are saved, and their use beside networks.

mod features;
mod frozen;
mod histograms;
mod model;

pub use features::Features;
pub(crate) use features::{Encoded, Encoder};
pub(crate) use frozen::Frozen;
pub use model::{ClassicalModel, ClassicalPredictor};
pub(crate) use model::{find, refuse};
