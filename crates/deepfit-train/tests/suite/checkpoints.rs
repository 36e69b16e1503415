//! Files of a run that are damaged, or from a newer program, are refused.

use std::fs;
use std::path::PathBuf;

use deepfit_train::{ErrorKind, FORMAT_VERSION, Outcome, Predictor, Silent, prepare, resume};

use crate::runs::{Folder, StopAfter, journal, message, rows_of, settings, train};

/// A small run that was stopped in its second epoch.
fn stopped(folder: &Folder) -> PathBuf {
    let data = folder.write(
        "some.csv",
        "a,b,y\n".to_string()
            + &(0..60).map(|i| format!("{},{},{}\n", i * 7 % 20, i % 9, i * 3 % 17)).collect::<String>(),
    );
    let run = folder.path("run");
    let pairs = [
        ("model", "mlp"),
        ("hidden", "[2]"),
        ("folds", "1"),
        ("refit", "false"),
        ("epochs", "4"),
        ("task", "regression"),
    ];
    let outcome = prepare(settings(&data, &pairs), Some(run.clone())).unwrap().run(&mut StopAfter { left: 6 }).unwrap();
    assert!(matches!(outcome, Outcome::Interrupted { .. }));
    run
}

#[test]
fn a_checkpoint_with_any_byte_changed_is_refused() {
    let folder = Folder::new();
    let run = stopped(&folder);
    let path = run.join("checkpoint/state.safetensors");
    let whole = fs::read(&path).unwrap();
    assert!(resume(&run).is_ok());
    assert!(whole.len() < 10_000, "{} bytes take long", whole.len());
    let mut damaged = whole.clone();
    for position in 0..whole.len() {
        let flip = [1, 4, 32, 128][position % 4];
        damaged[position] ^= flip;
        fs::write(&path, &damaged).unwrap();
        let Err(error) = resume(&run) else {
            let around = String::from_utf8_lossy(&whole[position.saturating_sub(30)..whole.len().min(position + 30)]);
            panic!("byte {position} changed by {flip} goes unnoticed: {around:?}");
        };
        let told = error.to_string();
        assert!(told.contains("state.safetensors") && told.contains("damaged"), "byte {position}: {told}");
        assert_eq!(error.kind(), ErrorKind::Input);
        damaged[position] ^= flip;
    }
}

#[test]
fn a_checkpoint_that_was_cut_or_has_grown_is_refused() {
    let folder = Folder::new();
    let run = stopped(&folder);
    let path = run.join("checkpoint/state.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(97).chain([1, 7, 8, 9, whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        let told = message(resume(&run));
        assert!(told.contains("state.safetensors") && told.contains("damaged"), "{length} bytes: {told}");
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert!(message(resume(&run)).contains("damaged"));
    fs::write(&path, whole).unwrap();
    resume(&run).unwrap().run(&mut Silent).unwrap();
}

#[test]
fn files_of_a_newer_program_are_refused_by_name() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("diabetes.csv", 0..100));
    let run = folder.path("run");
    train(settings(&data, &[("epochs", "1"), ("folds", "1"), ("hidden", "[4]")]), &run);
    let newer = FORMAT_VERSION + 1;
    let replace = |name: &str, from: String, to: String| {
        let text = fs::read_to_string(run.join(name)).unwrap();
        assert!(text.contains(&from), "{text}");
        fs::write(run.join(name), text.replace(&from, &to)).unwrap();
    };
    replace("settings.toml", format!("version = {FORMAT_VERSION}"), format!("version = {newer}"));
    let told = message(resume(&run));
    assert!(told.contains("settings.toml") && told.contains("newer") && told.contains("update"), "{told}");
    assert!(Predictor::open(&run, 1).is_ok(), "a model needs no settings");
    replace("model/config.json", format!("\"version\": {FORMAT_VERSION}"), format!("\"version\": {newer}"));
    let told = message(Predictor::open(&run, 1));
    assert!(told.contains("config.json") && told.contains("newer"), "{told}");
}

#[test]
fn a_damaged_split_or_report_is_named() {
    let folder = Folder::new();
    let run = stopped(&folder);
    let split = fs::read_to_string(run.join("split.json")).unwrap();
    fs::write(run.join("split.json"), &split[..split.len() / 2]).unwrap();
    let told = message(resume(&run));
    assert!(told.contains("split.json") && told.contains("damaged"), "{told}");
    fs::write(run.join("split.json"), split).unwrap();
    fs::write(run.join("result.json"), "{").unwrap();
    let told = message(resume(&run));
    assert!(told.contains("result.json") && told.contains("damaged"), "{told}");
}

#[test]
fn a_journal_that_lacks_an_epoch_of_the_checkpoint_is_refused() {
    let folder = Folder::new();
    let run = stopped(&folder);
    let path = run.join("metrics.jsonl");
    let whole = journal(&run);
    assert_eq!(whole.lines().count(), 1);
    for damaged in ["", &whole[..whole.len() / 2]] {
        fs::write(&path, damaged).unwrap();
        let told = message(resume(&run));
        assert!(told.contains("metrics.jsonl") && told.contains("damaged"), "{told}");
    }
    // What a killed process wrote after its last checkpoint is not believed.
    fs::write(&path, format!("{whole}{whole}{{\"stage\"")).unwrap();
    resume(&run).unwrap().run(&mut Silent).unwrap();
    assert_eq!(journal(&run).lines().count(), 4);
    assert!(journal(&run).starts_with(&whole));
}

#[test]
fn a_folder_in_use_is_not_written_to() {
    let folder = Folder::new();
    let run = stopped(&folder);
    let data = folder.path("some.csv");
    let told = message(prepare(settings(&data, &[]), Some(run)));
    assert!(told.contains("--out") && told.contains("--resume"), "{told}");
    folder.write("full/letter.txt", "dear");
    let told = message(prepare(settings(&data, &[("epochs", "1")]), Some(folder.path("full"))));
    assert!(told.contains("not empty"), "{told}");
    // What came into it between planning and beginning counts, too.
    let job = prepare(settings(&data, &[("epochs", "1")]), Some(folder.path("late"))).unwrap();
    folder.write("late/letter.txt", "dear");
    assert!(message(job.run(&mut Silent)).contains("not empty"));
    assert_eq!(fs::read_dir(folder.path("full")).unwrap().count(), 1);
}
