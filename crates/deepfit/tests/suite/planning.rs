//! Costs that are told before, and limits that are kept.

use std::fs;

use serde_json::Value;

use crate::program::{Place, Ran, example, listing, table};

/// What `plan --json` tells of each model, by name.
fn cost<'a>(plan: &'a Value, model: &str) -> &'a Value {
    let costs = plan["costs"].as_array().unwrap();
    costs.iter().find(|cost| cost["model"] == model).unwrap_or_else(|| panic!("no {model}: {plan}"))
}

#[test]
fn a_plan_lists_each_model_and_what_train_would_take() {
    let place = Place::new();
    place.write("data.csv", table(200));
    let before = listing(&place.path("."));
    let plan = place.run(&["plan", "data.csv", "--json", "-q"]).succeeded().json();
    assert_eq!((&plan["chosen"], &plan["costs"][0]["model"]), (&"tabm".into(), &"tabm".into()), "{plan}");
    for model in ["tabm", "mlp"] {
        let cost = cost(&plan, model);
        assert!(cost["memory_bytes"].as_f64().unwrap() > 5e6 && cost["problem"].is_null(), "{cost}");
        assert!(cost["seconds_per_epoch"].as_f64().unwrap() > 0.0 && cost["epochs"] == 60, "{cost}");
    }
    // Folds, and a refit.
    for (model, stages) in [("tabm", 4), ("mlp", 6)] {
        let cost = cost(&plan, model);
        assert_eq!((&cost["stages"], &cost["total_epochs"]), (&stages.into(), &(60 * stages).into()), "{cost}");
    }
    let parameters = |model: &str| cost(&plan, model)["parameters"].as_u64().unwrap();
    assert!(parameters("tabm") > parameters("mlp"), "{plan}");
    let told = place.run(&["plan", "data.csv"]).succeeded();
    for word in ["chosen", "train takes tabm", "all stages", "4 stages, 240 epochs"] {
        assert!(told.out.contains(word), "{word}: {}", told.out);
    }
    let one = place.run(&["plan", "data.csv", "--model", "mlp", "--json", "-q"]).succeeded().json();
    assert_eq!(one["costs"].as_array().unwrap().len(), 1, "{one}");
    assert_eq!(listing(&place.path(".")), before, "a plan wrote something");
    place.run(&["plan", "nowhere.csv"]).is_refusal(&["nowhere.csv"]);
    place.run(&["plan"]).is_refusal(&["DATA"]);
    place.run(&["plan", "data.csv", "--memory", "much"]).is_refusal(&["much", "500MB"]);
}

#[test]
fn a_run_is_what_the_plan_told() {
    let place = Place::new();
    place.write("data.csv", table(300));
    let plan = place.run(&["plan", "data.csv", "--model", "mlp", "--epochs", "3", "--json"]).succeeded().json();
    let run = ["train", "data.csv", "--model", "mlp", "--epochs", "3", "--out", "run", "--json"];
    let ran = place.run(&run).succeeded();
    assert!(ran.err.contains("in all if no stage ends early: 6 stages, 18 epochs"), "{}", ran.err);
    let report = ran.json();
    let planned = plan["costs"][0]["memory_bytes"].as_f64().unwrap();
    let peak = report["peak_memory_bytes"].as_f64().unwrap();
    assert!((peak - planned).abs() < 8e6_f64.max(0.1 * planned), "{peak} of {planned} bytes");
    assert_eq!(plan["costs"][0]["parameters"], report["parameters"]);
}

/// The option that the refusal of a limit of memory advises.
fn smallest_that_would_do(refused: &Ran) -> String {
    let words: Vec<&str> = refused.err.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "--memory").unwrap_or_else(|| panic!("no advice: {refused:?}"));
    format!("--memory={}", words[at + 1])
}

#[test]
fn a_limit_of_memory_makes_steps_compute_again_with_the_same_bits_or_batches_smaller() {
    let place = Place::new();
    let data = example("digits.zip");
    let arguments = ["--epochs", "1", "batch=1024", "augment.shift=0"];
    let whole = place.run(&[&["train", &data, "--out", "whole", "--json"], &arguments[..]].concat()).succeeded().json();
    let peak = whole["planned_memory_bytes"].as_u64().unwrap();
    // How much a step that computes again saves depends on the processor's caches: the refusal of far too little tells it.
    let refused = place.run(&[&["train", &data, "--out", "within", "--memory=2MB"], &arguments[..]].concat());
    let limit = smallest_that_would_do(&refused);
    let within = place.run(&[&["train", &data, "--out", "within", "--json", &limit], &arguments[..]].concat());
    let within = within.succeeded().json();
    assert!(within["planned_memory_bytes"].as_u64().unwrap() < peak, "{within}");
    assert!(within["peak_memory_bytes"].as_u64().unwrap() < peak, "{within}");
    let model = |run: &str| fs::read(place.path(run).join("model/model.safetensors")).unwrap();
    assert!(model("whole") == model("within"), "a limit of memory gives another model");
    assert_eq!(whole["metrics"]["validation"], within["metrics"]["validation"]);
}

#[test]
fn a_limit_that_is_too_small_tells_what_would_do_and_that_does() {
    let place = Place::new();
    place.write("data.csv", table(200));
    let ran = place.run(&["train", "data.csv", "--memory", "2MB", "-q"]);
    ran.is_refusal(&["`memory`", "2.0 MB", "smallest", "--memory"]);
    assert!(!place.path("runs").exists(), "something was written");
    let limit = smallest_that_would_do(&ran);
    let report =
        place.run(&["train", "data.csv", &limit, "--epochs", "2", "--out", "run", "--json"]).succeeded().json();
    let (peak, planned) = (&report["peak_memory_bytes"], report["planned_memory_bytes"].as_u64().unwrap());
    assert!(peak.as_u64().unwrap() < planned + 8_000_000, "{report}");
    // What the settings fix stays.
    let fixed = ["train", "data.csv", "--memory", "2MB", "--model", "tabm", "-q"];
    place.run(&fixed).is_refusal(&["`memory`", "--memory"]);
}

#[test]
fn a_time_that_reading_alone_exceeds_is_refused() {
    let place = Place::new();
    place.write("data.csv", table(2_000));
    place.run(&["train", "data.csv", "--time", "0.0001s", "-q"]).is_refusal(&["`time`", "reading the data", "--time"]);
    assert!(!place.path("runs").exists(), "something was written");
}
