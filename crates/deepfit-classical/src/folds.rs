//! Rows divided for choices that are made inside of the training rows.

use crate::random::Random;
use crate::target::Target;

/// Divides rows into `count` folds, (the others, the fold) for each, both ascending; classes and quantiles of values are
/// spread evenly. With fewer rows than folds some are empty.
pub(crate) fn folds(target: &Target, count: usize, seed: u64) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut order: Vec<u32> = (0..target.len() as u32).collect();
    Random::new(seed, 1).shuffle(&mut order);
    match target {
        Target::Classes { of, .. } => order.sort_by_key(|&row| of[row as usize]),
        Target::Values(values) => order.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize])),
    }
    let mut fold_of = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &row)| fold_of[row as usize] = place % count);
    let rows = |fold: usize, own: bool| -> Vec<u32> {
        (0..fold_of.len() as u32).filter(|&row| (fold_of[row as usize] == fold) == own).collect()
    };
    (0..count).map(|fold| (rows(fold, false), rows(fold, true))).collect()
}
