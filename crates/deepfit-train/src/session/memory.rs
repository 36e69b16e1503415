//! Whether there is memory for what outlives a step.

use deepfit_nn::Declaration;

use super::SessionOptions;
use crate::error::{Result, TrainError};
use crate::process::available_bytes;

/// Refuses parameters, with what is kept to train them, that do not fit into the memory that is free now; before any of
/// it is taken. The largest one is named.
pub(super) fn check(declarations: &[Declaration], training: Option<&SessionOptions>) -> Result<()> {
    let copies = |d: &Declaration| match training {
        Some(options) if d.role.is_trained() => {
            let states = options.training.optimizer_of(d).state_kinds().len();
            let average = usize::from(options.training.moving_average.is_some());
            1 + states + average + usize::from(options.accumulate > 1)
        }
        _ => 1,
    };
    let gigabytes = |d: &Declaration, copies: usize| d.elements() as f64 * 4.0 * copies as f64 / 1e9;
    let needed: f64 = declarations.iter().map(|d| gigabytes(d, copies(d))).sum();
    let Some(available) = available_bytes().map(|bytes| bytes as f64 / 1e9).filter(|&available| needed > available)
    else {
        return Ok(());
    };
    match declarations.iter().max_by_key(|d| d.elements()) {
        None => Ok(()),
        Some(largest) => Err(TrainError::Parameter {
            name: largest.name.clone(),
            problem: format!(
                "of shape {:?} needs {:.1} GB of memory, all parameters with what is kept to train them {needed:.1} GB, and \
                 {available:.1} GB are free",
                largest.shape,
                gigabytes(largest, 1)
            ),
        }),
    }
}
