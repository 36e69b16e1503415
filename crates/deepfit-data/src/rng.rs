//! Counter-based random numbers.
//!
//! Every random decision of this crate is a pure function of a key made from (seed, epoch, row,
//! purpose), never of what was drawn before for another row. That is why a run that resumes in the
//! middle of an epoch, or that prepares its batches on more threads, sees the same bits.
//!
//! The generator is SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number
//! generators", OOPSLA 2014): a counter advanced by the golden ratio and a 64-bit finaliser.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What the numbers are drawn for; keeps the streams of one row apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Order = 1,
    Augment = 2,
    Mix = 3,
    Split = 4,
    Folds = 5,
}

/// A short stream of random numbers that belongs to one key.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
}

fn finalise(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Rng {
    /// The stream of one (seed, epoch, row) for one purpose.
    pub(crate) fn new(seed: u64, purpose: Purpose, epoch: u32, row: u32) -> Rng {
        let mut state = finalise(seed.wrapping_add(GOLDEN));
        for part in [purpose as u64, u64::from(epoch), u64::from(row)] {
            state = finalise(state ^ part.wrapping_mul(GOLDEN)).wrapping_add(GOLDEN);
        }
        Rng { state }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        finalise(self.state)
    }

    /// Uniform in 0..n without bias worth speaking of (Lemire's multiplication, n < 2^32); n > 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [-1, 1).
    pub(crate) fn signed(&mut self) -> f32 {
        (2.0 * self.uniform() - 1.0) as f32
    }

    /// Normal with mean 0 and deviation 1 (Box & Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Gamma(shape, 1), shape > 0 (Marsaglia & Tsang 2000).
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.uniform()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Beta(alpha, alpha), alpha > 0: the weights of mixup and cutmix.
    pub(crate) fn beta(&mut self, alpha: f64) -> f64 {
        let (a, b) = (self.gamma(alpha), self.gamma(alpha));
        if a + b > 0.0 { a / (a + b) } else { 0.5 }
    }

    /// Fisher-Yates shuffle.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_keys_differ_and_equal_keys_agree() {
        let draw = |seed, epoch, row| Rng::new(seed, Purpose::Augment, epoch, row).next_u64();
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        let mut seen = std::collections::HashSet::new();
        for seed in 0..10 {
            for epoch in 0..10 {
                for row in 0..10 {
                    assert!(seen.insert(draw(seed, epoch, row)));
                }
            }
        }
    }

    #[test]
    fn shuffles_are_uniform_over_the_permutations_of_three() {
        let mut counts = std::collections::HashMap::new();
        for epoch in 0..6000 {
            let mut items = [0, 1, 2];
            Rng::new(7, Purpose::Order, epoch, 0).shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&c| (850..1150).contains(&c)), "{counts:?}");
    }

    #[test]
    fn beta_has_the_moments_of_its_distribution() {
        for alpha in [0.2, 1.0, 3.0] {
            let mut rng = Rng::new(3, Purpose::Mix, 0, 0);
            let draws: Vec<f64> = (0..20_000).map(|_| rng.beta(alpha)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            assert!((mean - 0.5).abs() < 0.01);
            assert!((variance - 0.25 / (2.0 * alpha + 1.0)).abs() < 0.005, "{alpha}: {variance}");
        }
    }
}
