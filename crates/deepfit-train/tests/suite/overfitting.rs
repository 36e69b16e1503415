//! Planted overfitting, underfitting and too little validation are named, and what is done about it stays the same after stops.

use std::fs;
use std::path::{Path, PathBuf};

use deepfit_train::{Outcome, Verdict, prepare, resume};

use crate::runs::{
    Folder, Listener, StopAfter, epochs, finished, journal, message, model_bytes, number, settings, train,
};

/// Rows of ten numbers by chance and a class that only the first tells, and not always.
fn noisy(folder: &Folder, rows: u64) -> PathBuf {
    let drawn = |i: u64| {
        let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    };
    let mut text = "a,b,c,d,e,f,g,h,i,j,class\n".to_string();
    for row in 0..rows {
        let values: Vec<f64> = (0..10).map(|column| drawn(row * 16 + column)).collect();
        let class = if values[0] + 1.2 * drawn(row * 16 + 12) > 0.0 { "yes" } else { "no" };
        let shown: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
        text += &format!("{},{class}\n", shown.join(","));
    }
    folder.write("noisy.csv", text)
}

/// A network that is large for the data, and learns it by heart. Half of the rows are for validation, so that a few hundred of
/// them tell.
const OVERFITS: [(&str, &str); 11] = [
    ("model", "mlp"),
    ("hidden", "[128]"),
    ("average", "0.9"),
    ("epochs", "24"),
    ("folds", "1"),
    ("validation_share", "0.4"),
    ("lr", "0.02"),
    ("batch", "16"),
    ("patience", "12"),
    ("dropout", "0"),
    ("weight_decay", "0.001"),
];

#[test]
fn a_network_that_learns_by_heart_is_said_to_overfit_and_is_regularised_in_the_epochs_that_are_left() {
    let folder = Folder::new();
    let data = noisy(&folder, 500);
    let run = folder.path("run");
    let mut told = Listener::default();
    let with = [&OVERFITS[..], &[("regularise", "true")]].concat();
    let report = finished(prepare(settings(&data, &with), Some(run.clone())).unwrap().run(&mut told).unwrap());
    let fit = report.fit.unwrap();
    assert_eq!(fit.verdict, Verdict::Overfits, "{fit:?}");
    let since = fit.since_epoch.unwrap();
    assert!(since < 15 && fit.sentence.contains(&format!("overfits since epoch {since}")), "{fit:?}");
    let [_, low, high] = fit.worse_by.unwrap();
    assert!(0.0 < low && low < high && fit.rows.abs_diff(200) < 10 && fit.seconds >= 0.0, "{fit:?}");
    let gap = fit.figures.as_ref().unwrap();
    assert!(gap.interval[0] <= gap.gap && gap.gap <= gap.interval[1] && gap.gap == gap.validation - gap.train);
    // What each measure gained is what the journal says.
    let chosen = &fit.actions[0];
    assert!(chosen.action.contains("was chosen in place of") && chosen.gained > 0.0 && chosen.kept, "{chosen:?}");
    // What averaging gained is known of the last epoch, which is not what was kept.
    assert!(fit.actions.iter().all(|done| !done.action.contains("average of the weights")), "{fit:?}");
    let stronger =
        fit.actions.iter().find(|done| done.action.contains("dropout=0.2")).unwrap_or_else(|| panic!("{fit:?}"));
    let tried = epochs(&run, 2);
    let best = tried.iter().map(|record| number(record, "/validation/log_loss")).fold(f64::INFINITY, f64::min);
    assert!(
        (stronger.after - best).abs() < 1e-12 && (stronger.before - stronger.after - stronger.gained).abs() < 1e-12
    );
    // All of it takes no more epochs than were planned: 24 and a refit of as many.
    assert!(journal(&run).lines().count() <= 48, "{}", journal(&run));
    assert!(told.notes.iter().any(|note| note.contains("trying stronger regularisation")), "{:?}", told.notes);
    // Who does not want it has the same verdict.
    let without = train(settings(&data, &OVERFITS), &folder.path("without")).fit.unwrap();
    assert_eq!((without.verdict, without.since_epoch), (Verdict::Overfits, Some(since)));
    assert!(without.actions.iter().all(|done| !done.action.contains("stronger")), "a given dropout was changed");
}

