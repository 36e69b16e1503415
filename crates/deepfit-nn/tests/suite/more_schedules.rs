use deepfit_nn::Anneal;
use deepfit_nn::schedule::{Better, Plateau, RateCurve, RateSearch, ReduceOnPlateau, Schedule};

use crate::golden::Golden;

fn three_phases(anneal: Anneal, pct_start: f64, div_factor: f64, final_div_factor: f64) -> Schedule {
    Schedule::OneCycle { warmup_steps: 0, anneal, pct_start, div_factor, final_div_factor, three_phase: true }
}

fn all() -> Vec<(&'static str, Schedule)> {
    let gamma = |gamma| Schedule::Exponential { gamma };
    let linear = |start_factor, end_factor, total_iters| Schedule::Linear { start_factor, end_factor, total_iters };
    vec![
        ("step", Schedule::Step { step_size: 7, gamma: 0.5 }),
        ("multi_step", Schedule::MultiStep { milestones: vec![5, 20, 20, 41], gamma: 0.3 }),
        ("exponential", gamma(0.9)),
        ("linear", linear(0.2, 0.9, 13)),
        ("polynomial", Schedule::Polynomial { total_iters: 40, power: 2.0 }),
        ("warm_restarts", Schedule::WarmRestarts { t_0: 7, t_mult: 2, final_fraction: 0.01 }),
        ("warm_restarts_equal", Schedule::WarmRestarts { t_0: 9, t_mult: 1, final_fraction: 0.0 }),
        (
            "sequential",
            Schedule::Sequential {
                schedules: vec![linear(0.1, 1.0, 6), Schedule::Step { step_size: 5, gamma: 0.7 }, gamma(0.8)],
                milestones: vec![6, 33],
            },
        ),
        ("chained", Schedule::Chained { schedules: vec![linear(0.25, 1.0, 8), gamma(0.95)] }),
        ("three_phases", three_phases(Anneal::Cos, 0.3, 25.0, 1e4)),
        ("three_phases_linear", three_phases(Anneal::Linear, 0.35, 10.0, 50.0)),
    ]
}

#[test]
fn every_other_schedule_equals_pytorchs() {
    let golden = Golden::read("more-schedules");
    for (name, schedule) in all() {
        schedule.validate().expect("settings are in range");
        for (step, expected) in golden.get(name).data.iter().enumerate() {
            let rate = golden.number("lr") * schedule.rate(step as u64, 60);
            assert!((rate - expected).abs() < 1e-12, "{name} step {step}: {rate} instead of {expected}");
        }
    }
}

#[test]
fn a_plateau_lowers_the_rate_as_pytorch_does() {
    let golden = Golden::read("more-schedules");
    let plateaus = golden.config["plateaus"].as_object().expect("settings");
    assert_eq!(plateaus.len(), 4);
    for (name, settings) in plateaus {
        let number = |key: &str, default: f64| settings[key].as_f64().unwrap_or(default);
        let schedule = ReduceOnPlateau {
            mode: if settings["mode"] == "max" { Better::Max } else { Better::Min },
            factor: number("factor", 0.1),
            patience: number("patience", 10.0) as u64,
            threshold: number("threshold", 1e-4),
            absolute: settings["threshold_mode"] == "abs",
            cooldown: number("cooldown", 0.0) as u64,
            min_fraction: number("min_lr", 0.0) / golden.number("lr"),
            eps: number("eps", 1e-8) / golden.number("lr"),
        };
        schedule.validate().expect("settings are in range");
        let mut plateau = Plateau::default();
        let metrics = &golden.get(&format!("{name}.metrics")).data;
        let expected = &golden.get(name).data;
        assert!(expected[59] < expected[0], "{name} must fall");
        for (step, (&metric, expected)) in metrics.iter().zip(expected).enumerate() {
            let rate = golden.number("lr") * schedule.observe(&mut plateau, metric);
            assert!((rate - expected).abs() < 1e-12, "{name} step {step}: {rate} instead of {expected}");
        }
    }
}

