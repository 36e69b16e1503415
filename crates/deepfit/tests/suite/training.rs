//! `deepfit train` on the examples.

use serde_json::Value;

use crate::program::{Place, example};

/// Trains with `--json` and checks what holds for every data set.
fn trained(place: &Place, data: &str, out: &str) -> Value {
    let ran = place.run(&["train", &example(data), "--epochs", "3", "--out", out, "--json"]).succeeded();
    assert_eq!(ran.out.trim_end().lines().count(), 1, "{}", ran.out);
    assert!(!ran.err.contains('\u{1b}') && !ran.err.contains('\r'), "control characters: {:?}", ran.err);
    for word in ["data ", "model ", "memory ", "time ", "an epoch", "run ", "parameters", "epoch 3/3", "samples/s"] {
        assert!(ran.err.contains(word), "`{word}` is not in {}", ran.err);
    }
    let report = ran.json();
    assert_eq!(report["run"], out);
    for key in ["parameters", "planned_memory_bytes", "peak_memory_bytes"] {
        assert!(report[key].as_u64().unwrap() > 0, "{key}: {report}");
    }
    assert_eq!(report.get("resumed_at_step"), Some(&Value::Null));
    let (seconds, first) = (report["seconds"].as_f64().unwrap(), report["first_step_seconds"].as_f64().unwrap());
    assert!(0.0 < first && first < seconds && seconds < 60.0, "{first} {seconds}");
    for file in ["model/model.safetensors", "model/config.json", "metrics.jsonl", "settings.toml", "checkpoint"] {
        assert!(place.path(out).join(file).exists(), "{file}");
    }
    report
}

fn metrics_are_there(report: &Value, names: &[&str]) {
    for name in names {
        for part in ["train", "validation", "test"] {
            assert!(report["metrics"][part][name].is_f64(), "{part} {name}: {}", report["metrics"]);
        }
        let test = report["metrics"]["test"][name].as_f64().unwrap();
        let interval: Vec<f64> =
            report["metrics"]["test_intervals"][name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert!(interval[0] <= test && test <= interval[1] && interval[0] < interval[1], "{name}: {interval:?} {test}");
    }
}

const CLASSIFICATION: [&str; 6] = ["accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "ece"];

#[test]
fn pictures_are_learned_and_reported_as_json() {
    let place = Place::new();
    let report = trained(&place, "digits.zip", "digits");
    assert_eq!((&report["task"], &report["model"]), (&"classification".into(), &"cnn".into()));
    metrics_are_there(&report, &CLASSIFICATION);
    let accuracy = report["metrics"]["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.8, "{accuracy}");
}

#[test]
fn tables_are_learned_and_reported_as_json() {
    let place = Place::new();
    let report = trained(&place, "breast-cancer.csv", "cancer");
    metrics_are_there(&report, &CLASSIFICATION);
    assert!(report["metrics"]["test"]["accuracy"].as_f64().unwrap() > 0.85, "{report}");
    let report = trained(&place, "diabetes.csv", "diabetes");
    assert_eq!(report["task"], "regression");
    metrics_are_there(&report, &["mae", "rmse", "r2"]);
    assert!(report["metrics"]["test"]["r2"].as_f64().unwrap() > 0.1, "{report}");
}

#[test]
fn people_get_metrics_confusion_the_run_and_what_to_do_next() {
    let place = Place::new();
    let ran = place.run(&["train", &example("breast-cancer.csv"), "--epochs", "2"]).succeeded();
    let words =
        ["accuracy", "train", "validation", "test", "95 %", " to ", "Confusion", "malignant", "runs/breast-cancer-1"];
    for word in words {
        assert!(ran.out.contains(word), "`{word}` is not in {}", ran.out);
    }
    for command in ["predict", "evaluate", "inspect"] {
        assert!(ran.out.contains(&format!("deepfit {command} runs/breast-cancer-1")), "{command}: {}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}'), "colours without a terminal: {:?}", ran.out);
    let again = place.run(&["train", &example("breast-cancer.csv"), "--epochs", "1"]).succeeded();
    assert!(again.out.contains("runs/breast-cancer-2"), "{}", again.out);
    let ran = place.run(&["train", &example("diabetes.csv"), "--epochs", "2"]).succeeded();
    assert!(ran.out.contains("Residuals") && ran.out.contains("r2"), "{}", ran.out);
}

#[test]
fn quiet_is_quiet() {
    let place = Place::new();
    let data = example("diabetes.csv");
    let ran = place.run(&["train", &data, "--epochs", "1", "--quiet"]).succeeded();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    let ran = place.run(&["train", &data, "--epochs", "1", "--quiet", "--json"]).succeeded();
    assert!(ran.json()["metrics"].is_object());
    assert_eq!(ran.err, "");
}

#[test]
fn validation_and_test_data_of_their_own_are_used() {
    let place = Place::new();
    let text = crate::program::table(90);
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let part = |name: &str, rows: &[&str]| {
        place.write(name, format!("{header}\n{}\n", rows.join("\n")));
    };
    part("train.csv", &rows[..60]);
    part("val.csv", &rows[60..70]);
    part("test.csv", &rows[70..]);
    let arguments = ["train", "train.csv", "--validation", "val.csv", "--test", "test.csv", "--epochs", "2", "--json"];
    let report = place.run(&arguments).succeeded().json();
    let tested: u64 = report["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| r.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(tested, 20);
}

#[test]
fn a_time_limit_is_kept() {
    let place = Place::new();
    let arguments = ["train", &example("diabetes.csv"), "--time", "1s", "--epochs", "100000", "patience=0", "--json"];
    let report = place.run(&arguments).succeeded().json();
    let seconds = report["seconds"].as_f64().unwrap();
    assert!(seconds < 4.0, "{seconds}");
}
