//! Losses of sequences whose labels have no known positions.

use deepfit_graph::Tensor;
use deepfit_graph::ops::CtcTargets;

use super::{Reduction, in_loss};
use crate::error::Result;

/// Settings of [`ctc`]; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ctc {
    /// The class of "no label"; 0 by default.
    pub blank: usize,
    /// Whether a loss that is infinite, since its labels need more frames than there are, becomes 0 without gradient; by
    /// default it does not.
    pub zero_infinity: bool,
    /// How the examples are combined. The mean first divides each loss by its number of labels, as PyTorch's.
    pub reduction: Reduction,
}

/// Connectionist temporal classification (Graves et al., 2006), as PyTorch's `CTCLoss`, but with the batch first: negative
/// log-likelihoods of label sequences under log-probabilities `[batch, time, classes]`, such as a log-softmax gives.
///
/// # Errors
/// If the shapes do not fit, or labels without lengths are more than the frames. Lengths and labels out of range stop
/// the run with an error; a sequence that needs more frames than it has gives infinity.
pub fn ctc(log_probabilities: &Tensor, targets: CtcTargets<'_>, settings: &Ctc) -> Result<Tensor> {
    in_loss(log_probabilities, || {
        let losses = log_probabilities.ctc(targets, settings.blank, settings.zero_infinity)?;
        if settings.reduction != Reduction::Mean {
            return settings.reduction.of(&losses);
        }
        let lengths = match targets.target_lengths {
            Some(lengths) => lengths.to_f32()?,
            None => losses.length_of(targets.labels.shape().dims()[1])?,
        };
        Reduction::Mean.of(&losses.div(&lengths.clamp(1.0, f32::INFINITY)?)?)
    })
}
