//! Records of runs as if they had been read.

use std::path::PathBuf;

use deepfit_data::{RowId, Sample, Task};
use deepfit_train::metrics::{ClassificationMetrics, Scores};
use deepfit_train::{Baseline, Comparison, EpochRecord, Mistake, Predictions, Report, RunRecord, Settings, State};
use serde_json::json;

/// A name that would do harm if it were interpreted.
pub const HOSTILE: &str = "<script>alert('x')</script> & \"quoted\" \u{1b}[31m\u{0}]]>";

/// Numbers that look as if they were drawn, from 0 to 1.
pub fn drawn(i: u64) -> f64 {
    let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x >> 11) as f64 / (1u64 << 53) as f64
}

pub fn epochs(metric: &str) -> Vec<EpochRecord> {
    let epoch = |epoch: u32| {
        let mut validation = Scores::default();
        validation.insert("log_loss", 1.0 / f64::from(epoch));
        validation.insert(metric, 1.0 - 0.5 / f64::from(epoch));
        EpochRecord {
            stage: 1,
            epoch,
            learning_rate: 1e-3,
            train_loss: 0.9 / f64::from(epoch),
            validation,
            losses: None,
        }
    };
    (1..=8).map(epoch).collect()
}

/// A classification of so many rows among these classes.
pub fn classification(names: &[&str], rows: usize) -> RunRecord {
    let classes: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let n = classes.len();
    let (mut predicted, mut truths) = (Vec::new(), Vec::new());
    let mut metrics = ClassificationMetrics::with_intervals(n);
    for row in 0..rows as u64 {
        let truth = (drawn(row) * n as f64) as usize;
        let mut values: Vec<f32> = (0..n as u64).map(|c| (drawn(row * 31 + c + 7) as f32).max(1e-3)).collect();
        values[truth] += 0.6;
        let sum: f32 = values.iter().sum();
        values.iter_mut().for_each(|value| *value /= sum);
        metrics.add(&values, &[truth as i32]).unwrap();
        predicted.extend(values);
        truths.push(truth as f32);
    }
    let confusion = metrics.confusion().unwrap().chunks(n).map(<[u64]>::to_vec).collect::<Vec<_>>();
    let mistake = Mistake {
        id: RowId::Path(format!("{HOSTILE}/a picture.png")),
        file: None,
        loss: 3.0,
        predicted: predicted[..n].to_vec(),
        truths: vec![1.0],
        sample: Some(Sample::Texts { texts: vec![HOSTILE.to_string()] }),
    };
    let mut baseline = Scores::default();
    baseline.insert("accuracy", 0.34);
    let report = report(json!({
        "task": "classification", "classes": classes, "confusion": confusion,
        "metrics": {"train": {"accuracy": 0.99}, "validation": {"accuracy": 0.9}, "test": metrics.scores(),
                    "test_intervals": metrics.intervals()},
    }));
    RunRecord {
        predictions: Some(Predictions {
            version: 1,
            measured: rows,
            ids: (0..rows as u64).map(RowId::Row).collect(),
            baseline: Some(Baseline { method: format!("always says '{HOSTILE}'"), metrics: baseline }),
            worst: vec![mistake],
            outputs: n,
            predicted,
            truths,
        }),
        epochs: epochs("accuracy"),
        task: Some(Task::Classification { classes }),
        ..record(report)
    }
}

