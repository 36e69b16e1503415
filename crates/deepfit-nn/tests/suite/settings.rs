use deepfit_nn::{Clip, MovingAverage, Optimizer, Schedule};

#[test]
fn optimisers_are_read_with_defaults() {
    let read: Optimizer = serde_json::from_str(r#"{"name": "adamw", "weight_decay": 0.05}"#).expect("valid");
    let Optimizer::AdamW(adam) = read else { panic!("{read:?}") };
    assert_eq!((adam.betas, adam.eps, adam.weight_decay), ((0.9, 0.999), 1e-8, 0.05));
    for optimizer in [read, Optimizer::Sgd(deepfit_nn::optim::Sgd { momentum: 0.9, ..Default::default() })] {
        let text = serde_json::to_string(&optimizer).expect("writes");
        assert_eq!(serde_json::from_str::<Optimizer>(&text).expect("reads"), optimizer, "{text}");
    }
    let message =
        serde_json::from_str::<Optimizer>(r#"{"name": "sgd", "momentun": 0.9}"#).expect_err("unknown").to_string();
    assert!(message.contains("momentun"), "{message}");
}

#[test]
fn schedules_are_read_with_defaults() {
    let read: Schedule = serde_json::from_str(r#"{"name": "one_cycle", "pct_start": 0.2}"#).expect("valid");
    let Schedule::OneCycle { warmup_steps: 0, pct_start, div_factor, .. } = read else { panic!("{read:?}") };
    assert_eq!((pct_start, div_factor), (0.2, 25.0));
    let text = serde_json::to_string(&read).expect("writes");
    assert_eq!(serde_json::from_str::<Schedule>(&text).expect("reads"), read);
    assert!(serde_json::from_str::<Schedule>(r#"{"name": "constant", "warmup": 3}"#).is_err());
}

#[test]
fn impossible_settings_are_named() {
    let optimizer = |text: &str| serde_json::from_str::<Optimizer>(text).expect("valid").validate();
    let schedule = |text: &str| serde_json::from_str::<Schedule>(text).expect("valid").validate();
    for (result, setting) in [
        (optimizer(r#"{"name": "sgd", "momentum": 1.0}"#), "momentum"),
        (optimizer(r#"{"name": "sgd", "nesterov": true}"#), "nesterov"),
        (optimizer(r#"{"name": "adam", "betas": [0.9, 1.0]}"#), "betas"),
        (optimizer(r#"{"name": "adam", "eps": -1e-8}"#), "eps"),
        (optimizer(r#"{"name": "adamw", "weight_decay": -1.0}"#), "weight_decay"),
        (schedule(r#"{"name": "cosine", "final_fraction": 2.0}"#), "final_fraction"),
        (schedule(r#"{"name": "one_cycle", "pct_start": -0.1}"#), "pct_start"),
        (schedule(r#"{"name": "one_cycle", "div_factor": 0.0}"#), "div_factor"),
        (Clip::Norm(0.0).validate(), "norm"),
        (Clip::Value(-1.0).validate(), "value"),
        (MovingAverage { decay: 1.0, warmup: false }.validate(), "decay"),
    ] {
        let message = result.expect_err(setting).to_string();
        assert!(message.contains(&format!("`{setting}`")), "{setting}: {message}");
    }
    assert!(Optimizer::adamw().validate().is_ok() && Schedule::one_cycle().validate().is_ok());
}
