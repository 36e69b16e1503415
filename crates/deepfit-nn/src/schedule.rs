//! Learning-rate schedules: pure functions of the step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};

/// How the learning rate changes over the steps, as a factor of the base rate.
///
/// Every schedule may begin with a linear warm-up: in step `i` of `warmup_steps` (from 0) the factor is
/// `(i + 1) / warmup_steps`; what is said of steps below counts from the end of the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always 1.
    Constant {
        /// Steps of the warm-up.
        #[serde(default)]
        warmup_steps: u64,
    },
    /// From 1 along half a cosine towards `final_fraction` (Loshchilov and Hutter, 2017).
    Cosine {
        /// Steps of the warm-up.
        #[serde(default)]
        warmup_steps: u64,
        /// What would be reached one step after the last, 0 to 1.
        #[serde(default)]
        final_fraction: f64,
    },
    /// Up to 1 and down again (Smith and Topin, 2018), as PyTorch's `OneCycleLR` with two phases.
    OneCycle {
        /// Steps of a warm-up before the cycle, which has a rise of its own.
        #[serde(default)]
        warmup_steps: u64,
        /// Form of rise and fall.
        #[serde(default)]
        anneal: Anneal,
        /// Share of the steps in which the rate rises, 0 to 1.
        #[serde(default = "default_pct_start")]
        pct_start: f64,
        /// The first factor is `1 / div_factor`.
        #[serde(default = "default_div_factor")]
        div_factor: f64,
        /// The last factor is the first divided by this.
        #[serde(default = "default_final_div_factor")]
        final_div_factor: f64,
    },
}

/// Form of a rise or a fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anneal {
    /// Half a cosine.
    #[default]
    Cos,
    /// A straight line.
    Linear,
}

fn default_pct_start() -> f64 {
    0.3
}

fn default_div_factor() -> f64 {
    25.0
}

fn default_final_div_factor() -> f64 {
    1e4
}

impl Anneal {
    fn between(self, from: f64, to: f64, share: f64) -> f64 {
        match self {
            Anneal::Cos => to + (from - to) * (1.0 + (PI * share).cos()) / 2.0,
            Anneal::Linear => from + (to - from) * share,
        }
    }
}

impl Schedule {
    /// A constant rate.
    pub fn constant() -> Self {
        Schedule::Constant { warmup_steps: 0 }
    }

    /// Half a cosine down to nothing.
    pub fn cosine() -> Self {
        Schedule::Cosine { warmup_steps: 0, final_fraction: 0.0 }
    }

    /// One cycle with PyTorch's defaults.
    pub fn one_cycle() -> Self {
        Schedule::OneCycle {
            warmup_steps: 0,
            anneal: Anneal::Cos,
            pct_start: default_pct_start(),
            div_factor: default_div_factor(),
            final_div_factor: default_final_div_factor(),
        }
    }

    /// The same schedule after a warm-up of the given number of steps.
    #[must_use]
    pub fn with_warmup(mut self, steps: u64) -> Self {
        match &mut self {
            Schedule::Constant { warmup_steps }
            | Schedule::Cosine { warmup_steps, .. }
            | Schedule::OneCycle { warmup_steps, .. } => *warmup_steps = steps,
        }
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one is out of range, naming it.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Schedule::Constant { .. } => Ok(()),
            Schedule::Cosine { final_fraction, .. } => {
                require((0.0..=1.0).contains(&final_fraction), "cosine", "final_fraction", || {
                    format!("is {final_fraction}, but must be between 0 and 1")
                })
            }
            Schedule::OneCycle { pct_start, div_factor, final_div_factor, .. } => {
                require((0.0..=1.0).contains(&pct_start), "one_cycle", "pct_start", || {
                    format!("is {pct_start}, but must be between 0 and 1")
                })?;
                for (name, value) in [("div_factor", div_factor), ("final_div_factor", final_div_factor)] {
                    require(value.is_finite() && value >= 1.0, "one_cycle", name, || {
                        format!("is {value}, but must be at least 1")
                    })?;
                }
                Ok(())
            }
        }
    }

    /// Factor of the base rate in step `step` (from 0) of `total_steps`, at least 0 and at most 1. Steps beyond the last
    /// have the factor of the last.
    pub fn rate(&self, step: u64, total_steps: u64) -> f64 {
        let (Schedule::Constant { warmup_steps }
        | Schedule::Cosine { warmup_steps, .. }
        | Schedule::OneCycle { warmup_steps, .. }) = *self;
        if step < warmup_steps {
            return (step + 1) as f64 / warmup_steps as f64;
        }
        let total = total_steps.saturating_sub(warmup_steps).max(1);
        let step = (step - warmup_steps).min(total - 1) as f64;
        let total = total as f64;
        match *self {
            Schedule::Constant { .. } => 1.0,
            Schedule::Cosine { final_fraction, .. } => Anneal::Cos.between(1.0, final_fraction, step / total),
            Schedule::OneCycle { anneal, pct_start, div_factor, final_div_factor, .. } => {
                let first = 1.0 / div_factor;
                let last = first / final_div_factor;
                // PyTorch counts the peak from 0; in a very short run the rise is left out.
                let (peak, end) = (pct_start * total - 1.0, total - 1.0);
                if step <= peak && peak > 0.0 {
                    anneal.between(first, 1.0, step / peak)
                } else {
                    let peak = peak.max(0.0);
                    anneal.between(1.0, last, if end > peak { (step - peak) / (end - peak) } else { 0.0 })
                }
            }
        }
    }
}