/// A regression of so many rows.
pub fn regression(rows: usize, target: &str) -> RunRecord {
    let truths: Vec<f32> = (0..rows as u64).map(|row| (drawn(row) * 300.0) as f32).collect();
    let predicted: Vec<f32> =
        truths.iter().zip(0..).map(|(truth, row)| truth * 0.8 + 30.0 + (drawn(row + 9999) * 40.0) as f32).collect();
    let mistake = Mistake {
        id: RowId::Row(3),
        file: Some(format!("{HOSTILE}.png")),
        loss: 12.5,
        predicted: vec![100.0],
        truths: vec![112.5],
        sample: Some(Sample::Cells {
            cells: (0..10).map(|i| (format!("{HOSTILE}{i}"), HOSTILE.to_string())).collect(),
        }),
    };
    let report = report(json!({
        "task": "regression", "classes": [],
        "metrics": {"train": {"mae": 9.0}, "validation": {"mae": 12.0}, "test": {"mae": 12.25, "r2": 0.5, "rmse": 17.125},
                    "test_intervals": {"mae": [11.0, 13.5]}},
    }));
    RunRecord {
        predictions: Some(Predictions {
            version: 1,
            measured: rows,
            ids: (0..rows as u64).map(RowId::Row).collect(),
            baseline: None,
            worst: vec![mistake],
            outputs: 1,
            predicted,
            truths,
        }),
        epochs: epochs("rmse"),
        task: Some(Task::Regression),
        columns: Some((vec!["a".to_string(), HOSTILE.to_string()], target.to_string())),
        ..record(report)
    }
}

fn report(own: serde_json::Value) -> Report {
    let mut all = json!({
        "run": format!("runs/{HOSTILE}"), "task": "", "model": "mlp", "parameters": 1234, "metrics": {}, "classes": [],
        "confusion": null, "residuals": null, "resumed_at_step": null, "planned_memory_bytes": 50_000_000,
        "peak_memory_bytes": 45_000_000, "epochs": 8, "best_epoch": 6, "seconds": 3.5, "first_step_seconds": 0.2,
        "seconds_per_epoch": 0.25, "planned_seconds_per_epoch": 0.25, "notes": [HOSTILE],
        "next": [format!("deepfit predict 'runs/{HOSTILE}'")],
    });
    for (key, value) in own.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn record(report: Report) -> RunRecord {
    RunRecord {
        root: PathBuf::from(format!("runs/{HOSTILE}")),
        state: State::Finished,
        settings: Settings::new(format!("data/{HOSTILE}.csv")),
        epochs: Vec::new(),
        report: Some(report),
        predictions: None,
        rows: Some([800, 100, 200]),
        task: None,
        input: None,
        columns: None,
        model_bytes: 1_000_000,
        notes: vec![HOSTILE.to_string()],
    }
}

/// A comparison of ways, of which the second is recommended; of the last hardly anything is known.
pub fn comparison(metric: &str, titles: &[&str]) -> Comparison {
    let way = |(i, title): (usize, &&str)| {
        let (value, known) = (0.6 + 0.05 * i as f64, i + 1 < titles.len());
        json!({
            "name": format!("way-{i}"), "title": title, "metric": metric, "selection_value": if known { value } else { 0.0 },
            "selection_values": if known { vec![value - 0.01, value + 0.01] } else { Vec::new() },
            "value": known.then_some(value + 0.02), "interval": known.then_some([value - 0.03, value + 0.05]),
            "log_loss": 0.5, "ece": 0.031, "test": {}, "versus_recommended": null, "train_seconds": 10f64.powi(i as i32 - 3),
            "total_seconds": 1.0, "predict_seconds": 0.1, "predict_rows": 100, "memory_bytes": 20_000_000 * (i + 1),
            "size_bytes": if i == 0 { 0 } else { 1000 << i }, "energy_joules": 12.5, "chosen": "", "notes": [],
            "run": format!("ways/way-{i}"),
        })
    };
    serde_json::from_value(json!({
        "recommended": "way-1", "reason": format!("{} is as good as the best", titles[1]), "data": "data/cells.csv",
        "task": "classification", "metric": metric, "how": "in 5 folds",
        "ways": titles.iter().enumerate().map(way).collect::<Vec<_>>(), "not_run": [], "notes": [], "energy": "estimated",
        "budget_seconds": 10.0, "seconds": 5.0, "folder": "ways", "next": [],
    }))
    .unwrap()
}
