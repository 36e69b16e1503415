//! Runs that are stopped and resumed end as if they had never been.

use std::fs;
use std::path::Path;

use deepfit_train::{Event, Flow, Observer, Outcome, Report, Settings, Silent, prepare, resume};

use crate::runs::{Folder, StopAfter, finished, journal, model_bytes, rows_of, settings, stripes, train};

/// Runs with a stop after every `gap` steps and epochs, each time resumed from the files alone. Returns the report and
/// the number of stops.
fn in_pieces(settings: Settings, run: &Path, gap: u64) -> (Report, u32) {
    let mut outcome = prepare(settings, Some(run.to_path_buf())).unwrap().run(&mut StopAfter { left: gap }).unwrap();
    let (mut stops, mut last) = (0, 0);
    while let Outcome::Interrupted { run: told, step } = outcome {
        assert_eq!(told, run);
        assert!(step >= last, "steps went back from {last} to {step}");
        (stops, last) = (stops + 1, step);
        assert!(stops < 1000, "the run makes no progress");
        let job = resume(run).unwrap();
        assert_eq!(job.description().resumed_at_step, Some(step));
        outcome = job.run(&mut StopAfter { left: gap }).unwrap();
    }
    (finished(outcome), stops)
}

fn check(settings: &Settings, gaps: &[u64], least_stops: u32) {
    let folder = Folder::new();
    let whole = folder.path("whole");
    let report = train(settings.clone(), &whole);
    for &gap in gaps {
        let run = folder.path(&format!("pieces-{gap}"));
        let (resumed, stops) = in_pieces(settings.clone(), &run, gap);
        assert!(stops >= least_stops, "only {stops} stops");
        assert!(model_bytes(&run) == model_bytes(&whole), "stops after every {gap} events lead to another model");
        assert_eq!(journal(&run), journal(&whole), "stops after every {gap} events");
        assert_eq!(resumed.metrics, report.metrics);
        assert_eq!((resumed.epochs, resumed.best_epoch), (report.epochs, report.best_epoch));
        assert!(resumed.resumed_at_step.is_some() && report.resumed_at_step.is_none());
    }
}

#[test]
fn stops_at_every_step_of_folds_and_refit_change_nothing() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("breast-cancer.csv", 0..120));
    let pairs = [("epochs", "2"), ("folds", "2"), ("batch", "16"), ("dropout", "0.3"), ("hidden", "[8]")];
    // Gap 1 stops after every step and once more at the end of every epoch.
    check(&settings(&data, &pairs), &[1, 5], 6);
}

#[test]
fn stops_change_nothing_where_a_plateau_or_a_searched_rate_decides() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("breast-cancer.csv", 0..120));
    let pairs = [
        ("epochs", "6"),
        ("batch", "16"),
        ("folds", "2"),
        ("hidden", "[8]"),
        ("schedule", "plateau"),
        ("schedule.patience", "0"),
        ("find_lr", "true"),
    ];
    check(&settings(&data, &pairs), &[3, 7], 6);
}

#[test]
fn stops_inside_of_accumulated_groups_change_nothing() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("diabetes.csv", 0..120));
    let pairs =
        [("epochs", "3"), ("folds", "1"), ("refit", "false"), ("batch", "8"), ("accumulate", "3"), ("hidden", "[8]")];
    check(&settings(&data, &pairs), &[1, 4], 6);
}

#[test]
fn stops_with_mixed_images_and_best_weights_change_nothing() {
    let folder = Folder::new();
    let data = stripes(&folder, 30);
    let pairs = [
        ("epochs", "3"),
        ("batch", "8"),
        ("dropout", "0.25"),
        ("augment.mixup", "0.4"),
        ("augment.cutmix", "1.0"),
        ("augment.shift", "0.2"),
        ("augment.mix_probability", "0.7"),
    ];
    check(&settings(&data, &pairs), &[3], 6);
    let mut keep_best = settings(&data, &pairs);
    keep_best.refit = Some(false);
    check(&keep_best, &[4], 3);
}

#[test]
fn stops_change_nothing_where_patience_ends_the_training() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("breast-cancer.csv", 0..150));
    let pairs = [
        ("epochs", "40"),
        ("folds", "1"),
        ("patience", "2"),
        ("lr", "0.3"),
        ("schedule", "constant"),
        ("average", "0"),
    ];
    check(&settings(&data, &pairs), &[7], 3);
}

