//! The H-score: how far apart classes are in the features, against how far these spread (Bao et al., "An Information-Theoretic
//! Approach to Transferability in Task Transfer Learning", 2019), with a covariance that is shrunk (Ibrahim et al., "Newer is
//! not always better", 2021): of more features than rows none else has an inverse.

use super::spectrum::{decompose, products};

/// `tr(C^-1 (1 - a) B)`, where B is the covariance of the classes' means, and C = (1 - a) S + a m I that of the features, with
/// the share a of Ledoit and Wolf (2004) and the mean variance m. It is 0 where means of classes are equal, and at most one
/// less than the number of classes. Features are `[rows, width]`; nothing where all features are constant.
pub(super) fn h_score(features: &[f64], width: usize, classes: &[usize]) -> Option<f64> {
    let rows = classes.len();
    let centred = centred(features, width);
    let products = products(&centred, width);
    // The square of what each row is long.
    let fourth: f64 = (0..rows).map(|row| products[row * rows + row].powi(2)).sum();
    let count = classes.iter().max().map_or(0, |most| most + 1);
    let mut sizes = vec![0.0_f64; count];
    classes.iter().for_each(|&class| sizes[class] += 1.0);
    // Of each class the rows, so that products with a vector are the vector's share in means of classes.
    let of_class = |class: usize| {
        classes.iter().map(|&own| if own == class { sizes[class].sqrt().recip() } else { 0.0 }).collect::<Vec<f64>>()
    };
    let indicators = (0..count).filter(|&class| sizes[class] > 0.0).map(of_class).collect();
    let found = decompose(products, indicators);
    let (rows, width) = (rows as f64, width as f64);
    let variances: Vec<f64> = found.values.iter().map(|value| value / rows).collect();
    let mean = variances.iter().sum::<f64>() / width;
    // Of constant features, rounding is left.
    let size = features.iter().map(|value| value * value).sum::<f64>() / (rows * width);
    if mean <= 1e-20 * size || !mean.is_finite() {
        return None;
    }
    let squares: f64 = variances.iter().map(|variance| variance * variance).sum();
    let unlike = squares - width * mean * mean;
    let noise = (fourth / rows - squares) / rows;
    let share = if unlike > 0.0 { (noise / unlike).clamp(0.0, 1.0) } else { 1.0 };
    let of = |(k, variance): (usize, &f64)| {
        let within: f64 = found.coordinates.iter().map(|along| along[k] * along[k]).sum();
        let spread = (1.0 - share) * variance + share * mean;
        if spread > 1e-12 * mean { (1.0 - share) * variance * within / spread } else { 0.0 }
    };
    Some(variances.iter().enumerate().map(of).sum())
}

/// Features less their means.
fn centred(features: &[f64], width: usize) -> Vec<f64> {
    let rows = (features.len() / width.max(1)) as f64;
    let mut means = vec![0.0; width];
    for row in features.chunks_exact(width) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / rows);
    }
    features.iter().zip(means.iter().cycle()).map(|(value, mean)| value - mean).collect()
}

#[cfg(test)]
mod tests {
    use super::super::spectrum::tests::features;
    use super::h_score;

    #[test]
    fn the_score_is_that_of_the_dense_inverse() {
        // By scripts/reference-hints.py, of fewer columns than rows and of more.
        for (rows, width, wanted) in [(30, 4, 0.521_876_673), (12, 20, 0.004_108_685)] {
            let (x, classes) = features(rows, width, 3);
            let found = h_score(&x, width, &classes).unwrap();
            assert!((found - wanted).abs() < 1e-8, "{rows} x {width}: {found}");
        }
        assert_eq!(h_score(&[1.0; 20], 2, &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]), None);
    }
}
