//! How the number of epochs is chosen, and which weights are the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deepfit_train::{Event, Flow, Observer, Predictor, Silent, prepare, resume};

use crate::runs::{Folder, Listener, epochs, example, finished, number, rows_of, settings, train};

/// Training, validation and test tables of their own.
fn parts(folder: &Folder, name: &str) -> [PathBuf; 3] {
    let part = |file: &str, rows| folder.write(file, rows_of(name, rows));
    [part("train.csv", 0..150), part("validation.csv", 150..260), part("test.csv", 260..400)]
}

fn monitored(run: &Path, stage: u64, metric: &str) -> Vec<f64> {
    epochs(run, stage).iter().map(|e| number(e, &format!("/validation/{metric}"))).collect()
}

/// Position of the first smallest value, from 1.
fn best(curve: &[f64]) -> usize {
    let smallest = curve.iter().copied().fold(f64::INFINITY, f64::min);
    curve.iter().position(|&x| x == smallest).unwrap() + 1
}

#[test]
fn patience_ends_the_training_and_the_best_weights_are_kept() {
    let folder = Folder::new();
    for (name, metric, lr) in [("breast-cancer.csv", "log_loss", "0.1"), ("diabetes.csv", "rmse", "0.05")] {
        let [data, validation, test] = parts(&folder, name);
        let run = folder.path(&format!("run-{name}"));
        let mut settings = settings(
            &data,
            &[("lr", lr), ("schedule", "constant"), ("average", "0"), ("patience", "4"), ("epochs", "200")],
        );
        (settings.validation, settings.test) = (Some(validation.clone()), Some(test.clone()));
        let mut listener = Listener::default();
        let report = finished(prepare(settings, Some(run.clone())).unwrap().run(&mut listener).unwrap());

        let curve = monitored(&run, 1, metric);
        assert!(curve.len() < 200, "patience did not end the training");
        assert_eq!(report.best_epoch as usize, best(&curve));
        assert_eq!(curve.len(), best(&curve) + 4, "{curve:?}");
        assert_eq!(report.epochs as usize, curve.len());
        assert!(listener.notes.iter().any(|n| n.contains("early stop") && n.contains(metric)), "{:?}", listener.notes);
        assert!(report.notes.iter().any(|n| n.contains("early stop")));
        let told: Vec<f64> = listener.epochs.iter().map(|e| e.as_ref().unwrap().1).collect();
        assert_eq!(told, curve);
        for (i, (_, value, is_best)) in listener.epochs.iter().flatten().enumerate() {
            assert_eq!(*is_best, curve[..i].iter().all(|earlier| value < earlier), "epoch {}", i + 1);
        }

        // The saved model is that of the best epoch: on the validation data it has that epoch's metrics.
        let mut predictor = Predictor::open(&run, 1).unwrap();
        let evaluation = predictor.evaluate(&validation).unwrap();
        let record = &epochs(&run, 1)[best(&curve) - 1]["validation"];
        for (metric, value) in record.as_object().unwrap() {
            let again = evaluation.metrics.get(metric).unwrap();
            let value = value.as_f64().unwrap();
            assert!((again - value).abs() < 1e-5 * value.abs().max(1.0), "{metric}: {again}, was {value}");
            assert_eq!(report.metrics.validation.get(metric), Some(value), "{metric}");
        }
        let last = *curve.last().unwrap();
        assert!((last - curve[best(&curve) - 1]).abs() > 1e-4, "the last epoch is as good: the test tells nothing");
    }
}

#[test]
fn without_patience_all_epochs_are_trained() {
    let folder = Folder::new();
    let [data, validation, test] = parts(&folder, "breast-cancer.csv");
    // At such a rate the loss goes up and down from epoch to epoch. Which is the best depends on how the machine rounds, but not
    // each of several runs ends with it.
    let best = ["3", "4", "5"].map(|seed| {
        let run = folder.path(seed);
        let pairs = [("lr", "0.5"), ("schedule", "constant"), ("patience", "0"), ("epochs", "30"), ("average", "0")];
        let mut settings = settings(&data, &[&pairs[..], &[("seed", seed)]].concat());
        (settings.validation, settings.test) = (Some(validation.clone()), Some(test.clone()));
        let report = train(settings, &run);
        assert_eq!((report.epochs as usize, epochs(&run, 1).len()), (30, 30));
        report.best_epoch
    });
    assert!(best.iter().any(|&epoch| epoch < 30), "the last epoch is always the best: the test tells nothing");
}

