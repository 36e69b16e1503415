//! Classical learners: the most frequent class or the mean, linear and logistic regression, nearest neighbours and
//! gradient-boosted trees, on features that somebody else has made.
//!
//! [`fit`] trains one of them on a [`Matrix`] and a [`Target`], choosing what it leaves open (penalty, neighbours, number of
//! trees) by validation inside of these rows; the [`Fitted`] learner predicts, tells what it goes by, and becomes bytes that
//! are checked when they are read. The same seed gives the same bits, on any number of threads.
//!
//! The trees are of this crate. Of those that others publish, `forust-ml` 0.8 knows two losses, none for more than two
//! classes; `smartcore` 0.7 boosts regressions alone; `biosphere` and `linfa-ensemble` grow forests, without missing values
//! or categories. `perpetual` 2.3 has all of these, with more than thirty further crates, an independent booster for each
//! class instead of a softmax, and histograms whose number goes by the memory that the machine has free, so that results do.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod bytes;
mod constant;
mod error;
mod fitted;
mod folds;
mod lbfgs;
mod linear;
mod matrix;
mod neighbours;
mod parallel;
mod random;
mod scale;
mod target;
mod trees;
mod work;

pub use error::{ClassicalError, Result};
pub use fitted::{Fitted, Learner, fit, fit_labels};
pub use linear::{Linear, LinearOptions};
pub use matrix::{Kind, Matrix};
pub use neighbours::{Neighbours, NeighboursOptions, squared_distance_within};
pub use target::Target;
pub use trees::{Trees, TreesOptions};
pub use work::Work;
