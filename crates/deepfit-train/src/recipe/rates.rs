//! How the learning rate changes over a run: the schedules of the settings, which count in epochs.

use deepfit_data::nearest;
use deepfit_nn::{Anneal, ReduceOnPlateau, Schedule};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};
use crate::settings::Choice;

/// A schedule in epochs. What is `None` follows from the number of epochs of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rates {
    /// Always the same.
    Constant,
    /// Half a cosine, changed with each update.
    Cosine {
        #[serde(default)]
        final_fraction: f64,
    },
    /// Up and down, changed with each update.
    OneCycle {
        #[serde(default = "pct_start")]
        pct_start: f64,
        #[serde(default = "div_factor")]
        div_factor: f64,
        #[serde(default = "final_div_factor")]
        final_div_factor: f64,
        #[serde(default)]
        anneal: Anneal,
    },
    /// Times `gamma` after every `step_size` epochs.
    Step {
        step_size: Option<u64>,
        #[serde(default = "gamma")]
        gamma: f64,
    },
    /// Times `gamma` after each of these epochs.
    MultiStep {
        milestones: Option<Vec<u64>>,
        #[serde(default = "gamma")]
        gamma: f64,
    },
    /// Times `gamma` after every epoch.
    Exponential { gamma: Option<f64> },
    /// A straight line over `total_iters` epochs, changed with each update.
    Linear {
        #[serde(default = "one")]
        start_factor: f64,
        #[serde(default)]
        end_factor: f64,
        total_iters: Option<u64>,
    },
    /// A power of the share of `total_iters` epochs that is left, changed with each update.
    Polynomial {
        total_iters: Option<u64>,
        #[serde(default = "one")]
        power: f64,
    },
    /// Half a cosine again and again, the first over `t_0` epochs, changed with each update.
    WarmRestarts {
        t_0: Option<u64>,
        #[serde(default = "t_mult")]
        t_mult: u64,
        #[serde(default)]
        final_fraction: f64,
    },
    /// Times `factor` where the validation has not improved for more than `patience` epochs.
    Plateau {
        #[serde(default = "gamma")]
        factor: f64,
        #[serde(default = "plateau_patience")]
        patience: u64,
        #[serde(default = "threshold")]
        threshold: f64,
        #[serde(default)]
        cooldown: u64,
        #[serde(default)]
        min_fraction: f64,
    },
}

fn pct_start() -> f64 {
    0.3
}

fn div_factor() -> f64 {
    25.0
}

fn final_div_factor() -> f64 {
    1e4
}

fn gamma() -> f64 {
    0.1
}

fn one() -> f64 {
    1.0
}

fn t_mult() -> u64 {
    2
}

/// Fewer than the epochs after which a run stops early.
fn plateau_patience() -> u64 {
    4
}

fn threshold() -> f64 {
    1e-4
}

const FACTOR: &str = "a number that is not negative, such as 0.1";
const SHARE: &str = "a number from 0 to 1, such as 0.3";
const EPOCHS: &str = "a whole number of epochs from 1, such as 10";

/// The schedules, each with its own settings and what these must be.
const SCHEDULES: [(&str, &[(&str, &str)]); 10] = [
    ("constant", &[]),
    ("cosine", &[("final_fraction", SHARE)]),
    (
        "one_cycle",
        &[
            ("pct_start", SHARE),
            ("div_factor", "a number from 1, such as 25"),
            ("final_div_factor", "a number from 1, such as 10000"),
            ("anneal", "cos or linear"),
        ],
    ),
    ("step", &[("step_size", EPOCHS), ("gamma", FACTOR)]),
    ("multi_step", &[("milestones", "a list of epochs, such as [30, 45]"), ("gamma", FACTOR)]),
    ("linear", &[("start_factor", FACTOR), ("end_factor", FACTOR), ("total_iters", EPOCHS)]),
    ("polynomial", &[("total_iters", EPOCHS), ("power", "a number above 0, such as 2")]),
    ("exponential", &[("gamma", FACTOR)]),
    (
        "plateau",
        &[
            ("factor", "a number from 0 to below 1, such as 0.5"),
            ("patience", "a whole number of epochs, such as 4"),
            ("threshold", FACTOR),
            ("cooldown", "a whole number of epochs, such as 2"),
            ("min_fraction", FACTOR),
        ],
    ),
    ("warm_restarts", &[("t_0", EPOCHS), ("t_mult", "a whole number from 1, such as 2"), ("final_fraction", SHARE)]),
];

const KEY: &str = "schedule";

/// Steps must not overflow where epochs are many.
const MOST_EPOCHS: u64 = 1_000_000;

