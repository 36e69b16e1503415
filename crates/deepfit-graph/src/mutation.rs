//! Faults planted on purpose, to show that the tests notice them.
//!
//! Compiled in only with `--cfg deepfit_mutate`, which `cargo xtask mutate` sets; the environment variable
//! `DEEPFIT_MUTATE` then names one fault: `derivative:KIND`, `kernel:KIND` or `pass:NAME`.

use crate::error::Result;
use crate::trace::Tensor;

/// Whether the fault `what:name` is planted in this process.
#[cfg(deepfit_mutate)]
pub fn planted(what: &str, name: &str) -> bool {
    use std::sync::OnceLock;
    static FAULT: OnceLock<Option<String>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| std::env::var("DEEPFIT_MUTATE").ok());
    fault.as_deref().and_then(|f| f.split_once(':')) == Some((what, name))
}

/// Whether the fault `what:name` is planted in this process: never, in an ordinary build.
#[cfg(not(deepfit_mutate))]
#[inline(always)]
pub fn planted(_what: &str, _name: &str) -> bool {
    false
}

/// Flips the sign of an operation's derivative if that fault is planted.
pub(crate) fn flip_derivative(kind: &str, gradients: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
    if !planted("derivative", kind) {
        return Ok(gradients);
    }
    gradients.into_iter().map(|g| g.map(|g| g.neg()).transpose()).collect()
}