#[test]
fn a_run_whose_checkpoint_is_missing_starts_again() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("diabetes.csv", 0..100));
    let settings = settings(&data, &[("epochs", "3"), ("folds", "2"), ("hidden", "[8]")]);
    let (whole, run) = (folder.path("whole"), folder.path("run"));
    train(settings.clone(), &whole);
    let stopped = prepare(settings, Some(run.clone())).unwrap().run(&mut StopAfter { left: 9 }).unwrap();
    assert!(matches!(stopped, Outcome::Interrupted { .. }));
    fs::remove_file(run.join("checkpoint/state.safetensors")).unwrap();
    let report = finished(resume(&run).unwrap().run(&mut Silent).unwrap());
    assert_eq!(report.resumed_at_step, Some(0));
    assert!(model_bytes(&run) == model_bytes(&whole));
    assert_eq!(journal(&run), journal(&whole));
}

#[test]
fn a_run_that_has_ended_gives_its_report_again_and_writes_nothing() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("diabetes.csv", 0..100));
    let run = folder.path("run");
    let report = train(settings(&data, &[("epochs", "2"), ("hidden", "[8]")]), &run);
    let contents = |name: &str| fs::read(run.join(name)).unwrap();
    let files = ["result.json", "metrics.jsonl", "settings.toml", "checkpoint/state.safetensors", "model/config.json"];
    let before = files.map(contents);
    let mut again = finished(resume(&run).unwrap().run(&mut Silent).unwrap());
    assert!(again.resumed_at_step.is_some_and(|step| step > 0));
    again.resumed_at_step = None;
    assert_eq!(again, report);
    assert!(files.map(contents) == before);
}

#[test]
fn a_run_that_is_killed_before_its_report_is_written_ends_the_same() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("breast-cancer.csv", 0..100));
    let run = folder.path("run");
    let report = train(settings(&data, &[("epochs", "2"), ("folds", "2"), ("hidden", "[8]")]), &run);
    let model = model_bytes(&run);
    fs::remove_file(run.join("result.json")).unwrap();
    fs::remove_dir_all(run.join("model")).unwrap();
    fs::create_dir(run.join("model")).unwrap();
    let again = finished(resume(&run).unwrap().run(&mut Silent).unwrap());
    assert!(model_bytes(&run) == model);
    assert_eq!(again.metrics, report.metrics);
}

/// Copies a run folder while it is in work, at the end of an epoch that the clock has cut short: what a killed process
/// leaves.
struct Copying<'a> {
    run: &'a Path,
    copy: &'a Path,
    slow: bool,
}

impl Observer for Copying<'_> {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        match event {
            Event::Step { .. } if self.slow => std::thread::sleep(std::time::Duration::from_millis(40)),
            Event::Note(note) if note.contains("time is used up") => self.slow = false,
            Event::Epoch { .. } if !self.copy.exists() && !self.slow => copy_folder(self.run, self.copy),
            _ => {}
        }
        Flow::Continue
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_run_killed_after_its_time_was_used_up_repeats_that_decision() {
    let folder = Folder::new();
    let data = folder.write("some.csv", rows_of("diabetes.csv", 0..200));
    let pairs =
        [("epochs", "50"), ("time", "0.3"), ("folds", "1"), ("refit", "false"), ("hidden", "[8]"), ("batch", "16")];
    let (run, copy) = (folder.path("run"), folder.path("copy"));
    let job = prepare(settings(&data, &pairs), Some(run.clone())).unwrap();
    let report = finished(job.run(&mut Copying { run: &run, copy: &copy, slow: true }).unwrap());
    assert!(report.notes.iter().any(|note| note.contains("time is used up")), "{:?}", report.notes);
    assert!(copy.join("settings.toml").exists() && !copy.join("result.json").exists());
    let again = finished(resume(&copy).unwrap().run(&mut Silent).unwrap());
    assert!(model_bytes(&copy) == model_bytes(&run));
    assert_eq!(journal(&copy), journal(&run));
    assert_eq!(again.metrics, report.metrics);
}