#[test]
fn what_averaging_gained_is_told_of_the_epoch_that_is_kept() {
    let folder = Folder::new();
    let data = noisy(&folder, 500);
    let few = [&OVERFITS[..], &[("epochs", "3"), ("lr", "0.0005"), ("regularise", "false")]].concat();
    let report = train(settings(&data, &few), &folder.path("few"));
    assert_eq!(report.best_epoch, 3, "the loss still falls");
    let fit = report.fit.unwrap();
    let gained = fit.actions.iter().find(|done| done.action.contains("average of the weights"));
    let gained = gained.unwrap_or_else(|| panic!("{fit:?}"));
    let last = epochs(&folder.path("few"), 1).into_iter().next_back().unwrap();
    assert!((gained.after - number(&last, "/validation/log_loss")).abs() < 1e-12, "{gained:?}");
    assert!((gained.before - number(&last, "/losses/unaveraged")).abs() < 1e-12, "{gained:?}");
}

#[test]
fn stops_while_stronger_regularisation_is_tried_change_nothing() {
    let folder = Folder::new();
    let data = noisy(&folder, 300);
    let with = [&OVERFITS[..], &[("regularise", "true"), ("batch", "32")]].concat();
    let whole = folder.path("whole");
    let report = train(settings(&data, &with), &whole);
    assert!(report.fit.as_ref().is_some_and(|fit| fit.actions.iter().any(|done| done.action.contains("stronger"))));
    let run = folder.path("pieces");
    let mut outcome =
        prepare(settings(&data, &with), Some(run.clone())).unwrap().run(&mut StopAfter { left: 13 }).unwrap();
    while let Outcome::Interrupted { .. } = outcome {
        outcome = resume(&run).unwrap().run(&mut StopAfter { left: 13 }).unwrap();
    }
    let resumed = finished(outcome);
    assert!(model_bytes(&run) == model_bytes(&whole) && journal(&run) == journal(&whole));
    let timeless = |fit: Option<deepfit_train::FitReport>| deepfit_train::FitReport { seconds: 0.0, ..fit.unwrap() };
    assert_eq!(timeless(resumed.fit), timeless(report.fit));
}

#[test]
fn too_few_steps_and_the_same_prediction_for_every_row_are_underfitting() {
    let folder = Folder::new();
    let data = noisy(&folder, 500);
    let with = [&OVERFITS[..], &[("lr", "1e-7"), ("epochs", "2")]].concat();
    let fit = train(settings(&data, &with), &folder.path("slow")).fit.unwrap();
    assert_eq!(fit.verdict, Verdict::Underfits, "{fit:?}");
    assert!(fit.sentence.contains("underfits"), "{}", fit.sentence);
    // Nothing can be told of a constant.
    let text = fs::read_to_string(&data).unwrap();
    let constant = text.lines().skip(1).map(|line| format!("1,2,{}\n", line.rsplit(',').next().unwrap()));
    let constant = folder.write("constant.csv", "a,b,class\n".to_string() + &constant.collect::<String>());
    match prepare(settings(&constant, &OVERFITS), Some(folder.path("constant"))) {
        Ok(job) => {
            let fit = finished(job.run(&mut deepfit_train::Silent).unwrap()).fit.unwrap();
            assert!(fit.sentence.contains("the same for every row"), "{fit:?}");
        }
        Err(error) => assert!(error.to_string().contains("column"), "{error}"),
    }
}

#[test]
fn a_handful_of_validation_rows_is_said_to_tell_nothing() {
    let folder = Folder::new();
    let data = noisy(&folder, 60);
    let with = [("model", "mlp"), ("hidden", "[8]"), ("epochs", "3"), ("folds", "1")];
    let fit = train(settings(&data, &with), &folder.path("few")).fit.unwrap();
    assert_eq!(fit.verdict, Verdict::ValidationTooSmall, "{fit:?}");
    assert!(fit.sentence.contains("rows would tell"), "{}", fit.sentence);
    assert!(message(prepare(settings(&noisy(&folder, 3), &with), Some(Path::new("nowhere").into()))).len() > 20);
}
