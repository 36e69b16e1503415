use serde::{Deserialize, Serialize};

use crate::error::{Result, require};

/// Which metrics are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Smaller ones: a loss.
    #[default]
    Min,
    /// Larger ones: an accuracy.
    Max,
}

/// Lowers the rate when a metric no longer improves, equal to PyTorch's `ReduceLROnPlateau`.
///
/// Rates are factors of the base rate. What it has seen is in a [`Plateau`], which a checkpoint can hold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReduceOnPlateau {
    /// Which metrics are better; smaller ones by default.
    pub mode: Better,
    /// What the rate is multiplied by, at least 0 and below 1; 0.1 by default.
    pub factor: f64,
    /// Metrics without improvement that are allowed; one more lowers the rate. 10 by default.
    pub patience: u64,
    /// How much better a metric must be to count; 1e-4 by default.
    pub threshold: f64,
    /// Whether the threshold is a difference; otherwise, and by default, it is a share of the best metric.
    pub absolute: bool,
    /// Metrics after a reduction in which nothing is counted; 0 by default.
    pub cooldown: u64,
    /// The smallest factor of the base rate; 0 by default.
    pub min_fraction: f64,
    /// The smallest change of the factor that is made; 1e-8 by default. PyTorch's `eps` is that of the rate itself:
    /// divided by the base rate it is this one.
    pub eps: f64,
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        ReduceOnPlateau {
            mode: Better::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            absolute: false,
            cooldown: 0,
            min_fraction: 0.0,
            eps: 1e-8,
        }
    }
}

/// What a [`ReduceOnPlateau`] remembers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The best metric so far; `None` before the first.
    pub best: Option<f64>,
    /// Metrics since then without improvement.
    pub bad: u64,
    /// Metrics of the cool-down that are left.
    pub cooling: u64,
    /// The current factor of the base rate.
    pub rate: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Plateau { best: None, bad: 0, cooling: 0, rate: 1.0 }
    }
}

impl ReduceOnPlateau {
    /// Checks the settings.
    ///
    /// # Errors
    /// If one is out of range, naming it.
    pub fn validate(&self) -> Result<()> {
        require((0.0..1.0).contains(&self.factor), "plateau", "factor", || {
            format!("is {}, but must be at least 0 and below 1", self.factor)
        })?;
        for (setting, value) in [("threshold", self.threshold), ("min_fraction", self.min_fraction), ("eps", self.eps)]
        {
            require(value.is_finite() && value >= 0.0, "plateau", setting, || {
                format!("is {value}, but must not be negative")
            })?;
        }
        Ok(())
    }

    /// Takes note of a metric and returns the factor of the base rate from now on. A metric that is NaN is no
    /// improvement.
    pub fn observe(&self, plateau: &mut Plateau, metric: f64) -> f64 {
        let improves = match plateau.best {
            None => !metric.is_nan(),
            Some(best) => {
                let margin = if self.absolute { self.threshold } else { self.threshold * best };
                match self.mode {
                    Better::Min => metric < best - margin,
                    Better::Max => metric > best + margin,
                }
            }
        };
        if improves {
            plateau.best = Some(metric);
            plateau.bad = 0;
        } else {
            plateau.bad += 1;
        }
        if plateau.cooling > 0 {
            plateau.cooling -= 1;
            plateau.bad = 0;
        }
        if plateau.bad > self.patience {
            let lower = (plateau.rate * self.factor).max(self.min_fraction.min(plateau.rate));
            if plateau.rate - lower > self.eps {
                plateau.rate = lower;
            }
            plateau.cooling = self.cooldown;
            plateau.bad = 0;
        }
        plateau.rate
    }
}