impl Rates {
    /// The schedule that a setting names.
    ///
    /// # Errors
    /// If there is none of this name, it has no such part, or the part does not fit.
    pub fn parse(choice: &Choice) -> Result<Rates> {
        let known = SCHEDULES.iter().find(|(name, _)| *name == choice.name);
        let Some((name, parts)) = known else {
            let names: Vec<&str> = SCHEDULES.iter().map(|(name, _)| *name).collect();
            let hint = nearest(&choice.name, names.iter().copied());
            let hint = hint.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let problem = format!("`{}` is not one of {}{hint}", choice.name, names.join(", "));
            return Err(TrainError::setting(KEY, problem));
        };
        let wrong = |part: &str, problem: String| TrainError::setting(&format!("{KEY}.{part}"), problem);
        for (part, value) in &choice.parts {
            let Some((_, expected)) = parts.iter().find(|(known, _)| known == part) else {
                let has: Vec<&str> = parts.iter().map(|(part, _)| *part).collect();
                let has = if has.is_empty() { "no settings of its own".to_string() } else { has.join(", ") };
                return Err(wrong(part, format!("there is no such setting: {name} has {has}")));
            };
            let alone =
                Choice { name: choice.name.clone(), parts: [(part.clone(), value.clone())].into_iter().collect() };
            let shown = value.to_string();
            let unfit = || wrong(part, format!("must be {expected}, not `{shown}`"));
            let rates: Rates = alone.table().try_into().map_err(|_: toml::de::Error| unfit())?;
            if !rates.in_range() {
                return Err(unfit());
            }
        }
        choice.table().try_into().map_err(|e: toml::de::Error| TrainError::setting(KEY, e.message().trim().to_string()))
    }

    fn in_range(&self) -> bool {
        let epochs = |n: &Option<u64>| n.is_none_or(|n| (1..=MOST_EPOCHS).contains(&n));
        let rates = self.clone().resolved(100);
        let few = match self {
            Rates::Step { step_size, .. } => epochs(step_size),
            Rates::MultiStep { milestones, .. } => milestones.iter().flatten().all(|&n| epochs(&Some(n))),
            Rates::Linear { total_iters, .. } | Rates::Polynomial { total_iters, .. } => epochs(total_iters),
            Rates::WarmRestarts { t_0, t_mult, .. } => epochs(t_0) && epochs(&Some(*t_mult)),
            _ => true,
        };
        few && rates.plateau().is_none_or(|plateau| plateau.validate().is_ok())
            && rates.in_updates(1, 0).validate().is_ok()
    }

    /// With nothing left open, for a run of so many epochs.
    #[must_use]
    pub fn resolved(mut self, epochs: u32) -> Rates {
        let epochs = u64::from(epochs);
        match &mut self {
            Rates::Step { step_size, .. } => *step_size = Some(step_size.unwrap_or(epochs.div_ceil(3).max(1))),
            Rates::MultiStep { milestones, .. } => {
                milestones.get_or_insert_with(|| {
                    let mut at = vec![epochs * 6 / 10, epochs * 85 / 100];
                    at.retain(|&epoch| epoch > 0);
                    at.dedup();
                    at
                });
            }
            // A hundredth of the rate is left in the end.
            Rates::Exponential { gamma } => *gamma = Some(gamma.unwrap_or(0.01f64.powf(1.0 / epochs.max(1) as f64))),
            Rates::Linear { total_iters, .. } | Rates::Polynomial { total_iters, .. } => {
                *total_iters = Some(total_iters.unwrap_or(epochs.max(1)));
            }
            // With each cosine twice as long as the one before, three of them fill the run.
            Rates::WarmRestarts { t_0, .. } => *t_0 = Some(t_0.unwrap_or(epochs.div_ceil(7).max(1))),
            _ => {}
        }
        self
    }

    /// As a setting.
    pub fn choice(&self) -> Choice {
        let mut parts = toml::Table::try_from(self).unwrap_or_default();
        let name = parts.remove("name").and_then(|name| name.as_str().map(str::to_string)).unwrap_or_default();
        Choice { name, parts }
    }

