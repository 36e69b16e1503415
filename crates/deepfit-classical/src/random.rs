//! Random numbers: SplitMix64 (Steele, Lea and Flood, 2014).

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of random numbers.
pub(crate) struct Random(u64);

impl Random {
    /// The stream of a seed for one purpose.
    pub(crate) fn new(seed: u64, purpose: u64) -> Random {
        Random(finalise(finalise(seed.wrapping_add(GOLDEN)) ^ purpose.wrapping_mul(GOLDEN)))
    }

    /// Uniform below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(GOLDEN);
        ((u128::from(finalise(self.0)) * n as u128) >> 64) as usize
    }

    /// Brings values into a random order.
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}

fn finalise(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
