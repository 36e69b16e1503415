//! Training that leaves the finite numbers stops, says where, and keeps its last checkpoint.

use std::fs;
use std::path::Path;

use deepfit_train::{ErrorKind, Predictor, Settings, Silent, TrainError, prepare, resume};

use crate::runs::{Folder, example, journal, message, settings};

/// What a run names that must stop because of its numbers.
fn culprit(settings: Settings, run: &Path) -> String {
    let clipped = settings.clip.is_some();
    match prepare(settings, Some(run.to_path_buf())).unwrap().run(&mut Silent) {
        Err(error @ TrainError::NonFinite { .. }) => {
            assert_eq!(error.kind(), ErrorKind::Other);
            let told = error.to_string();
            let TrainError::NonFinite { what, epoch, step, advice } = error else { unreachable!() };
            assert!(epoch >= 1 && step >= 1 && advice.contains("lr="));
            for part in [&what[..], "smaller learning rate"] {
                assert!(told.contains(part), "{told}");
            }
            // Clipping is advised where there is none, and a checkpoint named where there is one.
            assert_eq!(told.contains("clip=1"), !clipped, "{told}");
            assert_eq!(told.contains("checkpoint"), run.join("checkpoint/state.safetensors").exists(), "{told}");
            what
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the run ended"),
    }
}

#[test]
fn an_enormous_learning_rate_is_explained_with_operation_and_layer() {
    let folder = Folder::new();
    for (number, (data, optimizer)) in
        [("breast-cancer.csv", "adamw"), ("diabetes.csv", "adamw"), ("diabetes.csv", "sgd"), ("digits.zip", "adamw")]
            .into_iter()
            .enumerate()
    {
        let pairs =
            [("lr", "1e30"), ("optimizer", optimizer), ("folds", "1"), ("schedule", "constant"), ("epochs", "2")];
        let what = culprit(settings(&example(data), &pairs), &folder.path(&number.to_string()));
        assert!(what.contains("operation `") && what.contains("layer `"), "{data}: {what}");
    }
}

#[test]
fn statistics_that_became_infinite_are_explained_with_operation_and_layer() {
    let folder = Folder::new();
    for (number, (optimizer, rate)) in [("adamw", "1e10"), ("sgd", "1e8")].into_iter().enumerate() {
        let pairs = [("lr", rate), ("optimizer", optimizer), ("folds", "1"), ("epochs", "2")];
        let what = culprit(settings(&example("digits.zip"), &pairs), &folder.path(&number.to_string()));
        assert!(what.contains("operation `") && what.contains("layer `"), "{what}");
    }
}

#[test]
fn a_loss_that_overflows_stops_the_run() {
    // The squared error of values above 2e19 is larger than the largest f32.
    let folder = Folder::new();
    let pairs =
        [("model", "mlp"), ("lr", "1e20"), ("optimizer", "sgd"), ("momentum", "0"), ("hidden", "[]"), ("average", "0")];
    let mut settings = settings(&example("diabetes.csv"), &pairs);
    (settings.folds, settings.schedule) = (Some(1), Some("constant".into()));
    let what = culprit(settings, &folder.path("run"));
    assert!(what.contains("loss") || what.contains("square"), "{what}");
}

#[test]
fn a_gradient_that_overflows_under_a_finite_loss_stops_the_run() {
    // Absolute errors stay finite where the squares in the norm of the gradient do not.
    let folder = Folder::new();
    let pairs = [
        ("lr", "1e6"),
        ("optimizer", "sgd"),
        ("momentum", "0"),
        ("loss", "absolute"),
        ("clip", "1"),
        ("hidden", "[16, 16, 16]"),
        ("schedule", "constant"),
        ("folds", "1"),
    ];
    let what = culprit(settings(&example("diabetes.csv"), &pairs), &folder.path("run"));
    assert!(what.contains("layer `clip`"), "{what}");
}

#[test]
fn enormous_values_in_a_table_train_or_are_explained() {
    let folder = Folder::new();
    for largest in ["1e10", "1e30", "3e38", "1e39", "1e200", "1e308"] {
        for (scaling, column) in [("robust", 0), ("standard", 0), ("quantile", 0), ("standard", 2)] {
            let mut text = String::from("a,b,y\n");
            for i in 0..100 {
                let mut row = [(i * 7 % 31).to_string(), (i % 9).to_string(), format!("{}.5", i * 3 % 17)];
                if i % 10 == 0 {
                    row[column] = largest.to_string();
                }
                text += &(row.join(",") + "\n");
            }
            let data = folder.write("large.csv", text);
            let run = folder.path(&format!("run-{largest}-{scaling}-{column}"));
            let pairs = [("scaling", scaling), ("epochs", "2"), ("folds", "1"), ("task", "regression")];
            let case = format!("{largest} in column {column}, scaling {scaling}");
            match prepare(settings(&data, &pairs), Some(run.clone())).and_then(|job| job.run(&mut Silent)) {
                Ok(_) => assert!(!journal(&run).contains("null"), "{case}: {}", journal(&run)),
                Err(error) => {
                    // Beyond what 32 bits hold a target cannot be predicted; no column is refused below that.
                    assert!(largest.parse::<f64>().unwrap() > 3.4e38, "{case}: {error}");
                    let told = if column == 2 { "largest 32-bit number" } else { "extreme values" };
                    assert!(error.to_string().contains(told), "{case}: {error}");
                }
            }
        }
    }
}

#[test]
fn the_last_checkpoint_before_the_failure_can_be_resumed() {
    // The rate rises from epoch to epoch, so that the first ones are sound.
    let folder = Folder::new();
    let run = folder.path("run");
    let pairs = [
        ("lr", "5"),
        ("optimizer", "sgd"),
        ("momentum", "0"),
        ("hidden", "[16, 16]"),
        ("schedule", "constant"),
        ("warmup", "30"),
        ("folds", "1"),
    ];
    let what = culprit(settings(&example("diabetes.csv"), &pairs), &run);
    let lines = journal(&run);
    assert!(lines.lines().count() >= 2 && !lines.contains("null"), "{lines}");
    let job = resume(&run).unwrap();
    assert!(job.description().resumed_at_step.is_some_and(|step| step > 0));
    // The same numbers fail at the same place again.
    let again = match job.run(&mut Silent) {
        Err(TrainError::NonFinite { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(again, what);
    assert_eq!(journal(&run), lines);
    assert!(resume(&run).unwrap().description().resumed_at_step.is_some_and(|step| step > 0));
    assert!(message(Predictor::open(&run, 1)).contains("no model yet"));
}
