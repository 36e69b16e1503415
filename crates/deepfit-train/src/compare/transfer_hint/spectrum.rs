//! Eigenvalues of symmetric matrices, and vectors in the coordinates of the eigenvectors.

/// Of products of features all that scores of them need: how far they reach along each principal direction of the rows, and
/// what of some vectors lies along it.
pub(super) struct Spectrum {
    /// The eigenvalues, not negative; in no order.
    pub(super) values: Vec<f64>,
    /// Of each vector its product with each eigenvector.
    pub(super) coordinates: Vec<Vec<f64>>,
}

/// Products of all pairs of rows, `[rows, rows]`, of features `[rows, width]`.
pub(super) fn products(features: &[f64], width: usize) -> Vec<f64> {
    let rows = features.len() / width.max(1);
    let mut products = vec![0.0; rows * rows];
    for i in 0..rows {
        let own = &features[i * width..][..width];
        for j in 0..=i {
            let product = dot(own, &features[j * width..][..width]);
            products[i * rows + j] = product;
            products[j * rows + i] = product;
        }
    }
    products
}

/// In eight sums, which a processor adds at once.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a.zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Decomposes a symmetric matrix, `[n, n]`, none of whose eigenvalues is negative but by rounding.
///
/// It is made tridiagonal by reflections (Householder, 1958) and then diagonal by rotations (Francis, 1961), which are done to
/// the vectors as they come: eigenvectors by themselves are not needed, and would take most of the time.
pub(super) fn decompose(mut matrix: Vec<f64>, mut vectors: Vec<Vec<f64>>) -> Spectrum {
    let n = matrix.len().isqrt();
    let (mut diagonal, mut beside) = tridiagonal(&mut matrix, n, &mut vectors);
    diagonalise(&mut diagonal, &mut beside, &mut vectors);
    diagonal.iter_mut().for_each(|value| *value = value.max(0.0));
    Spectrum { values: diagonal, coordinates: vectors }
}

/// The diagonal, and what stands beside it.
fn tridiagonal(matrix: &mut [f64], n: usize, vectors: &mut [Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    let mut beside = vec![0.0; n.saturating_sub(1)];
    for k in 0..n.saturating_sub(2) {
        let first = k + 1;
        let mut v: Vec<f64> = (first..n).map(|i| matrix[i * n + k]).collect();
        let length = dot(&v, &v).sqrt();
        let target = if v[0] > 0.0 { -length } else { length };
        beside[k] = target;
        v[0] -= target;
        let size = dot(&v, &v);
        if size <= f64::MIN_POSITIVE {
            beside[k] = matrix[first * n + k];
            continue;
        }
        let scale = 2.0 / size;
        let rows = n - first;
        let mut p: Vec<f64> = (0..rows).map(|i| scale * dot(&matrix[(first + i) * n + first..][..rows], &v)).collect();
        let half = 0.5 * scale * dot(&p, &v);
        p.iter_mut().zip(&v).for_each(|(p, v)| *p -= half * v);
        for i in 0..rows {
            let row = &mut matrix[(first + i) * n + first..][..rows];
            let (of_v, of_p) = (v[i], p[i]);
            row.iter_mut().zip(v.iter().zip(&p)).for_each(|(a, (v, p))| *a -= of_v * p + of_p * v);
        }
        for vector in vectors.iter_mut() {
            let by = scale * dot(&vector[first..], &v);
            vector[first..].iter_mut().zip(&v).for_each(|(x, v)| *x -= by * v);
        }
    }
    if n > 1 {
        beside[n - 2] = matrix[(n - 1) * n + n - 2];
    }
    ((0..n).map(|i| matrix[i * n + i]).collect(), beside)
}

/// Most rounds for an eigenvalue; two or three are usual.
const ROUNDS: usize = 60;

/// Rotations with the shift of Wilkinson (1968), until nothing stands beside the diagonal.
fn diagonalise(d: &mut [f64], e: &mut [f64], vectors: &mut [Vec<f64>]) {
    let mut high = d.len().saturating_sub(1);
    let largest = d.iter().chain(e.iter()).fold(0.0_f64, |most, value| most.max(value.abs()));
    let is_small = |d: &[f64], e: &[f64], at: usize| {
        e[at].abs() <= f64::EPSILON * (d[at].abs() + d[at + 1].abs()) + 1e-18 * largest
    };
    let mut rounds = 0;
    while high > 0 {
        if is_small(d, e, high - 1) || rounds > ROUNDS {
            (high, rounds) = (high - 1, 0);
            continue;
        }
        rounds += 1;
        let mut low = high - 1;
        while low > 0 && !is_small(d, e, low - 1) {
            low -= 1;
        }
        let (half, last) = ((d[high - 1] - d[high]) / 2.0, e[high - 1]);
        let root = half.hypot(last);
        let shift = d[high] - last * last / (half + if half < 0.0 { -root } else { root });
        let (mut x, mut z) = (d[low] - shift, e[low]);
        for k in low..high {
            let r = x.hypot(z);
            let (c, s) = if r > 0.0 { (x / r, z / r) } else { (1.0, 0.0) };
            if k > low {
                e[k - 1] = r;
            }
            let (a, b, beside) = (d[k], d[k + 1], e[k]);
            d[k] = c * c * a + 2.0 * c * s * beside + s * s * b;
            d[k + 1] = s * s * a - 2.0 * c * s * beside + c * c * b;
            e[k] = c * s * (b - a) + (c * c - s * s) * beside;
            if k + 1 < high {
                (x, z) = (e[k], s * e[k + 1]);
                e[k + 1] *= c;
            }
            for vector in vectors.iter_mut() {
                let (a, b) = (vector[k], vector[k + 1]);
                (vector[k], vector[k + 1]) = (c * a + s * b, c * b - s * a);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{decompose, products};

    /// Numbers without any pattern, as `scripts/reference-hints.py` has them.
    pub(in super::super) fn numbers(count: usize) -> Vec<f64> {
        (0..count as u64).map(|i| (i * i * 7919 % 10_007) as f64 / 5003.5 - 1.0).collect()
    }

    #[test]
    fn what_was_decomposed_gives_the_same_products_again() {
        for (rows, width) in [(1, 3), (2, 1), (7, 3), (40, 60)] {
            let matrix = products(&numbers(rows * width), width);
            let axes: Vec<Vec<f64>> =
                (0..rows).map(|i| (0..rows).map(|j| f64::from(u8::from(i == j))).collect()).collect();
            let found = decompose(matrix.clone(), axes);
            for i in 0..rows {
                for j in 0..rows {
                    let parts = found.values.iter().zip(found.coordinates[i].iter().zip(&found.coordinates[j]));
                    let again: f64 = parts.map(|(value, (a, b))| value * a * b).sum();
                    assert!((again - matrix[i * rows + j]).abs() < 1e-10, "{rows} {width}: {again}");
                }
            }
        }
    }

    /// Features, `[rows, width]`, whose first column tells something of the class.
    pub(in super::super) fn features(rows: usize, width: usize, classes: usize) -> (Vec<f64>, Vec<usize>) {
        let of: Vec<usize> = (0..rows).map(|row| row % classes).collect();
        let mut features = numbers(rows * width);
        features.chunks_exact_mut(width).zip(&of).for_each(|(row, class)| row[0] += *class as f64);
        (features, of)
    }
}