#[test]
fn a_refit_takes_the_best_number_of_epochs_and_all_rows() {
    let folder = Folder::new();
    let run = folder.path("run");
    let pairs = [
        ("folds", "1"),
        ("lr", "0.05"),
        ("schedule", "constant"),
        ("average", "0"),
        ("patience", "5"),
        ("batch", "32"),
    ];
    let mut listener = Listener::default();
    let job = prepare(settings(&example("breast-cancer.csv"), &pairs), Some(run.clone())).unwrap();
    let (train, validation, test) = job.description().rows;
    assert_eq!(train + validation + test, 569);
    assert!(job.description().strategy.contains("refit"));
    let report = finished(job.run(&mut listener).unwrap());
    let chosen = best(&monitored(&run, 1, "log_loss"));
    assert!(chosen < epochs(&run, 1).len());
    assert_eq!((report.epochs as usize, report.best_epoch as usize), (chosen, chosen));
    let refit = epochs(&run, 2);
    assert_eq!(refit.len(), chosen);
    assert!(refit.iter().all(|e| e["validation"].as_object().unwrap().is_empty()));
    assert_eq!(listener.stages.len(), 2);
    assert!(listener.stages[1].0.contains("refit"));
    assert_eq!(listener.stages[1].1 as usize, chosen);
    // A last batch of less than a quarter is left out.
    let steps = |rows: usize| if rows % 32 < 8 { rows / 32 } else { rows.div_ceil(32) };
    let expected = steps(train) * epochs(&run, 1).len() + steps(train + validation) * chosen;
    assert_eq!(listener.steps as usize, expected);
    let at_best = &epochs(&run, 1)[chosen - 1];
    assert_eq!(report.metrics.validation.get("log_loss").unwrap(), number(at_best, "/validation/log_loss"));
}

#[test]
fn folds_choose_by_the_mean_of_their_curves() {
    let folder = Folder::new();
    for (name, metric) in [("diabetes.csv", "rmse"), ("breast-cancer.csv", "log_loss")] {
        let run = folder.path(name);
        let pairs = [("folds", "3"), ("epochs", "12"), ("lr", "0.05"), ("schedule", "constant"), ("average", "0")];
        let report = train(settings(&example(name), &pairs), &run);
        let curves: Vec<Vec<f64>> = (1..=3).map(|stage| monitored(&run, stage, metric)).collect();
        assert!(curves.iter().all(|curve| curve.len() == 12));
        let mean: Vec<f64> = (0..12).map(|e| curves.iter().map(|curve| curve[e]).sum::<f64>() / 3.0).collect();
        assert_eq!(report.best_epoch as usize, best(&mean), "{mean:?}");
        assert_eq!(epochs(&run, 4).len(), best(&mean));
        assert_eq!(epochs(&run, 5).len(), 0);
        let told = report.metrics.validation.get(metric).unwrap();
        assert!((told - mean[best(&mean) - 1]).abs() < 1e-9 * told);
    }
}

#[test]
fn a_limit_of_time_limits_the_epochs_and_is_saved() {
    let folder = Folder::new();
    let run = folder.path("run");
    let pairs = [("time", "0.3"), ("epochs", "100000"), ("folds", "2")];
    let job = prepare(settings(&example("breast-cancer.csv"), &pairs), Some(run.clone())).unwrap();
    let planned = job.description().epochs;
    assert!((1..100_000).contains(&planned), "{planned}");
    assert!(job.description().seconds_total <= 0.3, "{}", job.description().seconds_total);
    let started = Instant::now();
    let report = finished(job.run(&mut Silent).unwrap());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let saved = fs::read_to_string(run.join("settings.toml")).unwrap();
    assert!(saved.contains(&format!("epochs = {planned}\n")) && saved.contains("time = 0.3"), "{saved}");
    assert!(report.epochs <= planned);
    assert!((1..=2).all(|stage| epochs(&run, stage).len() as u32 <= planned));
    // What was decided stays: the finished run is not planned anew.
    assert_eq!(resume(&run).unwrap().description().epochs, planned);
}

/// Makes each step slower than was planned.
struct Slow(Listener);

impl Observer for Slow {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        if let Event::Step { .. } = event {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.0.event(event)
    }
}

#[test]
fn each_stage_ends_when_its_share_of_the_time_is_used() {
    let folder = Folder::new();
    let run = folder.path("run");
    let pairs = [("time", "0.6"), ("epochs", "100000"), ("folds", "2")];
    let mut observer = Slow(Listener::default());
    let job = prepare(settings(&example("breast-cancer.csv"), &pairs), Some(run.clone())).unwrap();
    let started = Instant::now();
    let report = finished(job.run(&mut observer).unwrap());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let ended = observer.0.notes.iter().filter(|note| note.contains("time is used up")).count();
    assert!(ended >= 2, "{:?}", observer.0.notes);
    // Each had its share, and what was cut short was validated.
    for stage in 1..=3 {
        assert!(!epochs(&run, stage).is_empty(), "stage {stage} has no epoch");
    }
    let refit = epochs(&run, 3).len() as u32;
    assert_eq!(report.epochs, refit, "the report tells epochs that were not trained");
    assert!(report.metrics.test.get("accuracy").is_some());
    assert!(Predictor::open(&run, 1).is_ok());
}
