//! Gradients of several small batches add up to those of a large one.

use crate::runs::{Folder, epochs, largest_difference, number, rows_of, settings, train};

/// Trains on so many rows with batches of 64, and of 16 four at a time, and returns how far the weights are apart.
fn difference(name: &str, rows: usize, more: &[(&str, &str)]) -> f32 {
    // Neither leaves out its last batch: at least a quarter of it is there.
    assert!([64, 16].iter().all(|batch| rows.is_multiple_of(*batch) || rows % batch >= batch / 4));
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of(name, 0..rows));
    let validation = folder.write("validation.csv", rows_of(name, 300..360));
    let test = folder.write("test.csv", rows_of(name, 360..420));
    let run = |name: &str, batch: &str, accumulate: &str| {
        let mut pairs = vec![("dropout", "0"), ("folds", "1"), ("refit", "false"), ("epochs", "3"), ("patience", "0")];
        pairs.extend([("batch", batch), ("accumulate", accumulate)]);
        pairs.extend(more);
        let mut settings = settings(&data, &pairs);
        (settings.validation, settings.test) = (Some(validation.clone()), Some(test.clone()));
        let report = train(settings, &folder.path(name));
        assert_eq!(report.epochs, 3);
        let losses = epochs(&folder.path(name), 1).iter().map(|e| number(e, "/train_loss")).collect::<Vec<_>>();
        (losses, report.best_epoch)
    };
    let (whole, parts) = (run("whole", "64", "1"), run("parts", "16", "4"));
    for (a, b) in whole.0.iter().zip(&parts.0) {
        assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{whole:?} {parts:?}");
    }
    assert_eq!(whole.1, parts.1, "the best epochs differ: the weights cannot be compared");
    // It matters: the same small batches, each with an update of its own, lead elsewhere.
    run("small", "16", "1");
    let other = largest_difference(&folder.path("whole"), &folder.path("small"));
    assert!(other > 1e-3, "small batches make no difference ({other})");
    largest_difference(&folder.path("whole"), &folder.path("parts"))
}

#[test]
fn four_batches_of_16_train_like_one_of_64() {
    // The last of five groups has three batches, one of them not full.
    let sgd = difference("breast-cancer.csv", 300, &[("optimizer", "sgd"), ("clip", "0.5")]);
    assert!(sgd < 1e-4, "{sgd}");
    let adamw = difference("diabetes.csv", 256, &[("lr", "0.001")]);
    assert!(adamw < 1e-4, "{adamw}");
}

#[test]
fn the_last_group_counts_its_rows_when_it_is_not_full() {
    // A full group, then one of 16 + 16 + 8 rows.
    let far = difference("diabetes.csv", 104, &[("optimizer", "sgd"), ("lr", "0.05"), ("average", "0")]);
    assert!(far < 1e-4, "{far}");
}
