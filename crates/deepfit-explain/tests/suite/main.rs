//! Explanations against Captum and SHAP on the same weights, and what they cost.

mod cost;
mod goldens;
mod planted;

#[allow(dead_code, reason = "the suite that it belongs to uses more of it")]
#[path = "../../../deepfit-nn/tests/suite/golden.rs"]
mod golden;