#[test]
fn a_metric_that_is_not_a_number_is_no_improvement() {
    let schedule = ReduceOnPlateau { patience: 1, ..ReduceOnPlateau::default() };
    let mut plateau = Plateau::default();
    let rates: Vec<f64> = [f64::NAN, f64::NAN, 1.0, f64::NAN].map(|m| schedule.observe(&mut plateau, m)).into();
    assert_eq!(rates, [1.0, 0.1, 0.1, 0.1]);
    assert_eq!(plateau.best, Some(1.0));
}

#[test]
fn every_schedule_can_be_warmed_up_and_is_read_as_it_was_written() {
    for (name, schedule) in all() {
        let warmed = schedule.clone().with_warmup(4);
        assert_eq!((0..4).map(|i| warmed.rate(i, 64)).collect::<Vec<_>>(), [0.25, 0.5, 0.75, 1.0], "{name}");
        for step in 0..60 {
            assert_eq!(warmed.rate(step + 4, 64), schedule.rate(step, 60), "{name}");
        }
        for schedule in [schedule, warmed] {
            let text = serde_json::to_string(&schedule).expect("writes");
            assert_eq!(serde_json::from_str::<Schedule>(&text).expect("reads"), schedule, "{text}");
        }
    }
}

#[test]
fn impossible_schedules_are_named() {
    for (text, setting) in [
        (r#"{"name": "step", "step_size": 0}"#, "step_size"),
        (r#"{"name": "multi_step", "milestones": [3], "gamma": -1.0}"#, "gamma"),
        (r#"{"name": "linear", "start_factor": 0.1, "end_factor": 1.0, "total_iters": 0}"#, "total_iters"),
        (r#"{"name": "polynomial", "total_iters": 5, "power": 0.0}"#, "power"),
        (r#"{"name": "warm_restarts", "t_0": 0}"#, "t_0"),
        (r#"{"name": "warmup", "warmup_steps": 3, "then": {"name": "exponential", "gamma": -0.5}}"#, "gamma"),
        (r#"{"name": "sequential", "schedules": [{"name": "constant"}], "milestones": [3]}"#, "milestones"),
    ] {
        let schedule: Schedule = serde_json::from_str(text).expect("valid JSON");
        let message = schedule.validate().expect_err(setting).to_string();
        assert!(message.contains(&format!("`{setting}`")), "{setting}: {message}");
    }
}

#[test]
fn the_suggested_rate_is_where_the_loss_falls_fastest() {
    let search = RateSearch::default();
    let observe = |loss: &dyn Fn(f64) -> f64| {
        let mut curve = RateCurve::default();
        loop {
            let rate = search.rate(curve.rates.len() as u64);
            if !search.observe(&mut curve, loss(rate)) {
                return curve;
            }
        }
    };
    // Falls around 1e-3, and rises beyond 0.3.
    let noise = |rate: f64| 0.02 * (rate.ln() * 1e4).sin();
    let curve = observe(&|rate| 1.0 - (rate.log10() + 3.0).tanh() + (rate / 0.3).powi(2) + noise(rate));
    let suggestion = curve.suggestion().expect("the loss falls");
    assert!((5e-4..2e-2).contains(&suggestion), "{suggestion}");
    assert!(curve.rates.len() < 100, "it ends where the loss explodes");
    assert_eq!(observe(&|rate| 1.0 + rate).suggestion(), None);
    assert_eq!(RateCurve::default().suggestion(), None);
    assert_eq!(observe(&|rate| if rate > 1e-5 { f64::NAN } else { 1.0 }).rates.len(), 25);
    for (search, setting) in [
        (RateSearch { first: 0.0, ..search }, "first"),
        (RateSearch { last: 1e-9, ..search }, "last"),
        (RateSearch { steps: 1, ..search }, "steps"),
        (RateSearch { smoothing: 1.0, ..search }, "smoothing"),
        (RateSearch { divergence: 1.0, ..search }, "divergence"),
    ] {
        assert!(search.validate().expect_err(setting).to_string().contains(setting));
    }
}
