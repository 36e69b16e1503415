//! What is left of an input when parts of it are taken away: pixels, columns or words.

use crate::error::Result;

/// An input in parts that can be taken away.
pub trait Removal {
    /// Number of parts.
    fn parts(&self) -> usize;

    /// For each variant, which tells of each part whether it is kept, the number that is explained.
    ///
    /// # Errors
    /// If the network cannot run.
    fn scores(&mut self, kept: &[Vec<bool>]) -> Result<Vec<f64>>;
}

/// How much the number falls when each part alone is taken away.
///
/// # Errors
/// As [`Removal::scores`].
pub fn leave_one_out(removal: &mut dyn Removal) -> Result<Vec<f64>> {
    let parts = removal.parts();
    let mut kept = vec![vec![true; parts]; parts + 1];
    (0..parts).for_each(|part| kept[part][part] = false);
    let scores = removal.scores(&kept)?;
    Ok(scores[..parts].iter().map(|score| scores[parts] - score).collect())
}

/// The parts in the order of their attributions, the largest first; of equal ones the first comes first.
pub fn ranked(attributions: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..attributions.len()).collect();
    order.sort_by(|&a, &b| attributions[b].total_cmp(&attributions[a]));
    order
}
