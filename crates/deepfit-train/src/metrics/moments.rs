//! Mean and variance of a stream.

/// Mean and variance by Welford's recurrence, which does not lose digits to a large mean
/// (B. P. Welford, "Note on a method for calculating corrected sums of squares and products", 1962).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The mean; `None` of nothing.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Sum of squared distances to the mean; exactly 0 if all values are equal.
    pub(crate) fn sum_of_squares(&self) -> f64 {
        self.squares
    }

    /// Sample standard deviation, divisor n - 1; `None` of fewer than two values.
    pub(crate) fn sd(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }

    /// Standard error of the mean; `None` of fewer than two values.
    pub(crate) fn standard_error(&self) -> Option<f64> {
        Some(self.sd()? / (self.count as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    #[test]
    fn a_large_mean_does_not_swamp_a_small_variance() {
        let mut moments = Moments::default();
        for i in 0..1000 {
            moments.add(1e9 + f64::from(i % 2) * 0.25);
        }
        assert!((moments.sum_of_squares() - 1000.0 * 0.125 * 0.125).abs() < 1e-6);
    }

    #[test]
    fn equal_values_have_exactly_no_variance() {
        let mut moments = Moments::default();
        (0..1000).for_each(|_| moments.add(0.1));
        assert_eq!(moments.sum_of_squares(), 0.0);
    }
}
