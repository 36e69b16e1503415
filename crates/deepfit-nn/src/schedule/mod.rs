//! Learning-rate schedules: pure functions of the step, and one that follows a metric.

mod finder;
mod plateau;

pub use finder::{RateCurve, RateSearch};
pub use plateau::{Better, Plateau, ReduceOnPlateau};

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};

/// How the learning rate changes over the steps, as a factor of the base rate.
///
/// Every schedule may begin with a linear warm-up ([`Schedule::with_warmup`]): in step `i` of `warmup_steps` (from 0) the
/// factor is `(i + 1) / warmup_steps`; what is said of steps below counts from the end of the warm-up.
///
/// Steps are what the caller counts: updates or epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always 1.
    Constant {
        /// Steps of the warm-up; 0 by default.
        #[serde(default)]
        warmup_steps: u64,
    },
    /// From 1 along half a cosine towards `final_fraction` (Loshchilov and Hutter, 2017).
    Cosine {
        /// Steps of the warm-up; 0 by default.
        #[serde(default)]
        warmup_steps: u64,
        /// What would be reached one step after the last, 0 to 1; 0 by default.
        #[serde(default)]
        final_fraction: f64,
    },
    /// Up to 1 and down again (Smith and Topin, 2018), as PyTorch's `OneCycleLR`. The momentum of the optimiser stays
    /// as it is: PyTorch's schedule, unless told not to, moves it against the rate (`cycle_momentum`).
    OneCycle {
        /// Steps of a warm-up before the cycle, which has a rise of its own.
        #[serde(default)]
        warmup_steps: u64,
        /// Form of rise and fall; a cosine by default.
        #[serde(default)]
        anneal: Anneal,
        /// Share of the steps in which the rate rises, 0 to 1; 0.3 by default.
        #[serde(default = "default_pct_start")]
        pct_start: f64,
        /// The first factor is `1 / div_factor`, 1/25 by default.
        #[serde(default = "default_div_factor")]
        div_factor: f64,
        /// The last factor is the first divided by this, 10000 by default.
        #[serde(default = "default_final_div_factor")]
        final_div_factor: f64,
        /// Whether the fall to the first factor takes as many steps as the rise, and the rest of the steps the fall from
        /// there to the last; otherwise, and by default, one fall takes all steps that are left.
        #[serde(default)]
        three_phase: bool,
    },
    /// Times `gamma` after every `step_size` steps, as PyTorch's `StepLR`.
    Step {
        /// Steps with the same rate, at least 1.
        step_size: u64,
        /// The factor, not negative; 0.1 by default.
        #[serde(default = "default_step_gamma")]
        gamma: f64,
    },
    /// Times `gamma` at each of the given steps, as PyTorch's `MultiStepLR`.
    MultiStep {
        /// The steps; one that is named twice counts twice.
        milestones: Vec<u64>,
        /// The factor, not negative; 0.1 by default.
        #[serde(default = "default_step_gamma")]
        gamma: f64,
    },
    /// Times `gamma` after every step, as PyTorch's `ExponentialLR`.
    Exponential {
        /// The factor, not negative.
        gamma: f64,
    },
    /// A straight line, then as it ended, as PyTorch's `LinearLR`.
    Linear {
        /// The first factor, not negative.
        start_factor: f64,
        /// The last factor, not negative.
        end_factor: f64,
        /// Steps from the first factor to the last, at least 1.
        total_iters: u64,
    },
    /// `(1 - step / total_iters) ^ power`, then 0, as PyTorch's `PolynomialLR`.
    Polynomial {
        /// Steps until 0, at least 1.
        total_iters: u64,
        /// The exponent, above 0; 1 is a straight line.
        power: f64,
    },
    /// Half a cosine again and again (Loshchilov and Hutter, 2017), as PyTorch's `CosineAnnealingWarmRestarts`.
    WarmRestarts {
        /// Steps of the first cosine, at least 1.
        t_0: u64,
        /// How many times longer each is than the one before, at least 1; 1 by default.
        #[serde(default = "default_t_mult")]
        t_mult: u64,
        /// What each would reach one step after its last, 0 to 1; 0 by default.
        #[serde(default)]
        final_fraction: f64,
    },
    /// A linear warm-up, then another schedule.
    Warmup {
        /// Steps of the warm-up.
        warmup_steps: u64,
        /// What follows.
        then: Box<Schedule>,
    },
    /// One schedule after another, each counting from its own beginning, as PyTorch's `SequentialLR`.
    Sequential {
        /// The schedules, one more than milestones.
        schedules: Vec<Schedule>,
        /// The first step of each but the first, rising.
        milestones: Vec<u64>,
    },
    /// The product of schedules that run side by side, as PyTorch's `ChainedScheduler` of schedules that multiply.
    Chained {
        /// The schedules.
        schedules: Vec<Schedule>,
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

fn default_step_gamma() -> f64 {
    0.1
}

fn default_t_mult() -> u64 {
    1
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
            three_phase: false,
        }
    }

    /// The same schedule after a warm-up of the given number of steps.
    #[must_use]
    pub fn with_warmup(mut self, steps: u64) -> Self {
        match &mut self {
            Schedule::Constant { warmup_steps }
            | Schedule::Cosine { warmup_steps, .. }
            | Schedule::OneCycle { warmup_steps, .. }
            | Schedule::Warmup { warmup_steps, .. } => *warmup_steps = steps,
            _ => return Schedule::Warmup { warmup_steps: steps, then: Box::new(self) },
        }
        self
    }

    /// The name in settings.
    pub fn name(&self) -> &'static str {
        match self {
            Schedule::Constant { .. } => "constant",
            Schedule::Cosine { .. } => "cosine",
            Schedule::OneCycle { .. } => "one_cycle",
            Schedule::Step { .. } => "step",
            Schedule::MultiStep { .. } => "multi_step",
            Schedule::Exponential { .. } => "exponential",
            Schedule::Linear { .. } => "linear",
            Schedule::Polynomial { .. } => "polynomial",
            Schedule::WarmRestarts { .. } => "warm_restarts",
            Schedule::Warmup { .. } => "warmup",
            Schedule::Sequential { .. } => "sequential",
            Schedule::Chained { .. } => "chained",
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one is out of range, naming it.
    pub fn validate(&self) -> Result<()> {
        let name = self.name();
        let fraction = |setting: &str, value: f64| {
            require((0.0..=1.0).contains(&value), name, setting, || format!("is {value}, but must be between 0 and 1"))
        };
        let factor = |setting: &str, value: f64| {
            require(value.is_finite() && value >= 0.0, name, setting, || {
                format!("is {value}, but must not be negative")
            })
        };
        let counts = |setting: &str, value: u64| {
            require(value > 0, name, setting, || "is 0, but must be at least 1".to_string())
        };
        match self {
            Schedule::Constant { .. } => Ok(()),
            Schedule::Cosine { final_fraction, .. } => fraction("final_fraction", *final_fraction),
            Schedule::OneCycle { pct_start, div_factor, final_div_factor, three_phase, .. } => {
                fraction("pct_start", *pct_start)?;
                require(!three_phase || *pct_start <= 0.5, name, "pct_start", || {
                    format!("is {pct_start}, but three phases need 0.5 at most: the rate falls as long as it rises")
                })?;
                for (setting, value) in [("div_factor", *div_factor), ("final_div_factor", *final_div_factor)] {
                    require(value.is_finite() && value >= 1.0, name, setting, || {
                        format!("is {value}, but must be at least 1")
                    })?;
                }
                Ok(())
            }
            Schedule::Step { step_size, gamma } => {
                counts("step_size", *step_size)?;
                factor("gamma", *gamma)
            }
            Schedule::MultiStep { gamma, .. } | Schedule::Exponential { gamma } => factor("gamma", *gamma),
            Schedule::Linear { start_factor, end_factor, total_iters } => {
                factor("start_factor", *start_factor)?;
                factor("end_factor", *end_factor)?;
                counts("total_iters", *total_iters)
            }
            Schedule::Polynomial { total_iters, power } => {
                counts("total_iters", *total_iters)?;
                require(power.is_finite() && *power > 0.0, name, "power", || format!("is {power}, but must be above 0"))
            }
            Schedule::WarmRestarts { t_0, t_mult, final_fraction } => {
                counts("t_0", *t_0)?;
                counts("t_mult", *t_mult)?;
                fraction("final_fraction", *final_fraction)
            }
            Schedule::Warmup { then, .. } => then.validate(),
            Schedule::Sequential { schedules, milestones } => {
                require(schedules.len() == milestones.len() + 1, name, "milestones", || {
                    format!("has {} steps for {} schedules, but must have one less", milestones.len(), schedules.len())
                })?;
                require(milestones.is_sorted(), name, "milestones", || format!("is {milestones:?}, but must rise"))?;
                schedules.iter().try_for_each(Schedule::validate)
            }
            Schedule::Chained { schedules } => schedules.iter().try_for_each(Schedule::validate),
        }
    }

    /// Factor of the base rate in step `step` (from 0) of `total_steps`, not negative. Schedules that span the whole run
    /// keep their last factor in steps beyond it.
    pub fn rate(&self, step: u64, total_steps: u64) -> f64 {
        if let Schedule::Constant { warmup_steps }
        | Schedule::Cosine { warmup_steps, .. }
        | Schedule::OneCycle { warmup_steps, .. }
        | Schedule::Warmup { warmup_steps, .. } = self
        {
            return match step.checked_sub(*warmup_steps) {
                None => (step + 1) as f64 / *warmup_steps as f64,
                Some(step) => self.after_warmup(step, total_steps.saturating_sub(*warmup_steps)),
            };
        }
        self.after_warmup(step, total_steps)
    }

    fn after_warmup(&self, step: u64, total_steps: u64) -> f64 {
        let total = total_steps.max(1);
        let (within, total) = (step.min(total - 1) as f64, total as f64);
        match *self {
            Schedule::Constant { .. } => 1.0,
            Schedule::Cosine { final_fraction, .. } => Anneal::Cos.between(1.0, final_fraction, within / total),
            Schedule::OneCycle { anneal, pct_start, div_factor, final_div_factor, three_phase, .. } => {
                let first = 1.0 / div_factor;
                let last = first / final_div_factor;
                // PyTorch counts the peak from 0; in a very short run the rise is left out.
                let (peak, end) = (pct_start * total - 1.0, total - 1.0);
                let between = |from: f64, to: f64, begin: f64, end: f64| {
                    anneal.between(from, to, if end > begin { (within - begin) / (end - begin) } else { 0.0 })
                };
                let back = 2.0 * peak;
                if within <= peak && peak > 0.0 {
                    between(first, 1.0, 0.0, peak)
                } else if three_phase && peak > 0.0 && back < end {
                    if within <= back { between(1.0, first, peak, back) } else { between(first, last, back, end) }
                } else {
                    between(1.0, last, peak.max(0.0), end)
                }
            }
            Schedule::Step { step_size, gamma } => gamma.powf((step / step_size.max(1)) as f64),
            Schedule::MultiStep { ref milestones, gamma } => {
                gamma.powf(milestones.iter().filter(|&&m| m <= step).count() as f64)
            }
            Schedule::Exponential { gamma } => gamma.powf(step as f64),
            Schedule::Linear { start_factor, end_factor, total_iters } => {
                let share = step.min(total_iters) as f64 / total_iters.max(1) as f64;
                Anneal::Linear.between(start_factor, end_factor, share)
            }
            Schedule::Polynomial { total_iters, power } => {
                (1.0 - step.min(total_iters) as f64 / total_iters.max(1) as f64).powf(power)
            }
            Schedule::WarmRestarts { t_0, t_mult, final_fraction } => {
                let (mut at, mut length) = (step, t_0.max(1));
                if t_mult <= 1 {
                    at %= length;
                } else {
                    while at >= length {
                        at -= length;
                        length = length.saturating_mul(t_mult);
                    }
                }
                Anneal::Cos.between(1.0, final_fraction, at as f64 / length as f64)
            }
            Schedule::Warmup { ref then, .. } => then.rate(step, total_steps),
            Schedule::Sequential { ref schedules, ref milestones } => {
                let current = milestones.iter().take_while(|&&m| m <= step).count();
                let begin = if current == 0 { 0 } else { milestones[current - 1] };
                let end = milestones.get(current).copied().unwrap_or(total_steps.max(begin));
                schedules.get(current).map_or(1.0, |s| s.rate(step - begin, end - begin))
            }
            Schedule::Chained { ref schedules } => schedules.iter().map(|s| s.rate(step, total_steps)).product(),
        }
    }
}
