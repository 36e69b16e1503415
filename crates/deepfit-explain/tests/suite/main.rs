//! Explanations against Captum and SHAP on the same weights, and what they cost.

mod cost;
mod goldens;

#[path = "../../../deepfit-nn/tests/suite/golden.rs"]
mod golden;
