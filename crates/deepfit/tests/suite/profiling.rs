//! `--profile`: where the time went, on any run.

use std::fs;

use serde_json::Value;

use crate::program::{Place, example};

/// The events of a trace, each with a name, a start and a length.
fn events(place: &Place, file: &str) -> Vec<Value> {
    let trace: Value = serde_json::from_str(&fs::read_to_string(place.path(file)).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap().clone();
    for event in &events {
        assert_eq!(event["ph"], "X");
        assert!(event["ts"].as_f64().unwrap() >= 0.0 && event["dur"].as_f64().unwrap() >= 0.0, "{event}");
    }
    events
}

#[test]
fn training_prediction_and_evaluation_tell_where_the_time_went() {
    let place = Place::new();
    let table = example("breast-cancer.csv");
    let train = ["train", &table, "--epochs", "2", "--json", "--out"];
    let plain = place.run(&[&train[..], &["plain"]].concat());
    let ran = place.run(&[&train[..], &["run", "--profile", "train.json"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("Where the time went") && ran.err.contains("matmul"), "{}", ran.err);
    let named = |name: &str| events(&place, "train.json").iter().filter(|e| e["name"] == name).count();
    assert!(named("adamw") > 0);
    // Recording changes nothing, and adds nothing to standard output.
    let metrics = |out: &str| serde_json::from_str::<Value>(out).unwrap()["metrics"].clone();
    assert_eq!(metrics(&ran.out), metrics(&plain.out));

    for (words, file) in [
        (vec!["predict", "run", &table[..], "--format", "csv"], "predict.json"),
        (vec!["evaluate", "run", &table[..]], "evaluate.json"),
    ] {
        let ran = place.run(&[&words[..], &["--profile", file]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("of limit"), "{}", ran.err);
        assert!(!ran.out.contains("of limit"), "{}", ran.out);
        assert!(!events(&place, file).is_empty());
    }
}

#[test]
fn a_quiet_run_writes_its_trace_and_says_nothing() {
    let place = Place::new();
    let ran = place.run(&["train", &example("diabetes.csv"), "--epochs", "2", "--quiet", "--profile", "quiet.json"]);
    assert_eq!((ran.code, &ran.err[..], &ran.out[..]), (Some(0), "", ""));
    assert!(!events(&place, "quiet.json").is_empty());
    // A trace is replaced by the next, another file is not.
    let again = ["bench", "mlp_small", "--seconds", "0", "--profile"];
    assert_eq!(place.run(&[&again[..], &["quiet.json"]].concat()).code, Some(0));
    place.write("model.bin", "weights");
    for (name, reason) in [("model.bin", "no --profile has written"), ("runs", "is a folder")] {
        let refused = place.run(&[&again[..], &[name]].concat());
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(refused.err.contains(reason), "{}", refused.err);
    }
    assert_eq!(fs::read(place.path("model.bin")).unwrap(), b"weights");
}

#[test]
fn tables_fit_the_width_of_a_terminal() {
    let place = Place::new();
    let words = ["bench", "mlp_small", "--seconds", "0", "--profile", "trace.json"];
    let ran = place.command(&words).env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(ran.stderr).unwrap();
    assert!(text.contains("Where the time went"), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_benchmark_is_recorded_one_workload_at_a_time() {
    let place = Place::new();
    let ran = place.run(&["bench", "mlp_small", "--seconds", "0", "--json", "--profile", "trace.json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("linear1.weight: adamw"), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 1);
    assert!(!events(&place, "trace.json").is_empty());
    let refused = place.run(&["bench", "mlp", "lstm", "--profile", "trace.json"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("one workload"), "{}", refused.err);
}

#[test]
fn a_trace_that_cannot_be_written_is_told_before_the_work() {
    let place = Place::new();
    let ran = place.run(&["bench", "mlp_small", "--seconds", "0", "--profile", "no-such-folder/trace.json"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("no-such-folder/trace.json"), "{}", ran.err);
    let ran = place.run(&["train", &example("diabetes.csv"), "--profile", "no-such-folder/trace.json"]);
    assert_eq!(ran.code, Some(2));
    assert!(!place.path("runs").exists(), "a run began");
}
