//! Why a network decides as it does: attributions of pixels, columns and words, tested on the input that they explain.
//!
//! The graph that predicts is differentiated to its inputs and to the results of its layers, and runs with the weights of a
//! run or of a published model. [`Explainer`] opens one and explains inputs; [`Subject`] with [`integrated`], [`grad_cam`] and
//! [`shapley`] is what it is made of.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod classical;
mod counterfactual;
mod dependence;
mod error;
mod explainer;
mod explanation;
mod faithfulness;
mod filters;
mod grad_cam;
mod gradients;
mod method;
mod neighbours;
mod pictures;
mod randomised;
mod removal;
mod rollout;
mod rows;
mod sequences;
mod shapley;
mod subject;
mod tables;
mod texts;

pub use counterfactual::{Change, Counterfactual, Value};
pub use dependence::{Dependence, DependenceCurve, DependencePoint};
pub use error::{ExplainError, Result};
pub use explainer::{Each, Explainer, Inputs, Request};
pub use explanation::{Attributions, Details, Explanation, Shown};
pub use faithfulness::{Curves, FEWEST_PARTS, Faithfulness, RANDOM_ORDERS, random_orders, test};
pub use filters::{Channel, Drawing, Excited, FilterRequest, LayerFilters, Looks, Maximised, Patch};
pub use grad_cam::{Map, grad_cam, last_convolution};
pub use gradients::{Integrated, STEPS, integrated, smooth};
pub use method::{Kind, Method};
pub use neighbours::Like;
pub use pictures::Picture;
pub use randomised::{agreement, likeness};
pub use removal::{Removal, leave_one_out, ranked};
pub use rollout::rollout;
pub use rows::Rows;
pub use shapley::{MOST_EXACT, PERMUTATIONS, Shapley, exact, sampled, shapley};
pub use subject::{Subject, Unit};
pub use tables::{Columns, OfRow, OfTable};