    /// The same in updates, after a warm-up. What waits for a metric is constant: see [`Rates::plateau`].
    pub fn in_updates(&self, per_epoch: u64, warmup_steps: u64) -> Schedule {
        let updates = |epochs: Option<u64>| epochs.unwrap_or(1) * per_epoch;
        let schedule = match *self {
            Rates::Constant | Rates::Plateau { .. } => Schedule::constant(),
            Rates::Cosine { final_fraction } => Schedule::Cosine { warmup_steps: 0, final_fraction },
            Rates::OneCycle { pct_start, div_factor, final_div_factor, anneal } => Schedule::OneCycle {
                warmup_steps: 0,
                anneal,
                pct_start,
                div_factor,
                final_div_factor,
                three_phase: false,
            },
            Rates::Step { step_size, gamma } => Schedule::Step { step_size: updates(step_size), gamma },
            Rates::MultiStep { ref milestones, gamma } => Schedule::MultiStep {
                milestones: milestones.iter().flatten().map(|&epoch| epoch * per_epoch).collect(),
                gamma,
            },
            Rates::Exponential { gamma } => Schedule::Step { step_size: per_epoch, gamma: gamma.unwrap_or(1.0) },
            Rates::Linear { start_factor, end_factor, total_iters } => {
                Schedule::Linear { start_factor, end_factor, total_iters: updates(total_iters) }
            }
            Rates::Polynomial { total_iters, power } => {
                Schedule::Polynomial { total_iters: updates(total_iters), power }
            }
            Rates::WarmRestarts { t_0, t_mult, final_fraction } => {
                Schedule::WarmRestarts { t_0: updates(t_0), t_mult, final_fraction }
            }
        };
        if warmup_steps == 0 { schedule } else { schedule.with_warmup(warmup_steps) }
    }

    /// What lowers the rate when a metric, smaller being better, no longer improves from epoch to epoch.
    pub fn plateau(&self) -> Option<ReduceOnPlateau> {
        let Rates::Plateau { factor, patience, threshold, cooldown, min_fraction } = *self else { return None };
        Some(ReduceOnPlateau { factor, patience, threshold, cooldown, min_fraction, ..ReduceOnPlateau::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, parts: &str) -> Result<Rates> {
        Rates::parse(&Choice { name: name.to_string(), parts: toml::from_str(parts).unwrap() })
    }

    #[test]
    fn every_schedule_is_known_without_settings_and_stays_itself_when_saved() {
        for (name, _) in SCHEDULES {
            for epochs in [1, 2, 7, 60] {
                let rates = with(name, "").unwrap().resolved(epochs);
                assert_eq!(Rates::parse(&rates.choice()).unwrap(), rates, "{name}");
                let schedule = rates.in_updates(10, 3);
                schedule.validate().unwrap();
                let total = u64::from(epochs) * 10;
                assert!((0..total).all(|step| schedule.rate(step, total) <= 1.0 + 1e-12), "{name}");
            }
        }
    }

    #[test]
    fn epochs_become_updates() {
        let rates = |name, parts, per_epoch| with(name, parts).unwrap().resolved(9).in_updates(per_epoch, 0);
        let of = |schedule: Schedule, steps: [u64; 4]| steps.map(|step| (schedule.rate(step, 90) * 1e6).round() / 1e6);
        assert_eq!(of(rates("step", "step_size = 2\ngamma = 0.5", 10), [0, 19, 20, 40]), [1.0, 1.0, 0.5, 0.25]);
        assert_eq!(of(rates("multi_step", "milestones = [1, 3]", 10), [9, 10, 29, 30]), [1.0, 0.1, 0.1, 0.01]);
        assert_eq!(of(rates("exponential", "gamma = 0.5", 10), [9, 10, 20, 30]), [1.0, 0.5, 0.25, 0.125]);
        assert_eq!(of(rates("linear", "", 10), [0, 9, 45, 90]), [1.0, 0.9, 0.5, 0.0]);
        assert_eq!(of(rates("polynomial", "power = 2", 10), [0, 45, 81, 90]), [1.0, 0.25, 0.01, 0.0]);
        assert_eq!(of(rates("warm_restarts", "t_0 = 2\nt_mult = 1", 10), [0, 10, 20, 30]), [1.0, 0.5, 1.0, 0.5]);
        assert_eq!(of(rates("plateau", "", 10), [0, 1, 2, 89]), [1.0; 4]);
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_part() {
        for (name, parts, words) in [
            ("stepp", "", "did you mean `step`?"),
            ("step", "gama = 0.5", "`schedule.gama`: there is no such setting: step has step_size, gamma"),
            ("constant", "gamma = 0.5", "constant has no settings of its own"),
            ("step", "step_size = 0", "`schedule.step_size`: must be a whole number of epochs"),
            ("step", "step_size = 1.5", "not `1.5`"),
            ("step", "gamma = -1", "`schedule.gamma`"),
            ("exponential", "gamma = \"fast\"", "`schedule.gamma`: must be a number that is not negative"),
            ("multi_step", "milestones = 3", "a list of epochs"),
            ("cosine", "final_fraction = 2", "from 0 to 1"),
            ("one_cycle", "div_factor = 0.5", "from 1"),
            ("one_cycle", "anneal = \"sine\"", "cos or linear"),
            ("plateau", "factor = 1", "below 1"),
            ("polynomial", "power = 0", "above 0"),
            ("warm_restarts", "t_0 = 99999999999", "epochs"),
        ] {
            let told = with(name, parts).unwrap_err().to_string();
            assert!(told.contains(words), "{name} {parts}: {told}");
        }
    }
}
