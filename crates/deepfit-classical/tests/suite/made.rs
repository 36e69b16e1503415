//! Rows to learn from, made by formulas.

use deepfit_classical::{Kind, Learner, Matrix, Target};

/// Uniform numbers in 0..1 that are the same every time.
pub fn uniform(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1_u64 << 24) as f32
        })
        .collect()
}

/// Rows of three numbers, some of which may be missing, and a category.
pub fn table(rows: usize, seed: u64, missing: bool) -> Matrix {
    let noise = uniform(rows * 5, seed);
    let values = noise.chunks(5).flat_map(|u| {
        let gap = missing && u[4] < 0.2;
        [u[0], if gap { f32::NAN } else { u[1] * 10.0 }, u[2] - 0.5, (u[3] * 5.0).floor()]
    });
    let kinds = vec![Kind::Number, Kind::Number, Kind::Number, Kind::Category(5)];
    Matrix::of_columns(kinds, values.collect())
}

/// Classes that depend on the table's numbers: whether a sum is large, or of three which number is largest.
pub fn classes(rows: usize, seed: u64, classes: usize) -> Target {
    let noise = uniform(rows * 5, seed);
    let of = noise.chunks(5).map(|u| {
        let score = (u[0] * 1.3 + u[2] * 0.7) / 2.0;
        (score * classes as f32).min(classes as f32 - 1.0) as u32
    });
    Target::Classes { classes, of: of.collect() }
}

/// Values that depend on the table's numbers and on its category.
pub fn values(rows: usize, seed: u64) -> Target {
    let noise = uniform(rows * 5, seed);
    Target::Values(noise.chunks(5).map(|u| f64::from(u[0] * u[2] * 4.0 + (u[3] * 5.0).floor() % 2.0)).collect())
}

/// All learners with what they choose themselves.
pub fn learners() -> [Learner; 4] {
    [
        Learner::Constant,
        Learner::Linear(Default::default()),
        Learner::Neighbours(Default::default()),
        Learner::Trees(Default::default()),
    ]
}
