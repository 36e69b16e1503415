//! Mean and variance of a stream.

/// Mean and variance by Welford's recurrence, which does not lose digits to a large mean
/// (B. P. Welford, "Note on a method for calculating corrected sums of squares and products", 1962), of values that may have
/// weights (D. H. D. West, "Updating mean and variance estimates: an improved method", 1979).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    count: u64,
    weight: f64,
    mean: f64,
    squares: f64,
    /// The first value, from which distances are taken in the sums of squared weights.
    pivot: f64,
    /// Sums of the squared weights, times the distance, times its square.
    of_squared: [f64; 3],
    /// Whether a weight was another than 1.
    weighted: bool,
}

impl Moments {
    pub(crate) fn add(&mut self, value: f64) {
        self.add_weighted(value, 1.0);
    }

    /// Adds a value of a weight above 0.
    pub(crate) fn add_weighted(&mut self, value: f64, weight: f64) {
        if self.count == 0 {
            self.pivot = value;
        }
        self.count += 1;
        self.weight += weight;
        self.weighted |= weight != 1.0;
        let before = value - self.mean;
        self.mean += weight * before / self.weight;
        self.squares += weight * before * (value - self.mean);
        let (distance, squared) = (value - self.pivot, weight * weight);
        self.of_squared[0] += squared;
        self.of_squared[1] += squared * distance;
        self.of_squared[2] += squared * distance * distance;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the weights: the number of values, where they have none.
    pub(crate) fn weight(&self) -> f64 {
        self.weight
    }

    /// The mean; `None` of nothing.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Sum of squared distances to the mean, times their weights; exactly 0 if all values are equal.
    pub(crate) fn sum_of_squares(&self) -> f64 {
        self.squares
    }

    /// Sample standard deviation, divisor n - 1; `None` of fewer than two values.
    pub(crate) fn sd(&self) -> Option<f64> {
        let n = self.count as f64;
        (self.count > 1).then(|| (self.squares / (self.weight * (n - 1.0) / n)).sqrt())
    }

    /// Standard error of the mean; `None` of fewer than two values. With weights it is that of a ratio of sums, by its
    /// linear approximation.
    pub(crate) fn standard_error(&self) -> Option<f64> {
        let n = self.count as f64;
        if !self.weighted || self.count < 2 {
            return Some(self.sd()? / n.sqrt());
        }
        let [weights, first, second] = self.of_squared;
        let off = self.mean - self.pivot;
        let sum = (second - 2.0 * off * first + off * off * weights).max(0.0);
        Some((sum * n / (n - 1.0)).sqrt() / self.weight)
    }
}

/// A sum of weights, and of their squares.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) sum: f64,
    squares: f64,
}

impl Tally {
    pub(crate) fn add(&mut self, weight: f64) {
        self.sum += weight;
        self.squares += weight * weight;
    }

    /// The number of examples without weights that tell a mean as exactly as these (L. Kish, "Survey sampling", 1965); their
    /// number itself where all weights are 1.
    pub(crate) fn effective(&self) -> f64 {
        if self.squares > 0.0 { self.sum * self.sum / self.squares } else { 0.0 }
    }

    /// The share that a part has of it; `None` of nothing.
    pub(crate) fn share(&self, part: f64) -> Option<f64> {
        (self.sum > 0.0).then(|| part / self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::{Moments, Tally};

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

    #[test]
    fn whole_weights_are_repetitions_in_mean_and_variance() {
        let (mut weighted, mut repeated) = (Moments::default(), Moments::default());
        for (value, times) in [(1e6 + 1.0, 3), (1e6 + 2.5, 1), (1e6 - 4.0, 2)] {
            weighted.add_weighted(value, f64::from(times));
            (0..times).for_each(|_| repeated.add(value));
        }
        assert!((weighted.mean().unwrap() - repeated.mean().unwrap()).abs() < 1e-9);
        assert!((weighted.sum_of_squares() - repeated.sum_of_squares()).abs() < 1e-9);
        // Weights that are all alike change nothing but the sums.
        let (mut double, mut plain) = (Moments::default(), Moments::default());
        for value in [3.0, 5.0, 11.0, 2.0] {
            double.add_weighted(value, 2.0);
            plain.add(value);
        }
        assert!((double.standard_error().unwrap() - plain.standard_error().unwrap()).abs() < 1e-12);
        assert!((double.sd().unwrap() - plain.sd().unwrap()).abs() < 1e-12);
    }

    #[test]
    fn unequal_weights_tell_less_than_their_number() {
        let mut tally = Tally::default();
        [1.0, 1.0, 1.0, 1.0].into_iter().for_each(|w| tally.add(w));
        assert_eq!((tally.sum, tally.effective()), (4.0, 4.0));
        tally.add(6.0);
        assert_eq!(tally.effective(), 100.0 / 40.0);
    }
}
