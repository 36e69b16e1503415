use crate::error::{Result, require};

/// A search for a learning rate: the rate rises from step to step, and the loss is watched (Smith, 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateSearch {
    /// The first rate, above 0; 1e-7 by default.
    pub first: f64,
    /// The last rate, above the first; 10 by default.
    pub last: f64,
    /// Steps from the first rate to the last, at least 2; 100 by default.
    pub steps: u64,
    /// Share of the smoothed loss that stays at each step, at least 0 and below 1; 0.9 by default.
    pub smoothing: f64,
    /// The search ends where the smoothed loss is this many times the smallest so far; 4 by default.
    pub divergence: f64,
}

impl Default for RateSearch {
    fn default() -> Self {
        RateSearch { first: 1e-7, last: 10.0, steps: 100, smoothing: 0.9, divergence: 4.0 }
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateCurve {
    /// The rates that were tried, rising.
    pub rates: Vec<f64>,
    /// The loss before each of these steps.
    pub losses: Vec<f64>,
    /// The same, averaged over the past and corrected for where the average began.
    pub smoothed: Vec<f64>,
    average: f64,
}

impl RateSearch {
    /// Checks the settings.
    ///
    /// # Errors
    /// If one is out of range, naming it.
    pub fn validate(&self) -> Result<()> {
        let place = "rate search";
        require(self.first > 0.0, place, "first", || format!("is {}, but must be above 0", self.first))?;
        require(self.last > self.first && self.last.is_finite(), place, "last", || {
            format!("is {}, but must be above the first, {}", self.last, self.first)
        })?;
        require(self.steps >= 2, place, "steps", || format!("is {}, but must be at least 2", self.steps))?;
        require((0.0..1.0).contains(&self.smoothing), place, "smoothing", || {
            format!("is {}, but must be at least 0 and below 1", self.smoothing)
        })?;
        require(self.divergence > 1.0, place, "divergence", || format!("is {}, but must be above 1", self.divergence))
    }

    /// The rate of a step, from 0: each is the same multiple of the one before.
    pub fn rate(&self, step: u64) -> f64 {
        let share = step as f64 / (self.steps.max(2) - 1) as f64;
        self.first * (self.last / self.first).powf(share)
    }

    /// Adds a step to the curve; returns whether the search should go on. A loss that is not finite ends it.
    pub fn observe(&self, curve: &mut RateCurve, loss: f64) -> bool {
        if !loss.is_finite() {
            return false;
        }
        let step = curve.rates.len() as u64;
        curve.average = self.smoothing * curve.average + (1.0 - self.smoothing) * loss;
        let smoothed = curve.average / (1.0 - self.smoothing.powf((step + 1) as f64));
        let best = curve.smoothed.iter().fold(f64::INFINITY, |m: f64, &v| m.min(v));
        curve.rates.push(self.rate(step));
        curve.losses.push(loss);
        curve.smoothed.push(smoothed);
        step + 1 < self.steps && (smoothed <= best || smoothed - best <= (self.divergence - 1.0) * best.abs())
    }
}

impl RateCurve {
    /// The rate at which the smoothed loss falls fastest, before it is smallest: a good one to train with, or to be the
    /// peak of a cycle. `None` if the loss does not fall.
    pub fn suggestion(&self) -> Option<f64> {
        let n = self.smoothed.len();
        let smallest = (0..n).min_by(|&a, &b| self.smoothed[a].total_cmp(&self.smoothed[b]))?;
        // Slopes of straight lines through several steps (rates are equally spaced in their logarithm), since losses of
        // single batches jump; the first steps say little, because the average has little behind it.
        let reach = (n / 10).max(1);
        let slope =
            |i: usize| (1..=reach).map(|d| d as f64 * (self.smoothed[i + d] - self.smoothed[i - d])).sum::<f64>();
        let last = smallest.min(n.saturating_sub(reach + 1));
        let steepest = (2 * reach..=last).min_by(|&a, &b| slope(a).total_cmp(&slope(b)))?;
        (slope(steepest) < 0.0).then_some(self.rates[steepest])
    }
}
