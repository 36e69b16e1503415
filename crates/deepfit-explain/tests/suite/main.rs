//! Explanations against Captum, SHAP and transformers on the same weights, and what they cost.

mod cost;
mod goldens;
mod planted;
mod rollout;

#[allow(dead_code, reason = "the suite that it belongs to uses more of it")]
#[path = "../../../deepfit-nn/tests/suite/golden.rs"]
mod golden;

#[allow(dead_code, reason = "the suite that it belongs to uses more of it")]
#[path = "../../../deepfit-zoo/tests/suite/drawn.rs"]
mod drawn;
