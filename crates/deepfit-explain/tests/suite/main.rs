//! Explanations against Captum and SHAP on the same weights, and what they cost.

mod cost;
mod goldens;
mod planted;

#[path = "../../../deepfit-nn/tests/suite/golden.rs"]
mod golden;
