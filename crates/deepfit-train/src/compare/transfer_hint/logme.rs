//! LogME: the logarithm of the evidence of a linear model on the features (You et al., "LogME: Practical Assessment of
//! Pre-trained Models for Transfer Learning", 2021).

use super::spectrum::{decompose, products};

/// Most rounds of the fixed point, and when it has been reached.
const ROUNDS: usize = 200;
const NEAR: f64 = 1e-9;

/// The mean, over the targets, of the evidence of a row, in nats: `log p(y | features) / rows`, at the weights' and the noise's
/// precision that make it largest. Features are `[rows, width]`; a target has a number for each row: 1 or 0 for each class,
/// or what is to be foretold. Nothing where all targets are 0 everywhere.
pub(super) fn logme(features: &[f64], width: usize, targets: &[Vec<f64>]) -> Option<f64> {
    let targets: Vec<Vec<f64>> = targets.iter().filter(|target| target.iter().any(|&y| y != 0.0)).cloned().collect();
    if targets.is_empty() {
        return None;
    }
    let found = decompose(products(features, width), targets);
    let sum: f64 = found.coordinates.iter().map(|along| evidence(&found.values, along)).sum();
    Some(sum / found.coordinates.len() as f64)
}

/// Of one target, by the eigenvalues of the products of features, and what of it lies along each.
fn evidence(values: &[f64], along: &[f64]) -> f64 {
    let rows = along.len() as f64;
    let largest = values.iter().copied().fold(0.0, f64::max);
    let used: Vec<(f64, f64)> =
        values.iter().zip(along).filter(|(value, _)| **value > 1e-12 * largest).map(|(v, y)| (*v, y * y)).collect();
    if used.is_empty() {
        // Features that are all 0 leave everything to the noise.
        let variance = (along.iter().map(|y| y * y).sum::<f64>() / rows).max(f64::MIN_POSITIVE);
        return -0.5 * ((2.0 * std::f64::consts::PI * variance).ln() + 1.0);
    }
    // What no weights reach.
    let beyond: f64 = along.iter().map(|y| y * y).sum::<f64>() - used.iter().map(|(_, y)| y).sum::<f64>();
    let beyond = beyond.max(0.0);
    // Precision of the weights over that of the noise.
    let mut ratio = 1.0;
    let (mut weights, mut noise, mut square, mut rest) = (1.0, 1.0, 0.0, beyond);
    for _ in 0..ROUNDS {
        let known: f64 = used.iter().map(|(value, _)| value / (value + ratio)).sum();
        square = used.iter().map(|(value, y)| value * y / (value + ratio).powi(2)).sum::<f64>().max(f64::MIN_POSITIVE);
        rest = beyond + used.iter().map(|(value, y)| y * (ratio / (value + ratio)).powi(2)).sum::<f64>();
        rest = rest.max(1e-12 * rows);
        (weights, noise) = (known / square, (rows - known).max(1e-9) / rest);
        let next = (weights / noise).clamp(1e-12 * largest.max(1e-12), 1e12 * largest.max(1e-12));
        let moved = (next / ratio - 1.0).abs();
        ratio = next;
        if moved < NEAR {
            break;
        }
    }
    let volume: f64 = used.iter().map(|(value, _)| (weights + noise * value).ln()).sum();
    let total = used.len() as f64 * weights.ln() - volume + rows * noise.ln()
        - noise * rest
        - weights * square
        - rows * (2.0 * std::f64::consts::PI).ln();
    0.5 * total / rows
}

#[cfg(test)]
mod tests {
    use super::super::spectrum::tests::{features, numbers};
    use super::logme;

    #[test]
    fn the_evidence_is_that_of_the_dense_normal_distribution() {
        // By scripts/reference-hints.py, of fewer columns than rows and of more.
        for (rows, width, wanted) in [(30, 4, -0.711_967_518), (12, 20, -0.777_488_481)] {
            let (x, classes) = features(rows, width, 3);
            let of = |class: usize| classes.iter().map(|own| f64::from(u8::from(*own == class))).collect();
            let found = logme(&x, width, &(0..3).map(of).collect::<Vec<Vec<f64>>>()).unwrap();
            assert!((found - wanted).abs() < 1e-6, "{rows} x {width}: {found}");
        }
        let (x, _) = features(30, 4, 3);
        let values: Vec<f64> = numbers(30).iter().zip(x.chunks_exact(4)).map(|(value, row)| value + row[1]).collect();
        let found = logme(&x, 4, &[values]).unwrap();
        assert!((found + 1.124_306_290).abs() < 1e-6, "{found}");
    }

    #[test]
    fn what_tells_more_has_more_evidence_and_constant_features_are_no_trouble() {
        let (x, classes) = features(60, 3, 2);
        let told: Vec<f64> = classes.iter().map(|class| *class as f64).collect();
        let untold: Vec<f64> = (0..60).map(|row| f64::from(u8::from(row * 7 % 11 < 5))).collect();
        assert!(logme(&x, 3, std::slice::from_ref(&told)).unwrap() > logme(&x, 3, &[untold]).unwrap() + 0.1);
        for constant in [0.0, 1.0] {
            assert!(logme(&[constant; 180], 3, std::slice::from_ref(&told)).unwrap().is_finite());
        }
        assert_eq!(logme(&x, 3, &[vec![0.0; 60]]), None);
    }
}
